import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from registry import app as composition
from registry import storages
from registry.keyring import signing_key
from registry.settings import Settings
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.remembered import Remembered
from storage.store import Store
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.shapes import B
from tests.registry.publish.looks import InThread
from tests.registry.talk import Connection, Registry, fresh, leaving_nothing
from tests.storage.content import put_blob
from tests.storage.unsteady import Clock, Unsteady

WRONG_NAMES = {
    "up": "..",
    "up inside": "a/../b",
    "here": "a/./b",
    "a leading slash": "/a",
    "a trailing slash": "a/",
    "two slashes": "a//b",
    "capitals": "Team/wasm",
    "300 characters": "a" * 300,
    "256 characters in segments": "a/" * 127 + "aa",
    "a leading dash": "-a",
    "a trailing dot": "a.",
    "two dots": "a..b",
    "three underscores": "a___b",
    "an underscore of ours": "a/_tags/b",
    "a colon": "host:5000/a",
    "an at sign": "a@b",
    "a star": "a/*",
    "a tilde": "~root",
    "a backslash": "a\\b",
    "a quote": "a'b",
    "a brace": "{a}",
}
ENCODED = {
    "a slash": "a%2fb",
    "a slash in capitals": "a%2Fb",
    "dots": "%2e%2e/a",
    "a letter": "%61",
    "NUL": "a%00b",
    "a new line": "a%0ab",
    "a percent sign": "a%25b",
    "twice": "a%252fb",
    "no number": "a%zzb",
    "beyond ASCII": "a%c3%a9",
    "not UTF-8": "a%ff",
    "a colon": "host%3A5000/a",
}
PATHS = (
    ("GET", "/v2/{}/tags/list"),
    ("GET", "/v2/{}/manifests/v1"),
    ("PUT", "/v2/{}/manifests/v1"),
    ("DELETE", "/v2/{}/manifests/v1"),
    ("POST", "/v2/{}/blobs/uploads/"),
    ("GET", "/v2/{}/blobs/sha256:" + "0" * 64),
    ("GET", "/plugins/{}:v1/plugin.wasm"),
    ("GET", "/plugins/{}@sha256:" + "0" * 64),
)


@pytest.mark.parametrize("name", [*WRONG_NAMES.values(), *ENCODED.values()], ids=[*WRONG_NAMES, *ENCODED])
def test_a_name_that_is_none_leaves_nothing(registry: Registry, store: Path, name: str) -> None:
    with leaving_nothing(store), Connection(registry.host) as connection:
        for method, path in PATHS:
            answer = connection.ask(method, path.format(name), {"Content-Type": B.media_type}, B.body)
            if "/plugins/host" in path.format(name) and path.endswith("0"):
                # A tag that is 5000, and behind it a file that no plugin has.
                assert (answer.status, answer.code) == (404, "NAME_UNKNOWN"), (method, answer)
                continue
            assert answer.status == 400, (method, answer)
            # Behind an @ stands what is no digest.
            assert answer.code == ("DIGEST_INVALID" if "@b:" in path.format(name) else "NAME_INVALID")
            assert len(answer.body) < 700


@pytest.mark.parametrize("name", ["a", "a/b", "a-b", "a--b", "a.b", "a_b", "a__b", "0", "a" * 255, "b/tags"])
def test_a_name_that_is_one(registry: Registry, name: str) -> None:
    assert Registry(registry.host, name).push(B).status == 201
    assert registry.get(f"/plugins/{name}:v1/plugin.wasm").status == 200


@pytest.mark.parametrize(
    "name", ["a/manifests/b", "a/blobs/uploads", "a/tags/list", "v2/plugins", "x/referrers/y"]
)
def test_a_name_that_looks_like_a_path(registry: Registry, name: str) -> None:
    named = Registry(registry.host, name)
    assert named.push(B).status == 201
    assert named.get(f"{named.base}/manifests/v1").body == B.body
    assert named.get(f"{named.base}/tags/list").json["name"] == name
    assert named.get(f"/plugins/{name}").json["repository"] == name


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/v2/a\0b/manifests/v1", id="NUL"),
        pytest.param(b"/v2/a\x01b/manifests/v1", id="a control character"),
        pytest.param(b"/v2/\xc3\xa9/manifests/v1", id="beyond ASCII"),
        pytest.param(b"/v2/\xff/manifests/v1", id="not UTF-8"),
        pytest.param(b"http://elsewhere/v2/../x", id="a whole URL"),
        pytest.param(b"*", id="a star"),
        pytest.param(b"v2/", id="no slash"),
        pytest.param(b"/v2/" + b"a" * 70_000, id="70,000 characters"),
    ],
)
def test_a_target_that_is_no_path(registry: Registry, target: bytes) -> None:
    with Connection(registry.host) as connection:
        connection.socket.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = connection.answer()
        assert 400 <= answer.status < 500
        assert answer.code
        assert answer["x-content-type-options"] == "nosniff"


