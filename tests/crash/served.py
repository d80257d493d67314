"""The application as it is composed, in this process: a client that speaks to it without a connection."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from registry import app as composition
from registry.keyring import signing_key
from registry.settings import Settings
from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.manifest import OCI_MANIFEST
from storage.store import Store
from tests.registry.consumers.build import CONFIG, Shape, sha256
from tests.registry.publish.looks import InThread

LIMIT = 1 << 30
PIECE = 256 << 10
"""Bytes of a body that come at a time."""
MADE = [paths.blob(Digest.of(CONFIG)).rpartition("/")[0], "blobs/sha256/00"]
"""Folders that are there from the start; the command has more of them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as far as it came: `whole` says whether that was its end."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    whole: bool = True

    @property
    def ok(self) -> bool:
        return self.status < 300 and self.whole


class Served:
    """A store in `root`, opened as the command `serve` opens it, and the application over it."""

    def __init__(self, root: Path, app: Starlette) -> None:
        self.root = root
        self._app = app
        self._lasting = asyncio.all_tasks()

    async def ask(self, method: str, path: str, *pieces: bytes, kind: str = "", part: str = "") -> Reply:
        """Send a request with a body in pieces; `kind` is its type, `part` a Range."""
        waiting = [*pieces] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()  # the client stays
            piece = waiting.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

        async def send(message: Any) -> None:
            sent.append(message)

        plain, _, query = path.partition("?")
        fields = {"content-type": kind, "range": part, "content-length": str(sum(map(len, pieces)))}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items() if value],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        whole = True
        try:
            await self._app(scope, receive, send)
        except Exception:
            if not sent or sent[0]["status"] >= 500:
                raise
            whole = False
        body = b"".join(message.get("body", b"") for message in sent[1:])
        given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], given, body, whole)

    async def settle(self) -> None:
        """Until nothing is under way that nobody waits for."""
        while others := asyncio.all_tasks() - {asyncio.current_task()} - self._lasting:
            await asyncio.wait(others)

    async def blob(self, repository: str, data: bytes) -> Reply:
        """Push a blob in one request."""
        pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
        return await self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(data)}", *pieces)

    async def late(self, repository: str, data: bytes) -> Reply:
        """Push a blob in two: one begins, one brings it whole."""
        return await self._finished(repository, data, data)

    async def chunked(self, repository: str, data: bytes, *pieces: bytes) -> Reply:
        """Push a blob as docker does: begin, PATCH, finish with its digest; up to the first that fails."""
        return await self._finished(repository, data, b"", *(pieces or (data[:3], data[3:])))

    async def mount(self, repository: str, source: str, data: bytes) -> Reply:
        """Mount a blob of another repository."""
        return await self.ask("POST", f"/v2/{repository}/blobs/uploads/?mount={sha256(data)}&from={source}")

    async def put(self, repository: str, reference: str, shape: Shape, *tags: str) -> Reply:
        """PUT a manifest."""
        query = "&".join(f"tag={tag}" for tag in tags)
        path = f"/v2/{repository}/manifests/{reference}{query and '?'}{query}"
        return await self.ask("PUT", path, shape.body, kind=shape.media_type or OCI_MANIFEST)

    async def _finished(self, repository: str, data: bytes, last: bytes, *chunks: bytes) -> Reply:
        begun = await self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        if not begun.ok:
            return begun
        path = begun.fields["location"]
        for chunk in chunks:
            taken = await self.ask("PATCH", path, chunk)
            if not taken.ok:
                return taken
        return await self.ask("PUT", f"{path}?digest={sha256(data)}", *([last] if last else []))


async def serve(root: Path, key: Path | None = None) -> Served:
    """Open a store as the command does, and wire the application; threads look into layers."""
    store = Store(DiskDriver(root, MADE), upload_limit=LIMIT)
    await store.open()
    settings = Settings(
        storage={"url": str(root)},  # type: ignore[arg-type]
        signing={"keys": [str(key)] if key else []},  # type: ignore[arg-type]
    )
    signing_key(settings.signing.keys, root)
    return Served(root, _wired(settings))


@contextlib.asynccontextmanager
async def serve_with(settings: Settings) -> AsyncIterator[Served]:
    """The application with these settings, over a place that was prepared, from its start to its end."""
    app = _wired(settings)
    async with app.router.lifespan_context(app):
        yield Served(Path(), app)


def _wired(settings: Settings) -> Starlette:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "Inspectors", InThread)
        return composition.wire(settings).app


def hashed(body: bytes, digest: str) -> bool:
    """Whether a body is what its digest says."""
    return hashlib.new(digest.partition(":")[0], body).hexdigest() == digest.partition(":")[2]
