"""`migrate` over a real folder that the release before has written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from storage.disk import DiskDriver
from storage.store import Store
from tests.registry.commands import Ran, Runner
from tests.storage.content import image
from tests.storage.former import Former


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A storage of the format before, with one image."""

    async def fill() -> None:
        release = Former(DiskDriver(tmp_path / "data"))
        await release.open()
        await release.push("team/wasm", image(b"layer"), (b"{}", b"layer"), "v1")

    asyncio.run(fill())
    return tmp_path / "data"


def test_it_says_what_it_did_and_then_that_nothing_is_left(sidecargo: Runner, former: Path) -> None:
    ran = sidecargo("migrate", "--storage", former)
    assert ran == Ran(0, "the storage has format 2 now: 1 manifests changed\n", "")
    ran = sidecargo("migrate", "--storage", former)
    assert ran == Ran(0, "the storage has format 2 already: nothing to do\n", "")
    stored = asyncio.run(Store(DiskDriver(former), upload_limit=1).repository("team/wasm").get("v1"))
    assert stored.body == image(b"layer")


def test_json(sidecargo: Runner, former: Path) -> None:
    ran = sidecargo("migrate", "--storage", former, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"from": 1, "to": 2, "changed": 1})
    ran = sidecargo("migrate", "--storage", former, "--json")
    assert (ran.code, json.loads(ran.out)) == (0, {"from": 2, "to": 2, "changed": 0})


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "is no storage of a registry"),
        ('{"format":3}', "Run the release that wrote it, or a newer one."),
    ],
)
def test_what_it_cannot_migrate(sidecargo: Runner, tmp_path: Path, held: str | None, said: str) -> None:
    if held:
        (tmp_path / "format").write_text(held)
    ran = sidecargo("migrate", "--storage", tmp_path)
    assert ran.code == 2
    assert said in ran.err


def test_garbage_collection_says_that_it_waits_for_it(sidecargo: Runner, former: Path) -> None:
    ran = sidecargo("gc", "--storage", former)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.strip().splitlines() == [
        "error: the store has content of format 1. When no older release serves it any more, "
        "run sidecargo migrate."
    ]
