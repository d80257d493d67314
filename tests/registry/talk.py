"""Talking to a running registry, byte by byte where that matters: requests, whole answers, pushes by hand."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from storage.manifest import OCI_MANIFEST
from tests.registry.consumers.build import Shape, sha256

MISSING = "sha256:" + "0" * 64
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came: its status line, its fields with names in lower case, its body."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    def __getitem__(self, name: str) -> str:
        """The one field of that name; fails when there are more or none."""
        (value,) = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name.lower()]

    def get(self, name: str) -> str | None:
        return self[name] if self.all(name) else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The first error, in the spec's form and nothing else."""
        assert self["content-type"].startswith("application/json"), self
        document = self.json
        assert list(document) == ["errors"] and document["errors"], document
        for found in document["errors"]:
            assert {"code", "message"} <= set(found) <= {"code", "message", "detail"}, found
            assert re.fullmatch("[A-Z_]+", found["code"]) and found["message"], found
        first: dict[str, Any] = document["errors"][0]
        return first

    @property
    def code(self) -> str:
        """The code of its error."""
        return str(self.error["code"])

    @property
    def timeless(self) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
        """All of it but what is of the request alone: its date and its id."""
        own = ("date", "x-request-id")
        return self.line, tuple(field for field in self.fields if field[0] not in own), self.body


class Connection:
    """One connection that is kept alive."""

    def __init__(self, host: str, seconds: float = 30) -> None:
        name, _, port = host.rpartition(":")
        self.host = host
        self.socket = socket.create_connection((name.strip("[]"), int(port)), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str, fields: Fields | None = None, body: bytes | None = None) -> None:
        """Send a request; with a body comes its length, unless `fields` say how it is framed."""
        given = {"host": self.host} | {name.lower(): value for name, value in (fields or {}).items()}
        if body is not None and not {"content-length", "transfer-encoding"} & set(given):
            given["content-length"] = str(len(body))
        head = "".join(
            [f"{method} {path} HTTP/1.1\r\n", *(f"{n}: {v}\r\n" for n, v in given.items()), "\r\n"]
        )
        self.socket.sendall(head.encode("latin-1") + (body or b""))

    def ask(self, method: str, path: str, fields: Fields | None = None, body: bytes | None = None) -> Answer:
        """Send a request and read its answer."""
        self.send(method, path, fields, body)
        return self.answer(bodiless=method == "HEAD")

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one answer, as its framing has it."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = tuple((n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in head[1:-2]))
        plain = dict(fields)
        if bodiless or head[0].split(" ")[1] in ("204", "304"):
            body = b""
        elif "content-length" in plain:
            body = self._exactly(int(plain["content-length"]))
        elif plain.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rest()
        return Answer(head[0], fields, body)

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        held, self._buffer = self._buffer, b""
        while piece := self.socket.recv(1 << 16):
            held += piece
        return held

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n"), 16):
            yield self._exactly(size + 2)[:-2]
        self._exactly(2)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> None:
        piece = self.socket.recv(1 << 20)
        assert piece, f"the stream ends after {self._buffer[:200]!r}"
        self._buffer += piece


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry at `host` (HOST:PORT), and a repository of it that no other test uses.

    `shown` are fields of every request: who asks.
    """

    host: str
    name: str
    shown: Fields = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"/v2/{self.name}"

    def other(self) -> Registry:
        """The same registry with another fresh repository."""
        return fresh(self.host)

    def ask(self, method: str, path: str, fields: Fields | None = None, body: bytes | None = None) -> Answer:
        """One request on a connection of its own."""
        with Connection(self.host) as connection:
            return connection.ask(method, path, {**self.shown, **(fields or {})}, body)

    def get(self, path: str, fields: Fields | None = None) -> Answer:
        return self.ask("GET", path, fields)

    def blob(self, data: bytes) -> str:
        """Push a blob in one request; its digest."""
        digest = sha256(data)
        answer = self.ask("POST", f"{self.base}/blobs/uploads/?digest={digest}", body=data)
        assert answer.status == 201, answer
        return digest

    def begin(self) -> str:
        """Begin an upload; its path."""
        answer = self.ask("POST", f"{self.base}/blobs/uploads/", body=b"")
        assert answer.status == 202, answer
        return answer["location"]

    def put(
        self, reference: str, body: bytes, media_type: str = OCI_MANIFEST, fields: Fields | None = None
    ) -> Answer:
        """PUT a manifest."""
        given = {"Content-Type": media_type, **(fields or {})}
        return self.ask("PUT", f"{self.base}/manifests/{reference}", given, body)

    def content(self, shape: Shape) -> None:
        """Push what a shape names: its blobs, and its children by digest, whatever becomes of them."""
        for data in shape.blobs.values():
            self.blob(data)
        for child in shape.children:
            self.content(child)
            self.put(child.digest, child.body, child.media_type)

    def push(self, shape: Shape, reference: str = "v1") -> Answer:
        """Push a shape; the answer to the PUT of its manifest."""
        self.content(shape)
        return self.put(reference, shape.body, shape.media_type)

    def counts(self, name: str) -> dict[str, float]:
        """The samples of one metric, by their labels as Prometheus writes them."""
        found = {}
        for line in self.get("/metrics").body.decode().splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match:
                found[match[1] or ""] = float(match[2])
        return found


def fresh(host: str) -> Registry:
    """A registry with a repository that nobody uses."""
    return Registry(host, f"t/{uuid4().hex}")


def manifest(config: str, layers: Iterable[tuple[str, str, int]], **more: Any) -> bytes:
    """An OCI manifest that names a config of 2 bytes and layers (type, digest, size)."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": kind, "digest": digest, "size": size} for kind, digest, size in layers],
        **more,
    }
    return json.dumps(document).encode()


