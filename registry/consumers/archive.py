"""From a layer's bytes to the plugin in it: istio.io/istio pkg/wasm, imagefetcher.go and cache.go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from registry.consumers.gunzip import Gunzip
from registry.consumers.istio import PUSH, Form, Layer
from registry.consumers.tar import DIRECTORY, LINK, SYMLINK, Entry, Tar, TarError
from registry.verdict import Problem

PLUGIN = "plugin.wasm"
LIMIT = 256 << 20
_MAGIC = b"\0asm"
_HEADER = 8
_READ = 64 << 10
_SHOWN_NAMES = 3
_KINDS = {DIRECTORY: "a directory", SYMLINK: "a symbolic link", LINK: "a hard link"}
_COPY = "In the Dockerfile: COPY {} ./plugin.wasm"
_GZIP = b"\x1f\x8b"
_LOOKS = ((_GZIP, "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (_MAGIC, "a raw Wasm module"))

Source = Iterable[bytes] | BinaryIO


@dataclass(frozen=True, slots=True)
class Extracted:
    """The plugin that was written: its size, its SHA-256 in hexadecimal, its name in the layer."""

    size: int
    sha256: str
    name: str = ""


def unpack(layer: Layer, source: Source, into: BinaryIO, limit: int = LIMIT) -> Extracted | Problem:
    """The plugin of a layer in the form that it has; see `extract` and `copy_raw`."""
    if layer.form is Form.RAW:
        return copy_raw(source, into, limit)
    return extract(source, into, limit, layers=layer.of)


def extract(source: Source, into: BinaryIO, limit: int = LIMIT, *, layers: int = 1) -> Extracted | Problem:
    """Write the first entry called plugin.wasm of a tar+gzip layer to `into`, or say why there is none.

    At most `limit` bytes are inflated, at most some hundred KiB are held; what follows the plugin is
    not read, by the agent neither. `layers` is how many the image has: this is the last of them. What
    was written to `into` before a problem showed is worth nothing.
    """
    stream = Gunzip(_chunks(source), limit)
    archive = Tar(stream)
    seen: list[str] = []
    try:
        while entry := archive.next():
            if not 0 <= entry.size <= limit:
                return _too_large_an_entry(entry)
            if entry.base == PLUGIN.encode():
                return _plugin(entry, archive, into)
            if entry.has_content and (len(seen) < _SHOWN_NAMES or entry.base.endswith(b".wasm")):
                seen = [*seen[-_SHOWN_NAMES:], _shown(entry.name)]
    except TarError as error:
        return _unreadable(stream, str(error), limit)
    if stream.fault:
        return _unreadable(stream, stream.fault, limit)
    return _not_found(seen, layers)


def copy_raw(source: Source, into: BinaryIO, limit: int = LIMIT) -> Extracted | Problem:
    """Write a raw module (shape C) to `into`, or say why it is none: nobody decompresses it.

    istio-agent cuts a larger one at the limit without a word and Envoy Gateway refuses it, so it is
    refused here.
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
                "Build it smaller: strip names and debug information (-ldflags '-s -w').",
            )
        running.update(chunk)
        into.write(chunk)
    return Extracted(size, running.hexdigest())


def _plugin(entry: Entry, archive: Tar, into: BinaryIO) -> Extracted | Problem:
    name = _shown(entry.name)
    if not entry.has_content:
        kind = _KINDS.get(entry.kind, "no regular file")
        return Problem(
            "plugin-not-a-file",
            f"{name} in the layer is {kind}: istio-agent reads it as empty.",
            _COPY.format("main.wasm") + " (the file itself).",
        )
    running, size = hashlib.sha256(), 0
    content = archive.content()
    head = b""
    while len(head) < _HEADER and (piece := next(content, None)) is not None:
        head += piece
    if len(head) < min(entry.size, _HEADER):
        return _cut(name)
    if problem := _no_module(name, head[:_HEADER], entry.size):
        return problem
    for piece in _after(head, content):
        size += len(piece)
        running.update(piece)
        into.write(piece)
    return Extracted(size, running.hexdigest(), name) if size == entry.size else _cut(name)


def _no_module(name: str, head: bytes, size: int) -> Problem | None:
    """pkg/wasm/cache.go, isValidWasmBinary: at least 8 bytes, the first four \\0asm."""
    if size >= _HEADER and head.startswith(_MAGIC):
        return None
    if size < _HEADER:
        return Problem(
            "plugin-empty",
            f"istio-agent: fetched Wasm binary is invalid: {name} has {size} bytes.",
            "Build the module first; then push again.",
        )
    return Problem(
        "plugin-not-wasm",
        f"istio-agent: fetched Wasm binary is invalid: {name} is {_looks(head)}, not \\0asm.",
        "Push the .wasm file itself, not compressed or packed.",
    )


def _not_found(seen: list[str], layers: int) -> Problem:
    holds = ", ".join(name[-25:] for name in seen[-_SHOWN_NAMES:]) or "no file"
    where = f"the last of {layers} layers" if layers > 1 else "the layer"
    module = next((name for name in reversed(seen) if name.endswith(".wasm")), "main.wasm")
    fix = _COPY.format(module.rpartition("/")[2])
    return Problem(
        "no-plugin-wasm",
        f"istio-agent: plugin.wasm not found in the archive: {where} holds {holds}.",
        f"{fix}, as the last step." if layers > 1 else fix,
    )


def _unreadable(stream: Gunzip, reason: str, limit: int) -> Problem:
    """What is wrong with a layer that could not be walked to its plugin."""
    if stream.head and not stream.head.startswith(_GZIP):
        return Problem(
            "layer-type-lies",
            f"istio-agent: failed to parse layer as tar.gz: it is {_looks(stream.head)}.",
            f"Mend it: {PUSH}",
        )
    if stream.inside.startswith(_MAGIC):
        return Problem(
            "layer-type-lies",
            "istio-agent: could not extract wasm binary: the layer is a gzipped module, not a tar.",
            f"Mend it: {PUSH}",
        )
    if "over the limit" in reason:
        return Problem(
            "layer-too-large",
            f"istio-agent reads {_mib(limit)} of a layer at most, and found no plugin.wasm in them.",
            "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
        )
    return Problem(
        "layer-corrupt",
        f"istio-agent: could not extract wasm binary: {reason[:80]}.",
        "Build and push the image again: docker build, or sidecargo push main.wasm HOST/REPO:TAG",
    )


def _looks(head: bytes) -> str:
    if head[257:262] == b"ustar":
        return "a plain tar"
    return next((what for sign, what in _LOOKS if head.startswith(sign)), f"{head[:8].hex(' ')} at first")


def _too_large_an_entry(entry: Entry) -> Problem:
    return Problem(
        "entry-too-large",
        f"{_shown(entry.name)} claims {entry.size} bytes: istio-agent allocates that at once and may crash.",
        "Build FROM scratch with nothing but COPY main.wasm ./plugin.wasm",
    )


def _cut(name: str) -> Problem:
    return Problem(
        "layer-corrupt",
        f"istio-agent: failed to read {name}: unexpected EOF: the layer is cut short.",
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