def elsewhere() -> str:
    """An address of this machine that is not loopback; "" where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return "" if address.startswith("127.") else address


def test_who_is_elsewhere_may_pull_and_push_alone(serve: Callable[..., Sidecargo]) -> None:
    address = elsewhere()
    if not address:
        pytest.skip("this machine has no address but loopback")
    server = serve("--host", "0.0.0.0", "--allow-anonymous-push")
    here = fresh(server.host)
    there = Registry(f"{address}:{server.host.rpartition(':')[2]}", here.name)
    assert there.push(B).status == 201
    assert there.get(f"{there.base}/manifests/v1").body == B.body
    upload = there.begin()
    assert there.ask("DELETE", upload).status == 204, "cancelling needs no right to delete"
    lies = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "Host": "localhost"}
    for method, path in (
        ("DELETE", f"{there.base}/manifests/v1"),
        ("DELETE", f"{there.base}/manifests/{B.digest}"),
        ("DELETE", f"{there.base}/blobs/{B.manifest['config']['digest']}"),
        ("DELETE", f"{there.base}/manifests/absent"),
        ("GET", "/metrics"),
    ):
        for fields in ({}, lies):
            answer = there.ask(method, path, fields)
            assert (answer.status, answer.code) == (403, "DENIED"), (method, path, answer)
            assert "the registry's own machine" in answer.error["message"]
    assert here.get("/metrics").status == 200
    assert here.ask("DELETE", f"{here.base}/manifests/v1").status == 202


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_not_from_this_machine(registry: Registry, header: str) -> None:
    registry.push(B)
    path = f"{registry.base}/manifests/v1"
    assert registry.ask("DELETE", path, {header: "192.0.2.1"}).code == "DENIED"
    assert registry.ask("DELETE", path).status == 202


class Replica:
    """The application over a store that is remembered, and that a test breaks."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.others = Store(DiskDriver(root), upload_limit=1 << 30)
        self.store = Unsteady(DiskDriver(root))
        self.remembered = Remembered(self.store.driver, clock=self.clock)
        self.root = root
        place = storages.Place(
            self.remembered.asking, self.remembered, self.remembered, root / "temp", self.remembered.close,
            root, self.remembered,
        )  # fmt: skip
        monkeypatch.setattr(storages, "opened", lambda settings: place)

    async def begin(self) -> None:
        """Compose it, and push B's blobs and a large one by way of another replica."""
        await self.others.open()
        signing_key([], self.root)
        self.app: Starlette
        self.app = composition.wire(Settings()).app
        repository = self.others.repository("r")
        for content in (*B.blobs.values(), LARGE):
            await put_blob(repository, content)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        sent: list[dict[str, Any]] = []
        bodies = [body]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", B.media_type.encode()), (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip
        await self.app(scope, receive, send)
        content = b"".join(bytes(message.get("body", b"")) for message in sent[1:])
        return sent[0]["status"], {n.decode(): v.decode() for n, v in sent[0]["headers"]}, content


LARGE = bytes(9 << 20)
LAYER = B.manifest["layers"][0]["digest"]
PULLS = {
    "a tag": "/v2/r/manifests/v1",
    "a digest": f"/v2/r/manifests/{Digest.of(B.body)}",
    "a layer": f"/v2/r/blobs/{LAYER}",
    "a module": "/plugins/r:v1/plugin.wasm",
}


@pytest.fixture
async def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    monkeypatch.setattr(composition, "Inspectors", InThread)
    replica = Replica(tmp_path, monkeypatch)
    await replica.begin()
    assert (await replica.ask("PUT", "/v2/r/manifests/v1", B.body))[0] == 201
    # Nobody waits for the last look of a push, which would find the store well again.
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=20)
    yield replica
    await replica.remembered.close()


@pytest.mark.parametrize("path", PULLS.values(), ids=PULLS)
async def test_what_was_pulled_is_pulled_on_while_the_store_fails(replica: Replica, path: str) -> None:
    before = await replica.ask("GET", path)
    assert before[0] == 200
    replica.clock.now += 60
    replica.store.down = True
    for _ in range(3):
        assert await replica.ask("GET", path) == before
    status, headers, _ = await replica.ask("HEAD", path)
    assert (status, headers["content-length"]) == (200, before[1]["content-length"])
    replica.clock.now += 900
    assert (await replica.ask("GET", path))[0] == 503


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/r/manifests/never-asked-for"),
        ("GET", f"/v2/r/blobs/{Digest.of(LARGE)}"),
        ("PUT", "/v2/r/manifests/v2"),
        ("DELETE", "/v2/r/manifests/v1"),
        ("POST", "/v2/r/blobs/uploads/"),
    ],
)
async def test_what_needs_the_store_is_told_when_to_come_back(
    replica: Replica, method: str, path: str
) -> None:
    if "blobs/sha256" in path:
        assert (await replica.ask("GET", path))[2] == LARGE
    replica.store.down = True
    await replica.ask("GET", "/v2/r/tags/list")
    calls = len(replica.store.calls)
    status, headers, body = await replica.ask(method, path, B.body if method == "PUT" else b"")
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body)["errors"][0]["code"] == "UNAVAILABLE"
    assert len(replica.store.calls) == calls
    assert json.loads((await replica.ask("GET", "/readyz"))[2])["status"] == "degraded"
    replica.store.down = False
    replica.clock.now += 1
    await replica.ask("GET", "/readyz")
    probing = replica.remembered._circuit._probing
    assert probing
    await probing
    assert (await replica.ask(method, path, B.body if method == "PUT" else b""))[0] in (200, 201, 202, 404)


async def test_bytes_are_fetched_once(replica: Replica) -> None:
    for _ in range(5):
        for path in PULLS.values():
            assert (await replica.ask("GET", path))[0] == 200
        replica.clock.now += 60
    fetched = [key for name, key in replica.store.calls if name == "read" and LAYER.partition(":")[2] in key]
    assert len(fetched) <= 3, "to look into it, to take the module out of it, and for the first who pulled it"


async def test_a_push_relies_on_nothing_that_was_remembered(replica: Replica) -> None:
    path = f"/v2/r/blobs/{LAYER}"
    assert (await replica.ask("HEAD", path))[0] == 200
    await replica.others.repository("r").blobs.delete(Digest.parse(LAYER))
    assert (await replica.ask("HEAD", path))[0] == 200, "for a second"
    status, _, body = await replica.ask("PUT", "/v2/r/manifests/v2", B.body)
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")
