import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.incoming import SMALL
from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import sha256
from tests.registry.talk import MISSING, Connection, Registry

DATA = bytes(range(256)) * 8
SHA512 = f"sha512:{hashlib.sha512(DATA).hexdigest()}"


@pytest.fixture
def path(registry: Registry) -> str:
    return f"{registry.base}/blobs/{registry.blob(DATA)}"


@pytest.mark.parametrize("query", ["", "?ns=docker.io", "?ns=docker.io&x=%20"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_and_its_headers(registry: Registry, path: str, method: str, query: str) -> None:
    answer = registry.ask(method, path + query)
    assert answer.status == 200
    assert answer["content-type"] == "application/octet-stream"
    assert answer["content-length"] == str(len(DATA))
    assert answer["docker-content-digest"] == sha256(DATA)
    assert answer["accept-ranges"] == "bytes"
    assert answer["etag"] == f'"{sha256(DATA)}"'
    assert answer.body == (DATA if method == "GET" else b"")


def test_one_that_garbage_collection_unlinked(sidecargo: Sidecargo, registry: Registry, path: str) -> None:
    """Who would send it again is told to; who pulls what a manifest names is given it."""
    own = sidecargo.folder / "data" / "repositories" / registry.name
    (own / "_unlinked/sha256").mkdir(parents=True)
    name = sha256(DATA).partition(":")[2]
    (own / "_blobs/sha256" / name).rename(own / "_unlinked/sha256" / name)
    for _ in range(3):
        assert registry.ask("HEAD", path).status == 404
        assert registry.get(path).body == DATA
    assert registry.ask("DELETE", path).status == 202
    assert registry.get(path).status == 404


def test_content_is_never_encoded(registry: Registry, path: str) -> None:
    # containerd asks so for everything.
    answer = registry.get(path, {"Accept-Encoding": "zstd, gzip, deflate"})
    assert (answer.body, answer.all("content-encoding")) == (DATA, [])


def test_a_digest_with_its_colon_escaped(registry: Registry, path: str) -> None:
    assert registry.get(path.replace(":", "%3A")).body == DATA
    assert registry.get(path.replace(":", "%3a")).body == DATA


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    ("digest", "status", "code"),
    [
        pytest.param(MISSING, 404, "BLOB_UNKNOWN", id="not there"),
        pytest.param("sha512:" + "0" * 128, 404, "BLOB_UNKNOWN", id="not there, sha512"),
        pytest.param("sha256:0", 400, "DIGEST_INVALID", id="too short"),
        pytest.param("sha256:" + "A" * 64, 400, "DIGEST_INVALID", id="capitals"),
        pytest.param("md5:" + "0" * 32, 400, "DIGEST_INVALID", id="another algorithm"),
        pytest.param("latest", 400, "DIGEST_INVALID", id="a tag"),
        pytest.param("sha256:" + "0" * 5000, 400, "DIGEST_INVALID", id="5000 digits"),
    ],
)
def test_what_is_no_blob(registry: Registry, method: str, digest: str, status: int, code: str) -> None:
    answer = registry.ask(method, f"{registry.base}/blobs/{digest}")
    assert answer.status == status
    if method != "HEAD":
        assert answer.code == code
        assert len(answer.body) < 1000


def test_a_blob_of_another_repository_is_not_shown(registry: Registry, path: str) -> None:
    other = registry.other()
    for method in ("GET", "HEAD", "DELETE"):
        assert registry.ask(method, f"{other.base}/blobs/{sha256(DATA)}").status == 404
    assert registry.get(path).status == 200


def test_delete_takes_it_from_this_repository_only(registry: Registry, path: str) -> None:
    other = registry.other()
    other.blob(DATA)
    answer = registry.ask("DELETE", path)
    assert (answer.status, answer.body) == (202, b"")
    assert registry.get(path).code == "BLOB_UNKNOWN"
    assert registry.ask("DELETE", path).status == 404
    assert registry.get(f"{other.base}/blobs/{sha256(DATA)}").body == DATA


@pytest.mark.parametrize(
    ("asked", "said", "body"),
    [
        pytest.param("bytes=0-9", "bytes 0-9/2048", DATA[:10], id="the first ten"),
        pytest.param("bytes=2000-", "bytes 2000-2047/2048", DATA[2000:], id="open-ended"),
        pytest.param("bytes=0-", "bytes 0-2047/2048", DATA, id="open-ended from the start"),
        pytest.param("bytes=-5", "bytes 2043-2047/2048", DATA[-5:], id="a suffix"),
        pytest.param("bytes=2047-9999", "bytes 2047-2047/2048", DATA[2047:], id="an end behind the end"),
    ],
)
def test_a_part(registry: Registry, path: str, asked: str, said: str, body: bytes) -> None:
    answer = registry.get(path, {"Range": asked})
    assert (answer.status, answer["content-range"], answer.body) == (206, said, body)
    assert answer["content-length"] == str(len(body))
    assert answer["docker-content-digest"] == sha256(DATA)
    assert answer["etag"] == f'"{sha256(DATA)}"'


@pytest.mark.parametrize("asked", ["bytes=2048-", "bytes=9999-10000", "bytes=-0", "bytes=9-3"])
def test_a_part_that_is_not_there(registry: Registry, path: str, asked: str) -> None:
    answer = registry.get(path, {"Range": asked})
    assert (answer.status, answer["content-range"], answer.code) == (416, "bytes */2048", "SIZE_INVALID")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "lines=1-2", "bytes", "bytes=x-y"])
def test_what_is_no_single_range_gets_everything(registry: Registry, path: str, asked: str) -> None:
    answer = registry.get(path, {"Range": asked})
    assert (answer.status, answer.body, answer.all("content-range")) == (200, DATA, [])


