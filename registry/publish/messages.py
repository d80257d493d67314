"""The messages between a server and its inspectors (`registry.publish.inspector` says which there are)."""

from __future__ import annotations

LENGTH = 4
"""Bytes of a message's length."""

ABANDON = b"\xff" * LENGTH
"""The length of no message: what was begun is to be forgotten."""


def message(data: bytes) -> bytes:
    """A message as it is sent."""
    return len(data).to_bytes(LENGTH, "big") + data
