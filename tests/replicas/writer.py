"""A writer: pushes, moves, mounts, deletes and pulls, each request at another replica, and records it all."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from registry.signing import cosign
from storage.digest import Digest
from storage.manifest import OCI_INDEX
from tests.crash.story import layer_of, plugin
from tests.crash.writer import with_layer
from tests.registry.consumers.build import CONFIG, Shape, index, sha256
from tests.replicas.collecting import FADES, FADING, WAITS
from tests.replicas.fleet import Client, Doubt
from tests.replicas.history import Change, Seen
from tests.replicas.looking import Look
from tests.replicas.sending import Sending, Unexpected

TEAMS = ("team/a", "team/b")
"""Repositories of images that their writers delete again; all of their tags are everybody's."""
STEADY = "steady"
"""Of which nothing is deleted: a few images that all writers push again and again, and tags that move."""
CI = f"{FADING}ci"
REPOSITORIES = (*TEAMS, STEADY, CI)
TAGS = {
    **dict.fromkeys(TEAMS, tuple(f"v{n}" for n in range(8))),
    STEADY: ("stable", "canary"),
    CI: tuple("abcdefgh"),
}

MOST = 5
"""Images that a writer has at a time."""
LAYERS = [layer_of(plugin(f"shared {number}")) for number in range(24)]
"""Layers of everybody: most images have one of them, so pushes name what others have sent or let go."""
POOL = [with_layer(f"steady {number}", LAYERS[number]) for number in range(12)]
_LOOKED_AT = 0.25


@dataclass(frozen=True, slots=True)
class Own:
    """An image or index of one writer, which nobody else pushes; `layer` if nobody else has that either."""

    repository: str
    shape: Shape
    layer: bytes | None = None
    children: tuple[str, ...] = ()


