"""What is of the machine and not of the subject: threads, memory, number formats, columns on disk."""
