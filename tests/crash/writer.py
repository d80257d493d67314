"""A writer that pushes, moves, deletes and pulls until its server dies, and knows what must be there then."""

from __future__ import annotations

import random
import threading
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
    """

    def __init__(
        self,
        number: int,
        registry: Registry,
        known: Known,
        seed: int,
        over: threading.Event,
        dying: threading.Event,
    ) -> None:
        self.number = number
        self.known = known
        self.acknowledged = 0
        self._registry = registry
        self._chance = random.Random(seed)
        self._over = over
        self._dying = dying
        self._connection: Connection | None = None

    def write(self) -> None:
        """Do one thing after another until the server dies; raises what was not expected."""
        doing = (self._push, self._move, self._delete, self._forget, self._pull)
        try:
            while not self._over.is_set():
                self._chance.choices(doing, (6, 2, 2, 1, 4))[0]()
        except Dead:
            pass
        finally:
            if self._connection:
                self._connection.socket.close()

    def _push(self) -> None:
        if len(self.known.images) >= MOST:
            self._delete()
            return
        # An image's layer may be another writer's too; its manifest is this writer's alone.
        shared = plugin(f"shared {self._chance.randrange(SHARED)}")
        layer = layer_of(shared if self._chance.random() < 0.5 else plugin(self._chance.randbytes(8).hex()))
        shape = self._image(layer)
        for data in (CONFIG, layer):
            self._blob(data)
        self._put(self._tag(), shape)

    def _move(self) -> None:
        if self.known.images:
            self._put(self._tag(), self._chance.choice([*self.known.images.values()]))

    def _delete(self) -> None:
        if not self.known.images:
            return
        digest = self._chance.choice([*self.known.images])
        named = [tag for tag, one in self.known.tags.items() if one == digest]
        self.known.doubtful[digest] = self.known.images[digest]
        self.known.possible |= dict.fromkeys(named)
        answer = self._ask("DELETE", f"{self._registry.base}/manifests/{digest}")
        assert answer.status == 202, answer
        self._settle()
        del self.known.images[digest]
        self.known.tags |= dict.fromkeys(named)

    def _forget(self) -> None:
        if named := [tag for tag, digest in self.known.tags.items() if digest]:
            tag = self._chance.choice(named)
            self.known.possible[tag] = None
            answer = self._ask("DELETE", f"{self._registry.base}/manifests/{tag}")
            assert answer.status == 202, answer
            self._settle()
            self.known.tags[tag] = None

    def _pull(self) -> None:
        for tag, digest in self.known.tags.items():
            answer = self._ask("GET", f"{self._registry.base}/manifests/{tag}")
            assert answer.status == (200 if digest else 404), answer
            assert digest is None or hashed(answer.body, digest), answer

    def _put(self, tag: str, shape: Shape) -> None:
        if shape.digest not in self.known.images:
            self.known.doubtful[shape.digest] = shape
        self.known.possible[tag] = shape.digest
        path = f"{self._registry.base}/manifests/{tag}"
        answer = self._ask("PUT", path, shape.body, {"Content-Type": shape.media_type})
        assert answer.status == 201, answer
        self._settle()
        self.known.images[shape.digest] = shape
        self.known.tags[tag] = shape.digest

    def _settle(self) -> None:
        self.acknowledged += 1
        self.known.doubtful.clear()
        self.known.possible.clear()

    def _blob(self, data: bytes) -> None:
        begin = f"{self._registry.base}/blobs/uploads/"
        if self._chance.random() < 0.3:
            answer = self._ask("POST", f"{begin}?digest={sha256(data)}", data)
        else:
            path = self._ask("POST", begin, b"")["location"]
            cut = self._chance.randrange(len(data))
            for piece in (data[:cut], data[cut:]):
                assert self._ask("PATCH", path, piece).status == 202
            if self._chance.random() < 0.1:
                return self._blob(data)  # and the upload is left as it is
            answer = self._ask("PUT", f"{path}?digest={sha256(data)}", b"")
        assert answer.status == 201, answer
        return None

    def _ask(
        self, method: str, path: str, body: bytes | None = None, fields: dict[str, str] | None = None
    ) -> Answer:
        """The server's answer; raises Dead."""
        try:
            self._connection = self._connection or Connection(self._registry.host)
            answer = self._connection.ask(method, path, fields, body)
        except OSError as error:
            raise Dead from error
        except AssertionError as error:
            if "the stream ends" in str(error):  # an answer that is cut off is none
                raise Dead from error
            raise
        if answer.status == 503 and self._dying.is_set():
            raise Dead
        return answer

    def _image(self, layer: bytes) -> Shape:
        return with_layer(f"{self.number}-{self._chance.randbytes(6).hex()}", layer)

    def _tag(self) -> str:
        return f"w{self.number}-{self._chance.choice(TAGS)}"


def with_layer(title: str, content: bytes) -> Shape:
    """An image of this layer, which the title makes another one than all others."""
    return image(title, [(OCI_LAYER, content)], None, more={"annotations": {"title": title}})
