"""The inspector: a process that looks into one layer after the other.

No layer can keep the server waiting or end it: what one needs is this process's, which has some time for it.
The other side is `registry.publish.inspectors`; the two talk over this one's standard input, in messages that
begin with their length (four bytes, the first one the highest): what to look into as JSON, then the layer in
pieces and an empty one, or ABANDON where the rest will not come. What was found goes back as JSON, or the
number of the system's error as `{"errno": …}`, or `{}` for what was abandoned.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from registry.consumers.istio import Form
from registry.publish.look import IN_MEMORY, look
from registry.publish.messages import ABANDON, LENGTH, message
from registry.wasm import validity

SECONDS = 60.0
"""Processor time that a layer may take: the slowest one known takes two."""


class Abandoned(Exception):
    """The rest of a layer does not come."""


def main() -> None:
    """Answer over standard input until its other end is gone."""
    # The server ends first, also where both are told to: it may be waiting for an answer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    validity.prepare()
    with (
        contextlib.suppress(EOFError, ConnectionError),
        socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection,
        connection.makefile("rwb") as stream,  # what nobody reads any more makes its end fail, too
    ):
        while True:
            stream.write(message(json.dumps(_answer(stream, sys.argv[1])).encode()))
            stream.flush()


def _answer(stream: Any, folder: str) -> dict[str, Any]:
    asked = json.loads(_next(stream))
    pieces = _Pieces(stream)
    try:
        found = _found(asked, pieces, folder)
        for _ in pieces:  # what comes after the plugin is not looked into
            pass
    except Abandoned:
        return {}
    return found


def _found(asked: dict[str, Any], pieces: Iterator[bytes], folder: str) -> dict[str, Any]:
    # When this goes off nobody catches it: it ends the process.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder) as module:
            file, form = cast(BinaryIO, module), Form(asked["form"])
            return look(form, pieces, file, of=asked["of"], limit=asked["limit"]).to_json()
    except ConnectionError:
        raise
    except OSError as error:
        return {"errno": error.errno}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


class _Pieces:
    """The pieces of a layer; raises Abandoned or EOFError when they do not come to their end.

    No generator: whoever stops in the middle may close that, and the rest has to be read all the same.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ended = False

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        piece = b"" if self._ended else _next(self._stream)
        if not piece:
            self._ended = True
            raise StopIteration
        return piece


def _next(stream: Any) -> bytes:
    length = _exactly(stream, LENGTH)
    if length == ABANDON:
        raise Abandoned
    return _exactly(stream, int.from_bytes(length, "big"))


def _exactly(stream: Any, size: int) -> bytes:
    data = cast(bytes, stream.read(size))
    if len(data) < size:
        raise EOFError
    return data


if __name__ == "__main__":
    main()
