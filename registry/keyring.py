"""Where the signing keys come from: files and variables that are named, or one made once beside the content.

A key that was made beside the content is `private/signing.key`; the public parts of those that were there
before it are `private/ID.pub`. Private keys are read when a process starts, and nothing else holds them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry import patterns
from registry.publish.verifier import nobody
from registry.settings.model import Settings, Signing
from registry.signing import keys
from registry.signing.keys import KeyInvalid, PublicKey, SigningKey
from registry.signing.ring import KeyRing, Published
from storage.errors import StoreUnavailable
from storage.files import sync_folder

MADE = "signing.key"
MADE_FOR_TOKENS = "tokens.key"
MADE_FOR_URLS = "urls.key"
FOLDER = "private"
_FROM_ENVIRONMENT = "env://"
_SIGNING = "the signing key {}"
_TOKENS = "the key of access.tokens {}"
_URLS = "the key of access.urls {}"
_READABLE = "Make one by `sidecargo keys new FILE` and let this user read it."
_COSIGN_PASSPHRASE = "COSIGN_PASSWORD"  # noqa: S105 - its name


def ring(signing: Signing, root: Path | None) -> KeyRing:
    """The keys that are named, of which the first signs; else those in `root`/private, made at first.

    Those after the first may be public keys. Without a folder they must be named. Raises StoreUnavailable
    when they are not, or one cannot be read, KeyInvalid when it holds no P-256 key.
    """
    passphrase = _passphrase(signing)
    if signing.keys:
        return _ring([_source(name) for name in signing.keys], passphrase)
    if root is None:
        raise StoreUnavailable(
            "no private key is kept in a bucket, and none is given.",
            fix="Make one by `sidecargo keys new signing.key`, then serve with --signing-key signing.key: "
            "the same for every server of this storage.",
        )
    made = _made(root, MADE)
    return _ring([_file(made), *(_file(path) for path in _retired(made.parent))], passphrase)


def verifying(named: Sequence[str], passphrase: str | None = None) -> tuple[PublicKey, ...]:
    """The keys by which others sign: public ones, or of private ones the public part.

    Each is named as those that sign are. Raises StoreUnavailable where one cannot be read, KeyInvalid where
    it holds no P-256 key.
    """
    found: dict[str, PublicKey] = {}
    for name in named:
        source = _source(name, "the key {}", "Name a public key in PEM, as cosign.pub.")
        key = _load(source, passphrase).public if keys.is_private(source.pem) else _load_public(source)
        found.setdefault(key.key_id, key)
    return tuple(found.values())


def verification(settings: Settings) -> Callable[[str], tuple[PublicKey, ...]]:
    """The keys of which one must have signed what a repository has, by its name; raises as `verifying` does.

    The first rule that names the repository counts.
    """
    passphrase = _passphrase(settings.signing)
    rules = [(rule.repositories, verifying(rule.keys, passphrase)) for rule in settings.verification]
    if not rules:
        return nobody
    return lambda name: next((held for pattern, held in rules if patterns.matches(pattern, name)), ())


def signing_key(named: Sequence[Path], root: Path | None) -> SigningKey:
    """The key that signs, by the same rules; raises as `ring` does."""
    return ring(Signing(keys=tuple(map(str, named))), root).signing


def token_key(named: str | None, root: Path | None) -> bytes:
    """The private key (PEM) that signs tokens: the named one, else that in `root`/private, made at first.

    Raises StoreUnavailable where there is none to be had.
    """
    if named is not None:
        return _file(Path(named), _TOKENS).pem
    if root is None:
        raise StoreUnavailable(
            "no private key is kept in a bucket, and none is given for tokens.",
            fix="Make one by `sidecargo keys new tokens.key` and name it in access.tokens.key: the same for "
            "every server of this storage.",
        )
    return _file(_made(root, MADE_FOR_TOKENS), _TOKENS).pem


def url_keys(named: Sequence[str], root: Path | None) -> list[bytes]:
    """The private keys (PEM) of URLs that need no login: the named ones, else that in `root`/private.

    That is made at first; without a folder there is none. Raises StoreUnavailable where one cannot be read.
    """
    if named:
        return [_source(name, _URLS).pem for name in named]
    return [] if root is None else [_file(_made(root, MADE_FOR_URLS), _URLS).pem]


def write_new(path: Path) -> SigningKey:
    """Write a new private key that only its owner can read; raises FileExistsError."""
    key = keys.new_key()
    _write(path, key.private_pem, 0o600)
    return key


def rotate(root: Path) -> tuple[SigningKey, SigningKey]:
    """Put a new key into the place of the one that was made beside the content; the new one and that one.

    Of the old one the public part stays, so that what it signed counts. The old private key is gone then.
    """
    folder = root / FOLDER
    made = folder / MADE
    old = _load(_file(made), None)
    with contextlib.suppress(FileExistsError):
        _write(folder / f"{old.key_id}.pub", old.public_pem, 0o644)
    times = made.stat()
    os.utime(folder / f"{old.key_id}.pub", (times.st_atime, times.st_mtime))
    temp = folder / f"{uuid.uuid4().hex}.temp"
    try:
        new = write_new(temp)
        sync_folder(folder)
        temp.replace(made)
        sync_folder(folder)
    finally:
        temp.unlink(missing_ok=True)
    return new, old


@dataclass(frozen=True, slots=True)
class _Source:
    """A key as it was read: `name` is where, `since` when it came there; never shown whole."""

    name: str
    pem: bytes
    since: float | None = None

    def __repr__(self) -> str:
        return f"_Source({self.name})"


def _ring(sources: Sequence[_Source], passphrase: str | None) -> KeyRing:
    first, *others = sources
    signing = _load(first, passphrase)
    published = [Published(signing.public, first.since)]
    for source in others:
        key = _load_public(source) if keys.is_public(source.pem) else _load(source, passphrase).public
        if all(key.key_id != one.key.key_id for one in published):
            published.append(Published(key, source.since))
    return KeyRing(signing, tuple(published))


def _source(name: str, what: str = _SIGNING, fix: str = _READABLE) -> _Source:
    if not name.startswith(_FROM_ENVIRONMENT):
        return _file(Path(name), what, fix)
    variable = name.removeprefix(_FROM_ENVIRONMENT)
    if not (pem := os.environ.get(variable)):
        raise StoreUnavailable(
            f"{what.format(name)} is not there: the variable {variable} is not set.",
            fix=f"Let {variable} hold the key in PEM, or name a file instead.",
        )
    return _Source(name, pem.encode())


def _file(path: Path, what: str = _SIGNING, fix: str = _READABLE) -> _Source:
    try:
        return _Source(str(path), path.read_bytes(), path.stat().st_mtime)
    except OSError as error:
        raise StoreUnavailable(f"{what.format(path)} cannot be read: {error.strerror}.", fix=fix) from None


def _load(source: _Source, passphrase: str | None) -> SigningKey:
    try:
        return keys.load(source.pem, passphrase)
    except KeyInvalid as refusal:
        raise KeyInvalid(f"{source.name}: {refusal.message}", refusal.fix) from None


def _load_public(source: _Source) -> PublicKey:
    try:
        return keys.load_public(source.pem)
    except KeyInvalid as refusal:
        raise KeyInvalid(f"{source.name}: {refusal.message}", refusal.fix) from None


def _passphrase(signing: Signing, environment: Mapping[str, str] = os.environ) -> str | None:
    if signing.passphrase is not None:
        return signing.passphrase.get_secret_value()
    # As cosign has it: set and empty is a passphrase too.
    return environment.get(_COSIGN_PASSPHRASE)


def _retired(folder: Path) -> Iterator[Path]:
    """The public keys that were kept, the last one first."""
    found = [(path.stat().st_mtime, path) for path in folder.glob("*.pub")]
    yield from (path for _, path in sorted(found, reverse=True))


def _made(root: Path, name: str) -> Path:
    """A private key beside the content, made if it is not there."""
    made = root / FOLDER / name
    if not made.exists():
        _make(made)
    # Also where another process made it, which may have died before this.
    for one in (made.parent, root):
        sync_folder(one)
    return made


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


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
