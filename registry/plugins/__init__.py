"""Plugins over plain HTTP: the module, what the gate found in it, and the keys that sign."""
