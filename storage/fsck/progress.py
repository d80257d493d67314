"""How far hashing is: a small object in the store, so that who is interrupted goes on where he was."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass, field

from storage import paths, records
from storage.driver import Driver, ObjectMissing
from storage.errors import StoreError, StoreUnavailable

FRESH = 7 * 24 * 3600.0
"""For how many seconds an interrupted check may be gone on with: what was hashed before is old then."""

_MOST_WRONG = 10_000


@dataclass(slots=True)
class Progress:
    """What was hashed: all keys up to `after`, so many `blobs` and `bytes`.

    `wrong` are keys to look at again; it was `begun` at that time (Unix seconds).
    """

    after: str = ""
    blobs: int = 0
    bytes: int = 0
    wrong: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.time)


async def load(driver: Driver) -> Progress:
    """Where the last check was interrupted, else a beginning."""
    with contextlib.suppress(ObjectMissing, StoreUnavailable):
        found = records.read(await driver.get(paths.CHECKED), paths.CHECKED)
        after, blobs, size, wrong, begun = (
            found.get(name) for name in ("after", "blobs", "bytes", "wrong", "begun")
        )
        if (
            isinstance(after, str)
            and isinstance(blobs, int)
            and isinstance(size, int)
            and isinstance(wrong, list)
            and isinstance(begun, int | float)
            and time.time() - FRESH < begun
        ):
            return Progress(after, blobs, size, [key for key in wrong if isinstance(key, str)], begun)
    return Progress()


async def save(driver: Driver, progress: Progress) -> None:
    """Keep where a check is; a store that cannot be written to is checked all the same."""
    # With more that is wrong, the rest would be lost to who goes on: then he begins anew.
    if len(progress.wrong) <= _MOST_WRONG:
        with contextlib.suppress(StoreError):
            await driver.put(paths.CHECKED, records.write(asdict(progress)))


async def forget(driver: Driver) -> None:
    """Let the next check begin anew."""
    with contextlib.suppress(StoreError):
        await driver.delete(paths.CHECKED)
