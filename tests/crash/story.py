"""What happens to a store in these tests, step by step, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from registry.publish import ours
from registry.signing import cosign
from registry.signing.admission import ADMITTED
from registry.signing.bundle import BUNDLE_TYPE, SIGNED
from registry.signing.keys import load_public, new_key
from registry.signing.ring import KeyRing, Published
from storage import manifest as manifests
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import BlobUnknown, ManifestUnknown, NameUnknown
from storage.files import failures_told
from storage.manifest import OCI_MANIFEST, Manifest
from storage.repositories import Repository
from storage.store import Store
from tests.crash.served import LIMIT, Reply, Served, hashed
from tests.registry.consumers.build import CONFIG, OCI_LAYER, PLUGIN, Shape, descriptor, image, layer, sha256
from tests.registry.consumers.shapes import ATTESTATION
from tests.registry.wasm.binary import custom

T = TypeVar("T")

A, B = "team/a", "other"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
REPOSITORIES = (A, B)

Facts = Mapping[tuple[str, ...], str]
"""What is there, by kind and name; what is not there is not in it."""


def plugin(title: str, **more: object) -> Shape:
    """An image of one layer that nothing else has."""
    content = layer(("plugin.wasm", PLUGIN + custom("title", title.encode())))
    return image(title, [(OCI_LAYER, content)], None, more=more or None)


def layer_of(shape: Shape) -> bytes:
    """The one layer of an image."""
    return shape.blobs[shape.manifest["layers"][0]["digest"]]


ONE, TWO = plugin("one"), plugin("two")
THREE = plugin("three", subject=descriptor(OCI_MANIFEST, ONE.body))
LARGE = bytes(range(256)) * 5000
"""More than a store moves at a time."""
IMAGES = {shape.digest: shape for shape in (ONE, TWO, THREE, ATTESTATION)}
BLOBS = {sha256(data): data for shape in IMAGES.values() for data in shape.blobs.values()} | {
    sha256(LARGE): LARGE
}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a client does, in one request or in several of which each needs the one before."""

    name: str
    do: Callable[[Served], Awaitable[Reply]]

    def __str__(self) -> str:
        return self.name


def _asking(method: str, path: str, part: str = "") -> Callable[[Served], Awaitable[Reply]]:
    return lambda served: served.ask(method, path, part=part)


STORY = (
    Step("a blob in chunks", lambda s: s.chunked(A, CONFIG)),
    Step("a layer in one request", lambda s: s.blob(A, layer_of(ONE))),
    Step("an image by tag", lambda s: s.put(A, "v1", ONE)),
    Step("a layer in two requests", lambda s: s.late(A, layer_of(TWO))),
    Step("a blob that is there", lambda s: s.blob(A, CONFIG)),
    Step("an image by digest, with tags", lambda s: s.put(A, TWO.digest, TWO, "x", "y")),
    Step("a tag moves", lambda s: s.put(A, "v1", TWO)),
    Step("a mount", lambda s: s.mount(B, A, CONFIG)),
    Step("another mount", lambda s: s.mount(B, A, layer_of(TWO))),
    Step("an image of mounted blobs", lambda s: s.put(B, "v1", TWO)),
    Step("a layer of what has a subject", lambda s: s.chunked(A, layer_of(THREE), layer_of(THREE))),
    Step("an image with a subject", lambda s: s.put(A, THREE.digest, THREE)),
    Step("a tag goes", _asking("DELETE", f"/v2/{A}/manifests/x")),
    Step("an image goes", _asking("DELETE", f"/v2/{A}/manifests/{TWO.digest}")),
    Step("a referrer goes", _asking("DELETE", f"/v2/{A}/manifests/{THREE.digest}")),
    Step("a blob goes", _asking("DELETE", f"/v2/{A}/blobs/{sha256(layer_of(TWO))}")),
    Step("the image comes back: its layer", lambda s: s.blob(A, layer_of(TWO))),
    Step("the image comes back", lambda s: s.put(A, "v1", TWO)),
    Step("a large blob in one request", lambda s: s.blob(A, LARGE)),
)

