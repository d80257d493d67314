"""The modules of the table, by what they differ in."""
