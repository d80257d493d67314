"""The essentials of a run over both kinds of a store: what goes, ends at any call, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from storage import manifest as manifests
from storage import paths
from storage.digest import Digest
from storage.driver import Driver
from storage.errors import BlobUnknown, ManifestUnknown, StoreUnavailable
from storage.gc.job import Collected, Gone
from storage.gc.retention import Keep
from storage.repositories import Repository
from storage.trash import Trash
from tests.storage.both import Drivers, contents, over_both
from tests.storage.content import image, index, put, put_signature
from tests.storage.gc.scene import PLAIN, collected, collector, filled, in_days, opened
from tests.storage.streams import collect, outcome

LAYER, OTHER, STRAY = b"a layer", b"another layer", b"a stray"
NONE = Keep(days=1)

pytestmark = [over_both, pytest.mark.usefixtures("unsynced", "in_turn")]


async def live(driver: Driver) -> set[str]:
    """The keys of all that is not in the trash."""
    return {key for key in await contents(driver) if not key.startswith("trash/")}


async def has(driver: Driver, *contents_of: bytes) -> list[bool]:
    """Whether these bytes are where shared ones are."""
    keys = await live(driver)
    return [paths.blob(Digest.of(data)) in keys for data in contents_of]


async def is_whole(repository: Repository, reference: str | Digest) -> None:
    stored = await repository.get(reference)
    manifest = manifests.parse(stored.body, "")
    for child in manifest.manifests:
        await is_whole(repository, child.digest)
    for blob in manifest.blobs():
        found = await repository.blobs.open(blob.digest)
        assert Digest.of(await collect(repository.blobs.read(found))) == blob.digest


async def test_what_nothing_names_goes_in_steps(drivers: Drivers, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = drivers()
    repository = opened(driver)
    await filled(repository, LAYER, STRAY)
    await put(repository, image(LAYER), "v1")
    assert await collected(driver) == Collected(repositories=1), "it is young"
    in_days(monkeypatch, 2)
    before, told = await contents(driver), list[Gone]()
    dry = await collector(driver, told=told).run(dry=True)
    assert (dry.links, dry.contents, [gone.name for gone in told]) == (1, 1, [str(Digest.of(STRAY))] * 2)
    assert await contents(driver) == before
    assert await collected(driver) == Collected(repositories=1, links=1)
    assert await outcome(repository.blobs.find(Digest.of(STRAY))) is BlobUnknown
    assert await has(driver, LAYER, STRAY) == [True, True]
    in_days(monkeypatch, 4)
    assert await collected(driver) == Collected(repositories=1, contents=1, content_bytes=len(STRAY))
    assert await has(driver, LAYER, STRAY) == [True, False]
    in_days(monkeypatch, 20)
    assert (await collected(driver)).purged == 2
    assert not [key for key in await contents(driver) if key.startswith("trash/")]
    await is_whole(repository, "v1")


async def test_what_went_comes_back_with_its_signatures(
    drivers: Drivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = drivers()
    repository = opened(driver)
    await filled(repository, LAYER, OTHER)
    pushed = await put(repository, image(LAYER), "v1")
    signature = await put_signature(repository, image(b"payload"), b"payload", PLAIN)
    await repository.tag(f"sha256-{pushed.digest.hex}.sig", signature)
    for days in (3, 6, 9):
        in_days(monkeypatch, days)
        await collected(driver, NONE)
    assert await live(driver) == {paths.catalog("team/a")}
    for gone in ("v1", pushed.digest, signature.digest):
        assert await outcome(repository.find(gone)) is ManifestUnknown
    restored = await Trash(driver, repository.name).restore("v1")
    assert set(restored.manifests) == {pushed.digest, signature.digest}
    assert restored.missing == []
    await is_whole(repository, "v1")
    await is_whole(repository, f"sha256-{pushed.digest.hex}.sig")


class Ending:
    """A driver that fails from its call `last` on; over S3 each call that goes out is one."""

    def __init__(self, driver: Any, last: int) -> None:
        self._left = last
        self.ended = False
        self._driver = driver

    def __enter__(self) -> Driver:
        client = getattr(self._driver, "client", None)
        if client is None:
            return self  # type: ignore[return-value]
        self._call = client.call

        async def call(*args: Any, **said: Any) -> Any:
            self._count()
            return await self._call(*args, **said)

        client.call = call
        return self._driver  # type: ignore[no-any-return]

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_call"):
            del self._driver.client.call

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)

        async def call(*args: Any, **options: Any) -> Any:
            self._count()
            return await found(*args, **options)

        async def walk(prefix: str) -> Any:
            self._count()
            async for entry in found(prefix):
                yield entry

        return walk if name == "walk" else call

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.ended = True
            raise StoreUnavailable("the process has ended")


@pytest.mark.slow
async def test_killed_at_each_call_and_run_again(drivers: Drivers, monkeypatch: pytest.MonkeyPatch) -> None:
    """One store, killed again and again: each run goes on where the one before was ended."""
    driver = drivers()
    repository = opened(driver)
    keep = Keep(tags=("v2",), days=1)
    for last in range(0, 200, 1 if hasattr(driver, "root") else 3):
        in_days(monkeypatch, 0)
        await filled(repository, LAYER, OTHER, STRAY)
        old = await put(repository, index((await put(repository, image(LAYER))).descriptor), "v1")
        await repository.tag(f"sha256-{old.digest.hex}.sig", await put(repository, image(STRAY)))
        await put(repository, image(OTHER), "v2")
        in_days(monkeypatch, 3)
        ending = Ending(driver, last)
        with ending as view:
            await outcome(collected(view, keep))
        await is_whole(repository, "v2")
        if not ending.ended:
            break
    assert last > 20
    for days in (6, 9, 12):
        in_days(monkeypatch, days)
        await collected(driver, keep)
    left = await live(driver)
    assert await has(driver, LAYER, OTHER, STRAY) == [False, True, False]
    assert {key for key in left if "/_tags/" in key} == {paths.tag("team/a", "v2")}
    assert len([key for key in left if "/_manifests/" in key]) == 1
    await is_whole(repository, "v2")
