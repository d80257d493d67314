"""Measurements beside peers, in one run on one machine: `python -m tests.bench.run`."""
