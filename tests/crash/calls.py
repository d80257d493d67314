"""What a store asks of the file system, call by call: a test is shown each, and may do otherwise.

Only calls on paths below one folder count, and only those of this process: `os` as pathlib, tempfile and
the store use it, and files as they are opened.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiofiles.threadpool
import pytest


@dataclass(frozen=True, slots=True)
class Call:
    """A call: `path` is below the folder, and `target` too, where there is one.

    `data` is written at `offset`; `creates` says that a file is there after it which was not before.
    """

    name: str
    path: str
    target: str = ""
    data: bytes = b""
    offset: int = 0
    creates: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.path} {self.target}".rstrip()


class Around(Protocol):
    """Is given each call and what does it; that takes other data to write."""

    def __call__(self, call: Call, do: Callable[..., Any], /) -> Any: ...


BY_PATH = ("mkdir", "rmdir", "unlink", "remove", "utime", "stat", "scandir", "listdir", "chmod", "truncate")
BY_TWO = ("link", "rename", "replace")
BY_NUMBER = ("fsync", "fchmod", "read")


@contextmanager
def seen(root: Path, around: Around) -> Iterator[None]:
    """Every call below `root` goes through `around` meanwhile."""
    below = f"{root}{os.sep}"

    def relative(path: Any) -> str | None:
        with suppress(TypeError):
            text = os.fspath(path)
            if isinstance(text, str):
                return (
                    text.removeprefix(below) if text.startswith(below) else "." if text == str(root) else None
                )
        return None

    def open_file(number: int) -> str | None:
        with suppress(OSError):
            return relative(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        return None

    def by_path(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *rest: Any, **more: Any) -> Any:
            at = open_file(path) if isinstance(path, int) else relative(path)
            if at is None or more.get("dir_fd") is not None:
                return real(path, *rest, **more)
            return around(Call(name, at), lambda: real(path, *rest, **more))

        return call

    def by_two(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, target: Any, *rest: Any, **more: Any) -> Any:
            at, to = relative(path), relative(target)
            if at is None or to is None:
                return real(path, target, *rest, **more)
            return around(Call(name, at, to), lambda: real(path, target, *rest, **more))

        return call

    def by_number(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(number: int, *rest: Any) -> Any:
            at = open_file(number)
            return real(number, *rest) if at is None else around(Call(name, at), lambda: real(number, *rest))

        return call

    real_open, real_io = os.open, io.open

    def open_number(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        at = relative(path)
        if at is None:
            return real_open(path, flags, *rest, **more)
        creates = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        found: int = around(Call("open", at, creates=creates), lambda: real_open(path, flags, *rest, **more))
        return found

    def open_(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        at = open_file(file) if isinstance(file, int) else relative(file)
        if at is None or more.get("opener") or "b" not in mode:
            return real_io(file, mode, buffering, *rest, **more)
        creates = not isinstance(file, int) and mode[0] in "xwa" and not os.path.lexists(file)
        raw = around(
            Call("open", at, creates=creates),
            lambda: _File(file, mode.replace("b", ""), around, lambda number: open_file(number) or at),
        )
        if buffering == 0:
            return raw
        return io.BufferedReader(raw) if mode == "rb" else io.BufferedWriter(raw)

    with pytest.MonkeyPatch.context() as patch:
        for wrap, names in ((by_path, BY_PATH), (by_two, BY_TWO), (by_number, BY_NUMBER)):
            for name in names:
                patch.setattr(os, name, wrap(name, getattr(os, name)))
        patch.setattr(os, "open", open_number)
        patch.setattr(io, "open", open_)
        patch.setattr(aiofiles.threadpool, "sync_open", open_)
        yield


class _File(io.FileIO):
    """An open file whose reads and writes are calls."""

    def __init__(self, file: Any, mode: str, around: Around, path_of: Callable[[int], str]) -> None:
        super().__init__(file, mode)
        self._around = around
        self._path_of = path_of

    def write(self, data: Any, /) -> int:
        whole = bytes(data)
        call = Call("write", self._path_of(self.fileno()), data=whole, offset=self.tell())
        write = super().write
        done: int = self._around(call, lambda given=whole: write(given))
        return done

    def read(self, size: int | None = -1, /) -> bytes:
        read = super().read
        found: bytes = self._around(self._reading(), lambda: read(-1 if size is None else size))
        return found

    def readall(self) -> bytes:
        read = super().readall
        found: bytes = self._around(self._reading(), read)
        return found

    def readinto(self, buffer: Any, /) -> int:
        read = super().readinto
        found: int = self._around(self._reading(), lambda: read(buffer))
        return found

    def _reading(self) -> Call:
        return Call("read", self._path_of(self.fileno()))
