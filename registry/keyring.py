"""Where the signing key comes from: a file that is named, or one made once beside the content."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from registry.signing import keys
from registry.signing.keys import KeyInvalid, SigningKey
from storage.errors import StoreUnavailable
from storage.files import sync_folder


def signing_key(named: Sequence[Path], root: Path | None) -> SigningKey:
    """The key of the first file named; else the one in `root`/private, made there at the first start.

    Without a folder it must be named. Raises StoreUnavailable when it is not, or a file cannot be read,
    KeyInvalid when it holds no P-256 key.
    """
    if named:
        return _load(named[0])
    if root is None:
        raise StoreUnavailable(
            "no private key is kept in a bucket, and none is given.",
            fix="Make one by `sidecargo keys new signing.key`, then serve with --signing-key signing.key: "
            "the same for every server of this storage.",
        )
    made = root / "private" / "signing.key"
    if not made.exists():
        _make(made)
    # Also where another process made it, which may have died before this.
    for folder in (made.parent, root):
        sync_folder(folder)
    return _load(made)


def write_new(path: Path) -> SigningKey:
    """Write a new private key that only its owner can read; raises FileExistsError."""
    key = keys.new_key()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_pem)
        file.flush()
        os.fsync(file.fileno())
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temp = path.with_name(f"{uuid.uuid4().hex}.temp")
    try:
        write_new(temp)
        # Of several processes that start at once, the first one's key is everybody's.
        with contextlib.suppress(FileExistsError):
            os.link(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def _load(path: Path) -> SigningKey:
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise StoreUnavailable(
            f"the signing key {path} cannot be read: {error.strerror}.",
            fix="Make one by `sidecargo keys new FILE` and let this user read it.",
        ) from None
    try:
        return keys.load(pem)
    except KeyInvalid as refusal:
        raise KeyInvalid(f"{path}: {refusal.message}", refusal.fix) from None
