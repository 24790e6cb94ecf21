"""What `itemsage init` knows of the files that shops export: which columns they have, and what each of them is."""