def files(folder: Path) -> set[str]:
    """What the store in a folder holds, temporary files too, without what is noted beside and has a cap of
    its own: locks, refusals, pulls, what a chore says once a day, the counts of workers.
    """
    found = {os.path.relpath(Path(at, name), folder) for at, _, names in os.walk(folder) for name in names}
    return {
        name
        for name in found
        if not name.startswith(("locks/", "refusals/", "pulls/", "announced", "temp/metrics-"))
    }


def holding(folder: Path, secrets: Collection[str]) -> list[Path]:
    """The files of a running server's store that have one of the secrets in them."""

    def held(path: Path) -> bytes:
        with contextlib.suppress(FileNotFoundError):  # a temporary file, gone meanwhile
            return path.read_bytes()
        return b""

    paths = [Path(at, name) for at, _, names in os.walk(folder) for name in names]
    assert paths, "an empty store shows nothing"
    contents = {path: held(path) for path in paths}
    return [path for path, content in contents.items() if any(one.encode() in content for one in secrets)]


@contextlib.contextmanager
def leaving_nothing(folder: Path, seconds: float = 0, temporary: float = 10) -> Iterator[None]:
    """What is done inside leaves the store in a folder with the files that it had, after so many seconds.

    A chore of the server may be at a temporary file at any moment: one that was there may go, and one that is
    new has `temporary` seconds for it.
    """

    def is_temporary(name: str) -> bool:
        return name.startswith("temp/")

    before = files(folder)
    yield
    began = time.monotonic()
    while changed := {
        name for name in before ^ files(folder) if name not in before or not is_temporary(name)
    }:
        patience = temporary if all(map(is_temporary, changed)) else seconds
        assert time.monotonic() < began + patience, sorted(changed)
        time.sleep(0.01)


def resident(pid: int) -> int:
    """The memory of a process and of its children, in bytes, but for what ends meanwhile."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{one}/status").read_text())
            total += int(found[1]) << 10 if found else 0
    return total


def family(pid: int) -> list[int]:
    """A process and all that it started, but for what ends meanwhile."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(grown for child in children for grown in family(int(child)))]


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until `condition` holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never became true"
        time.sleep(0.01)
