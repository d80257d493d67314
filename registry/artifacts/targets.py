"""What a command is given: a module, a layout, a saved image or a reference, told apart."""

from __future__ import annotations

import mmap
import shlex
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.artifacts import docker_save, layout, packed
from registry.artifacts.files import Archive, Files, Folder
from registry.artifacts.sources import CHUNK, Image, RemoteSource
from registry.client.reference import Reference
from registry.client.remote import Remote
from registry.console.failure import Failure
from storage import manifest as manifests
from storage.errors import DigestInvalid, ManifestInvalid, NameInvalid

STDIN = "-"
_STDIN_NAME = "standard input"
_MAX_STDIN = 4 << 30


@dataclass(frozen=True, slots=True)
class Bare:
    """A file that is judged as a module, whatever it holds."""

    name: str
    data: bytes | mmap.mmap


Target = Bare | Image


@contextmanager
def opened(text: str, plain_http: Collection[str] = (), *, unpack: bool = False) -> Iterator[Target]:
    """What `text` names: `-`, a file, a folder, either with `:NAME` of an image in it, or a reference.

    What is no regular file (a pipe, a device) is read to its end first, as standard input is.
    `plain_http` are the hosts that are spoken to without TLS. With `unpack`, a file that is gzip or
    zstd is taken for what it holds, and a tar that is no image for a file. Raises Failure for what
    cannot be read.
    """
    with ExitStack() as stack:
        if text == STDIN:
            if sys.stdin is None:
                raise Failure("standard input is closed.", "Give a file, or pipe one in.")
            spooled = _spooled(sys.stdin.buffer, _STDIN_NAME, stack)
            yield _file(spooled, _STDIN_NAME, "", stack, unpack)
        elif found := _path(text):
            path, name = found
            yield (
                _folder(path, name, stack)
                if path.is_dir()
                else _file(_open(path, stack), str(path), name, stack, unpack)
            )
        else:
            yield _remote(_reference(text), plain_http, stack)


def _path(text: str) -> tuple[Path, str] | None:
    """The path that is there, and the name of an image in it; None when `text` is to be a reference."""
    if _exists(text):
        return Path(text), ""
    if _is_reference(text) and not text.startswith(("/", "./", "../")):
        return None
    for at in (at for at, character in enumerate(text) if character == ":"):
        if _exists(text[:at]):
            return Path(text[:at]), text[at + 1 :]
    return None


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except OSError:  # longer than any path
        return False


def _is_reference(text: str) -> bool:
    try:
        Reference.parse(text)
    except (NameInvalid, DigestInvalid):
        return False
    return True


def _reference(text: str) -> Reference:
    if text.startswith(("/", ".", "~")) or text.endswith((".wasm", ".tar", ".tgz", ".gz")):
        raise Failure(f"{text}: no such file or folder.")
    try:
        return Reference.parse(text)
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(f"there is no file {text!r}, and as a reference: {error.message}", error.fix) from None


def _open(path: Path, stack: ExitStack) -> BinaryIO:
    try:
        file = stack.enter_context(path.open("rb"))
        return file if path.is_file() else _spooled(file, str(path), stack)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.") from None


def _spooled(source: BinaryIO, name: str, stack: ExitStack) -> BinaryIO:
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    while piece := source.read(CHUNK):
        file.write(piece)
        if file.tell() > _MAX_STDIN:
            raise Failure(f"{name} is larger than {_MAX_STDIN} bytes.", "Give a file.")
    file.seek(0)
    return file


def _file(file: BinaryIO, name: str, wanted: str, stack: ExitStack, unpack: bool) -> Target:
    if unpack:
        file = _unpacked(file, name, stack)
    is_tar = tarfile.is_tarfile(file)
    file.seek(0)
    if is_tar:
        archive = stack.enter_context(Archive(file, name))
        if not unpack or wanted or docker_save.is_docker_save(archive) or layout.is_layout(archive):
            return _stored(archive, wanted, stack)
    if wanted:
        raise Failure(f"{name} is no archive, so it has no image {wanted!r}.")
    try:
        return Bare(name, stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except ValueError:  # an empty file cannot be mapped
        return Bare(name, b"")


def _unpacked(file: BinaryIO, name: str, stack: ExitStack) -> BinaryIO:
    if not packed.packing(file.read(4)):
        file.seek(0)
        return file
    content = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    try:
        packed.unpack(file, content, packed.Budget(_MAX_STDIN))
    except packed.OverBudget:
        raise Failure(f"{name} unpacks to more than {_MAX_STDIN} bytes.", "Give the module itself.") from None
    except packed.Damaged as error:
        raise Failure(f"{name} cannot be unpacked: {error}.", "Pack it again.") from None
    return content


def _folder(path: Path, wanted: str, stack: ExitStack) -> Image:
    return _stored(Folder(path), wanted, stack)


def _stored(files: Files, wanted: str, stack: ExitStack) -> Image:
    if docker_save.is_docker_save(files):
        return docker_save.image(files, wanted, stack)
    if layout.is_layout(files):
        return layout.image(files, wanted)
    said = f"{files.name} is neither an OCI layout nor an image saved by docker."
    if isinstance(files, Archive) and not wanted:
        raise Failure(
            said, f"As a plain archive: sidecargo push {typed(files.name) or STDIN} HOST/REPO:TAG takes it."
        )
    raise Failure(said, "Give a .wasm file, a layout, the archive of docker save, or HOST/REPO:TAG.")


def typed(text: str) -> str:
    """How a fix names what `text` opened; "" for what cannot be read again: standard input, a pipe."""
    is_read = text in (STDIN, _STDIN_NAME) or (
        _exists(text) and not (Path(text).is_file() or Path(text).is_dir())
    )
    return "" if is_read else shlex.quote(text)


def _remote(reference: Reference, plain_http: Collection[str], stack: ExitStack) -> Image:
    remote = stack.enter_context(Remote(reference.host, plain_http=reference.host in plain_http))
    fetched = remote.manifest(reference.repository, reference.target)
    try:
        manifest = manifests.parse(fetched.body, fetched.media_type)
    except ManifestInvalid as error:
        raise Failure(f"{reference}: {error.message}", error.fix) from None
    return Image(str(reference), manifest, fetched.digest, RemoteSource(remote, reference.repository))
