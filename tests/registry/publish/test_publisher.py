"""The story of a push at its driver: what is written when, and what is left when a call fails."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from registry import app as composition
from registry import storages
from registry.keyring import signing_key
from registry.publish.inspect import Looked
from registry.publish.plugins import Plugin, from_record
from registry.settings import Settings
from registry.signing.cosign import signature_tag
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import Page, Stat
from storage.errors import (
    CheckFailed,
    ManifestUnknown,
    RegistryError,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from storage.manifest import OCI_MANIFEST, Manifest, parse
from storage.repositories import Repository
from storage.store import Store
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, descriptor, image, index, layer
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, BAD, B
from tests.registry.publish.looks import InThread, examiner
from tests.registry.wasm.binary import custom
from tests.storage.content import put_blob

NAME = "team/wasm"
SUBJECT = descriptor(OCI_MANIFEST, b"a subject")
PLUGIN_IMAGE = image(
    "with a subject",
    [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("order"))))],
    None,
    more={"subject": SUBJECT},
)
DIGEST = Digest.parse(PLUGIN_IMAGE.digest)
MODULE = Digest.of(PLUGIN + custom("order"))


@dataclass
class Log:
    """What a driver was asked, and which call is to fail."""

    calls: list[tuple[str, str, str]] = field(default_factory=list)  # begin or end, method, key
    begun: int = 0
    fails_at: int | None = None
    error: type[StoreError] = StoreUnavailable

    def begin(self, method: str, key: str) -> None:
        self.calls.append(("begin", method, key))
        self.begun += 1
        if self.begun - 1 == self.fails_at:
            raise self.error("injected.", fix="Wait.")

    def end(self, method: str, key: str) -> None:
        self.calls.append(("end", method, key))

    def at(self, when: str, part: str) -> int:
        """The place of the one write to a key that has `part` in it."""
        (place,) = [
            at
            for at, (found, method, key) in enumerate(self.calls)
            if found == when and part in key and method in ("put", "put_stream", "create")
        ][:1]
        return place


def recording(log: Log) -> Callable[[Path], DiskDriver]:
    """A disk driver that writes down its calls."""

    def counted(name: str) -> Callable[..., Awaitable[Any]]:
        inner = getattr(DiskDriver, name)

        @functools.wraps(inner)
        async def call(self: DiskDriver, key: str, *rest: Any, **more: Any) -> Any:
            log.begin(name, key)
            result = await inner(self, key, *rest, **more)
            log.end(name, key)
            return result

        return call

    class Recording(DiskDriver):
        get: Callable[..., Awaitable[bytes]] = counted("get")
        stat: Callable[..., Awaitable[Stat]] = counted("stat")
        put: Callable[..., Awaitable[None]] = counted("put")
        create: Callable[..., Awaitable[None]] = counted("create")
        put_stream: Callable[..., Awaitable[int]] = counted("put_stream")
        delete: Callable[..., Awaitable[bool]] = counted("delete")
        children: Callable[..., Awaitable[Page]] = counted("children")

        async def put_in_order(self, steps: Sequence[Mapping[str, bytes]]) -> None:
            for key, data in (item for step in steps for item in step.items()):
                await self.put(key, data)

        async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
            log.begin("read", key)
            async for piece in super().read(key, start, end):
                yield piece
            log.end("read", key)

    return Recording


@dataclass
class Wired:
    """The application as it is composed, over a driver that writes down its calls."""

    app: Starlette
    log: Log
    repository: Repository
    audit: Path

    def recorded(self) -> list[dict[str, Any]]:
        """What the audit has, the oldest first."""
        return [json.loads(line) for line in self.audit.read_text().splitlines()]

    async def put(self, shape: Shape, reference: str = "v1") -> tuple[int, dict[str, str], Any]:
        """PUT a manifest: status, headers and the JSON of an error."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": shape.body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        path = f"/v2/{NAME}/manifests/{reference}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", shape.media_type.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, json.loads(body) if body else None


@pytest.fixture
async def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wired:
    log = Log()
    monkeypatch.setattr(composition, "Inspectors", InThread)
    monkeypatch.setattr(storages, "DiskDriver", recording(log))
    store = Store(DiskDriver(tmp_path), upload_limit=1 << 30)
    await store.open()
    signing_key([], tmp_path)
    audit = tmp_path / "audit.jsonl"
    settings = Settings(storage={"url": str(tmp_path)}, audit={"file": str(audit)})  # type: ignore[arg-type]
    return Wired(composition.wire(settings).app, log, store.repository(NAME), audit)


