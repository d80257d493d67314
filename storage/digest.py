"""Digests: what a piece of content is called (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from storage.errors import DigestInvalid


class Hasher(Protocol):
    """A running hash: the part of `hashlib`'s objects that is used here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take more content."""

    def hexdigest(self) -> str:
        """The hash of all content so far, in lower-case hexadecimal."""


_HASHERS: dict[str, Callable[[], Hasher]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX_DIGITS = frozenset("0123456789abcdef")

ALGORITHMS = tuple(_HASHERS)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`; a value of this type is always well-formed."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 hex>` or `sha512:<128 hex>`; raises DigestInvalid for anything else."""
        algorithm, _, hexadecimal = text.partition(":")
        expected = _HEX_LENGTHS.get(algorithm)
        if expected is None:
            raise DigestInvalid(
                f"{_shown(text)} is not a digest that this registry knows.",
                fix=f"Use one of {', '.join(ALGORITHMS)}, as in sha256:<64 hexadecimal digits>.",
            )
        if len(hexadecimal) != expected or not _HEX_DIGITS.issuperset(hexadecimal):
            raise DigestInvalid(
                f"{_shown(text)}: {algorithm} takes {expected} lower-case hexadecimal digits."
            )
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, data: bytes | memoryview, algorithm: str = "sha256") -> Digest:
        """The digest of content that is at hand."""
        running = hasher(algorithm)
        running.update(data)
        return cls(algorithm, running.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def hasher(algorithm: str) -> Hasher:
    """A fresh running hash; raises DigestInvalid for an algorithm that is not in ALGORITHMS."""
    make = _HASHERS.get(algorithm)
    if make is None:
        raise DigestInvalid(
            f"{_shown(algorithm)} is no digest algorithm of this registry.",
            fix=f"Use one of {', '.join(ALGORITHMS)}.",
        )
    return make()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
