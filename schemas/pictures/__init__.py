"""Pictures as a catalogue names or holds them: their addresses, the files that those are, their bytes in cells."""
