"""What several writers were told by a registry, and whether all of it is true when one looks."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from registry.signing import cosign
from registry.signing.keys import load_public
from storage.digest import Digest
from tests.crash.served import hashed
from tests.crash.writer import Known
from tests.registry.talk import Answer, Connection, Registry


def check(registry: Registry, all_known: list[Known], key: bytes) -> None:
    """All that was acknowledged is there and whole; what is in doubt is settled by a look."""
    with ThreadPoolExecutor(4) as pool:
        for checked in [pool.submit(_check, registry, known, key) for known in all_known]:
            checked.result()


def _check(registry: Registry, known: Known, key: bytes) -> None:
    with Connection(registry.host) as connection:
        look = Look(connection, registry.base, key)
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