PULLS = (
    Step("a manifest by tag", _asking("GET", f"/v2/{A}/manifests/v1")),
    Step("a manifest by digest", _asking("GET", f"/v2/{A}/manifests/{ONE.digest}")),
    Step("its headers", _asking("HEAD", f"/v2/{A}/manifests/v1")),
    Step("a layer", _asking("GET", f"/v2/{A}/blobs/{sha256(layer_of(ONE))}")),
    Step("a part of a blob", _asking("GET", f"/v2/{A}/blobs/{sha256(LARGE)}", "bytes=5-1279000")),
    Step("a module", _asking("GET", f"/plugins/{A}:v1/plugin.wasm")),
    Step("tags", _asking("GET", f"/v2/{A}/tags/list")),
    Step("referrers", _asking("GET", f"/v2/{A}/referrers/{ONE.digest}")),
    Step("repositories", _asking("GET", "/v2/_catalog")),
)


async def facts(store: Store, key: bytes) -> Facts:
    """What a store shows; fails where something of it is not what it says, or not all of it is there."""
    found: dict[tuple[str, ...], str] = {}
    for name in (await store.catalog()).names:
        found["repository", name] = "here"
    for name in REPOSITORIES:
        repository = store.repository(name)
        for digest in BLOBS:
            if await _blob(repository, digest) is not None:
                found["blob", name, digest] = "here"
        async for one in repository.digests():
            stored = await repository.get(one)
            assert hashed(stored.body, str(one))
            manifest = await _whole(repository, stored.body)
            found[_called(name, str(one), manifest)] = stored.descriptor.media_type
        for tag in (await repository.tags.page()).names:
            digest = str((await repository.get(tag)).digest)
            found["tag", name, tag] = digest
            if digest in IMAGES:
                assert await _signed(repository, Digest.parse(digest), key), f"{name}:{tag} is not signed"
        rows, _ = await repository.referrers.page(Digest.parse(ONE.digest))
        for row in rows:
            kind = row.annotations.get(PREDICATE_TYPE, str(row.digest))
            found["referrer", name, kind] = row.media_type
    return found


def opened(root: Path) -> Store:
    """A store in a folder, for when nobody else is at it."""
    return Store(_AtOnce(root), upload_limit=LIMIT)


class _AtOnce(DiskDriver):
    """Does without threads: most of the time that a small store takes goes into waking them."""

    async def _run(self, work: Callable[[], T], key: str | None = None) -> T:
        with failures_told(key):
            return work()


def between(seen: Facts, before: Facts, after: Facts) -> list[str]:
    """What is seen that was neither so before a step nor is so after it."""
    return [
        f"{' '.join(fact)} is {seen.get(fact)}, not {before.get(fact)} or {after.get(fact)}"
        for fact in {*seen, *before, *after}
        if seen.get(fact) not in (before.get(fact), after.get(fact))
    ]


async def _blob(repository: Repository, digest: str) -> bytes | None:
    """The bytes of a blob; None where the repository does not have it."""
    with contextlib.suppress(BlobUnknown, NameUnknown):
        blob = await repository.blobs.open(Digest.parse(digest))
        data = b"".join([piece async for piece in repository.blobs.read(blob)])
        assert hashed(data, digest), f"{digest} has other bytes"
        return data
    return None


def _called(repository: str, digest: str, manifest: Manifest) -> tuple[str, ...]:
    """What a manifest is called among the facts: a bundle holds the time, its digest is another each time."""
    if manifest.referrer_type != BUNDLE_TYPE or manifest.subject is None:
        return "manifest", repository, digest
    return "bundle", repository, str(manifest.subject.digest), manifest.annotations[PREDICATE_TYPE]


async def _whole(repository: Repository, body: bytes) -> Manifest:
    """Everything that a manifest names is there; what a delete of a blob took is not looked for."""
    manifest = manifests.parse(body, OCI_MANIFEST)
    for named in manifest.blobs():
        data = await _blob(repository, str(named.digest))
        assert data is None or len(data) == named.size
    return manifest


async def _signed(repository: Repository, digest: Digest, key: bytes) -> bool:
    try:
        stored = await repository.get(cosign.signature_tag(digest))
    except ManifestUnknown:
        return False
    document = json.loads(stored.body)
    for part in (document["config"], *document["layers"]):
        assert await _blob(repository, part["digest"]) is not None
    signed = document["layers"][-1]
    payload = await _blob(repository, signed["digest"])
    assert payload is not None
    public = load_public(key)
    cosign.verify(payload, signed["annotations"][cosign.SIGNATURE], public, digest)
    ring = KeyRing(new_key(), (Published(public),))
    kinds = {one.statement.kind for one in await ours.bundles(repository, digest, ring)}
    return kinds == {SIGNED, ADMITTED}
