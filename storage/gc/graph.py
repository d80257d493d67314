"""The graph of a store as a run sees it: objects, what names what, and what is reached from the roots.

The tables of objects and contents are of the whole store; those of manifests, tags and edges are of the
one repository that is being looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from storage import attached, paths
from storage.digest import Digest
from storage.driver import Entry
from storage.errors import DigestInvalid
from storage.gc.marks import Marks, Row
from storage.manifest import Manifest
from storage.tags import History

SCHEMA = """
CREATE TABLE object (repository TEXT, folder TEXT, name TEXT, size INTEGER, modified REAL,
    PRIMARY KEY (repository, folder, name)) WITHOUT ROWID;
CREATE INDEX object_name ON object (folder, name);
CREATE TABLE content (name TEXT PRIMARY KEY, size INTEGER, modified REAL,
    gone INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE derived (hex TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE resting (key TEXT PRIMARY KEY, size INTEGER, modified REAL) WITHOUT ROWID;

CREATE TABLE manifest (digest TEXT PRIMARY KEY, size INTEGER, modified REAL, subject TEXT, stem TEXT,
    gone INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE INDEX manifest_stem ON manifest (stem);
CREATE TABLE uses (manifest TEXT, blob TEXT, PRIMARY KEY (manifest, blob)) WITHOUT ROWID;
CREATE INDEX uses_blob ON uses (blob);
CREATE TABLE edge (source TEXT, target TEXT, PRIMARY KEY (source, target)) WITHOUT ROWID;
CREATE TABLE tag (name TEXT PRIMARY KEY, target TEXT, modified REAL, stem TEXT,
    gone INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE INDEX tag_age ON tag (modified DESC, name);
CREATE INDEX tag_stem ON tag (stem);
CREATE TABLE was (tag TEXT, target TEXT, PRIMARY KEY (tag, target)) WITHOUT ROWID;
CREATE TABLE alive (digest TEXT PRIMARY KEY, round INTEGER) WITHOUT ROWID;
CREATE INDEX alive_round ON alive (round);
CREATE TABLE unlinked (digest TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE VIEW linked AS SELECT name FROM object WHERE folder IN ('blobs', 'unlinked');
CREATE VIEW named AS SELECT uses.blob FROM uses JOIN manifest ON manifest.digest = uses.manifest
    WHERE NOT manifest.gone;
"""

_OF_A_REPOSITORY = ("manifest", "uses", "edge", "tag", "was", "alive", "unlinked")


@dataclass(frozen=True, slots=True)
class Read:
    """A manifest as it was met and what it says."""

    digest: Digest
    size: int
    modified: float
    manifest: Manifest


class Graph:
    """What is known of the store and of one of its repositories."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks

    async def begin(self) -> None:
        """Forget the repository that was looked at before."""
        for table in _OF_A_REPOSITORY:
            await self.marks.execute(f"DELETE FROM {table}")  # noqa: S608 - our names

    async def note_objects(self, entries: Sequence[Entry]) -> None:
        """Note objects of repositories; what no release of this store wrote is not looked at."""
        rows = [row for entry in entries if (row := self.row(entry))]
        await self.marks.add("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?)", rows)

    @staticmethod
    def row(entry: Entry) -> Row | None:
        """An object of a repository as a row: repository, folder, name, size, modified."""
        owned = paths.owned(entry.key)
        if owned is None or (name := _name(owned)) is None:
            return None
        return owned.repository, owned.folder, name, entry.size, entry.modified

    async def note_manifests(self, found: Sequence[Read]) -> None:
        """Note manifests of the repository and what they lead to."""
        marks = self.marks
        await marks.add(
            "INSERT INTO manifest (digest, size, modified, subject, stem) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET modified = excluded.modified",
            [
                (str(one.digest), one.size, one.modified, _subject(one.manifest), attached.stem(one.digest))
                for one in found
            ],
        )
        uses = chain.from_iterable(_uses(one) for one in found)
        await marks.add("INSERT OR IGNORE INTO uses VALUES (?, ?)", list(uses))
        edges = [
            (str(one.digest), str(child.digest)) for one in found for child in one.manifest.manifests
        ] + [(subject, str(one.digest)) for one in found if (subject := _subject(one.manifest))]
        await marks.add("INSERT OR IGNORE INTO edge VALUES (?, ?)", edges)

    async def note_tags(self, found: Sequence[tuple[str, float, History]], since: float) -> None:
        """Note tags of the repository, and what they named at that time (Unix seconds) or later."""
        marks = self.marks
        await marks.add(
            "INSERT OR REPLACE INTO tag (name, target, modified, stem) VALUES (?, ?, ?, ?)",
            [
                (tag, str(history.named.digest), modified, attached.stem_of(tag))
                for tag, modified, history in found
            ],
        )
        await marks.add(
            "INSERT OR IGNORE INTO was VALUES (?, ?)",
            [
                (tag, str(former.descriptor.digest))
                for tag, _, history in found
                for former in history.former
                if former.until >= since
            ],
        )

    async def note_derived(self, names: Sequence[str]) -> None:
        """Note hexadecimal digests of derived bytes that are named."""
        await self.marks.add("INSERT OR IGNORE INTO derived VALUES (?)", [(name,) for name in names])

    async def reach(self, protected: Sequence[Digest], since: float) -> None:
        """Mark as alive what tags lead to, what is protected, and what was written at that time or later.

        From there: to children, to referrers, to what belongs to a manifest by its tag. Marks only come.
        """
        marks = self.marks
        await marks.execute(
            "INSERT OR IGNORE INTO edge SELECT manifest.digest, tag.target FROM tag, manifest"
            " WHERE tag.stem = manifest.stem AND NOT tag.gone"
        )
        await marks.execute("UPDATE alive SET round = 0")
        await marks.add("INSERT OR IGNORE INTO alive VALUES (?, 0)", [(str(digest),) for digest in protected])
        for roots, *values in (
            ("SELECT target, 0 FROM tag WHERE stem IS NULL AND NOT gone",),
            (
                "SELECT was.target, 0 FROM was JOIN tag ON tag.name = was.tag"
                " WHERE tag.stem IS NULL AND NOT tag.gone",
            ),
            ("SELECT digest, 0 FROM manifest WHERE modified >= ?", since),
        ):
            await marks.execute(f"INSERT OR IGNORE INTO alive {roots}", *values)
        step = 0
        while await marks.execute(
            "INSERT OR IGNORE INTO alive SELECT edge.target, ? FROM alive"
            " JOIN edge ON edge.source = alive.digest WHERE alive.round = ?",
            step + 1,
            step,
        ):
            step += 1


def blob_name(key: str) -> str | None:
    """The digest of shared bytes by their key; None for a key of another kind."""
    parts = key.split("/")
    if len(parts) != 4 or parts[0] != paths.CONTENT:
        return None
    return _digest(f"{parts[1]}/{parts[3]}")


def _name(owned: paths.Owned) -> str | None:
    """How an object is called in the tables: a digest as digests are written."""
    return owned.name if owned.folder in ("tags", "referrers", "parents") else _digest(owned.name)


def _digest(name: str) -> str | None:
    try:
        return str(Digest.parse(name.replace("/", ":", 1)))
    except DigestInvalid:
        return None


def _subject(manifest: Manifest) -> str | None:
    return str(manifest.subject.digest) if manifest.subject else None


def _uses(one: Read) -> set[tuple[str, str]]:
    """Every blob that a manifest names, kept elsewhere or not: who pushed it may need it."""
    manifest = one.manifest
    named = (*((manifest.config,) if manifest.config else ()), *manifest.layers, *manifest.manifests)
    return {(str(one.digest), str(blob.digest)) for blob in named}
