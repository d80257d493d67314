"""Tests mirror the code, a file for a file; real parts live under `real`."""
