"""A WebAssembly module: read without running it, and judged as Envoy would at load."""
