"""Layers are looked into by processes beside the server (`registry.publish.inspector`): this is its side."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from registry.consumers import istio
from registry.consumers.istio import Form
from registry.publish.inspect import Looked
from registry.publish.messages import ABANDON, LENGTH, message
from storage.errors import CheckFailed
from storage.files import failures_told

MOST = min(os.cpu_count() or 1, 4)
"""Processes, at most, of 20 MB and what a layer needs; as many as layers were ever looked into at a time."""

# What it needs of our environment; what else is there may be secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME")
_KEPT = str(32 << 20)
_FORGETS_SECONDS = 5.0
_ANSWERS_SECONDS = 120.0  # it has a minute of processor time, and may have to wait for that


class Inspectors:
    """Looks into layers (an `inspect.Look`); temporary files are made in `folder`.

    With `ahead` nobody waits for the answer yet, so everything else comes first.
    """

    def __init__(self, folder: Path, *, ahead: bool = False) -> None:
        self._folder = folder
        self._ahead = ahead
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
        process = await _Process.started(self._folder, ahead=self._ahead)
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
            try:
                if process:
                    await process.forget()
            finally:
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
    async def started(cls, folder: Path, *, ahead: bool) -> _Process:
        """A new one; raises CheckFailed where the system has none to give."""
        with contextlib.ExitStack() as on_failure:
            try:
                ours, theirs = socket.socketpair()
                on_failure.enter_context(ours)
                with theirs:
                    process = _start(folder, theirs, ahead=ahead)
            except OSError as error:
                raise _failed(f"the check could not begin: {error.strerror}") from error
            on_failure.callback(_kill, process)
            made = cls(process, *await asyncio.open_unix_connection(sock=ours))
            on_failure.pop_all()
            return made

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return not self._failed and self._process.poll() is None

    async def ask(self, question: dict[str, Any], pieces: AsyncIterator[bytes]) -> bytes:
        """Its answer on a layer; raises CheckFailed when it ends without one."""
        try:
            self._write(message(json.dumps(question).encode()))
            async for piece in pieces:
                if piece:
                    self._write(message(piece))
                    async with asyncio.timeout(_ANSWERS_SECONDS):
                        await self._writer.drain()
            self._write(message(b""))
            self._failed = True  # until it has answered: there is nothing more to forget
            async with asyncio.timeout(_ANSWERS_SECONDS):
                answer = await self._answer()
            self._failed = False
            return answer
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            self._failed = True
            raise _failed("the check ended without an answer, so nothing was decided") from None
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def forget(self) -> None:
        """End what it was asked without an answer."""
        if self._failed:
            return
        self._failed = True
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            self._write(ABANDON)
            async with asyncio.timeout(_FORGETS_SECONDS):
                await self._answer()
            self._failed = False

    def end(self) -> None:
        """End the process."""
        self._failed = True
        self._writer.transport.abort()
        _kill(self._process)

    def _write(self, data: bytes) -> None:
        # The loops do not agree on what writing to a connection does that was lost meanwhile.
        if self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(data)

    async def _answer(self) -> bytes:
        length = await self._reader.readexactly(LENGTH)
        return await self._reader.readexactly(int.from_bytes(length, "big"))


def _start(folder: Path, connection: socket.socket, *, ahead: bool) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # What one layer needed is kept for the next one: to get it anew costs a fifth of the time.
    environment |= {"MALLOC_TRIM_THRESHOLD_": _KEPT, "MALLOC_MMAP_THRESHOLD_": _KEPT}
    # Modules are found where we find them, and not where we happen to stand (-P).
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = (sys.executable, "-P", "-m", "registry.publish.inspector", str(folder))
    process = subprocess.Popen(  # noqa: S603
        command, stdin=connection.fileno(), stdout=subprocess.DEVNULL, env=environment
    )
    if ahead:
        # A kernel that is lazy to preempt would let a request wait for the end of its time slice.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _understood(answer: bytes) -> Looked:
    try:
        said = json.loads(answer)
        if number := said.get("errno"):
            with failures_told():
                raise OSError(number, os.strerror(number))
        return Looked.from_json(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _failed("the check's answer makes no sense") from None


def _failed(why: str) -> CheckFailed:
    return CheckFailed(
        f"{why}.",
        fix="Push again. If it fails again, sidecargo check FILE shows it too: tell us of it.",
    )
