"""From a layer's bytes to the plugin in it, as the agents find it: pkg/wasm of Istio, internal/wasm of Envoy
Gateway, imagefetcher.go in both. What one of them alone makes of it is its own module's to say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from registry.consumers.gunzip import Gunzip
from registry.consumers.istio import AGENTS, LIMIT, PUSH, SAVED, SMALLER, Form
from registry.consumers.tar import DIRECTORY, LINK, SYMLINK, Entry, Tar, TarError
from registry.verdict import Problem

PLUGIN = "plugin.wasm"
_MAGIC = b"\0asm"
_HEADER = 8
_READ = 64 << 10
_SHOWN_NAMES = 3
_KINDS = {DIRECTORY: "a directory", SYMLINK: "a symbolic link", LINK: "a hard link"}
_COPY = "In the Dockerfile: COPY {} ./plugin.wasm"
_GZIP = b"\x1f\x8b"
_LOOKS = ((_GZIP, "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (_MAGIC, "a raw Wasm module"))

Source = Iterable[bytes] | BinaryIO


class Sink(Protocol):
    """What a module is written to."""

    def write(self, piece: bytes, /) -> object:
        """Take the next piece."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The plugin that was written: its size, its SHA-256 in hexadecimal, its name in the layer."""

    size: int
    sha256: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a layer gave: the plugin, or why there is none.

    `settled`: there is a file called plugin.wasm, so that the agents look no further, though it is no
    module. `oversized` is the name of an entry before it whose header claims more than an agent ever reads,
    and the size that it claims: only istio-agent minds.
    """

    found: Extracted | Problem
    settled: bool = False
    oversized: tuple[str, int] | None = None


def unpack(form: Form, source: Source, into: Sink, limit: int = LIMIT, *, of: int = 1) -> Unpacked:
    """The plugin of a layer in this form; see `extract` and `copy_raw`."""
    if form is Form.RAW:
        return Unpacked(copy_raw(source, into, limit))
    return extract(source, into, limit, of=of)


def extract(source: Source, into: Sink, limit: int = LIMIT, *, of: int = 1) -> Unpacked:
    """Write the first entry called plugin.wasm of a tar+gzip layer to `into`, or say why there is none.

    At most `limit` bytes are inflated, at most some hundred KiB are held; what follows the plugin is
    not read, by the agents neither. The layer is the last `of` so many. What was written to `into` before a
    problem showed is worth nothing.
    """
    stream = Gunzip(_chunks(source), limit)
    archive = Tar(stream)
    oversized: tuple[str, int] | None = None
    seen: list[str] = []
    try:
        while entry := archive.next():
            if entry.base == PLUGIN.encode():
                found, settled = _plugin(entry, archive, into, limit)
                return Unpacked(found, settled, oversized)
            if not 0 <= entry.size <= limit:
                oversized = oversized or (_shown(entry.name), entry.size)
            if entry.has_content and (len(seen) < _SHOWN_NAMES or entry.base.endswith(b".wasm")):
                seen = [*seen[-_SHOWN_NAMES:], _shown(entry.name)]
    except TarError as error:
        return Unpacked(_unreadable(stream, str(error), limit), oversized=oversized)
    if stream.fault:
        return Unpacked(_unreadable(stream, stream.fault, limit), oversized=oversized)
    return Unpacked(_not_found(seen, of), oversized=oversized)


def copy_raw(source: Source, into: Sink, limit: int = LIMIT) -> Extracted | Problem:
    """Write a raw module (shape C) to `into`, or say why it is none: nobody decompresses it.

    istio-agent cuts a larger one at the limit without a word (before 1.30 it did not) and Envoy
    Gateway refuses it, so it is refused here.
    """
    chunks = _chunks(source)
    head = b""
    while len(head) < _HEADER and (chunk := next(chunks, None)) is not None:
        head += chunk
    if problem := _no_module("the raw layer", head[:_HEADER], len(head)):
        return problem
    running, size = hashlib.sha256(), 0
    for chunk in _after(head, chunks):
        size += len(chunk)
        if size > limit:
            return Problem(
                "module-too-large",
                f"the module is over {_mib(limit)}: istio-agent cuts it, Envoy Gateway refuses it.",
                SMALLER,
            )
        running.update(chunk)
        into.write(chunk)
    return Extracted(size, running.hexdigest())


def _plugin(entry: Entry, archive: Tar, into: Sink, limit: int) -> tuple[Extracted | Problem, bool]:
    """The plugin of an entry, or why it is none, and whether that settles it: it was read to its end."""
    name = _shown(entry.name)
    if not 0 <= entry.size <= limit:
        return _too_large_a_plugin(name, entry.size), False
    if not entry.has_content:
        kind = _KINDS.get(entry.kind, "no regular file")
        problem = Problem(
            "plugin-not-a-file",
            f"{name} in the layer is {kind}: {AGENTS} read it as empty.",
            _COPY.format("main.wasm") + " (the file itself).",
        )
        return problem, not entry.size
    running, size = hashlib.sha256(), 0
    content = archive.content()
    head = b""
    while len(head) < _HEADER and (piece := next(content, None)) is not None:
        head += piece
    if len(head) < min(entry.size, _HEADER):
        return _cut(name), False
    if nothing := _no_module(name, head[:_HEADER], entry.size):
        return nothing, len(head) + sum(map(len, content)) == entry.size
    for piece in _after(head, content):
        size += len(piece)
        running.update(piece)
        into.write(piece)
    if size < entry.size:
        return _cut(name), False
    return Extracted(size, running.hexdigest(), name), True


def _no_module(name: str, head: bytes, size: int) -> Problem | None:
    """pkg/wasm/cache.go, isValidWasmBinary: at least 8 bytes, the first four \\0asm."""
    if size >= _HEADER and head.startswith(_MAGIC):
        return None
    if size < _HEADER:
        return Problem(
            "plugin-empty",
            f"{AGENTS}: fetched Wasm binary is invalid: {name} has {size} bytes.",
            "Build the module first; then push again.",
        )
    return Problem(
        "plugin-not-wasm",
        f"{AGENTS}: fetched Wasm binary is invalid: {name} is {_looks(head)}, not \\0asm.",
        "Push the .wasm file itself, not compressed or packed.",
    )


def _not_found(seen: list[str], layers: int) -> Problem:
    shown = 1 if layers > 1 else _SHOWN_NAMES
    holds = ", ".join(name[-20:] for name in seen[-shown:]) or "no file"
    where = f"the last of {layers} layers" if layers > 1 else "the layer"
    module = next((name for name in reversed(seen) if name.endswith(".wasm")), "main.wasm")
    fix = _COPY.format(module.rpartition("/")[2])
    return Problem(
        "no-plugin-wasm",
        f"{AGENTS}: plugin.wasm not found in the archive: {where} holds {holds}.",
        f"COPY it last, or: {SAVED}" if layers > 1 else fix,
    )


def _unreadable(stream: Gunzip, reason: str, limit: int) -> Problem:
    """What is wrong with a layer that could not be walked to its plugin."""
    if stream.head and not stream.head.startswith(_GZIP):
        return Problem(
            "layer-type-lies",
            f"{AGENTS}: failed to parse layer as tar.gz: it is {_looks(stream.head)}.",
            f"Mend it: {PUSH}",
        )
    if stream.inside.startswith(_MAGIC):
        return Problem(
            "layer-type-lies",
            f"{AGENTS}: could not extract wasm binary: the layer is a gzipped module, not a tar.",
            f"Mend it: {PUSH}",
        )
    if "more than" in reason:  # a cap of ours: an agent would go on, for as long as it takes
        return Problem(
            "layer-too-long",
            f"the layer has {reason.removeprefix('gzip: ')}: no plugin.wasm in them, and no more are read.",
            "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
        )
    if "header flags" in reason:  # Go reads on: the three flags that RFC 1952 reserves are nothing to it
        return Problem(
            "layer-corrupt",
            f"the layer is no gzip as RFC 1952 has it: {reason.removeprefix('gzip: ')}.",
            f"Mend it: {PUSH}",
        )
    if "over the limit" in reason:
        return Problem(
            "layer-too-large",
            f"{AGENTS} read {_mib(limit)} of a layer at most, and found no plugin.wasm in them.",
            "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
        )
    return Problem(
        "layer-corrupt",
        f"{AGENTS}: could not extract wasm binary: {reason[:80]}.",
        "Build and push the image again: docker build, or sidecargo push main.wasm HOST/REPO:TAG",
    )


def _looks(head: bytes) -> str:
    if head[257:262] == b"ustar":
        return "a plain tar"
    return next((what for sign, what in _LOOKS if head.startswith(sign)), f"{head[:8].hex(' ')} at first")


def _too_large_a_plugin(name: str, size: int) -> Problem:
    return Problem(
        "entry-too-large",
        f"{name} claims {size} bytes: {AGENTS} refuse it, or crash.",
        "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
    )


def _cut(name: str) -> Problem:
    return Problem(
        "layer-corrupt",
        f"{AGENTS}: failed to read {name}: unexpected EOF: the layer is cut short.",
        "Build and push the image again.",
    )


def _after(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _chunks(source: Source) -> Iterator[bytes]:
    if hasattr(source, "read"):
        return iter(lambda: source.read(_READ), b"")
    return iter(source)


def _shown(name: bytes) -> str:
    """A name as a person may read it: nothing that moves a cursor, nothing long."""
    text = name[:200].decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 40 else "..." + text[-37:]


def _mib(limit: int) -> str:
    return f"{limit >> 20} MiB"
