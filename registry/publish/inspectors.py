"""Layers are looked into by processes beside the server (`registry.publish.inspector`): this is its side."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from registry.consumers import istio
from registry.consumers.istio import Form
from registry.publish.inspect import Looked
from registry.publish.inspector import ABANDON, AHEAD, LENGTH, message
from storage.errors import CheckFailed
from storage.files import failures_told

MOST = min(os.cpu_count() or 1, 4)
"""Processes, at most, of 20 MB and what a layer needs; as many as layers were ever looked into at a time."""

_COMMAND = (sys.executable, "-m", "registry.publish.inspector")
# It needs no more of our environment, and what else is there may be secret.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")
_SECONDS = 5.0


class Inspectors:
    """Looks into layers (an `inspect.Look`); temporary files are made in `folder`.

    With `ahead` nobody waits for the answer yet, so everything else comes first.
    """

    def __init__(self, folder: Path, *, ahead: bool = False) -> None:
        self._command = (*_COMMAND, str(folder), *((AHEAD,) if ahead else ()))
        self._turns = asyncio.Semaphore(MOST)
        self._processes: set[_Process] = set()
        self._idle: list[_Process] = []
        self._tidying: set[asyncio.Task[None]] = set()

    async def __call__(
        self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = istio.LIMIT
    ) -> Looked:
        """See `inspect.Look`."""
        await self._turns.acquire()
        process: _Process | None = None
        try:
            process = await self._ready()
            answer = await process.ask({"form": form.value, "of": of, "limit": limit}, pieces)
        except BaseException:
            self._tidy(process)
            raise
        self._free(process)
        return _understood(answer)

    async def close(self) -> None:
        """End the processes; what is looked into at this time fails."""
        for process in [*self._processes]:
            self._end(process)
        await asyncio.gather(*self._tidying)
        await asyncio.sleep(0)  # for the connections to be closed

    async def _ready(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.lives:
                return process
            self._end(process)
        process = await _Process.started(self._command)
        self._processes.add(process)
        return process

    def _free(self, process: _Process | None) -> None:
        if process and process.lives:
            self._idle.append(process)
        elif process:
            self._end(process)
        self._turns.release()

    def _end(self, process: _Process) -> None:
        process.end()
        self._processes.discard(process)

    def _tidy(self, process: _Process | None) -> None:
        """Have a process forget what it was asked, however soon that is."""

        async def tidy() -> None:
            if process:
                await process.forget()
            self._free(process)

        task = asyncio.create_task(tidy())
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)


class _Process:
    """One inspector, and the connection to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._failed = False

    @classmethod
    async def started(cls, command: Sequence[str]) -> _Process:
        """A new one."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start(command, theirs)
        return cls(process, *await asyncio.open_unix_connection(sock=ours))

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return not self._failed and self._process.poll() is None

    async def ask(self, question: dict[str, Any], pieces: AsyncIterator[bytes]) -> bytes:
        """Its answer on a layer; raises CheckFailed when it ends without one."""
        try:
            self._writer.write(message(json.dumps(question).encode()))
            async for piece in pieces:
                if piece:
                    self._writer.write(message(piece))
                    await self._writer.drain()
            self._writer.write(message(b""))
            return await self._answer()
        except (ConnectionError, asyncio.IncompleteReadError):
            self._failed = True
            raise _failed() from None

    async def forget(self) -> None:
        """End what it was asked without an answer."""
        if self._failed:
            return
        try:
            self._writer.write(ABANDON)
            async with asyncio.timeout(_SECONDS):
                await self._answer()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            self._failed = True

    def end(self) -> None:
        """End the process."""
        self._writer.transport.abort()
        self._process.kill()
        self._process.wait()

    async def _answer(self) -> bytes:
        length = await self._reader.readexactly(LENGTH)
        return await self._reader.readexactly(int.from_bytes(length, "big"))


def _start(command: Sequence[str], connection: socket.socket) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.Popen(  # noqa: S603
        command, stdin=connection.fileno(), stdout=subprocess.DEVNULL, env=environment
    )


def _understood(answer: bytes) -> Looked:
    try:
        said = json.loads(answer)
        if number := said.get("errno"):
            with failures_told():
                raise OSError(number, os.strerror(number))
        return Looked.from_json(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _failed() from None


def _failed() -> CheckFailed:
    return CheckFailed(
        "the check ended without an answer, so nothing was decided.",
        fix="Push again. If it fails again, sidecargo check FILE shows it too: tell us of it.",
    )
