"""DSSE: a payload, what it is, and who signed it (secure-systems-lab/dsse, envelope.md and protocol.md)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from registry.signing.keys import PublicKey, SignatureInvalid, SigningKey

STATEMENT = "application/vnd.in-toto+json"
"""The payload type of in-toto statements."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload of a type, and one signature (DER) over both."""

    payload_type: str
    payload: bytes
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """The envelope as it is written within a bundle."""
        return {
            "payload": _encoded(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": _encoded(self.signature)}],
        }

    @classmethod
    def from_json(cls, said: Any) -> Envelope:
        """What `to_json` wrote; raises SignatureInvalid for anything else, also for several signatures."""
        try:
            (signature,) = said["signatures"]
            return cls(str(said["payloadType"]), _decoded(said["payload"]), _decoded(signature["sig"]))
        except (KeyError, TypeError, ValueError):
            raise SignatureInvalid("the envelope is not one of DSSE with one signature.") from None

    def verify(self, key: PublicKey) -> None:
        """Raises SignatureInvalid where this key has not signed this payload of this type."""
        key.verify(self.signature, encoding(self.payload_type, self.payload))


def seal(payload: bytes, key: SigningKey, payload_type: str = STATEMENT) -> Envelope:
    """Sign a payload; the same payload and key give the same envelope."""
    return Envelope(payload_type, payload, key.sign(encoding(payload_type, payload)))


def encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of a payload and its type."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise ValueError
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