def test_ranges_belong_to_get(registry: Registry, path: str) -> None:
    answer = registry.ask("HEAD", path, {"Range": "bytes=0-1"})
    assert (answer.status, answer["content-length"]) == (200, str(len(DATA)))


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        pytest.param(f'"{sha256(DATA)}"', 206, id="the same"),
        pytest.param('"another"', 200, id="another"),
        pytest.param(f'W/"{sha256(DATA)}"', 200, id="weak: never the same"),
        pytest.param("Mon, 23 Nov 2026 15:14:29 GMT", 200, id="a date: nothing has one here"),
    ],
)
def test_if_range(registry: Registry, path: str, condition: str, status: int) -> None:
    answer = registry.get(path, {"Range": "bytes=0-9", "If-Range": condition})
    assert (answer.status, answer.body) == (status, DATA[:10] if status == 206 else DATA)


def test_if_none_match_comes_before_range(registry: Registry, path: str) -> None:
    answer = registry.get(path, {"Range": "bytes=0-9", "If-None-Match": f'"{sha256(DATA)}"'})
    assert (answer.status, answer.body, answer["etag"]) == (304, b"", f'"{sha256(DATA)}"')


def test_an_empty_blob(registry: Registry) -> None:
    path = f"{registry.base}/blobs/{registry.blob(b'')}"
    for _ in range(2):
        answer = registry.get(path)
        assert (answer.status, answer["content-length"], answer.body) == (200, "0", b"")
    assert registry.get(path, {"Range": "bytes=0-"}).status == 416


def test_sha512(registry: Registry) -> None:
    answer = registry.ask("POST", f"{registry.base}/blobs/uploads/?digest={SHA512}", body=DATA)
    assert (answer.status, answer["docker-content-digest"]) == (201, SHA512)
    found = registry.get(answer["location"])
    assert (found.body, found["docker-content-digest"]) == (DATA, SHA512)
    assert registry.get(f"{registry.base}/blobs/{sha256(DATA)}").status == 404


@pytest.mark.parametrize(
    "harm",
    [pytest.param(b"", id="emptied"), pytest.param(DATA[:-1], id="cut"), pytest.param(None, id="gone")],
)
def test_damaged_bytes_are_never_served_as_whole(registry: Registry, store: Path, harm: bytes | None) -> None:
    data = os.urandom(SMALL + 1)
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    stored = store / "blobs" / "sha256" / sha256(data)[7:9] / sha256(data)[7:]
    if harm is None:
        stored.unlink()
    else:
        stored.write_bytes(harm)
    answer = registry.get(path)
    assert (answer.status, answer.code, answer["retry-after"]) == (503, "UNAVAILABLE", "5")
    assert "Push the content again" in answer.error["message"]
    registry.blob(data)
    assert registry.get(path).body == data


def test_bytes_that_were_changed_are_not_served(registry: Registry, store: Path) -> None:
    data = os.urandom(SMALL + 1)
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    stored = store / "blobs" / "sha256" / sha256(data)[7:9] / sha256(data)[7:]
    stored.write_bytes(os.urandom(SMALL + 1))
    assert registry.get(path).status == 503


def test_a_small_blob_lies_within_its_link(registry: Registry, store: Path) -> None:
    data = os.urandom(SMALL)
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    hexadecimal = sha256(data)[7:]
    assert registry.get(path).body == data
    shared = store / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal
    assert shared.read_bytes() == data, "for who mounts it and does not say from where"
    shared.unlink()
    assert registry.get(path, {"Range": "bytes=0-9"}).body == data[:10]
    link = store / "repositories" / registry.name / "_blobs" / "sha256" / hexadecimal
    assert link.read_bytes().endswith(data)
    link.write_bytes(link.read_bytes()[:-1] + bytes([data[-1] ^ 1]))
    assert registry.get(path).status == 200, "the answer that was remembered, which is true"
    registry.blob(data)
    assert link.read_bytes().endswith(data)


@pytest.mark.parametrize(
    "harm", [lambda link: link[:-1], lambda link: link[:-1] + b"?"], ids=["cut", "changed"]
)
def test_a_small_blob_that_is_damaged(
    registry: Registry, store: Path, harm: Callable[[bytes], bytes]
) -> None:
    data = os.urandom(SMALL - 1) + b"!"
    path = f"{registry.base}/blobs/{registry.blob(data)}"
    link = store / "repositories" / registry.name / "_blobs" / "sha256" / sha256(data)[7:]
    link.write_bytes(harm(link.read_bytes()))
    assert registry.get(path).status == 503
    registry.blob(data)
    assert registry.get(path).body == data


def test_who_hangs_up_early_stops_the_reading(registry: Registry, sidecargo: Sidecargo) -> None:
    size = 256 << 20
    path = registry.begin()
    with Connection(registry.host) as connection:
        connection.send("PATCH", path, {"Content-Length": str(size)}, b"")
        running = hashlib.sha256()
        piece = bytes(1 << 20)
        for _ in range(size >> 20):
            connection.socket.sendall(piece)
            running.update(piece)
        assert connection.answer().status == 202
    digest = f"sha256:{running.hexdigest()}"
    assert registry.ask("PUT", f"{path}?digest={digest}", body=b"").status == 201
    before = bytes_read(sidecargo)
    with Connection(registry.host) as connection:
        # containerd's way: open-ended, then away.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.send("GET", f"{registry.base}/blobs/{digest}", {"Range": "bytes=1024-"})
        assert connection.socket.recv(12) == b"HTTP/1.1 206"
    # What was under way is read; the next request comes after it.
    assert registry.get("/healthz").status == 200
    assert bytes_read(sidecargo) - before < size // 4


def bytes_read(server: Sidecargo) -> int:
    lines = Path(f"/proc/{server.process.pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar:")).split()[1])
