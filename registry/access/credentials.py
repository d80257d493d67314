"""What a client shows of itself: the `Authorization` header (RFC 9110, section 11.6.2), read."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

MAX = 16 << 10
"""Bytes of a header that are read at most."""


class CredentialUnreadable(Exception):
    """A header that is neither Basic nor Bearer in its own form."""


@dataclass(frozen=True, slots=True)
class Password:
    """A name and what proves it; the secret is never shown."""

    name: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token; never shown."""

    token: str = field(repr=False)


def read(header: bytes) -> Password | Bearer | None:
    """The credential in a header's value; None for one that says nothing; raises CredentialUnreadable.

    Some clients that have no credential send an empty name with an empty password.
    """
    scheme, _, rest = header.strip().partition(b" ")
    rest = rest.strip()
    if len(header) > MAX:
        raise CredentialUnreadable
    if scheme.lower() == b"bearer" and rest:
        try:
            return Bearer(rest.decode("ascii"))
        except UnicodeDecodeError:
            raise CredentialUnreadable from None
    if scheme.lower() == b"basic":
        return _password(rest)
    raise CredentialUnreadable


def _password(encoded: bytes) -> Password | None:
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).partition(b":")
        said = name.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise CredentialUnreadable from None
    if not colon:
        raise CredentialUnreadable
    return Password(said, secret) if said or secret else None
