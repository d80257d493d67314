"""A store with one of everything, for what can be damaged in it."""

from __future__ import annotations

from dataclasses import dataclass

from storage import paths
from storage.digest import Digest
from storage.driver import Driver
from storage.fsck.check import Check, Counts, Result, Wanted
from storage.store import Store
from tests.storage.content import image, index, put, put_blob, put_signature

LIMIT = 4 << 20
REPOSITORY = "team/a"
NEAR = "team/a/b"
LAYER, SHARED, SIGNED, LARGE = b"layer", b"shared by two", b'{"signed": 1}', b"x" * 3_000_000
CONFIG = b"{}"


@dataclass(frozen=True, slots=True)
class Filled:
    """What is where: digests of the manifests, and of the blobs by their content."""

    image: Digest
    child: Digest
    index: Digest
    referrer: Digest
    signature: Digest
    near: Digest


async def fill(driver: Driver) -> Filled:
    """Make an empty store one with images, an index, a referrer, a signature, and a repository beside."""
    store = Store(driver, upload_limit=LIMIT)
    await store.open()
    repository, near = store.repository(REPOSITORY), store.repository(NEAR)
    for blob in (CONFIG, LAYER, SHARED, LARGE):
        await put_blob(repository, blob)
    for blob in (CONFIG, SHARED):
        await put_blob(near, blob)
    child = await put(repository, image(LAYER))
    first = await put(repository, image(LAYER, SHARED, LARGE), "latest", "v1")
    both = await put(repository, index(child.descriptor, first.descriptor), "multi")
    await put(repository, index(child.descriptor, first.descriptor), "latest")
    note = await put(
        repository, image(LAYER, subject=first.descriptor, kind="a/kind", annotations={"a": "ü"})
    )
    signature = await put_signature(repository, image(SIGNED), SIGNED, CONFIG)
    await repository.tags.put(f"sha256-{first.digest.hex}.sig", signature.descriptor)
    beside = await put(near, image(SHARED), "latest")
    await repository.derived.keep(first.digest, {"module": str(Digest.of(b"module"))})
    await driver.put(paths.blob(Digest.of(b"module")), b"module")
    await repository.refusals.keep(["v1"], {"why": "it"})
    await repository.uploads.start(REPOSITORY)
    return Filled(first.digest, child.digest, both.digest, note.digest, signature.digest, beside.digest)


async def checked(driver: Driver, **wanted: object) -> tuple[list[Result], Counts]:
    """What a check finds, without a wait between its looks."""
    check = Check(driver, Wanted(**{"settle": 0.0, **wanted}), lambda stage, counts: None)  # type: ignore[arg-type]
    return [result async for result in check.run()], check.counts


def told(results: list[Result]) -> list[tuple[str, str]]:
    """Kinds and keys of what was found."""
    return [(result.finding.kind.value, result.finding.key) for result in results]
