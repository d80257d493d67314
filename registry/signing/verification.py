"""Whether what is found beside a manifest signs it: each candidate, the keys that count, what comes of it.

Pure: who looks where, in a store or over the wire, brings the candidates. A signature counts; a statement
of another type may be signed with the same key, and say that something is wrong with the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from registry.signing import bundle, cosign
from registry.signing.bundle import SIGNED
from registry.signing.keys import OtherKey, PublicKey, SignatureInvalid
from storage.digest import Digest

Form = Literal["tag", "bundle"]
"""Where cosign looks for a signature: under its tag, or among the bundles that refer to a manifest."""

MOST = 256
"""How many signatures under a tag, and how many bundles, are looked at."""
LARGEST_PAYLOAD = 16 << 10
"""Bytes of a payload that are looked into; one of cosign's has some 250."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a signature: `at` is the manifest that holds it, `data` its payload, or the bundle.

    Under cosign's tag the `signature` (base64) is apart. `absent` says why there is no data, if so.
    """

    form: Form
    at: Digest
    data: bytes = b""
    signature: str = ""
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What comes of a candidate: the `key` that signed it, or the `problem` for which it does not count."""

    form: Form
    at: Digest
    key: PublicKey | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a signature of the manifest by one of the keys."""
        return self.key is not None


def check(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> Finding:
    """Whether a candidate is a signature of the manifest of that digest by one of the keys."""
    if candidate.absent:
        return Finding(candidate.form, candidate.at, problem=candidate.absent)
    try:
        signed = _by_tag if candidate.form == "tag" else _as_bundle
        return Finding(candidate.form, candidate.at, signed(candidate, keys, digest))
    except SignatureInvalid as invalid:
        return Finding(candidate.form, candidate.at, problem=str(invalid))


def signer(findings: Iterable[Finding]) -> PublicKey | None:
    """The key of the first finding that counts; None: it is not signed."""
    return next((one.key for one in findings if one.key), None)


def _by_tag(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> PublicKey:
    if len(candidate.data) > LARGEST_PAYLOAD:
        raise SignatureInvalid("the payload is too large to be looked into.")
    for key in keys:
        try:
            cosign.verify(candidate.data, candidate.signature, key, digest)
        except OtherKey:
            continue
        return key
    raise _by_none(keys)


def _as_bundle(candidate: Candidate, keys: Sequence[PublicKey], digest: Digest) -> PublicKey:
    try:
        opened = bundle.verify(candidate.data, keys, digest)
    except OtherKey:
        raise _by_none(keys) from None
    if opened.statement.kind != SIGNED:
        kind = opened.statement.kind[:200]
        raise SignatureInvalid(f"it is a statement of the type {kind}, and no signature.")
    return opened.key


def _by_none(keys: Sequence[PublicKey]) -> SignatureInvalid:
    which = "with the key" if len(keys) == 1 else f"with any of the {len(keys)} keys"
    return SignatureInvalid(f"it was not made {which} that was given, over what is here.")
