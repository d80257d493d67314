"""What is reached, against an oracle: random graphs of indexes, referrers, signatures and histories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import attached, paths
from storage.digest import Digest
from storage.driver import Entry
from storage.gc.graph import SCHEMA, Graph, Read, blob_name
from storage.gc.marks import Marks
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from storage.tags import Former, History


def digest(number: int) -> Digest:
    return Digest.of(b"%d" % number, "sha512" if number % 5 == 4 else "sha256")


def named(number: int, kind: str = OCI_MANIFEST) -> Descriptor:
    return Descriptor(kind, digest(number), number)


@dataclass
class Drawn:
    """A graph: of each manifest its children and subject; tags with what they name and named; roots."""

    children: list[list[int]] = field(default_factory=list)
    subjects: list[int | None] = field(default_factory=list)
    young: list[bool] = field(default_factory=list)
    tags: dict[str, tuple[int, list[tuple[int, bool]]]] = field(default_factory=dict)
    protected: list[int] = field(default_factory=list)

    def alive(self) -> set[int]:
        """What is reached, the slow way: until nothing comes any more."""
        reached = {number for number, young in enumerate(self.young) if young} | set(self.protected)
        for tag, (now, former) in self.tags.items():
            if attached.stem_of(tag) is None:
                reached |= {now, *(number for number, is_remembered in former if is_remembered)}
        while True:
            before = len(reached)
            for number, (children, subject) in enumerate(zip(self.children, self.subjects, strict=True)):
                if number in reached:
                    reached.update(children)
                if subject in reached:
                    reached.add(number)
            for tag, (now, _) in self.tags.items():
                for number in set(range(len(self.children))) & reached:
                    if attached.stem_of(tag) == attached.stem(digest(number)):
                        reached.add(now)
            if len(reached) == before:
                return reached


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    drawn, count = Drawn(), draw(st.integers(0, 9))
    any_number = st.integers(0, max(count, 1))  # one of them is not here
    for _ in range(count):
        drawn.children.append(draw(st.lists(any_number, max_size=2)))
        drawn.subjects.append(draw(st.none() | any_number))
        drawn.young.append(draw(st.integers(0, 9)) == 0)
    for at in range(draw(st.integers(0, 5))):
        suffix = draw(st.sampled_from(["", ".sig", ".att", ".sbom"]))
        other = attached.stem(digest(draw(any_number))) + suffix
        tag = draw(st.sampled_from([f"v{at}", other]))
        former = draw(st.lists(st.tuples(any_number, st.booleans()), max_size=2))
        drawn.tags[tag] = (draw(any_number), former)
    drawn.protected = draw(st.lists(any_number, max_size=1))
    return drawn


@asynccontextmanager
async def opened() -> AsyncIterator[Graph]:
    async with Marks(SCHEMA) as marks:
        yield Graph(marks)


@given(graphs())
@settings(max_examples=120)
async def test_what_is_reached_is_what_the_oracle_says(drawn: Drawn) -> None:
    async with opened() as graph:
        await graph.begin()
        found = [
            Read(
                digest(number),
                1,
                100.0 if drawn.young[number] else 1.0,
                Manifest(
                    OCI_INDEX,
                    manifests=tuple(map(named, drawn.children[number])),
                    subject=None if (subject := drawn.subjects[number]) is None else named(subject),
                ),
            )
            for number in range(len(drawn.children))
        ]
        await graph.note_manifests(found)
        tagged = [
            (
                tag,
                1.0,
                History(
                    named(now), tuple(Former(named(one), 60.0 if is_new else 40.0) for one, is_new in was)
                ),
            )
            for tag, (now, was) in drawn.tags.items()
        ]
        await graph.note_tags(tagged, 50.0)
        protected = [digest(number) for number in drawn.protected]
        await graph.reach(protected, 50.0)
        alive = {name for (name,) in await graph.marks.some("SELECT digest FROM alive")}
        assert alive == {str(digest(number)) for number in drawn.alive()}
        await graph.reach(protected, 50.0)
        assert alive == {name for (name,) in await graph.marks.some("SELECT digest FROM alive")}


async def test_a_long_chain_is_reached_to_its_end() -> None:
    async with opened() as graph:
        chain = [
            Read(digest(number), 1, 1.0, Manifest(OCI_INDEX, manifests=(named(number + 1),)))
            for number in range(2000)
        ]
        await graph.note_manifests(chain)
        await graph.reach([digest(0)], 50.0)
        assert len(await graph.marks.some("SELECT digest FROM alive")) == 2001


async def test_what_many_ways_lead_to_is_reached_once() -> None:
    """Of two indexes each names both of the next two: the ways double with every step."""
    async with opened() as graph:
        following = [(named(at + 2), named(at + 3)) for at in range(0, 28, 2) for _ in range(2)]
        several = [
            Read(digest(at), 1, 1.0, Manifest(OCI_INDEX, manifests=both)) for at, both in enumerate(following)
        ]
        await graph.note_manifests(several)
        await graph.reach([digest(0)], 50.0)
        found = await graph.marks.some("SELECT digest, round FROM alive")
        assert len(found) == 1 + len(several)
        assert max(step for _, step in found) == len(several) / 2


async def test_what_a_manifest_uses_wherever_it_is_kept() -> None:
    foreign = Descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", digest(7), 7)
    manifest = Manifest(OCI_MANIFEST, config=named(1), layers=(named(2), foreign, named(2)))
    async with opened() as graph:
        await graph.note_manifests([Read(digest(0), 1, 1.0, manifest)])
        uses = {name for (name,) in await graph.marks.some("SELECT blob FROM named")}
        assert uses == {str(digest(number)) for number in (1, 2, 7)}
        await graph.marks.execute("UPDATE manifest SET gone = 1")
        await graph.note_manifests([Read(digest(0), 1, 9.0, manifest)])
        assert await graph.marks.some("SELECT blob FROM named") == [], "what is gone stays so"
        await graph.begin()
        assert await graph.marks.some("SELECT * FROM uses") == []


@pytest.mark.parametrize(
    ("key", "row"),
    [
        (paths.tag("a/b", "v1"), ("a/b", "tags", "v1")),
        (paths.manifest("a/b", digest(1)), ("a/b", "manifests", str(digest(1)))),
        (paths.blob_link("a", digest(4)), ("a", "blobs", str(digest(4)))),
        (paths.unlinked("a/b/c", digest(1)), ("a/b/c", "unlinked", str(digest(1)))),
        (paths.derived("a", digest(1)), ("a", "derived", str(digest(1)))),
        (
            paths.referrer("a", digest(1), digest(4)),
            ("a", "referrers", f"sha256/{digest(1).hex}/{digest(4)}"),
        ),
        ("repositories/a/_blobs/sha256/.nfs0001", None),
        ("repositories/a/_blobs/x", None),
        ("repositories/a/x", None),
        (paths.catalog("a"), None),
        (paths.blob(digest(1)), None),
    ],
)
def test_objects_as_rows(key: str, row: tuple[str, str, str] | None) -> None:
    assert Graph.row(Entry(key, 5, 7.0)) == ((*row, 5, 7.0) if row else None)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (paths.blob(digest(1)), str(digest(1))),
        (paths.blob(digest(4)), str(digest(4))),
        ("blobs/sha256/ab/x", None),
        ("blobs/sha256/x", None),
        ("other/sha256/ab/" + "0" * 64, None),
    ],
)
def test_the_name_of_shared_bytes(key: str, name: str | None) -> None:
    assert blob_name(key) == name
