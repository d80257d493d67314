"""The keys of a registry: the one that signs now, and those whose signatures still count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.signing.keys import PublicKey, SigningKey


@dataclass(frozen=True, slots=True)
class Published:
    """A public key that counts: `since` when (Unix seconds), as far as that is known."""

    key: PublicKey
    since: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`signing` signs; `published` are the public parts that count, the one of `signing` first."""

    signing: SigningKey
    published: tuple[Published, ...]

    @classmethod
    def of(cls, key: SigningKey, *others: PublicKey) -> KeyRing:
        """A ring of a key that signs and others that count."""
        return cls(key, tuple(Published(one) for one in (key.public, *others)))

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self.keys)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The public keys that count."""
        return tuple(one.key for one in self.published)
