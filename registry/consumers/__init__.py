"""How the consumers of an image take it apart: which layer they look at, and what they find in it."""
