"""Many modules given to one real Envoy at once, and what it makes of each.

Every module is the only filter of a listener of its own (own vm_id, own plugin, fail closed). The
listeners come by a file of LDS: one that Envoy refuses leaves the others alone, and the log says in
order what happened to each. The last listener is a plugin that loads: when it answers, all is decided.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from registry.releases import NEWEST
from tests.real.process import Process, Word
from tests.real.tools import require
from tests.registry.wasm import binary

BATCH = 60
"""How many modules one process gets: each that loads keeps three V8 isolates and their memories."""
PATIENCE = 30.0
"""Seconds without a word from Envoy after which it hangs, in code of the module that it loads."""

End = Literal["loads", "refused", "fails", "crashes", "hangs"]

_BEGINS = re.compile(r"config debug begin add/update listener: name=(m\d+) ")
_ERROR = re.compile(r"wasm (?:error|critical) (.*)")
_OURS = re.compile(r"[\w.]+ (?:trace|debug|info|warning|error|critical) ")
_CONTROL = "control"
# What only code of the module can bring about, once it runs.
_RAN = ("Function: ", "Wasm VM failed Failed to start", "Wasm VM failed Failed to configure")
_TRAPPED = "Uncaught "


@dataclass(frozen=True, slots=True)
class Said:
    """What an Envoy made of a module: how it ended, and Envoy's own words, one a line of its log.

    `refused` is before any of the module's code ran, `fails` is because of what that code did: a trap
    in the start function, `_initialize`, a callback, or an answer of false.
    """

    end: End
    words: tuple[str, ...] = ()

    @property
    def loads(self) -> bool:
        """Whether a request came through the plugin."""
        return self.end == "loads"

    @property
    def decided_by_running(self) -> bool:
        """Whether it took running the module to know."""
        return self.end in ("fails", "hangs")


def part(release: str) -> str:
    """The name in `.ci/parts.txt` of an Envoy release such as `1.38`."""
    return "envoy" if release == NEWEST else f"envoy-{release}"


def ask(release: str, modules: Mapping[str, bytes], suspects: Collection[str] = ()) -> dict[str, Said]:
    """What an Envoy of this release makes of each module; one that it does not survive harms no other.

    Suspects get a process of their own at once: that saves time, and changes nothing else.
    """
    envoy = require(part(release))
    said: dict[str, Said] = {}
    names = (name for name in modules if name not in suspects)
    while batch := list(islice(names, BATCH)):
        said |= _ask_batch(envoy, {name: modules[name] for name in batch})
    for name in suspects:
        said[name] = _alone(envoy, name, modules[name])
    return {name: said[name] for name in modules}


def _ask_batch(envoy: Path, modules: dict[str, bytes]) -> dict[str, Said]:
    said: dict[str, Said] = {}
    left = dict(modules)
    while left:
        found, culprit = _run(envoy, left)
        said |= found
        if culprit:
            said[culprit] = _alone(envoy, culprit, left[culprit])
        before = len(left)
        left = {name: left[name] for name in left if name not in said}
        assert len(left) < before, f"Envoy says nothing of {list(left)}"
    return {name: said[name] for name in modules}


def _alone(envoy: Path, name: str, module: bytes) -> Said:
    found, _ = _run(envoy, {name: module})
    return found.get(name, Said("crashes"))


def _run(envoy: Path, modules: dict[str, bytes]) -> tuple[dict[str, Said], str | None]:
    """One process: what is known of the modules, and which one it was busy with when it ended."""
    folder = Path(tempfile.mkdtemp(prefix="envoys-"))
    try:
        names = dict(zip((f"m{at}" for at in range(len(modules))), modules, strict=True))
        running = _Run(envoy, folder, {short: modules[name] for short, name in names.items()})
        try:
            said, culprit = running.outcome()
        finally:
            running.process.kill()
        return {names[short]: found for short, found in said.items()}, names.get(culprit or "")
    finally:
        shutil.rmtree(folder)


class _Run:
    """A running Envoy with its listeners on sockets in `folder`."""

    def __init__(self, envoy: Path, folder: Path, modules: dict[str, bytes]) -> None:
        self.folder = folder
        self.modules = modules
        listeners = [_listener(folder, name, data) for name, data in (modules | {_CONTROL: GOOD}).items()]
        lds = folder / "lds.json"
        lds.write_text(json.dumps({"version_info": "1", "resources": listeners}))
        config = folder / "envoy.json"
        config.write_text(json.dumps(_bootstrap(folder, lds)))
        command: list[Word] = [envoy, "-c", config, "--disable-hot-restart", "--concurrency", "1"]
        # One record a line, whatever the module's own names hold.
        command += ["--log-format", "%n %l %v", "--log-format-escaped", "--log-level", "error"]
        command += ["--component-log-level", "config:debug,wasm:trace"]
        self.process = Process(command, log=folder / "log", folder=folder)

    def outcome(self) -> tuple[dict[str, Said], str | None]:
        alive = self._wait()
        words = dict(_by_listener(self.process.log.read_text(errors="replace")))
        busy = list(words)[-1] if words else None
        assert alive or busy, f"Envoy does not start:\n{self.process.said()}"
        said: dict[str, Said] = {}
        for name in self.modules:
            lines = words.get(name, ())
            if any("failed to load" in line for line in lines):
                said[name] = Said("fails" if _ran(lines) else "refused", lines)
            elif alive and (status := _status(self.folder / f"{name}.sock")) != 200:
                said[name] = Said("hangs" if status is None and self.process.running else "fails", lines)
            elif alive:
                said[name] = Said("loads", lines)
        if alive:
            return said, None
        if self.process.running and busy:
            said[busy] = Said("hangs", words[busy])
            return said, None
        return said, busy

    def _wait(self) -> bool:
        """Whether Envoy comes through all modules; False when it ended, or hangs in one of them."""
        seen, since = -1, time.monotonic()
        while self.process.running:
            if _status(self.folder / f"{_CONTROL}.sock") == 200:
                return True
            size = self.process.log.stat().st_size
            if size != seen:
                seen, since = size, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return False
            time.sleep(0.02)
        return False


def _by_listener(log: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each listener in the order of loading, with Envoy's complaints while it was loaded."""
    name, words = "", list[str]()
    for line in log.splitlines():
        if begins := _BEGINS.match(line):
            if name:
                yield name, tuple(words)
            name, words = begins[1], []
        elif found := _ERROR.match(line):
            words.append(found[1])
        elif line.strip() and not _OURS.match(line):  # V8 writes by itself
            words.append(line)
    if name:
        yield name, tuple(words)


