"""Which version of a small object has which content: what was read a moment ago is replaced in one call."""

from __future__ import annotations

from collections import OrderedDict

LARGEST = 16 << 10
"""The largest object that is remembered, in bytes: a tag with a long history is one."""

MOST = 256
"""How many are remembered."""


class Versions:
    """ETags of what was read last. Nothing depends on them: a write says on which one it relies."""

    def __init__(self) -> None:
        self._read: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def note(self, key: str, content: bytes, etag: str) -> None:
        """The object has been read."""
        self._read.pop(key, None)
        if len(content) <= LARGEST:
            self._read[key] = content, etag
        if len(self._read) > MOST:
            self._read.popitem(last=False)

    def take(self, key: str, content: bytes) -> str | None:
        """The ETag of an object that had this content when it was read; once, for a write makes another."""
        read, etag = self._read.pop(key, (None, ""))
        return etag if read == content else None
