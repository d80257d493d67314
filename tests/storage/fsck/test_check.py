"""Every kind of damage, made by hand in a real store: found, named, mended, and gone on the second run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from storage import paths, records
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import ObjectMissing
from storage.errors import StoreUnavailable
from storage.fsck import check as under_test
from storage.fsck.check import Check, Counts, Result, Wanted
from storage.fsck.hashing import Hashed, Hashing
from storage.manifest import OCI_MANIFEST, Descriptor
from storage.store import Store
from tests.storage.content import image, put, put_blob, put_signature
from tests.storage.fsck.filled import (
    CONFIG,
    LARGE,
    LAYER,
    LIMIT,
    NEAR,
    REPOSITORY,
    SHARED,
    SIGNED,
    Filled,
    checked,
    fill,
    told,
)

Damage = Callable[[DiskDriver, Filled], Awaitable[object]]
Keys = Callable[[Filled], list[tuple[str, str]]]

ABSENT = Digest.of(b"absent")
LAYER_KEY, SHARED_KEY = paths.blob(Digest.of(LAYER)), paths.blob(Digest.of(SHARED))
LAYER_LINK = paths.blob_link(REPOSITORY, Digest.of(LAYER))
SIGNED_LINK = paths.blob_link(REPOSITORY, Digest.of(SIGNED))
LATEST, V1 = paths.tag(REPOSITORY, "latest"), paths.tag(REPOSITORY, "v1")


def at(which: str) -> Callable[[Filled], str]:
    """The key of a manifest of the filled store."""
    return lambda filled: paths.manifest(REPOSITORY, getattr(filled, which))


def row(filled: Filled) -> str:
    return paths.referrer(REPOSITORY, filled.image, filled.referrer)


async def changed(driver: DiskDriver, key: str, old: bytes, new: bytes) -> None:
    """Replace a part of an object."""
    held = await driver.get(key)
    assert old in held
    await driver.put(key, held.replace(old, new, 1))


async def old(driver: DiskDriver, key: str) -> None:
    os.utime(driver.root / key, (1, 1))


async def leftover(driver: DiskDriver) -> None:
    (driver.root / "temp/dead").write_bytes(b"part")
    await old(driver, "temp/dead")


async def unlinked(driver: DiskDriver) -> None:
    await driver.put(paths.blob(Digest.of(b"nobody's")), b"nobody's")
    await old(driver, paths.blob(Digest.of(b"nobody's")))


@dataclass(frozen=True, slots=True)
class Case:
    """A damage: what does it, what is found, what is left after the repair, and how that comes right."""

    damage: Damage
    found: Keys
    left: Keys = field(default=lambda _: [])
    then: Damage | None = None
    options: dict[str, Any] = field(default_factory=dict)


def incomplete(filled: Filled) -> list[tuple[str, str]]:
    """The manifests that name the layer."""
    return sorted(("incomplete-manifest", at(which)(filled)) for which in ("image", "child", "referrer"))


async def layer_again(driver: DiskDriver, filled: Filled) -> None:
    await put_blob(Store(driver, upload_limit=LIMIT).repository(REPOSITORY), LAYER)


async def image_again(driver: DiskDriver, filled: Filled) -> None:
    repository = Store(driver, upload_limit=LIMIT).repository(REPOSITORY)
    await put(repository, image(LAYER, SHARED, LARGE), "v1")


async def signature_again(driver: DiskDriver, filled: Filled) -> None:
    repository = Store(driver, upload_limit=LIMIT).repository(REPOSITORY)
    await put_signature(repository, image(SIGNED), SIGNED, CONFIG)


async def wrong_bytes_right_in_trash(driver: DiskDriver, filled: Filled) -> None:
    await driver.put(paths.trash(LAYER_KEY), LAYER)
    await driver.put(LAYER_KEY, b"lay3r")


async def bytes_in_trash(driver: DiskDriver, filled: Filled) -> None:
    await driver.move(LAYER_KEY, paths.trash(LAYER_KEY))


async def wrong_bytes_in_trash(driver: DiskDriver, filled: Filled) -> None:
    await driver.delete(LAYER_KEY)
    await driver.put(paths.trash(LAYER_KEY), b"lay3r")


async def link_in_trash(driver: DiskDriver, filled: Filled) -> None:
    await driver.move(LAYER_LINK, paths.trash(LAYER_LINK))


async def link_about_to_end(driver: DiskDriver, filled: Filled) -> None:
    await driver.move(LAYER_LINK, paths.unlinked(REPOSITORY, Digest.of(LAYER)))


async def child_in_trash(driver: DiskDriver, filled: Filled) -> None:
    await driver.move(at("child")(filled), paths.trash(at("child")(filled)))


async def manifest_in_trash(driver: DiskDriver, filled: Filled) -> None:
    key = at("near")(filled).replace(REPOSITORY, NEAR, 1)
    await driver.put(paths.trash(key), await driver.get(key))
    await changed(driver, key, b'"config"', b'"c0nfig"')


async def history_damaged(driver: DiskDriver, filled: Filled) -> None:
    held = await driver.get(LATEST)
    assert held.count(b"\n") == 1
    await driver.put(LATEST, held + b"\n{")


async def empty_repository(driver: DiskDriver, filled: Filled) -> None:
    await driver.put(paths.catalog("team/gone"), b"")


async def no_entry(driver: DiskDriver, filled: Filled) -> None:
    await driver.delete(paths.catalog(NEAR))


async def another_row(driver: DiskDriver, filled: Filled) -> None:
    row = Descriptor(OCI_MANIFEST, filled.child, 1)
    await driver.put(paths.referrer(REPOSITORY, filled.image, filled.child), records.write_descriptor(row))


def stray(key: str, kind: str = "stray-object", left: bool = False) -> Case:
    return Case(
        lambda driver, _: driver.put(key, b"x"),
        lambda _: [(kind, key.partition("/")[0] if kind == "foreign-object" else key)],
        left=lambda _: [(kind, key.partition("/")[0])] if left else [],
    )


CASES = {
    "nothing": Case(lambda driver, _: asyncio.sleep(0), lambda _: []),
    "bytes that rotted": Case(
        lambda driver, _: driver.put(LAYER_KEY, b"lay3r"),
        lambda _: [("wrong-bytes", LAYER_KEY)],
        left=incomplete,
        then=layer_again,
    ),
    "bytes cut short": Case(
        lambda driver, _: driver.put(LAYER_KEY, b"lay"),
        lambda _: [("wrong-bytes", LAYER_KEY), ("wrong-link", LAYER_LINK)],
        left=incomplete,
        then=layer_again,
    ),
    "bytes cut short, and not read": Case(
        lambda driver, _: driver.put(LAYER_KEY, b"lay"),
        lambda _: [("wrong-link", LAYER_LINK)],
        left=incomplete,
        then=layer_again,
        options={"hash_bytes": False},
    ),
    "bytes that rotted, and right ones in the trash": Case(
        wrong_bytes_right_in_trash, lambda _: [("wrong-bytes", LAYER_KEY)]
    ),
    "bytes gone": Case(
        lambda driver, _: driver.delete(LAYER_KEY),
        lambda _: [("missing-bytes", LAYER_LINK)],
        left=incomplete,
        then=layer_again,
    ),
    "bytes in the trash": Case(bytes_in_trash, lambda _: [("missing-bytes", LAYER_LINK)]),
    "bytes gone, and wrong ones in the trash": Case(
        wrong_bytes_in_trash,
        lambda _: [("missing-bytes", LAYER_LINK)],
        left=incomplete,
        then=layer_again,
    ),
    "a link of another size": Case(
        lambda driver, _: driver.put(LAYER_LINK, b'{"size":4}'), lambda _: [("wrong-link", LAYER_LINK)]
    ),
    "a damaged link": Case(
        lambda driver, _: driver.put(LAYER_LINK, b"{"), lambda _: [("wrong-link", LAYER_LINK)]
    ),
    "a link with other bytes in it": Case(
        lambda driver, _: changed(driver, SIGNED_LINK, b"signed", b"s1gned"),
        lambda _: [("wrong-link", SIGNED_LINK)],
        left=lambda filled: [("incomplete-manifest", at("signature")(filled))],
        then=signature_again,
    ),
    "a link in the trash": Case(link_in_trash, incomplete),
    "a link about to end": Case(link_about_to_end, incomplete),
    "a link gone": Case(
        lambda driver, _: driver.delete(LAYER_LINK), incomplete, left=incomplete, then=layer_again
    ),
    "a manifest that rotted": Case(
        lambda driver, filled: changed(driver, at("image")(filled), b'"config"', b'"c0nfig"'),
        lambda filled: [("wrong-manifest", at("image")(filled))],
        left=lambda filled: [("incomplete-manifest", at("index")(filled))],
        then=image_again,
    ),
    "a manifest that rotted, and the right one in the trash": Case(
        manifest_in_trash,
        lambda filled: [("wrong-manifest", at("near")(filled).replace(REPOSITORY, NEAR, 1))],
    ),
    "a manifest without its bytes": Case(
        lambda driver, filled: driver.put(at("child")(filled), b"{}"),
        lambda filled: [("wrong-manifest", at("child")(filled))],
        left=lambda filled: [("incomplete-manifest", at("index")(filled))],
        then=lambda driver, _: put(Store(driver, upload_limit=LIMIT).repository(REPOSITORY), image(LAYER)),
    ),
    "a manifest whose record is damaged": Case(
        lambda driver, filled: changed(driver, at("image")(filled), b'"digest"', b'"d1gest"'),
        lambda filled: [("wrong-manifest", at("image")(filled))],
    ),
    "a manifest whose record says another size": Case(
        lambda driver, filled: changed(driver, at("image")(filled), b'"size":', b'"size":1'),
        lambda filled: [("wrong-manifest", at("image")(filled)), ("wrong-tag", V1)],
    ),
    "a manifest whose record says another type": Case(
        lambda driver, filled: changed(driver, at("image")(filled), b"manifest.v1", b"index.v1"),
        lambda filled: [("wrong-manifest", at("image")(filled)), ("wrong-tag", V1)],
    ),
    "a child in the trash": Case(
        child_in_trash, lambda filled: [("incomplete-manifest", at("index")(filled))]
    ),
    "a child gone": Case(
        lambda driver, filled: driver.delete(at("child")(filled)),
        lambda filled: [("incomplete-manifest", at("index")(filled))],
        left=lambda filled: [("incomplete-manifest", at("index")(filled))],
        then=lambda driver, _: put(Store(driver, upload_limit=LIMIT).repository(REPOSITORY), image(LAYER)),
    ),
    "a child gone that may be": Case(
        lambda driver, filled: driver.delete(at("child")(filled)),
        lambda _: [],
        options={"sparse": lambda repository: repository == REPOSITORY},
    ),
    "a tag that names nothing": Case(
        lambda driver, _: driver.put(
            V1, records.write_descriptor(Descriptor(OCI_MANIFEST, ABSENT, 6))
        ),
        lambda _: [("dangling-tag", V1)],
    ),
    "a damaged tag": Case(lambda driver, _: driver.put(V1, b"{"), lambda _: [("wrong-tag", V1)]),
    "a tag of another size": Case(
        lambda driver, _: changed(driver, LATEST, b'"size":', b'"size":1'), lambda _: [("wrong-tag", LATEST)]
    ),
    "a tag whose history is damaged": Case(history_damaged, lambda _: [("wrong-tag", LATEST)]),
    "a row without its manifest": Case(
        lambda driver, filled: driver.delete(at("referrer")(filled)),
        lambda filled: [("early-referrer", row(filled))],
    ),
    "a row of what refers to nothing": Case(
        another_row,
        lambda filled: [("dangling-referrer", paths.referrer(REPOSITORY, filled.image, filled.child))],
    ),
    "a damaged row": Case(
        lambda driver, filled: driver.put(row(filled), b"{"),
        lambda filled: [("wrong-referrer", row(filled))],
    ),
    "no row": Case(
        lambda driver, filled: driver.delete(row(filled)),
        lambda filled: [("missing-referrer", at("referrer")(filled))],
    ),
    "no entry in the catalog": Case(
        no_entry, lambda _: [("missing-catalog-entry", paths.catalog(NEAR))]
    ),
    "an entry of nothing": Case(
        empty_repository, lambda _: [("empty-repository", paths.catalog("team/gone"))]
    ),
    "content that nobody names": Case(
        lambda driver, _: unlinked(driver),
        lambda _: [("unlinked-bytes", paths.blob(Digest.of(b"nobody's")))],
        left=lambda _: [("unlinked-bytes", paths.blob(Digest.of(b"nobody's")))],
        then=lambda driver, _: driver.delete(paths.blob(Digest.of(b"nobody's"))),
    ),
    "what a dead writer left": Case(
        lambda driver, _: leftover(driver), lambda _: [("leftover", "temp/dead")]
    ),
    "a stray beside bytes": stray("blobs/sha256/00/notes.txt"),
    "bytes in the wrong folder": stray(f"blobs/sha256/zz/{ABSENT.hex}"),
    "a stray beside tags": stray(f"repositories/{REPOSITORY}/_tags/not a tag"),
    "a folder of no name": stray(f"repositories/{REPOSITORY}/_others/x"),
    "a stray in the catalog": stray("catalog/Team"),
    "a stray upload": stray("uploads/mine"),
    "a stray refusal": stray("refusals/team.a/v2/deeper"),
    "a file beside the store": stray("lost+found/#1", "foreign-object", left=True),
}  # fmt: skip


@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("name", CASES)
async def test_damage(driver: DiskDriver, name: str) -> None:
    case = CASES[name]
    filled = await fill(driver)
    await case.damage(driver, filled)
    results, counts = await checked(driver, **case.options)
    assert sorted(told(results)) == sorted(case.found(filled))
    harmful = [result for result in results if result.finding.kind.harms]
    assert (counts.found, counts.mended, counts.left) == (len(harmful), 0, len(harmful))
    assert all(result.finding.what and result.finding.fix for result in results)

    await checked(driver, repair=True, **case.options)
    results, counts = await checked(driver, repair=True, **case.options)
    assert sorted(told(results)) == sorted(case.left(filled)), "after the repair"
    if case.then:
        await case.then(driver, filled)
        results, counts = await checked(driver, **case.options)
        assert told(results) == [], "after it was pushed again"
    assert counts.left == 0


async def contents(driver: DiskDriver) -> dict[str, bytes]:
    """All objects, what writers need for a moment left aside."""
    return {
        entry.key: await driver.get(entry.key)
        for top in (await driver.children("")).names
        if top not in ("temp", "locks")
        async for entry in driver.walk(top)
    }


@pytest.mark.usefixtures("unsynced")
async def test_a_check_changes_nothing_and_a_repair_nothing_that_is_right(driver: DiskDriver) -> None:
    await fill(driver)
    before = await contents(driver)
    for repair in (False, True):
        results, counts = await checked(driver, repair=repair)
        assert (results, counts.found, counts.mended, counts.left, counts.notes) == ([], 0, 0, 0, 0)
        assert counts.blobs == len([key for key in before if key.startswith("blobs/")])
        assert counts.bytes == sum(len(data) for key, data in before.items() if key.startswith("blobs/"))
        assert await contents(driver) == before


@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("name", [name for name in CASES if "row" not in name and "writer" not in name])
async def test_a_repair_destroys_nothing(driver: DiskDriver, name: str) -> None:
    """What was stored is still stored, here or in the trash; records of right content are made of it."""
    case = CASES[name]
    filled = await fill(driver)
    await case.damage(driver, filled)
    before = set((await contents(driver)).values())
    await checked(driver, repair=True, **case.options)
    after = set((await contents(driver)).values())
    lost = {data for data in before - after if not data.startswith((b"{", b'{"size":'))}
    if name != "bytes that rotted, and right ones in the trash":
        assert lost <= {b"lay3r"} if "wrong ones in the trash" in name else lost == set()


async def run(check: Check) -> list[Result]:
    return [result async for result in check.run()]


def quiet(stage: str, counts: Counts) -> None:
    pass


@pytest.mark.usefixtures("unsynced")
async def test_what_comes_right_before_the_second_look_does_not_count(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(driver)
    held = await driver.get(V1)
    await driver.put(V1, b"{")

    async def meanwhile(seconds: float) -> None:
        await driver.put(V1, held)

    monkeypatch.setattr(under_test.asyncio, "sleep", meanwhile)
    assert await run(Check(driver, Wanted(settle=9.0), quiet)) == []


@pytest.mark.usefixtures("unsynced")
async def test_what_is_written_all_the_time_does_not_count(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(driver)
    await driver.put(V1, b"{")
    os.utime(driver.root / V1, (1, 1))

    async def meanwhile(seconds: float) -> None:
        await driver.put(V1, b"{")

    monkeypatch.setattr(under_test.asyncio, "sleep", meanwhile)
    check = Check(driver, Wanted(repair=True), quiet)
    assert await run(check) == []
    assert await driver.get(V1) == b"{"


class Interrupted(Exception):
    pass


@pytest.mark.usefixtures("unsynced")
@pytest.mark.parametrize("restart", [False, True], ids=["goes on", "restarts"])
async def test_who_is_interrupted_goes_on_where_he_was(
    driver: DiskDriver, restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(driver, upload_limit=LIMIT)
    await store.open()
    repository = store.repository(REPOSITORY)
    made = sorted([paths.blob(await put_blob(repository, b"%d" % number)) for number in range(60)])
    await put(store.repository(REPOSITORY), image(), "v1")
    await driver.put(made[3], b"rotten")
    await driver.put(made[-3], b"rotten")
    reached = asyncio.Event()

    def told(stage: str, counts: Counts) -> None:
        if counts.blobs >= 20:
            reached.set()

    task = asyncio.create_task(run(Check(driver, Wanted(settle=0), told)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hashed: list[str] = []
    hash_as_before = Hashing.hashed

    async def counted(self: Hashing, key: str, algorithm: str) -> Hashed:
        hashed.append(key)
        return await hash_as_before(self, key, algorithm)

    monkeypatch.setattr(Hashing, "hashed", counted)
    check = Check(driver, Wanted(settle=0, restart=restart), quiet)
    results = await run(check)
    assert [key for kind, key in told_of(results) if kind == "wrong-bytes"] == [made[3], made[-3]]
    assert check.went_on is not restart
    assert check.counts.blobs == 60
    assert (len(set(hashed)) <= 42) is not restart
    with pytest.raises(ObjectMissing):
        await driver.get(paths.CHECKED)
    check = Check(driver, Wanted(settle=0), quiet)
    assert (len(await run(check)) >= 2, check.went_on, check.counts.blobs) == (True, False, 60)


def told_of(results: list[Result]) -> list[tuple[str, str]]:
    return sorted(told(results), key=lambda found: found[1])


@pytest.mark.usefixtures("unsynced")
async def test_an_object_that_cannot_be_read(driver: DiskDriver) -> None:
    filled = await fill(driver)

    class Failing(DiskDriver):
        async def get(self, key: str) -> bytes:
            if key == V1:
                raise StoreUnavailable("the store answers 'Input/output error'.")
            return await super().get(key)

    results, counts = await checked(Failing(driver.root), repair=True)
    assert [(kind, key) for kind, key in told(results)] == [("unreadable", V1)]
    assert (results[0].finding.what, counts.left) == ("the store answers 'Input/output error'.", 1)
    assert filled.image


@pytest.mark.usefixtures("unsynced")
async def test_a_store_that_does_not_answer_is_no_finding(driver: DiskDriver) -> None:
    await put_blob(Store(driver, upload_limit=LIMIT).repository(REPOSITORY), LAYER)

    class Gone(DiskDriver):
        async def get(self, key: str) -> bytes:
            raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        await checked(Gone(driver.root))


@pytest.mark.usefixtures("unsynced")
async def test_a_repository_that_comes_to_life_again(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that saw the entry before it was taken out of the catalog, and stores its manifest after."""
    filled = await fill(driver)
    await driver.put(paths.catalog("team/new"), b"")
    waits = 0

    async def meanwhile(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 2:
            assert "team+new" not in (await driver.children(paths.CATALOG)).names
            for blob in (CONFIG, SHARED):
                link = paths.blob_link("team/new", Digest.of(blob))
                await driver.put(link, records.write_size(len(blob)))
            body = await driver.get(paths.manifest(NEAR, filled.near))
            await driver.put(paths.manifest("team/new", filled.near), body)

    monkeypatch.setattr(under_test.asyncio, "sleep", meanwhile)
    await run(Check(driver, Wanted(repair=True), quiet))
    await driver.stat(paths.catalog("team/new"))
    monkeypatch.undo()
    assert (await checked(driver))[0] == []


@pytest.mark.usefixtures("unsynced")
async def test_more_findings_than_are_kept_in_memory(
    driver: DiskDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_MOST_SUSPECTS", 5)
    await fill(driver)
    wanted = [f"repositories/{REPOSITORY}/_tags/not a tag {number}" for number in range(100)]
    for key in wanted:
        await driver.put(key, b"")
    results, counts = await checked(driver, repair=True)
    assert sorted(key for _, key in told(results)) == sorted(wanted)
    assert (counts.found, counts.mended) == (100, 100)
    assert (await checked(driver))[0] == []