def _ran(words: tuple[str, ...]) -> bool:
    return any(word.startswith(_RAN) or _TRAPPED in word for word in words)


def _status(path: Path) -> int | None:
    """The status of an answer to a request; None when there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.1\r\nhost: plugin\r\nconnection: close\r\n\r\n")
            head = connection.recv(64)
    except OSError:
        return None
    return int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else None


def _listener(folder: Path, name: str, module: bytes) -> dict[str, Any]:
    path = folder / f"{name}.wasm"
    path.write_bytes(module)
    types = "type.googleapis.com/envoy"
    wasm = {
        "@type": f"{types}.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": name,
            "root_id": name,
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "vm_id": name,
                "code": {"local": {"filename": str(path)}},
            },
        },
    }
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    connections = {
        "@type": f"{types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {"name": "plugin", "typed_config": wasm},
            {
                "name": "router",
                "typed_config": {"@type": f"{types}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {
        "@type": f"{types}.config.listener.v3.Listener",
        "name": name,
        "address": {"pipe": {"path": str(folder / f"{name}.sock")}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connections}]}],
    }


def _bootstrap(folder: Path, lds: Path) -> dict[str, Any]:
    source = {"resource_api_version": "V3", "path_config_source": {"path": str(lds)}}
    return {
        "node": {"id": "envoys", "cluster": "envoys"},
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock")}}},
        "dynamic_resources": {"lds_config": source},
    }


GOOD = binary.plugin()
"""A plugin that loads in every Envoy."""
