"""A run that is killed after a push that came meanwhile: pulls miss no blob, the next run mends the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import manifest as manifests
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.errors import StoreUnavailable
from storage.gc.retention import Keep
from storage.repositories import Repository
from tests.storage.content import image, index, put
from tests.storage.gc.scene import aged, collected, filled, opened
from tests.storage.gc.test_collector import LAYER, is_whole
from tests.storage.streams import outcome

pytestmark = [pytest.mark.usefixtures("unsynced", "in_turn"), pytest.mark.slow]

CHILD = image(LAYER)
LONGER = 12
"""How many calls after the push a run is killed at most."""


@dataclass(frozen=True, slots=True)
class Case:
    """`push` names what is old by then; it gives what must be whole."""

    name: str
    keep: Keep | None
    stored: bool
    push: Callable[[Repository], Awaitable[str | Digest]]


async def image_of_a_blob(repository: Repository) -> Digest:
    manifest = manifests.parse(CHILD, "")
    assert await repository.missing(manifest) == []
    return (await repository.put(manifest, CHILD, Digest.of(CHILD))).digest


async def index_of_a_manifest(repository: Repository) -> Digest:
    body = index((await repository.get(Digest.of(CHILD))).descriptor)
    manifest = manifests.parse(body, "")
    assert await repository.missing(manifest) == []
    return (await repository.put(manifest, body, Digest.of(body))).digest


async def tag_of_a_manifest(repository: Repository) -> str:
    await repository.tag("v1", await repository.get(Digest.of(CHILD)))
    return "v1"


CASES = [
    Case("image", None, stored=False, push=image_of_a_blob),
    Case("index", Keep(last=1), stored=True, push=index_of_a_manifest),
    Case("tag", Keep(last=1), stored=True, push=tag_of_a_manifest),
]


class Interrupted:
    """A driver that lets a push come to pass before its call `at`, and fails from `last` calls later on."""

    def __init__(self, driver: DiskDriver, at: int, last: int, push: Callable[[], Awaitable[None]]) -> None:
        self._driver = driver
        self._left, self._last, self._push = at, last, push

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)

        async def call(*args: Any, **options: Any) -> Any:
            await self._count()
            return await found(*args, **options)

        async def walk(prefix: str) -> Any:
            await self._count()
            async for entry in found(prefix):
                yield entry

        return walk if name == "walk" else call

    async def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            await self._push()
        if self._left < -self._last:
            raise StoreUnavailable("the process has ended")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_killed_after_a_push(tmp_path: Path, case: Case) -> None:
    for at in range(1, 40):
        for last in range(LONGER):
            driver = DiskDriver(tmp_path / f"{at}-{last}")
            repository = opened(driver)
            await filled(repository, LAYER)
            if case.stored:
                await put(repository, CHILD)
            aged(driver, 2)
            pushed: list[str | Digest] = []

            async def push(repository: Repository = repository, pushed: list = pushed) -> None:
                found = await outcome(case.push(repository))
                # Where it is gone already, the client is told so.
                pushed += [found] if isinstance(found, str | Digest) else []

            view = Interrupted(driver, at, last, push)
            await outcome(collected(view, case.keep))  # type: ignore[arg-type]
            if pushed and case.keep is None:
                blob = await repository.blobs.open(Digest.of(LAYER), ending=True)
                assert blob.size == len(LAYER), (at, last)
            await collected(driver, case.keep)
            if pushed:
                await is_whole(repository, pushed[0])
