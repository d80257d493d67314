"""The object that keeps a manifest: a line with its record, then its bytes.

In format 1 (`storage.formats`) it is the record alone, and the bytes lie where those of blobs do.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from storage import paths, records
from storage.digest import Digest
from storage.driver import Driver, ObjectChanged, ObjectMissing


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest as it was met: nothing of it is proven. `body` is None where the bytes are nowhere.

    `apart`: they are not in its object.
    """

    record: bytes
    body: bytes | None
    apart: bool = False

    def again(self, record: bytes) -> bytes:
        """The object with another record, in the form that it has."""
        return record if self.apart else records.enclose(record, self.body or b"")


async def load(driver: Driver, key: str, digest: Digest) -> Kept:
    """The manifest under a key; raises ObjectMissing."""
    record, body = records.split(await driver.get(key))
    return Kept(record, body) if body is not None else Kept(record, await _apart(driver, digest), apart=True)


async def enclose(driver: Driver, key: str, digest: Digest) -> bool:
    """Put the bytes of a manifest into its object; whether that was to be done and could be.

    To call it again, or twice at once, is fine; what somebody else writes or deletes meanwhile wins.
    """
    while True:
        try:
            held = await driver.get(key)
            record, body = records.split(held)
            if body is not None:
                return False
            body = await _apart(driver, digest)
            if body is None or Digest.of(body, digest.algorithm) != digest:
                return False
            await driver.replace(key, records.enclose(record, body), held)
        except ObjectMissing:
            return False
        except ObjectChanged:
            continue
        return True


async def _apart(driver: Driver, digest: Digest) -> bytes | None:
    key = paths.blob(digest)
    for place in (key, paths.trash(key)):
        with contextlib.suppress(ObjectMissing):
            return await driver.get(place)
    return None