async def content(repository: Repository, shape: Shape) -> None:
    for data in shape.blobs.values():
        await put_blob(repository, data)


async def test_the_order_of_a_push(wired: Wired) -> None:
    """The row, the manifest; the record; signature, its tag; the tag; and only then the acknowledgement."""
    await content(wired.repository, PLUGIN_IMAGE)
    status, headers, _ = await wired.put(PLUGIN_IMAGE)
    assert (status, headers["docker-content-digest"]) == (201, PLUGIN_IMAGE.digest)
    log = wired.log
    begun = [call[1:] for call in log.calls if call[0] == "begin"]
    ended = [call[1:] for call in log.calls if call[0] == "end"]
    failed = [call for call in begun if call not in ended]
    # What is not there is no failure: looking for it is how a push finds out.
    assert all(method in ("get", "stat", "create") for method, _ in failed)
    own = f"repositories/{NAME}/_"
    manifest = f"{own}manifests/sha256/{DIGEST.hex}"
    row = f"{own}referrers/"
    record = f"{own}derived/sha256/{DIGEST.hex}"
    signature = f"{own}tags/{signature_tag(DIGEST)}"
    tag = f"{own}tags/v1"
    for first, then in (
        (row, manifest),
        (manifest, tag),
        (record, tag),
        (f"catalog/{NAME.replace('/', '.')}", tag),
        (signature, tag),
    ):
        assert log.at("end", first) < log.at("begin", then), (first, then)
    signed = json.loads((await wired.repository.get(signature_tag(DIGEST))).body)
    for part in (signed["config"], *signed["layers"]):
        digest = Digest.parse(part["digest"])
        assert log.at("end", digest.hex) < log.at("begin", signature)
    writes = [call for call in log.calls if call[1] in ("put", "put_stream", "create", "replace")]
    assert writes[-1] == ("end", "create", tag)
    assert not [call for call in log.calls if MODULE.hex in call[2]], "nobody has asked for the module yet"


async def test_each_push_is_recorded(wired: Wired) -> None:
    """What was pushed to, what it is, what to pin, what the gate made of it; attestations are no failures."""
    records = []
    only_arm = index("arm only", [(B, ARM64)], None)
    for shape, reference in (
        (B, "v1"),
        (B, B.digest),
        (ATTESTATION, ATTESTATION.digest),
        (BAD, "v1"),
        (PLUGIN_IMAGE, "v2"),
        (index("index", [(B, AMD64)], None), "v3"),
        (only_arm, "v4"),
        (index("index", [(B, AMD64)], None), "v1"),
    ):
        if shape is not PLUGIN_IMAGE:
            await content(wired.repository, shape)
        _, headers, _ = await wired.put(shape, reference)
        said = wired.recorded()[-1]
        common = {"event": "push", "who": "anonymous", "address": "127.0.0.1", "repository": NAME}
        common |= {"reference": reference, "digest": shape.digest, "request": headers["x-request-id"]}
        assert said.items() >= common.items()
        records.append({name: said[name] for name in said.keys() - common.keys() - {"time"}})
    pinned = {"verdict": "accepted", "pin": B.digest}
    assert records == [
        pinned,
        pinned,
        {"verdict": "attachment"},
        {"verdict": "refused", "problems": ["no-plugin-wasm"]},
        {"verdict": "refused", "problems": ["manifest-blob-unknown"]},
        pinned,
        {"verdict": "refused", "problems": ["no-linux-amd64"]},
        pinned | {"replaced": [f"v1@{B.digest}"]},
    ]
    assert len(wired.recorded()) == len(records)


async def whole(repository: Repository, shape: Shape, tag: str = "v1") -> bool:
    """Whether a tag names a manifest with all that belongs to it; False where it names nothing."""
    try:
        stored = await repository.get(tag)
    except ManifestUnknown:
        return False
    manifest = parse(stored.body, stored.descriptor.media_type)
    assert not await repository.missing(manifest)
    if manifest.subject:
        rows, _ = await repository.referrers.page(manifest.subject.digest)
        assert stored.descriptor.digest in [row.digest for row in rows]
    if shape is ATTESTATION:
        return True
    plugin = from_record(await repository.derived.find(stored.descriptor.digest))
    assert isinstance(plugin, Plugin) and plugin.module is not None
    assert await examiner().has_module(repository, stored.descriptor, plugin)
    signatures = await repository.get(signature_tag(stored.descriptor.digest))
    assert not await repository.missing(parse(signatures.body, OCI_MANIFEST))
    return True


