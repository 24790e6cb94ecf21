"""The pieces of an evaluation: what is asked, of which items, with which query pictures, and the report."""
