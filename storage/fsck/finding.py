"""Findings: what is wrong with one object of a store, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be found."""

    WRONG_BYTES = "wrong-bytes"
    MISSING_BYTES = "missing-bytes"
    WRONG_LINK = "wrong-link"
    WRONG_MANIFEST = "wrong-manifest"
    INCOMPLETE_MANIFEST = "incomplete-manifest"
    DANGLING_TAG = "dangling-tag"
    WRONG_TAG = "wrong-tag"
    DANGLING_REFERRER = "dangling-referrer"
    WRONG_REFERRER = "wrong-referrer"
    MISSING_REFERRER = "missing-referrer"
    MISSING_ENTRY = "missing-catalog-entry"
    STRAY = "stray-object"
    UNREADABLE = "unreadable"
    EARLY_REFERRER = "early-referrer"
    EMPTY_ENTRY = "empty-repository"
    UNLINKED = "unlinked-bytes"
    LEFTOVER = "leftover"
    FOREIGN = "foreign-object"

    @property
    def harms(self) -> bool:
        """Whether something does not work because of it, or may not; the others take room at most."""
        return self not in _HARMLESS


_HARMLESS = (Kind.EARLY_REFERRER, Kind.EMPTY_ENTRY, Kind.UNLINKED, Kind.LEFTOVER, Kind.FOREIGN)

_AGAIN = "Push the image again, or restore it from a backup."

FIXES = {
    Kind.WRONG_BYTES: f"--repair moves them to the trash, so that the next push sends them. {_AGAIN}",
    Kind.MISSING_BYTES: f"--repair puts them back from the trash, or ends the link, so that the next push "
    f"sends them. {_AGAIN}",
    Kind.WRONG_LINK: "--repair writes it anew from the bytes, or ends it where they are wrong too.",
    Kind.WRONG_MANIFEST: f"--repair writes its record anew, or moves it to the trash. {_AGAIN}",
    Kind.INCOMPLETE_MANIFEST: f"--repair puts back what the trash has. {_AGAIN}",
    Kind.DANGLING_TAG: "--repair moves it to the trash. Push the tag again, or restore it from a backup.",
    Kind.WRONG_TAG: "--repair writes it anew from its manifest, or moves it to the trash.",
    Kind.DANGLING_REFERRER: "--repair moves it to the trash.",
    Kind.WRONG_REFERRER: "--repair writes it anew.",
    Kind.MISSING_REFERRER: "--repair writes it.",
    Kind.MISSING_ENTRY: "--repair writes it.",
    Kind.STRAY: "--repair moves it to the trash; what you need of it, take elsewhere first.",
    Kind.UNREADABLE: "See what the storage says about it: its disk, or the rights of the file.",
    Kind.EARLY_REFERRER: "Nothing need be done: it is not listed; --repair moves it to the trash.",
    Kind.EMPTY_ENTRY: "Nothing need be done; --repair takes it out of the catalog.",
    Kind.UNLINKED: "Nothing need be done: garbage collection takes them.",
    Kind.LEFTOVER: "Nothing need be done: a running server sweeps it; so does --repair.",
    Kind.FOREIGN: "Nothing need be done; it is no part of the content.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: its kind, the key of its object, and `what` it is, in words."""

    kind: Kind
    key: str
    what: str

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES[self.kind]
