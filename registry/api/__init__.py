"""OCI Distribution 1.1 over HTTP: one table of routes, one of errors, one resource a file."""
