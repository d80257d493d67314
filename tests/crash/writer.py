"""A writer that pushes, moves, deletes and pulls until its server dies, and knows what must be there then."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.crash.served import hashed
from tests.crash.story import layer_of, plugin
from tests.registry.consumers.build import CONFIG, OCI_LAYER, Shape, image, sha256
from tests.registry.talk import Answer, Connection, Registry

SHARED = 6
"""Plugins that every writer pushes, so that several push the same blobs at once."""
MOST = 6
"""Images that a writer has at a time, at most."""
TAGS = ("v1", "v2", "latest")
SECONDS = 60
"""How long an answer may take."""


class Dead(Exception):
    """The server is gone: what was asked may have been done or not."""


@dataclass
class Known:
    """What a writer was told: its images by digest, and what its tags name, None where that is nothing.

    Of a request without an answer, `doubtful` are the images that it may have made or removed, and `possible`
    is what it may have made of tags.
    """

    images: dict[str, Shape] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    doubtful: dict[str, Shape] = field(default_factory=dict)
    possible: dict[str, str | None] = field(default_factory=dict)


class Writer:
    """Writes to one repository of a registry, under tags and with images of its own, until it is `over`.

    Once the server is `dying`, it may say that a process beside it has gone first: nothing was done then.
    What it uploads goes to any of the `hosts`, all else to the registry's own.
    """

    def __init__(
        self,
        number: int,
        registry: Registry,
        known: Known,
        seed: int,
        over: threading.Event,
        dying: threading.Event,
        hosts: Sequence[str] = (),
    ) -> None:
        self.number = number
        self.known = known
        self.acknowledged = 0
        self.registry = registry
        self.chance = random.Random(seed)
        self._hosts = hosts or (registry.host,)
        self.over = over
        self._dying = dying
        self._connections: dict[str, Connection] = {}

    def write(self) -> None:
        """Do one thing after another until the server dies; raises what was not expected."""
        doing = (self._push, self._move, self._delete, self._forget, self._pull)
        try:
            while not self.over.is_set():
                self.chance.choices(doing, (6, 2, 2, 1, 4))[0]()
        except Dead:
            pass
        finally:
            for connection in self._connections.values():
                connection.socket.close()

    def _push(self) -> None:
        if len(self.known.images) >= MOST:
            self._delete()
            return
        # An image's layer may be another writer's too; its manifest is this writer's alone.
        layer = self.layer()
        shape = self._image(layer)
        for data in (CONFIG, layer):
            self.told(lambda data=data: self.upload(data), 201)  # type: ignore[misc]
        self._put(self._tag(), shape)

    def _move(self) -> None:
        if self.known.images:
            self._put(self._tag(), self.chance.choice([*self.known.images.values()]))

    def _delete(self) -> None:
        if not self.known.images:
            return
        digest = self.chance.choice([*self.known.images])
        named = [tag for tag, one in self.known.tags.items() if one == digest]
        self.known.doubtful[digest] = self.known.images[digest]
        self.known.possible |= dict.fromkeys(named)
        self.told(lambda: self.ask("DELETE", f"{self.registry.base}/manifests/{digest}"), 202)
        self._settle()
        del self.known.images[digest]
        self.known.tags |= dict.fromkeys(named)

    def _forget(self) -> None:
        if named := [tag for tag, digest in self.known.tags.items() if digest]:
            tag = self.chance.choice(named)
            self.known.possible[tag] = None
            self.told(lambda: self.ask("DELETE", f"{self.registry.base}/manifests/{tag}"), 202)
            self._settle()
            self.known.tags[tag] = None

    def _pull(self) -> None:
        for tag, digest in self.known.tags.items():
            path = f"{self.registry.base}/manifests/{tag}"
            answer = self.told(lambda path=path: self.ask("GET", path), 200 if digest else 404)  # type: ignore[misc]
            assert digest is None or hashed(answer.body, digest), answer

    def _put(self, tag: str, shape: Shape) -> None:
        if shape.digest not in self.known.images:
            self.known.doubtful[shape.digest] = shape
        self.known.possible[tag] = shape.digest
        path = f"{self.registry.base}/manifests/{tag}"
        self.told(lambda: self.ask("PUT", path, shape.body, {"Content-Type": shape.media_type}), 201)
        self._settle()
        self.known.images[shape.digest] = shape
        self.known.tags[tag] = shape.digest

    def _settle(self) -> None:
        self.acknowledged += 1
        self.known.doubtful.clear()
        self.known.possible.clear()

    def layer(self) -> bytes:
        """What the next image holds."""
        shared = plugin(f"shared {self.chance.randrange(SHARED)}")
        return layer_of(shared if self.chance.random() < 0.5 else plugin(self.chance.randbytes(8).hex()))

    def upload(self, data: bytes) -> Answer:
        """Send a blob in one of the ways that there are; the last answer."""
        begin = f"{self.registry.base}/blobs/uploads/"
        if self.chance.random() < 0.3:
            return self.ask("POST", f"{begin}?digest={sha256(data)}", data, host=self._host())
        begun = self.ask("POST", begin, b"", host=self._host())
        assert begun.status == 202, begun
        self.send(begun["location"], data)
        if self.chance.random() < 0.1:
            return self.upload(data)  # and the upload is left as it is
        return self.finish(begun["location"], data)

    def send(self, path: str, data: bytes) -> None:
        """Send a blob in two chunks."""
        cut = self.chance.randrange(len(data))
        for piece in (data[:cut], data[cut:]):
            answer = self.ask("PATCH", path, piece, host=self._host())
            assert answer.status == 202, answer

    def finish(self, path: str, data: bytes) -> Answer:
        """Make what was sent a blob."""
        return self.ask("PUT", f"{path}?digest={sha256(data)}", b"", host=self._host())

    def told(self, work: Callable[[], Answer], status: int) -> Answer:
        """The answer to work, which must be of this status; raises Dead."""
        answer = work()
        assert answer.status == status, answer
        return answer

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
        *,
        host: str = "",
    ) -> Answer:
        """The answer of a server; raises Dead."""
        host = host or self.registry.host
        try:
            connection = self._connections.get(host) or Connection(host, SECONDS)
            self._connections[host] = connection
            answer = connection.ask(method, path, fields, body)
        except OSError as error:
            raise Dead from error
        except AssertionError as error:
            if "the stream ends" in str(error):  # an answer that is cut off is none
                raise Dead from error
            raise
        if answer.status == 503 and self._dying.is_set():
            raise Dead
        return answer

    def _host(self) -> str:
        return self.chance.choice(self._hosts)

    def _image(self, layer: bytes) -> Shape:
        return with_layer(f"{self.number}-{self.chance.randbytes(6).hex()}", layer)

    def _tag(self) -> str:
        return f"w{self.number}-{self.chance.choice(TAGS)}"


def with_layer(title: str, content: bytes) -> Shape:
    """An image of this layer, which the title makes another one than all others."""
    return image(title, [(OCI_LAYER, content)], None, more={"annotations": {"title": title}})
