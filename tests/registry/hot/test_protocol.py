import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.hot.patience import Patience
from registry.hot.protocol import AGAIN, LATELY
from storage.pulls import AGENT
from tests.registry.hot.server import Client, Served, eventually, head, serving

SMALL = b"a small body"
LARGE = os.urandom(5_000_000)
QUICK = Patience(look_seconds=0.01)


def add_answers(served: Served) -> None:
    for path, key, body in (
        ("/v2/a/manifests/v1", "tag", SMALL),
        ("/v2/a/manifests/sha256:0", "digest", SMALL),
        ("/v2/a/blobs/sha256:1", "blob", LARGE),
        ("/v2/a/blobs/sha256:2", "middle", LARGE[:100_000]),
        ("/v2/a/blobs/sha256:3", "empty", b""),
    ):
        served.app.add(path, key, body)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, QUICK) as served:
        add_answers(served)
        yield served


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all that leaves nothing behind."""
    with serving(tmp_path_factory.mktemp("lasting"), QUICK) as served:
        add_answers(served)
        yield served


def etag_of(answer: bytes) -> bytes:
    found = re.search(rb"\r\netag: ([^\r]*)", answer)
    assert found is not None
    return found[1]


def test_a_hit_is_noted_as_a_pull_where_it_is_one(served: Served) -> None:
    manifest, blob = "/v2/a/manifests/v1", "/v2/a/blobs/sha256:1"
    alice = b"Authorization: Basic alice\r\n"
    served.warm(manifest, blob)
    with served.connect() as client:
        etag = etag_of(client.ask(manifest, "HEAD"))
        client.ask(blob)
        assert served.pulled._noted == {}, "who asks for headers or blobs pulls nothing"
        for extra in (
            b"User-Agent: docker/29\r\n",
            b"User-Agent: docker/29\r\nAccept: x\r\n",
            b"user-agent:" + b"x" * 500 + b"\r\nUser-Agent: y\r\n",
            alice,
            b"If-None-Match: " + etag + b"\r\nUser-Agent: helm\r\n",
        ):
            for _ in range(3):
                client.ask(manifest, extra=extra)
    assert set(served.pulled._noted) == {
        (manifest, "everybody", b"docker/29"),
        (manifest, "everybody", b"x" * AGENT),
        (manifest, "alice", b""),
        (manifest, "everybody", b"helm"),
    }
    assert served.cache.hits == 15 + 2


def test_of_hits_within_a_second_one_is_noted_and_then_again(served: Served) -> None:
    manifest = "/v2/a/manifests/v1"
    served.warm(manifest)
    times = set()
    with served.connect() as client:
        for _ in range(50):
            client.ask(manifest)
            times |= set(served.pulled._noted.values())
        assert len(times) < 50
        eventually(lambda: bool(client.ask(manifest)) and not times >= {*served.pulled._noted.values()})


def test_what_a_tag_names_now_is_noted_within_the_same_second(served: Served) -> None:
    manifest = "/v2/a/manifests/v1"
    served.warm(manifest)
    with served.connect() as client:
        client.ask(manifest)
        for pulled in ("first", "second"):
            entry = served.cache.find((manifest.encode(), "everybody"))
            assert entry is not None
            served.cache.offer(
                manifest.encode(), "everybody", entry.header_list(), entry.body, entry.witness, pulled
            )
            client.ask(manifest)
    assert {pulled for pulled, _, _ in served.pulled._noted} == {manifest, "first", "second"}


def test_heads_that_never_come_again_take_no_memory(served: Served) -> None:
    manifest = "/v2/a/manifests/v1"
    served.warm(manifest)
    with served.connect() as client:
        for number in range(LATELY + 100):
            client.ask(manifest, extra=b"User-Agent: %d\r\n" % number)
    assert len(served.protocol.hot.lately) <= LATELY
    assert len(served.pulled) == LATELY + 100


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", ["none", "other", "same", "weak", "list", "any"])
@pytest.mark.parametrize(
    "path", ["manifests/v1", "manifests/sha256:0", "blobs/sha256:1", "blobs/sha256:2", "blobs/sha256:3"]
)
def test_a_hit_has_the_bytes_of_the_slow_path(
    lasting: Served, path: str, condition: str, method: str
) -> None:
    path = f"/v2/a/{path}"
    lasting.cache.drop((path.encode(), "everybody"))
    with lasting.connect() as client:
        etag = etag_of(client.ask(path, "HEAD"))
        value = {
            "other": b'"other"',
            "same": etag,
            "weak": b"W/" + etag,
            "list": b'"x", ' + etag + b', W/"y"',
            "any": b"*",
        }.get(condition)
        extra = b"" if value is None else b"If-None-Match: " + value + b"\r\n"
        slow = client.ask(path, method, extra)
        lasting.warm(path)
        lasting.app.asked.clear()
        for _ in range(3):
            assert client.ask(path, method, extra) == slow
        assert lasting.app.asked == []
        assert slow.startswith(b"HTTP/1.1 304 " if condition not in ("none", "other") else b"HTTP/1.1 200 OK")


def test_an_audience_sees_only_what_was_decided_for_it(served: Served) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path, audience="alice")
    served.app.asked.clear()
    with served.connect() as client:
        for extra, asked in (
            (b"Authorization: Basic alice\r\n", 0),
            (b"", 1),
            (b"Authorization: Basic mallory\r\n", 2),
            (b"Authorization: Basic mallory\r\n", 3),
            (b"", 3),
        ):
            client.ask(path, extra=extra)
            assert len(served.app.asked) == asked


def test_what_is_for_everybody_is_for_whoever_is_known_too(served: Served) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path)
    served.app.asked.clear()
    with served.connect() as client:
        for _ in range(3):
            client.ask(path, extra=b"Authorization: Basic alice\r\n")
        assert served.app.asked == []
        client.ask(path, extra=b"Authorization: Basic mallory\r\n")
        assert len(served.app.asked) == 1, "whose credential is not known is nobody yet"


def test_no_credential_stays_in_memory(served: Served) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path, audience="alice")
    with served.connect() as client:
        for _ in range(3):
            client.ask(path, extra=b"Authorization: Basic alice\r\n")
        connection = served.connection
        assert b"Basic alice" in connection._last, "as long as the connection lasts"
    eventually(lambda: not served.server.server_state.connections)
    held = served.protocol.hot.heads.known
    assert held
    assert b"Basic alice" not in repr(list(held.items())).encode()
    assert b"Basic alice" not in repr(vars(connection)).encode()


def test_who_asks_the_same_again_is_looked_at_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path, audience="alice")
    served.app.asked.clear()
    with served.connect() as client:
        for _ in range(3):
            client.ask(path, extra=b"Authorization: Basic alice\r\n")
        assert served.app.asked == []
        monkeypatch.setattr(served.protocol.hot, "identify", lambda sealed: None)
        client.ask(path, extra=b"Authorization: Basic alice\r\n")
        assert len(served.app.asked) == 1, "her credential is not known any more"


def test_a_connection_remembers_no_long_head(served: Served) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path)
    served.app.asked.clear()
    with served.connect() as client:
        for size in (10, AGAIN):
            answers = {client.ask(path, extra=b"A: " + b"x" * size + b"\r\n") for _ in range(3)}
            assert len(answers) == 1
            assert len(served.connection._last) < AGAIN
    assert served.app.asked == []


@pytest.mark.parametrize("changed", ["content", "gone"])
def test_once_its_witness_has_changed_an_answer_is_never_given_again(served: Served, changed: str) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path)
    with served.connect() as client:
        before = client.ask(path)
        for round_ in range(20):
            if changed == "gone":
                (served.files.root / "tag").unlink()
                assert client.ask(path).startswith(b"HTTP/1.1 404")
            new = b"round %d" % round_
            served.app.answers[path] = ("tag", new)
            (served.files.root / "tag").write_bytes(new)
            after = [client.ask(path) for _ in range(3)]
            assert {answer.partition(b"\r\n\r\n")[2] for answer in after} == {new}
            assert before not in after
    assert served.cache.stale == 20
    assert served.cache.hits > 20


def test_what_cannot_be_known_without_waiting_is_kept(served: Served) -> None:
    path = "/v2/a/manifests/v1"
    served.warm(path)
    with served.connect() as client:
        before = client.ask(path)
        content = (served.files.root / "tag").read_bytes()
        (served.files.root / "tag").unlink()
        assert client.ask(path).startswith(b"HTTP/1.1 404")
        (served.files.root / "tag").write_bytes(content)
        asked = len(served.app.asked)
        assert client.ask(path) == before
        assert len(served.app.asked) == asked, "its bytes were not forgotten"


def test_a_moved_tag_is_never_answered_from_before_under_load(served: Served) -> None:
    # A reader that begins after a move must see that move or a later one.
    path = "/v2/a/manifests/v1"
    tag = served.files.root / "tag"
    moved = 0
    served.app.answers[path] = ("tag", b"0")
    done = threading.Event()
    wrong: list[tuple[int, int]] = []

    def read() -> None:
        with served.connect() as client:
            while not done.is_set():
                floor = moved
                seen = int(client.ask(path).rpartition(b"x-witness: ")[2].partition(b"\r\n")[0])
                if seen < floor:
                    wrong.append((floor, seen))

    tag.write_bytes(b"0")
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 300):
        draft = served.files.root / "draft"
        draft.write_bytes(b"%d" % number)
        draft.rename(tag)
        moved = number
        time.sleep(0.002)
    done.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert served.cache.hits > 0
    assert served.cache.stale > 0


def ends(client: Client, count: int) -> list[bytes]:
    return [client.answer().partition(b"\r\n\r\n")[2] for _ in range(count)]


HIT, MISS, BIG = "/v2/a/manifests/v1", "/missing", "/v2/a/blobs/sha256:1"


@pytest.mark.parametrize("size", [1, 7, 50, 10_000], ids=lambda size: f"in pieces of {size}")
@pytest.mark.parametrize(
    "paths",
    [[HIT, MISS, HIT], [HIT, HIT], [BIG, HIT, BIG, MISS, HIT], [MISS, BIG, MISS], [HIT] * 30],
    ids=["hit miss hit", "hit hit", "large hit large miss hit", "miss large miss", "30 hits"],
)
def test_pipelined_answers_come_in_order(lasting: Served, paths: list[str], size: int) -> None:
    lasting.warm(HIT, BIG)
    data = b"".join(map(head, paths))
    bodies = {HIT: SMALL, BIG: LARGE, MISS: b"no /missing"}
    with lasting.connect() as client:
        for start in range(0, len(data), size):
            client.send(data[start : start + size])
            if size == 50:
                time.sleep(0.001)
        assert ends(client, len(paths)) == [bodies[path] for path in paths]
        assert client.ask(HIT).endswith(SMALL)


def test_a_hit_does_not_overtake_a_request_under_way(served: Served) -> None:
    served.warm(HIT)
    with served.connect() as client:
        client.send(head("/wait"))
        eventually(lambda: "GET /wait" in served.app.asked)
        client.send(head(HIT))
        client.send(head(HIT, "HEAD"))
        time.sleep(0.05)
        served.app.gate.set()
        assert ends(client, 2) == [b"waited", SMALL]


def test_half_a_head_and_what_looks_like_one_is_one_request(served: Served) -> None:
    served.warm(HIT)
    served.app.asked.clear()
    with served.connect() as client:
        # Read on its own, the second packet is a plain hit; here it is the body of an upload.
        inner = head(HIT)
        client.send(head("/upload", "PUT", b"Content-Length: %d\r\n" % len(inner)))
        eventually(lambda: "PUT /upload" in served.app.asked)
        client.send(inner)
        assert client.answer().endswith(b"\r\n\r\n%d" % len(inner))
        client.send(b"GET /missing HTTP/1.1\r\nA: ")
        time.sleep(0.05)
        client.send(head(HIT))
        assert client.answer().startswith(b"HTTP/1.1 404")
        assert client.ask(HIT).endswith(SMALL)
    assert served.app.asked == ["PUT /upload", "GET /missing"]


def test_a_body_that_looks_like_a_head_behind_an_early_answer_is_a_body(served: Served) -> None:
    served.warm(HIT)
    with served.connect() as client:
        inner = head(HIT)
        client.send(head("/nowhere", "PUT", b"Content-Length: %d\r\n" % (2 * len(inner))))
        assert client.answer().endswith(b"no /nowhere")
        client.send(inner)
        time.sleep(0.05)
        client.send(inner)
        eventually(lambda: served.connection.idle)
        assert client.ask(HIT).endswith(SMALL)
    assert served.app.asked == [f"GET {HIT}", "PUT /nowhere"]
    assert served.cache.hits == 1


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_slow_readers_take_no_memory_and_get_every_byte(served: Served) -> None:
    served.warm(BIG)
    clients = []
    for _ in range(40):
        client = served.connect(receive_buffer=4096)
        client.send(head(BIG))
        clients.append(client)
    eventually(lambda: served.cache.hits == 40)
    before = resident()
    time.sleep(0.2)
    buffered = sum(
        connection.transport.get_write_buffer_size() for connection in served.server.server_state.connections
    )
    assert buffered <= 40 * (256 + 64) * 1024
    # 40 bodies would be 200 MB.
    assert resident() - before < 20_000_000
    for client in clients[:3]:
        for _ in range(100):
            client.buffer += client.sock.recv(2_000)
            time.sleep(0.001)
        client.send(head(HIT))
        assert ends(client, 2) == [LARGE, SMALL]
    for client in clients:
        client.sock.close()


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_a_peer_that_asks_on_and_on_without_reading_is_not_answered_on_and_on(
    served: Served, size: int
) -> None:
    path, body = "/often", LARGE[:size]
    served.app.add(path, "often", body)
    served.warm(path)
    with served.connect(receive_buffer=4096) as client:
        client.sock.settimeout(0.2)
        asked = 0
        try:
            while asked < 10_000:
                client.send(head(path))
                asked += 1
                time.sleep(0.0001)
        except TimeoutError:
            pass
        connection = served.connection
        eventually(lambda: connection.flow.read_paused)
        assert served.cache.hits < 10_000_000 // size
        assert connection.transport.get_write_buffer_size() < 1 << 20
        client.sock.settimeout(10)
        assert ends(client, 500) == [body] * 500


def test_what_comes_although_reading_is_paused_waits_for_its_turn(served: Served) -> None:
    served.warm(HIT, BIG)
    with served.connect(receive_buffer=4096) as client:
        client.send(head(BIG))
        eventually(lambda: served.cache.hits == 1)
        connection = served.connection
        eventually(lambda: connection.flow.read_paused)
        # No transport does so today, but the answers' order must not hang on that.
        for data in (head(HIT), head("/missing"), head(HIT)):
            connection.loop.call_soon_threadsafe(connection.data_received, data)
        assert ends(client, 4) == [LARGE, SMALL, b"no /missing", SMALL]


def test_a_peer_that_ends_its_side_gets_the_whole_answer(served: Served) -> None:
    served.warm(BIG)
    with served.connect(receive_buffer=4096) as client:
        client.send(head(BIG))
        client.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        assert client.end().endswith(LARGE)


def test_a_connection_that_is_idle_after_hits_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path, QUICK, timeout_keep_alive=2) as served:
        served.app.add(HIT, "tag", SMALL)
        served.warm(HIT)
        with served.connect() as client:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                client.ask(HIT)
                time.sleep(0.1)
            assert client.end() == b""


def test_a_large_answer_outlives_the_keep_alive_time(tmp_path: Path) -> None:
    with serving(tmp_path, QUICK, timeout_keep_alive=1) as served:
        served.app.add(BIG, "blob", LARGE)
        served.warm(BIG)
        with served.connect(receive_buffer=4096) as client:
            client.send(head(BIG))
            time.sleep(1.5)
            assert ends(client, 1) == [LARGE]
            assert client.end() == b""


def test_shutdown_closes_what_is_idle_and_finishes_what_is_under_way(served: Served) -> None:
    served.warm(HIT, BIG)
    idle, reading, waiting = served.connect(), served.connect(receive_buffer=4096), served.connect()
    idle.ask(HIT)
    reading.send(head(BIG))
    waiting.ask(HIT)
    waiting.send(head("/wait"))
    eventually(lambda: "GET /wait" in served.app.asked and served.cache.hits == 3)
    served.server.should_exit = True
    assert idle.end() == b""
    served.app.gate.set()
    assert waiting.end().endswith(b"waited")
    assert reading.end().endswith(LARGE)
    served.thread.join(10)
    assert not served.thread.is_alive()
    assert not served.server.server_state.connections
    for client in (idle, reading, waiting):
        client.sock.close()


def test_requests_are_counted(served: Served) -> None:
    with served.connect() as client:
        client.ask(HIT)
        client.ask(HIT)
        client.ask(HIT, "HEAD")
        client.ask("/missing")
    assert (served.cache.hits, served.cache.misses, served.cache.sent) == (2, 2, len(SMALL))
    assert served.server.server_state.total_requests == 4


def test_the_limit_of_concurrency_holds_for_hits(tmp_path: Path) -> None:
    with serving(tmp_path, QUICK, limit_concurrency=3) as served:
        served.app.add(HIT, "tag", SMALL)
        served.warm(HIT)
        eventually(lambda: not served.server.server_state.connections)
        clients = [served.connect() for _ in range(2)]
        assert all(client.ask(HIT).startswith(b"HTTP/1.1 200") for client in clients)
        clients.append(served.connect())
        assert clients[2].ask(HIT).startswith(b"HTTP/1.1 503")
        for client in clients:
            client.sock.close()


def test_hits_are_in_uvicorn_s_access_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tmp_path, QUICK, access_log=True, log_config=None) as served:
        served.app.add(HIT, "tag", SMALL)
        logger = logging.getLogger("uvicorn.access")
        logger.addHandler(caplog.handler)
        logger.setLevel(logging.INFO)
        try:
            with served.connect() as client:
                slow, hot = client.ask(HIT), client.ask(HIT)
                assert (slow, served.cache.hits) == (hot, 1)
                eventually(lambda: len(caplog.records) >= 2)
        finally:
            logger.removeHandler(caplog.handler)
            logger.setLevel(logging.NOTSET)
        first, second = (record.getMessage() for record in caplog.records[:2])
        assert first == second
        assert second.endswith(f'"GET {HIT} HTTP/1.1" 200')
