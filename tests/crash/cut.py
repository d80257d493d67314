"""What a power cut may leave of a folder: a model of a journaling file system, and what it is told.

Promised is little (fsync(2), rename(2)): the data of a file are on the disk after an fsync of it, the names
in a folder after an fsync of that folder. Whatever was not synced may be there or not, data in part.
A rename is one change, whose new name counts; without an fsync of the file it may give an empty one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any

from tests.crash.calls import Call

ROOT = 0

Tree = dict[str, bytes | None]
"""What is in a folder, by path: the bytes of a file, None for a folder."""


class Data(Enum):
    """What becomes of data that were written and not synced."""

    LOST = "lost"
    HALF = "half of it lost"
    ZEROED = "zeros instead"
    THERE = "there"


@dataclass(frozen=True, slots=True)
class Named:
    """A change of names: `node` is under the name from now on, or is not any more (`gone`).

    With a rename it is not under the name `of` any more.
    """

    folder: int
    name: str
    node: int
    is_folder: bool = False
    gone: bool = False
    of: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """Data of a file."""

    node: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """An fsync of a file or a folder."""

    node: int


Change = Named | Written | Synced


@dataclass
class Recording:
    """The changes in a folder as they are made, one after another; an `Around` of `calls.seen`."""

    changes: list[Change] = field(default_factory=list)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    _nodes: int = ROOT
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, call: Call, do: Callable[..., Any], /) -> Any:
        # A change and its record are one: other threads wait.
        with self._lock:
            result = do()
            self._record(call)
            return result

    def tree(self) -> Tree:
        """What is in the folder now, as it was recorded."""
        return left(self.changes, range(len(self.changes)))

    def _record(self, call: Call) -> None:
        folder, name = self._place(call.path)
        match call.name:
            case "open" if call.creates:
                self.changes.append(Named(folder, name, self._new(folder, name)))
            case "mkdir":
                node = self._new(folder, name)
                self.folders[node] = {}
                self.changes.append(Named(folder, name, node, is_folder=True))
            case "write":
                self.changes.append(Written(self.folders[folder][name], call.offset, call.data))
            case "fsync":
                node = ROOT if call.path == "." else self.folders.get(folder, {}).get(name, -1)
                if node != -1:  # what was removed meanwhile has no name to be found by
                    self.changes.append(Synced(node))
            case "unlink" | "remove" | "rmdir":
                self.changes.append(Named(folder, name, self.folders[folder].pop(name), gone=True))
            case "link":
                self._name(call.target, self.folders[folder][name], None)
            case "rename" | "replace":
                self._name(call.target, self.folders[folder].pop(name), (folder, name))

    def _name(self, path: str, node: int, of: tuple[int, str] | None) -> None:
        folder, name = self._place(path)
        self.folders[folder][name] = node
        self.changes.append(Named(folder, name, node, of=of))

    def _new(self, folder: int, name: str) -> int:
        self._nodes += 1
        self.folders[folder][name] = self._nodes
        return self._nodes

    def _place(self, path: str) -> tuple[int, str]:
        *above, name = path.split("/")
        at = ROOT
        for segment in above:
            at = self.folders.get(at, {}).get(segment, -1)
        return at, name


def trees(changes: list[Change], passing: Collection[str]) -> Iterator[Tree]:
    """What a power cut after these changes may leave, each once.

    Of the changes of names that no fsync has made safe there are none, all up to one of them, as a journal
    has it, one alone, or all but one. `passing` are the paths of folders that do not matter, nor what is in
    them.
    """
    unsafe, unsynced = _pending(changes, passing)
    safe = set(range(len(changes))) - set(unsafe)
    chosen = [unsafe[:count] for count in range(len(unsafe) + 1)]
    for one in unsafe:
        chosen += [one], [other for other in unsafe if other != one]
    found: set[frozenset[tuple[str, bytes | None]]] = set()
    for some in chosen:
        for data in Data if unsynced else (Data.THERE,):
            tree = left(changes, sorted(safe.union(some)), data, unsynced)
            kept = {path: what for path, what in tree.items() if not _is_in(path, passing)}
            state = frozenset(kept.items())
            if state not in found:
                found.add(state)
                yield kept


def left(
    changes: list[Change], which: Iterable[int], data: Data = Data.THERE, unsynced: Collection[int] = ()
) -> Tree:
    """What is left when only some of the changes have come to the disk; `data` is said of those unsynced."""
    names: dict[int, dict[str, int]] = {
        change.node: {} for change in changes if isinstance(change, Named) and change.is_folder
    }
    content: dict[int, bytearray] = {}
    for at in which:
        match changes[at]:
            case Named() as change:
                if change.of and names.get(change.of[0], {}).get(change.of[1]) == change.node:
                    del names[change.of[0]][change.of[1]]
                here = names.setdefault(change.folder, {})
                if not change.gone:
                    here[change.name] = change.node
                elif here.get(change.name) == change.node:
                    del here[change.name]
            case Written(node, offset, written):
                what = data if at in unsynced else Data.THERE
                _write(content.setdefault(node, bytearray()), offset, written, what)
    return dict(_below(ROOT, "", names, content))


def put(tree: Tree, root: Path) -> None:
    """Make a folder that holds a tree."""
    root.mkdir(parents=True)
    for path, data in tree.items():
        if data is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(data)


def taken(root: Path) -> Tree:
    """The tree that a folder holds."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")
    }


def _pending(changes: list[Change], passing: Collection[str]) -> tuple[list[int], set[int]]:
    """The changes of names, and the writes of data, that no fsync has followed."""
    names: dict[int, list[int]] = {}
    data: dict[int, list[int]] = {}
    aside = _folders_in(changes, passing)
    for at, change in enumerate(changes):
        match change:
            case Named(folder=folder) if folder not in aside:
                names.setdefault(folder, []).append(at)
            case Written(node=node):
                data.setdefault(node, []).append(at)
            case Synced(node=node):
                names.pop(node, None)
                data.pop(node, None)
    return sorted(chain.from_iterable(names.values())), {*chain.from_iterable(data.values())}


def _folders_in(changes: list[Change], passing: Collection[str]) -> set[int]:
    paths = {ROOT: ""}
    for change in changes:
        if isinstance(change, Named) and change.is_folder:
            paths[change.node] = f"{paths[change.folder]}/{change.name}".lstrip("/")
    return {node for node, path in paths.items() if _is_in(path, passing)}


def _is_in(path: str, passing: Collection[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in passing)


def _write(content: bytearray, offset: int, data: bytes, what: Data) -> None:
    if what is Data.LOST:
        return
    kept = data[: len(data) // 2] if what is Data.HALF else bytes(len(data)) if what is Data.ZEROED else data
    content.extend(bytes(max(0, offset + len(kept) - len(content))))
    content[offset : offset + len(kept)] = kept


def _below(
    folder: int, prefix: str, names: dict[int, dict[str, int]], content: dict[int, bytearray]
) -> Iterator[tuple[str, bytes | None]]:
    """What is below a folder, each folder before what is in it."""
    for name, node in names.get(folder, {}).items():
        if node in names:
            yield f"{prefix}{name}", None
            yield from _below(node, f"{prefix}{name}/", names, content)
        else:
            yield f"{prefix}{name}", bytes(content.get(node, b""))