@dataclass(slots=True)
class Writer:
    """One of many; `pushed` are its pushes that were acknowledged."""

    number: int
    client: Client
    key: bytes
    pushed: int = 0
    doubted: int = 0
    own: dict[str, Own] = field(default_factory=dict)
    recent: deque[tuple[float, Shape]] = field(default_factory=lambda: deque(maxlen=4))

    @property
    def chance(self) -> random.Random:
        return self.client.chance

    def write(self, over: threading.Event) -> None:
        """Do one thing after another until it is over; raises what is a fault by itself."""
        doing = (
            self._new,
            self._steady,
            self._fading,
            self._index,
            self._again,
            self._delete,
            self._untag,
            self._pull,
        )
        try:
            while not over.is_set():
                self.chance.choices(doing, (6, 5, 5, 1, 4, 1, 1, 4))[0]()
        except Unexpected as found:
            self.client.history.faults.append(f"writer {self.number}: {found}")
        finally:
            self.client.close()

    # What it does

    def _new(self) -> None:
        """An image of its own, whose layer may be everybody's, or of an image of its own elsewhere."""
        if len(self.own) >= MOST:
            self._delete()
            return
        repository = self.chance.choice(TEAMS)
        elsewhere = [one for one in self.own.values() if one.repository != repository and not one.children]
        layer, alone, mount = self.chance.choice(LAYERS), False, None
        if elsewhere and self.chance.random() < 0.4:
            layer, mount = layer_of(self.chance.choice(elsewhere).shape), elsewhere[0].repository
        elif self.chance.random() < 0.5:
            layer, alone = layer_of(plugin(self.chance.randbytes(8).hex())), True
        shape = with_layer(f"{self.number} {self.chance.randbytes(8).hex()}", layer)
        by_digest = self.chance.random() < 0.2
        self._push(repository, shape, None if by_digest else self._tag(repository), mount)
        self.own[shape.digest] = Own(repository, shape, layer if alone else None)
        if self.chance.random() < _LOOKED_AT:
            Look(self.client, repository, self.key).image(shape.digest, signed=True)

    def _steady(self) -> None:
        self._push(STEADY, self.chance.choice(POOL), self._tag(STEADY))

    def _fading(self) -> None:
        """A new image in a repository with retention, or one that was pushed a moment ago."""
        young = [shape for since, shape in self.recent if time.time() - since < FADES / 3]
        if young and self.chance.random() < 0.4:
            shape = self.chance.choice(young)
        else:
            shape = with_layer(self.chance.randbytes(8).hex(), self.chance.choice(LAYERS))
        self._push(CI, shape, self._tag(CI))
        self.recent.append((time.time(), shape))

    def _index(self) -> None:
        images = [one for one in self.own.values() if not one.children]
        if not images or len(self.own) >= MOST:
            return
        child = self.chance.choice(images)
        shape = index(self.chance.randbytes(8).hex(), [(child.shape, None)], None)
        shape = Shape(
            shape.name, {**shape.manifest, "annotations": {"title": shape.name}}, None, content_type=OCI_INDEX
        )
        self._put(child.repository, shape, self._tag(child.repository), time.time())
        self.own[shape.digest] = Own(child.repository, shape, children=(child.shape.digest,))

    def _again(self) -> None:
        """An image of its own once more: a tag moves to it, or it is only sent again."""
        images = [one for one in self.own.values() if not one.children]
        if images:
            one = self.chance.choice(images)
            tag = self._tag(one.repository) if self.chance.random() < 0.7 else None
            self._push(one.repository, one.shape, tag)

    def _delete(self) -> None:
        """An image of its own goes, after a look at it; with the layer, if that is of no other image."""
        named = {child for one in self.own.values() for child in one.children}
        free = [digest for digest in self.own if digest not in named]
        if not free:
            return
        digest = self.chance.choice(free)
        one = self.own.pop(digest)
        path = f"/v2/{one.repository}"
        if Look(self.client, one.repository, self.key).image(digest, signed=True) is None:
            return  # which is recorded as what it is
        self._deleted(one.repository, digest)
        # As `cosign clean` does; whether that is done does not matter.
        with contextlib.suppress(Doubt):
            self.client.ask("DELETE", f"{path}/manifests/{cosign.signature_tag(Digest.parse(digest))}")
        others = {layer_of(other.shape) for other in self.own.values() if not other.children}
        if one.layer and one.layer not in others and self.chance.random() < 0.5:
            try:
                answer, _ = self.client.ask("DELETE", f"{path}/blobs/{sha256(one.layer)}")
            except Doubt:
                return
            self._expect(answer.status in (202, 404), f"DELETE {sha256(one.layer)}: {answer}")

    def _deleted(self, repository: str, digest: str) -> None:
        """Delete a manifest until that is answered: what it names is free to go then."""
        path = f"/v2/{repository}/manifests/{digest}"
        while True:
            try:
                answer, when = self.client.ask("DELETE", path)
            except Doubt as doubt:
                self._changed(Change(doubt.when, repository, "delete", digest, known=False))
                continue
            if answer.status == 404:
                self.client.history.seen.append(Seen(when, repository, digest, None, fresh=True))
            else:
                self._expect(answer.status == 202, f"DELETE {path}: {answer}")
                self._changed(Change(when, repository, "delete", digest))
            return

    def _untag(self) -> None:
        repository = self.chance.choice((*TEAMS, CI))
        tag = self._tag(repository)
        try:
            answer, when = self.client.ask("DELETE", f"/v2/{repository}/manifests/{tag}")
        except Doubt as doubt:
            self._changed(Change(doubt.when, repository, "untag", tag=tag, known=False))
            return
        if answer.status == 404:
            self.client.history.seen.append(Seen(when, repository, tag, None, fresh=True))
            return
        self._expect(answer.status == 202, f"DELETE {repository}:{tag}: {answer}")
        self._changed(Change(when, repository, "untag", tag=tag))

    def _pull(self) -> None:
        repository = self.chance.choice(REPOSITORIES)
        Look(self.client, repository, self.key).image(self._tag(repository))

    # How

    def _push(self, repository: str, shape: Shape, tag: str | None, mount: str | None = None) -> None:
        """Send what an image names, then the image, until it is acknowledged."""
        while True:
            since = time.time()
            for data in (CONFIG, *shape.blobs.values()):
                known = Sending(self.client, repository, data).send(mount if data != CONFIG else None)
                since = min(since, known)
            if self._put(repository, shape, tag, since):
                return
            mount = None

    def _put(self, repository: str, shape: Shape, tag: str | None, since: float) -> bool:
        """Put a manifest until it is acknowledged; whether it was. `since`: when its parts were there."""
        path = f"/v2/{repository}/manifests/{tag or shape.digest}"
        while True:
            try:
                answer, when = self.client.ask("PUT", path, shape.body, {"Content-Type": shape.media_type})
            except Doubt as doubt:
                self._changed(Change(doubt.when, repository, "put", shape.digest, tag or "", known=False))
                self.doubted += 1
                continue
            if answer.status == 404 and when.ended - since > WAITS.unlinked:
                return False  # so slow a push may find that garbage collection was faster
            self._expect(
                answer.status == 201, f"PUT {path}, whose parts were there since {since}: {answer} {when}"
            )
            self._expect(answer["docker-content-digest"] == shape.digest, f"PUT {path}: {answer}")
            self._changed(Change(when, repository, "put", shape.digest, tag or ""))
            self.pushed += 1
            return True

    def _changed(self, change: Change) -> None:
        self.client.history.changes.append(change)

    def _tag(self, repository: str) -> str:
        return self.chance.choice(TAGS[repository])

    def _expect(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise Unexpected(otherwise)
