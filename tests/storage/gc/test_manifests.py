"""Retention over whole repositories: what stays is what an oracle says."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import paths
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.gc.job import Gone
from storage.gc.retention import Keep
from storage.manifest import Descriptor
from storage.repositories import Repository
from tests.storage.conftest import objects
from tests.storage.content import image, index, put
from tests.storage.gc.scene import aged, collected, collector, filled, older, opened

pytestmark = pytest.mark.usefixtures("unsynced", "in_turn")


async def names(repository: Repository) -> tuple[list[str], list[Digest]]:
    """The tags and the manifests of a repository."""
    return list((await repository.tags.page()).names), [digest async for digest in repository.digests()]


async def images(repository: Repository, *tags: str) -> list[Digest]:
    """An image a tag, each a day older than the next one."""
    await filled(repository, *map(str.encode, tags))
    found = []
    for tag in tags:
        older(repository._driver, 1)  # type: ignore[arg-type]
        found.append((await put(repository, image(tag.encode()), tag)).digest)
    return found


async def test_the_newest_tags_stay_and_what_they_name(driver: DiskDriver, repository: Repository) -> None:
    digests = await images(repository, "a", "v1", "b", "c", "d")
    older(driver, 2)
    found = await collected(driver, Keep(last=2, tags=("v*",), digests=frozenset(digests[:1])))
    assert (found.tags, found.manifests) == (2, 1)
    tags, left = await names(repository)
    assert (tags, set(left)) == (["c", "d", "v1"], {digests[at] for at in (0, 1, 3, 4)})


async def test_the_same_digest_again_makes_a_tag_new(driver: DiskDriver, repository: Repository) -> None:
    await images(repository, "a", "b", "c")
    older(driver, 1)
    await put(repository, image(b"a"), "a")
    older(driver, 2)
    await collected(driver, Keep(last=1))
    assert (await names(repository))[0] == ["a"]


async def test_what_a_tag_named_stays_as_long_as_it_remembers(
    driver: DiskDriver, repository: Repository
) -> None:
    (old, new) = await images(repository, "a", "b")
    await repository.tag("a", await repository.get(new))
    older(driver, 5)
    assert (await collected(driver, Keep(last=5))).manifests == 0
    assert (await collector(driver, Keep(last=5), history=-1.0).run()).manifests == 1
    assert (await names(repository))[1] == [new]
    assert old != new


async def test_an_untagged_manifest_stays_for_the_days_of_the_rule(
    driver: DiskDriver, repository: Repository
) -> None:
    await filled(repository)
    await put(repository, image())
    aged(driver, 5)
    assert (await collected(driver, Keep(days=30))).manifests == 0
    assert (await collected(driver)).manifests == 0
    assert (await collected(driver, Keep())).manifests == 1


async def test_a_manifest_goes_with_all_that_belongs_to_it(
    driver: DiskDriver, repository: Repository
) -> None:
    await filled(repository, b"1", b"2", b"3")
    subject = await put(repository, image(b"1"), "old")
    signature = await put(repository, image(b"2"))
    for suffix in ("", ".sig", ".att", ".sbom"):
        await repository.tag(f"sha256-{subject.digest.hex}{suffix}", signature)
    referrer = await put(repository, image(b"3", subject=subject.descriptor))
    await put(repository, image(subject=referrer.descriptor))
    await repository.derived.keep(subject.digest, {})
    older(driver, 3)
    newest = await put(repository, image(), "new")
    told: list[Gone] = []
    found = await collector(driver, Keep(last=1), told).run()
    assert (found.tags, found.manifests, len(told)) == (5, 4, 5 + 4 + 3)
    assert await names(repository) == (["new"], [newest.digest])
    left = [
        key for key in objects(driver) if key.startswith(("repositories/team/a/_r", "repositories/team/a/_d"))
    ]
    assert left == []


async def test_signatures_of_what_is_not_here_go_with_their_tag(
    driver: DiskDriver, repository: Repository
) -> None:
    await filled(repository)
    await put(repository, image(), f"sha256-{Digest.of(b'none').hex}.sig")
    aged(driver, 3)
    assert (await collected(driver)).tags == 0
    assert (await collected(driver, Keep(last=100))).tags == 1
    assert await names(repository) == ([], [])


async def test_what_remains_of_a_manifest_that_is_not_here_goes(
    driver: DiskDriver, repository: Repository
) -> None:
    subject = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest.of(b"none"), 4)
    await repository.referrers.add(subject.digest, subject)
    await repository.derived.keep(subject.digest, {})
    stays = await put(repository, image(subject=subject))
    for one in (subject.digest, stays.digest):
        await repository.parents.note(one, [subject.digest])
    await repository.derived.keep(stays.digest, {})
    await collected(driver)
    assert len([key for key in objects(driver) if not key.startswith("trash/")]) == 9, "it is young"
    aged(driver, 2)
    await collected(driver)
    assert await repository.referrers.has(subject.digest, stays.digest)
    assert not await repository.referrers.has(subject.digest, subject.digest)
    assert await repository.parents.of(subject.digest) == [stays.digest]
    assert await repository.derived.find(stays.digest) == {}
    assert await repository.derived.find(subject.digest) is None


async def test_what_came_while_it_ran_brings_back_what_it_names(
    driver: DiskDriver, repository: Repository
) -> None:
    """As over a store that moves in two steps: a tag has come, its manifest was taken all the same."""
    (old, _) = await images(repository, "a", "b")
    stored = await repository.get(old)
    older(driver, 3)
    move = driver.move

    async def tagged(key: str, target: str, *, before: float | None = None) -> bool:
        if key == paths.manifest("team/a", old) and before:
            await repository.tags.put("again", stored.descriptor)
        return await move(key, target, before=before)

    driver.move = tagged  # type: ignore[method-assign]
    found = await collected(driver, Keep(last=1))
    assert (found.manifests, found.restored) == (1, 1)
    assert (await repository.get("again")).digest == old


@st.composite
def repositories(draw: st.DrawFn) -> tuple[list[tuple[list[int], int | None]], dict[str, int], int]:
    """Manifests by the numbers of their children and subject, tags, and how many of those stay."""
    count = draw(st.integers(1, 7))
    several = []
    for number in range(count):
        earlier = st.integers(0, number - 1) if number else st.nothing()
        children = draw(st.lists(earlier, max_size=2)) if number else []
        several.append((children, draw(st.none() | earlier) if number else None))
    tagged = draw(st.lists(st.integers(0, count - 1), max_size=4))
    return several, {f"t{at}": number for at, number in enumerate(tagged)}, draw(st.integers(0, 3))


@given(repositories())
@settings(max_examples=40)
async def test_what_stays_is_what_is_reached(
    driver: DiskDriver, drawn: tuple[list[tuple[list[int], int | None]], dict[str, int], int]
) -> None:
    several, tags, last = drawn
    for folder in ("repositories", "blobs", "trash"):
        shutil.rmtree(driver.root / folder, ignore_errors=True)
    repository = opened(driver)
    stored = []
    for number, (children, subject) in enumerate(several):
        kind = f"a/{number}"
        body = (
            index(*(stored[child].descriptor for child in children))[:-1]
            + b', "artifactType": "%s"}' % kind.encode()
            if children
            else image(kind=kind, subject=None if subject is None else stored[subject].descriptor)
        )
        stored.append(await put(repository, body))
    for tag, number in tags.items():
        older(driver, 1)
        await repository.tag(tag, stored[number])
    older(driver, 3)
    before = {one.digest for one in stored}
    await collected(driver, Keep(last=last))
    kept = list(tags)[len(tags) - min(last, len(tags)) :]
    assert (await names(repository))[0] == sorted(kept)
    alive = {tags[tag] for tag in kept}
    for _ in several:
        for number, (children, subject) in enumerate(several):
            alive |= set(children) if number in alive else set()
            alive |= {number} if subject in alive and not children else set()
    found = set((await names(repository))[1])
    assert found == {stored[number].digest for number in alive} <= before
