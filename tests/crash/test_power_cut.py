"""A power cut at every moment of a story, with what was not synced lost in every way that `cut` knows."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from registry.keyring import signing_key
from storage import manifest as manifests
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.store import Store
from tests.crash import calls, cut, story
from tests.crash.calls import Call
from tests.crash.cut import Recording, Tree
from tests.crash.served import serve
from tests.crash.story import A, Facts
from tests.registry.consumers.build import CONFIG
from tests.storage.streams import outcome, pieces

PASSING = ("store/temp", "store/locks", "store/uploads")
"""Folders in which nothing is kept."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far the changes had come when a step ended, and what was to be seen then."""

    step: str
    end: int
    facts: Facts


@pytest.mark.slow
async def test_of_what_was_acknowledged_nothing_is_lost(
    in_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first start of a store on: the folder that it is in is all that is there before."""
    disk, recording, moments = in_memory / "disk", Recording(), [Moment("nothing", 0, {})]
    disk.mkdir()
    root = disk / "store"
    with calls.seen(disk, recording):
        served = await serve(root)
    key = signing_key([], root).public_pem
    moments.append(Moment("start", len(recording.changes), await story.facts(opened(root), key)))
    for step in story.STORY:
        with calls.seen(disk, recording):
            assert (await step.do(served)).ok, step
        moments.append(Moment(step.name, len(recording.changes), await story.facts(opened(root), key)))
    assert recording.tree() == cut.taken(disk), "the recording misses something"

    monkeypatch.setattr("os.fsync", lambda file: None)
    tried = 0
    for before, after in pairwise(moments):
        met: set[frozenset[Any]] = set()
        for end in range(before.end + 1, after.end + 1):
            for tree in cut.trees(recording.changes[:end], PASSING):
                state = frozenset(tree.items())
                # Once it is acknowledged, what was true before is no excuse any more.
                earlier = after if end == after.end else before
                if state in met and earlier is before:
                    continue
                met.add(state)
                tried += 1
                try:
                    await look(in_memory / "left", tree, key, earlier, after)
                except Exception as error:
                    raise AssertionError(
                        f"{after.step}: after {end - before.end} of {after.end - before.end} changes, "
                        f"the last of them {recording.changes[end - 1]}"
                    ) from error
    assert tried > 5 * len(story.STORY)


async def look(disk: Path, tree: Tree, key: bytes, before: Moment, after: Moment) -> None:
    """Start on what is left: it must show what was before or is after, take the push again, and be tidy."""
    cut.put(tree, disk)
    root = disk / "store"
    try:
        if before.end:
            assert signing_key([], root).public_pem == key, "what was signed cannot be verified any more"
        store = opened(root)
        await store.open()
        assert not story.between(await story.facts(store, key), before.facts, after.facts)
        await push_again(store)
        await store.sweep(age=-10)
        assert [*(root / "temp").iterdir(), *root.glob("uploads/*")] == []
    finally:
        shutil.rmtree(disk)


async def push_again(store: Store) -> None:
    """Push an image by a session and whole, and pull it."""
    repository, image = store.repository(A), story.TWO
    session = await repository.uploads.start(A)
    session = await repository.uploads.extend(session, pieces(CONFIG))
    await repository.uploads.finish(session, Digest.of(CONFIG), repository.blobs)
    layer = story.layer_of(image)
    await repository.uploads.single(Digest.of(layer), pieces(layer), repository.blobs)
    stored = await repository.put(
        manifests.parse(image.body, image.media_type), image.body, Digest.parse(image.digest)
    )
    await repository.tag("again", stored)
    assert (await repository.get("again")).body == image.body
    assert not await repository.missing(manifests.parse(image.body, image.media_type))


def opened(root: Path) -> Store:
    return story.opened(root)


# Calls of the driver that no step of the story makes

Doing = Callable[[DiskDriver], Awaitable[object]]

DRIVER: dict[str, Doing] = {
    "put": lambda driver: driver.put("a/b/c", b"new"),
    "put over another": lambda driver: driver.put("a/old", b"new"),
    "put_in_order": lambda driver: driver.put_in_order([{"a/b/c": b"new"}, {"d/e": b"new"}]),
    "create": lambda driver: driver.create("a/b/c", b"new"),
    "replace": lambda driver: driver.replace("a/old", b"new", b"old"),
    "put_stream": lambda driver: driver.put_stream("a/b/c", pieces(b"n", b"e", b"w")),
    "publish": lambda driver: driver.publish("uploads/1", "a/b/c", 3),
    "move": lambda driver: driver.move("a/old", "trash/a/old"),
    "move over another": lambda driver: driver.move("a/old", "a/other"),
    "delete": lambda driver: driver.delete("a/old"),
    "delete of the last one": lambda driver: driver.delete("last/one"),
}


@pytest.mark.parametrize("do", DRIVER.values(), ids=DRIVER)
async def test_a_call_of_the_driver(in_memory: Path, do: Doing) -> None:
    """Before it returns, each object is as it was or as it will be; then it is as it will be."""
    root, recording = in_memory / "store", Recording()
    root.mkdir()
    with calls.seen(root, recording):
        driver = DiskDriver(root)
        for key in ("a/old", "a/other", "last/one", "x/stays"):
            await driver.put(key, b"old")
        await driver.stage("uploads/1")
        await driver.extend("uploads/1", 0, pieces(b"new"))
        begin, before = len(recording.changes), objects(recording.tree())
        await do(driver)
    assert recording.tree() == cut.taken(root), "the recording misses something"
    after, tried = objects(recording.tree()), 0
    assert after != before
    for end in range(begin, len(recording.changes) + 1):
        for tree in cut.trees(recording.changes[:end], ("temp", "locks", "uploads")):
            seen = objects(tree)
            is_over = end == len(recording.changes)
            for key in {*before, *after}:
                allowed = {after.get(key)} if is_over else {before.get(key), after.get(key)}
                assert seen.get(key) in allowed, (key, recording.changes[begin:end])
            # What moves is under the one name or under the other.
            assert is_over or "move" not in str(do) or {"a/old", "trash/a/old"} & set(seen)
            tried += 1
    assert tried > 2


def objects(tree: Tree) -> dict[str, bytes]:
    """What is kept in a tree."""
    passing = ("temp", "locks", "uploads")
    return {
        path: data for path, data in tree.items() if data is not None and path.split("/")[0] not in passing
    }


@pytest.mark.parametrize("write", ["put", "create", "create what is there", "put_stream"])
async def test_a_folder_that_another_writer_has_not_synced_yet(in_memory: Path, write: str) -> None:
    """One writer makes folders and comes to the first sync of them; another one puts an object there."""
    root, recording = in_memory / "store", Recording()
    root.mkdir()
    waits, goes_on = threading.Event(), threading.Event()
    first: list[int] = []

    def around(call: Call, do: Callable[..., Any], /) -> Any:
        is_first = threading.get_ident() in first
        if call.name == "mkdir" and not first:
            first.append(threading.get_ident())
        if call.name == "fsync" and is_first and not call.path.startswith("temp/"):
            waits.set()
            assert goes_on.wait(20)
        return recording(call, do)

    with calls.seen(root, recording):
        one, other = DiskDriver(root), DiskDriver(root)
    with calls.seen(root, around):
        task = asyncio.create_task(one.put("a/b/one", b"one"))
        assert await asyncio.to_thread(waits.wait, 20)
        if write == "put_stream":
            await other.put_stream("a/b/other", pieces(b"o", b"ther"))
        elif write == "create what is there":
            await outcome(other.create("a/b/one", b"one"))
        else:
            await getattr(other, write)("a/b/other", b"other")
        acknowledged = len(recording.changes)
        goes_on.set()
        await task
    kept = "a/b/one" if write == "create what is there" else "a/b/other"
    for tree in cut.trees(recording.changes[:acknowledged], ("temp", "locks")):
        assert objects(tree).get(kept) == kept.rpartition("/")[2].encode()
