"""From what a client shows to who it is: the edges around `registry.access`."""
