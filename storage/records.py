"""Small objects as values: what links, tags and rows hold, in one canonical JSON form."""

from __future__ import annotations

import json
import re
from typing import Any

from storage.errors import ManifestInvalid, StoreUnavailable
from storage.manifest import Descriptor, descriptor

_DIGESTS = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{128})(?![0-9a-f])")


def write(document: dict[str, Any]) -> bytes:
    """A record as bytes: the same document is always the same bytes."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def read(data: bytes, key: str) -> dict[str, Any]:
    """The record that `write` made; raises StoreUnavailable naming the key when it is damaged."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged(key) from None
    if not isinstance(document, dict):
        raise damaged(key)
    return document


def write_descriptor(value: Descriptor) -> bytes:
    """A descriptor as a record."""
    return write(value.to_json())


def read_descriptor(data: bytes, key: str) -> Descriptor:
    """The descriptor in a record; raises StoreUnavailable naming the key when it is damaged."""
    found = read(data, key)
    try:
        return descriptor(found, key)
    except ManifestInvalid:
        raise damaged(key) from None


def write_size(size: int) -> bytes:
    """A blob's membership as a record."""
    return write({"size": size})


def read_size(data: bytes, key: str) -> int:
    """The size in a blob's membership record; raises StoreUnavailable naming the key when it is damaged."""
    size = read(data, key).get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise damaged(key)
    return size


def enclose(record: bytes, content: bytes) -> bytes:
    """A record and content that lies in one object with it."""
    return record + b"\n" + content


def enclosed_blob(content: bytes) -> bytes:
    """A blob's membership with the blob in it."""
    return enclose(write_size(len(content)), content)


def split(data: bytes) -> tuple[bytes, bytes | None]:
    """The record at the beginning of an object, and the content that it encloses, if any."""
    record, newline, content = data.partition(b"\n")
    return record, content if newline else None


def digests_in(record: bytes) -> set[str]:
    """The digests, by their hexadecimal, that a record names in whatever way."""
    return {found.decode() for found in _DIGESTS.findall(record)}


def damaged(key: str) -> StoreUnavailable:
    """What to raise for an object that no release wrote so."""
    return StoreUnavailable(f"the object {key} of the store is damaged.", fix="Restore it from a backup.")
