"""Capability URLs: what stands in the path of a URL that needs no login. Data in, data out.

A capability is an id and its mark, a MAC of repository, reference and id: whoever has it may fetch the module
that the reference names there, and nothing else. Whether an id still counts, and until when, is kept in the
store (`storage.urls`). A MAC, not a signature, for the same id is the same URL whenever it is written: agents
know a module by its URL, and nobody but us checks it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any

from storage.errors import Unusable

_ID = "[0-9a-f]{16}"
_PREFIX = "scu_"  # for those who look for secrets in places where none should be
_FORM = re.compile(rf"{_PREFIX}({_ID})_([A-Za-z0-9_-]{{43}})")
_ANYWHERE = re.compile(rf"{_PREFIX}({_ID})_[A-Za-z0-9_-]+")
_PURPOSE = b"sidecargo: capability urls\0"


class CapabilityKeyInvalid(Unusable):
    """What is given as a key is no private P-256 key in PEM."""

    def __init__(self) -> None:
        super().__init__(
            "access.urls.keys has what is no private P-256 key.", "Make one by `sidecargo keys new urls.key`."
        )


class Capabilities:
    """Writes and reads capabilities by private P-256 keys (PEM): by the first one, and by any of them.

    Without a key it writes none and knows none. Raises CapabilityKeyInvalid.
    """

    def __init__(self, key_pems: Sequence[bytes] = ()) -> None:
        self._keys = tuple(map(_derived, key_pems))

    @property
    def writes(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def write(self, repository: str, reference: str, url_id: str) -> str:
        """The capability of an id for what a tag or a digest names in a repository."""
        return f"{_PREFIX}{url_id}_{_mark(self._keys[0], repository, reference, url_id)}"

    def read(self, capability: str, repository: str, reference: str) -> str | None:
        """The id of a capability that is ours and for this; None for any other text."""
        found = _FORM.fullmatch(capability)
        if found is None:
            return None
        # All keys are tried, however early one fits.
        fits = [
            hmac.compare_digest(_mark(key, repository, reference, found[1]), found[2]) for key in self._keys
        ]
        return found[1] if any(fits) else None


def redacted(text: str) -> str:
    """A text in which of capabilities only the ids are left: by these they are revoked."""
    return _ANYWHERE.sub(rf"{_PREFIX}\1_…", text)


def _mark(key: bytes, repository: str, reference: str, url_id: str) -> str:
    # None of the three has a line break in it.
    message = f"{repository}\n{reference}\n{url_id}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).decode().rstrip("=")


def _derived(key_pem: bytes) -> bytes:
    """A key of its own for MACs: what is made with one use of a key is worth nothing in another."""
    # Here: where nobody has to log in there are none.
    import jwt  # noqa: PLC0415
    from jwt.algorithms import ECAlgorithm  # noqa: PLC0415

    try:
        key: Any = ECAlgorithm(ECAlgorithm.SHA256).prepare_key(key_pem)
        secret = key.private_numbers().private_value
        curve = key.curve.name
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise CapabilityKeyInvalid from None
    if curve != "secp256r1":
        raise CapabilityKeyInvalid
    return hashlib.sha256(_PURPOSE + secret.to_bytes(32, "big")).digest()
