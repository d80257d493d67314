"""Signing: keys, and the forms of signatures that cosign verifies."""
