"""An upload is its owner's (`storage.uploads`), in whichever process, and says nothing of who that is."""

from __future__ import annotations

import re

import pytest

from storage.disk import DiskDriver
from storage.errors import BlobUploadUnknown
from storage.store import Store
from storage.uploads import Uploads
from tests.storage.conftest import LIMIT
from tests.storage.streams import pieces

OWNERS = ("", "user:alice", "user:bob", "robot:alice")


@pytest.mark.parametrize("received", [b"", b"hello"])
@pytest.mark.parametrize("owner", OWNERS)
async def test_nobody_else_goes_on_with_it(
    store: Store, driver: DiskDriver, owner: str, received: bytes
) -> None:
    session = await store.uploads.start("team/a", owner=owner)
    if received:
        session = await store.uploads.extend(session, pieces(received))
    for uploads in (store.uploads, Uploads(DiskDriver(driver.root), LIMIT)):
        for other in OWNERS:
            if other == owner:
                assert (await uploads.find("team/a", session.id, owner=other)).offset == len(received)
                continue
            with pytest.raises(BlobUploadUnknown):
                await uploads.find("team/a", session.id, owner=other)


async def test_an_id_has_one_form_whoever_owns_it(store: Store) -> None:
    ids = [(await store.uploads.start("a", owner=owner)).id for owner in OWNERS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("sha256-[0-9a-f]{32}", one) for one in ids)
