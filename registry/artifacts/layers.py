"""The files of an image's layers that could be its module, as they lie over one another.

Layers are read from the top, so that a lower one is looked into only when no upper one decides.
What hides a file: another entry of its name above it, a file where one of its folders was, a
whiteout, an opaque folder (OCI image-spec, layer.md).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from registry.artifacts.packed import Budget, Unpacked
from registry.consumers.tar import DIRECTORY, GLOBAL, Entry, Tar, TarError

PLUGIN = "plugin.wasm"
MAX_NAMES = 300_000
MAX_CANDIDATES = 1_000
_MAGIC = b"\0asm"
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_SHOWN = 3


class TooMany(Exception):
    """More entries than are looked at; its text says of what."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be the module: its path, its place in a layer, and whether it begins like one.

    `entry` is its number in the layer's archive; None when the layer itself is the file.
    """

    name: str
    layer: int
    entry: int | None
    size: int
    is_module: bool

    @property
    def base(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.name)


@dataclass(slots=True)
class Layers:
    """What has been found so far in layers that were given from the top down."""

    candidates: list[Candidate] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)
    _opaque: set[str] = field(default_factory=set)

    def add(self, number: int, file: BinaryIO, budget: Budget, *, title: str = "") -> str:
        """Look through one more layer; returns by what it was packed.

        `title` names it when it is no archive but the module itself. Raises OverBudget, Damaged,
        TooMany, and TarError for an archive that ends amidst.
        """
        unpacked = Unpacked(file, budget)
        if unpacked.head.startswith(_MAGIC):
            size = sum(map(len, unpacked.rest()))
            self.candidates.append(Candidate(title or f"layer {number}", number, None, size, True))
            return unpacked.packing
        found: dict[str, Candidate | None] = {}
        folders, opaque, gone = set[str](), set[str](), set[str]()
        for at, name, entry, head in _entries(unpacked):
            folder, base = posixpath.split(name)
            if base == _OPAQUE:
                opaque.add(folder)
            elif base.startswith(_WHITEOUT):
                gone.add(posixpath.join(folder, base[len(_WHITEOUT) :]))
            elif entry.kind == DIRECTORY:
                folders.add(name)
            else:
                is_module = head.startswith(_MAGIC)
                fits = entry.has_content and (is_module or base.endswith(".wasm"))
                # As agents have it, the first of a name counts.
                found.setdefault(name, Candidate(name, number, at, entry.size, is_module) if fits else None)
            if len(found) + len(folders) + len(gone) + len(opaque) + len(self._names) > MAX_NAMES:
                raise TooMany(f"{MAX_NAMES} files")
        self._take([one for name, one in found.items() if one and self._visible(name)])
        self.others.extend([name for name, one in found.items() if one is None][: _SHOWN - len(self.others)])
        self._names |= found.keys() | gone
        self._folders |= folders
        self._opaque |= opaque
        return unpacked.packing

    def choice(self, wanted: str = "") -> tuple[Candidate, ...]:
        """The candidates that are most likely meant: one when it is clear.

        `wanted` is a path, or a file's name when only one has it. Without it the first plugin.wasm
        of the highest layer that has one counts, as it does for agents; what begins like a module
        comes before what is only called so.
        """
        if wanted:
            path = _clean(wanted)
            exact = [one for one in self.candidates if one.name in (wanted, path)]
            return tuple(exact or [one for one in self.candidates if one.base == path])
        modules = [one for one in self.candidates if one.is_module]
        named = [one for one in modules if one.base == PLUGIN]
        if named:
            return (named[0],)
        return tuple(modules or [one for one in self.candidates if one.base == PLUGIN] or self.candidates)

    @property
    def decided(self) -> bool:
        """Whether what lies lower cannot change the choice."""
        return any(one.is_module and one.base == PLUGIN for one in self.candidates)

    def _take(self, found: Sequence[Candidate]) -> None:
        self.candidates.extend(found)
        if len(self.candidates) > MAX_CANDIDATES:
            raise TooMany(f"{MAX_CANDIDATES} modules")

    def _visible(self, name: str) -> bool:
        if name in self._names or name in self._folders:
            return False
        folder = name
        while folder:
            folder = posixpath.dirname(folder)
            if folder in self._opaque or folder in self._names:
                return False
        return True


def extract(file: BinaryIO, candidate: Candidate, into: BinaryIO, budget: Budget) -> None:
    """Write the content of a candidate of this layer to `into`; raises what `Layers.add` raises."""
    unpacked = Unpacked(file, budget)
    if candidate.entry is None:
        for piece in unpacked.copy(candidate.size):
            into.write(piece)
        return
    archive = Tar(unpacked)
    for _ in range(candidate.entry + 1):
        if archive.next() is None:
            raise TarError("it has changed")
    written = 0
    for piece in archive.content():
        written += into.write(piece)
    if written < candidate.size:
        raise TarError("unexpected EOF")


def _entries(unpacked: Unpacked) -> Iterator[tuple[int, str, Entry, bytes]]:
    """Number, path, header and first bytes of each entry; nothing of what is no archive at all."""
    archive = Tar(unpacked)
    at = 0
    while entry := _next(archive, at):
        if entry.kind != GLOBAL:
            head = next(archive.content(), b"")[: len(_MAGIC)] if entry.has_content else b""
            name = _clean(entry.name.decode(errors="replace"))
            if name:
                yield at, name, entry, head
        at += 1


def _next(archive: Tar, at: int) -> Entry | None:
    try:
        return archive.next()
    except TarError:
        if at == 0:  # not an archive: JSON, say
            return None
        raise


def _clean(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")
