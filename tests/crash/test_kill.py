"""Servers that are killed while eight writers push: what was acknowledged is there when they start again."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry.signing import cosign
from registry.signing.keys import load_public
from storage.digest import Digest
from tests.crash.served import hashed
from tests.crash.writer import Known, Writer
from tests.real import sidecargo
from tests.real.process import free_port
from tests.real.sidecargo import Sidecargo
from tests.registry.talk import Answer, Connection, Registry, eventually, family

KILLS = int(os.environ.get("SIDECARGO_KILLS", "0"))
"""How many kills `make soak` asks for; 0 in an ordinary run."""
WRITERS = 8
LONGEST = 1.2
"""Seconds that the writers have before a kill, at most."""


@dataclass
class History:
    """What all writers know of one repository."""

    registry: Registry
    known: list[Known] = field(default_factory=lambda: [Known() for _ in range(WRITERS)])
    acknowledged: int = 0

    def write(self, seed: int, during: Callable[[threading.Event], None]) -> None:
        """Let the writers write for as long as `during` takes, which says when it begins to kill."""
        over, dying = threading.Event(), threading.Event()
        writers = [
            Writer(number, self.registry, known, seed * WRITERS + number, over, dying)
            for number, known in enumerate(self.known)
        ]
        with ThreadPoolExecutor(WRITERS) as pool:
            writing = [pool.submit(writer.write) for writer in writers]
            try:
                during(dying)
            finally:
                over.set()
        for one in writing:
            one.result()
        self.acknowledged += sum(writer.acknowledged for writer in writers)

    def check(self, key: bytes) -> None:
        """All that was acknowledged is there and whole; what is in doubt is settled by a look."""
        with ThreadPoolExecutor(4) as pool:
            for checked in [pool.submit(self._check, known, key) for known in self.known]:
                checked.result()

    def _check(self, known: Known, key: bytes) -> None:
        with Connection(self.registry.host) as connection:
            look = Look(connection, self.registry.base, key)
            for tag in {*known.tags, *known.possible}:
                named = look.tag(tag)
                expected = {known.tags.get(tag), known.possible.get(tag, known.tags.get(tag))}
                assert named in expected, f"{tag} names {named}, not one of {expected}"
                known.tags[tag] = named
            tagged = {digest for digest in known.tags.values() if digest}
            for digest, shape in {**known.images, **known.doubtful}.items():
                is_there = look.image(digest, shape.body)
                acknowledged = digest in known.images and digest not in known.doubtful
                assert is_there or not (acknowledged or digest in tagged), f"{digest} is gone"
                if acknowledged or digest in tagged:
                    look.signed(digest)
                    known.images[digest] = shape
                elif not is_there:
                    known.images.pop(digest, None)
            assert tagged <= set(known.images)
        known.doubtful.clear()
        known.possible.clear()


@dataclass(frozen=True, slots=True)
class Look:
    """Pulls, in which every body is held against its digest."""

    connection: Connection
    base: str
    key: bytes

    def get(self, path: str) -> Answer:
        answer = self.connection.ask("GET", f"{self.base}/{path}")
        assert answer.status in (200, 404), answer
        assert answer.status == 404 or hashed(answer.body, answer["docker-content-digest"]), answer
        return answer

    def tag(self, tag: str) -> str | None:
        """What a tag names."""
        answer = self.get(f"manifests/{tag}")
        return answer["docker-content-digest"] if answer.status == 200 else None

    def image(self, digest: str, body: bytes) -> bool:
        """Whether an image is there; then its blobs are, too."""
        answer = self.get(f"manifests/{digest}")
        if answer.status == 404:
            return False
        assert answer.body == body
        self._blobs(answer.body)
        return True

    def signed(self, digest: str) -> None:
        """Its signature is there and holds."""
        answer = self.get(f"manifests/{cosign.signature_tag(Digest.parse(digest))}")
        assert answer.status == 200, f"{digest} has no signature"
        (layer,) = answer.json["layers"]
        payload = self._blobs(answer.body)[layer["digest"]]
        cosign.verify(
            payload, layer["annotations"][cosign.SIGNATURE], load_public(self.key), Digest.parse(digest)
        )

    def _blobs(self, manifest: bytes) -> dict[str, bytes]:
        document, found = json.loads(manifest), {}
        for part in (document["config"], *document["layers"]):
            answer = self.get(f"blobs/{part['digest']}")
            assert answer.status == 200, f"{part['digest']} is gone"
            found[part["digest"]] = answer.body
        return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kills"), [(1, KILLS * 2 // 3 or 20), (2, KILLS // 3 or 10)], ids=["1 worker", "2 workers"]
)
def test_what_was_acknowledged_survives(tmp_path: Path, workers: int, kills: int) -> None:
    """Everything is killed, or one worker of two; writers go on with what they know."""
    chance, port = random.Random(f"{workers} {KILLS}"), free_port()
    history = History(Registry(f"127.0.0.1:{port}", "t/shared"))

    def start() -> Sidecargo:
        return sidecargo.start(tmp_path, "--workers", str(workers), port=port)

    server = start()
    key = server.public_key(tmp_path / "key").read_bytes()
    try:
        for at in range(kills):
            is_whole = workers == 1 or chance.random() < 0.7

            def kill(dying: threading.Event, running: Sidecargo = server, is_whole: bool = is_whole) -> None:
                time.sleep(chance.uniform(0.02, LONGEST))
                dying.set()
                if is_whole:
                    running.process.kill()
                else:
                    os.kill(chance.choice(workers_of(running)), signal.SIGKILL)
                    time.sleep(chance.uniform(0.0, 0.5))

            history.write(at, kill)
            if is_whole:
                server = start()
            assert server.public_key(tmp_path / "key").read_bytes() == key
            history.check(key)
        assert history.acknowledged > kills
        server.stop()
        settings = tmp_path / "settings.yaml"
        settings.write_text("timeouts: {uploads: 1s}\n")
        server = sidecargo.start(tmp_path, "--workers", str(workers), port=port, settings=settings)
        eventually(lambda: leftovers(tmp_path / "data") == [], 60)
        history.check(key)
    finally:
        server.process.kill()
    assert "Traceback" not in server.process.said(10_000)


def workers_of(server: Sidecargo) -> list[int]:
    """The processes that serve beside a supervisor."""
    found = []
    for pid in family(server.process.pid)[1:]:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"spawn_main" in command:
            found.append(pid)
    return found


def leftovers(data: Path) -> list[str]:
    """What uploads and writers that died have left in a store; a server that runs has a folder of its own."""
    uploads = os.listdir(data / "uploads") if (data / "uploads").is_dir() else []  # noqa: PTH208
    temporary = os.listdir(data / "temp")  # noqa: PTH208
    return [*uploads, *(name for name in temporary if not name.startswith("metrics-"))]
