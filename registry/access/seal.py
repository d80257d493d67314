"""What stands for a credential in memory: a keyed hash, whose key is this process' own."""

from __future__ import annotations

import hashlib
import secrets


class Seal:
    """A keyed hash (BLAKE2b, which is a MAC) under a key that no other process has and nobody writes."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, data: bytes) -> bytes:
        """What to remember instead of `data`."""
        return hashlib.blake2b(data, key=self._key, digest_size=24).digest()
