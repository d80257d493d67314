"""Formats: which one a store has, and which ones this release knows: its own, and the one before.

The object `format` says it:

    {"format": 1}              the one before: releases of both serve the store, side by side
    {"format": 2, "from": 1}   this one; what it holds may still have the form of the one before
    {"format": 2}              this one

A store of the format before is served as it is: what is read may have either form, what is written can be
read by the release before. `storage.migration` brings it here, when no such release serves it any more.

What changed from 1 to 2: a manifest's bytes lay under `blobs/` and `_manifests/` had its record alone; so
did the parts of signatures; a tag was its descriptor and had no history.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, TypeGuard

from storage import paths, records
from storage.driver import Driver, ObjectExists, ObjectMissing
from storage.errors import FormatOutdated, FormatUnknown

FORMAT = 2
"""What this release writes in a store of its own."""
OLDEST = 1
"""The oldest format that it can serve."""


@dataclass(frozen=True, slots=True)
class Format:
    """The format of a store; `former` is the one from which it is being brought here, if it is."""

    number: int = FORMAT
    former: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether what is written may have the form of this release's format."""
        return self.number == FORMAT

    @property
    def is_settled(self) -> bool:
        """Whether all that is in the store has this release's format."""
        return self.is_ours and self.former is None

    def written(self) -> bytes:
        """The object that says it."""
        return records.write({"format": self.number} | ({} if self.former is None else {"from": self.former}))


async def opened(driver: Driver) -> Format:
    """The format of a store; an empty one is made one of this release's. Raises FormatUnknown."""
    with contextlib.suppress(ObjectExists):
        await driver.create(paths.FORMAT, Format().written())
    return await load(driver)


async def load(driver: Driver) -> Format:
    """The format of a store, this release's where it says none; raises FormatUnknown, StoreUnavailable."""
    try:
        held = await driver.get(paths.FORMAT)
    except ObjectMissing:
        return Format()
    return read(held)


def read(held: bytes) -> Format:
    """What the object says; raises FormatUnknown where it is not for this release, StoreUnavailable."""
    document = records.read(held, paths.FORMAT)
    number, former = document.get("format"), document.get("from")
    if not _is_number(number) or not (former is None or _is_number(former)):
        raise FormatUnknown(
            f"the object {paths.FORMAT} of the store says {held[:80].decode(errors='replace')}, "
            "which no release has written.",
            fix="Restore it from a backup, or see that this is the folder or the prefix of a registry.",
        )
    if number > FORMAT:
        raise FormatUnknown(
            f"the store has format {number}; this release knows {OLDEST} to {FORMAT}.",
            fix="Run the release that wrote it, or a newer one.",
        )
    oldest = number if former is None else former
    if oldest < OLDEST:
        raise FormatUnknown(
            f"the store has content of format {oldest}; this release knows {OLDEST} to {FORMAT}.",
            fix=f"Run sidecargo migrate of the release of format {oldest + 1} first.",
        )
    return Format(number, former)


async def must_be_settled(driver: Driver) -> None:
    """Raises FormatOutdated where content may have the format before."""
    found = await load(driver)
    if not found.is_settled:
        raise FormatOutdated(
            f"the store has content of format {found.former or found.number}.",
            fix="When no older release serves it any more, run sidecargo migrate.",
        )


class Current:
    """What the format of a store means for who writes: it is looked at before each write, until it is ours.

    It never goes back.
    """

    def __init__(self, driver: Driver, *, is_ours: bool = False) -> None:
        self._driver = driver
        self._is_ours = is_ours

    async def is_ours(self) -> bool:
        """Whether what is written now may have the form of this release's format."""
        if not self._is_ours:
            self._is_ours = (await load(self._driver)).is_ours
        return self._is_ours


def _is_number(found: Any) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool) and found > 0
