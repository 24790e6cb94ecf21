"""How a table is a catalogue: of a system that is known, or by its names and contents."""