@pytest.mark.parametrize("error", [StoreUnavailable, StoreFull])
@pytest.mark.parametrize("shape", [PLUGIN_IMAGE, ATTESTATION], ids=str)
async def test_a_failure_at_any_call_leaves_nothing_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StoreError], shape: Shape
) -> None:
    monkeypatch.setattr(
        "registry.api.errors._log.error", lambda *_, **__: None
    )  # each would print its traceback
    expected = {StoreUnavailable: 503, StoreFull: 507}[error]
    at, refused = 0, 0
    while True:
        log = Log(error=error)
        folder = tmp_path / str(at)
        store = Store(DiskDriver(folder), upload_limit=1 << 30)
        await store.open()
        signing_key([], folder)
        monkeypatch.setattr(composition, "Inspectors", InThread)
        monkeypatch.setattr(storages, "DiskDriver", recording(log))
        app = composition.wire(Settings(storage={"url": str(folder)})).app  # type: ignore[arg-type]
        wired = Wired(app, log, store.repository(NAME), folder / "audit")
        await content(wired.repository, shape)
        log.begun, log.fails_at = 0, at
        status, headers, body = await wired.put(shape)
        if log.begun <= at:
            assert status == 201
            break
        assert status in (201, expected), (at, log.calls[-1])
        if status == expected:
            refused += 1
            (said,) = body["errors"]
            assert (said["code"], bool(headers["retry-after"])) == ("UNAVAILABLE", True)
            assert said["message"] == "injected. Wait."
        log.fails_at = None
        assert await whole(wired.repository, shape) or status == expected, log.calls
        assert (await wired.put(shape))[0] == 201
        assert await whole(wired.repository, shape)
        assert not list((folder / "temp").iterdir())
        at += 1
    assert refused >= at - 3, "only what is kept of the module may fail unnoticed"
    assert at > 5


@pytest.mark.parametrize("back", [False, True], ids=["gone", "gone and put back"])
async def test_a_layer_that_goes_during_a_push_is_no_way_around(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """It was there when the push began, and what is not here cannot be judged."""
    await content(wired.repository, B)
    layer_digest = Digest.parse(B.manifest["layers"][0]["digest"])
    await wired.repository.blobs.delete(layer_digest)
    missing, looks = Repository.missing, 0

    async def seen(repository: Repository, manifest: Manifest) -> list[Digest]:
        nonlocal looks
        looks += 1
        return [] if looks == 1 or back else await missing(repository, manifest)

    monkeypatch.setattr(Repository, "missing", seen)
    status, _, body = await wired.put(B)
    assert (status, body["errors"][0]["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert str(layer_digest) in [said["digest"] for said in body["errors"][0]["detail"]]
    assert not await whole(wired.repository, B)


async def test_a_signature_that_goes_during_a_push(wired: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that had gone left its signature, which garbage collection takes just then."""
    await content(wired.repository, B)
    tag, store = signature_tag(Digest.parse(B.digest)), Repository.store
    assert (await wired.put(B))[0] == 201
    await wired.repository.delete(Digest.parse(B.digest))

    async def late(repository: Repository, *given: Any) -> object:
        with contextlib.suppress(ManifestUnknown):
            await repository.tags.delete(tag)
        return await store(repository, *given)

    monkeypatch.setattr(Repository, "store", late)
    assert (await wired.put(B))[0] == 201
    assert (await wired.repository.get(tag)).body


@pytest.mark.parametrize(
    ("error", "expected"),
    [(StoreFull("no room."), 507), (CheckFailed("it ended."), 503)],
    ids=["full", "failed"],
)
async def test_an_image_that_cannot_be_looked_into(
    wired: Wired, monkeypatch: pytest.MonkeyPatch, error: RegistryError, expected: int
) -> None:
    async def fail(*_: object, **__: object) -> Looked:
        raise error

    await content(wired.repository, B)
    monkeypatch.setattr("registry.api.errors._log.error", lambda *_, **__: None)
    monkeypatch.setattr(InThread, "__call__", fail)
    status, headers, body = await wired.put(B)
    assert (status, body["errors"][0]["code"], headers["retry-after"]) == (expected, "UNAVAILABLE", "5")
    assert not await whole(wired.repository, B)
    monkeypatch.undo()
    assert (await wired.put(B))[0] == 201
