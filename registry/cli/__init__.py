"""The command line: one command a file; errors on stderr in one line, exit 2 for what cannot be read."""
