"""Sessions of uploads as all processes over a store know them: from the beginning to a day after the end."""

from __future__ import annotations

import time

import pytest

from storage import uploads as under_test
from storage.digest import Digest
from storage.driver import Driver
from storage.errors import BlobUnknown, BlobUploadUnknown, DigestInvalid
from storage.store import Store
from storage.sweep import abandoned
from storage.uploads import EMPTY_SECONDS, Session, Uploads
from tests.storage.both import Drivers, over_both
from tests.storage.streams import outcome, pieces

pytestmark = over_both

LIMIT = 1 << 20
HELLO = b"hello"


@pytest.fixture
async def store(drivers: Drivers) -> Store:
    opened = Store(drivers(), upload_limit=LIMIT)
    await opened.open()
    return opened


@pytest.fixture
def driver(drivers: Drivers) -> Driver:
    return drivers()


@pytest.fixture
def others(driver: Driver) -> Uploads:
    """The uploads as another process sees them."""
    return Uploads(driver, LIMIT)


@pytest.mark.parametrize("surely", [False, True])
async def test_what_was_begun_is_known_to_all(store: Store, others: Uploads, surely: bool) -> None:
    session = await store.uploads.start("team/a")
    for uploads in (store.uploads, others):
        assert await uploads.find("team/a", session.id, surely=surely) == session
        assert await outcome(uploads.find("team/b", session.id, surely=surely)) is BlobUploadUnknown
    await others.extend(session, pieces(HELLO))
    assert (await store.uploads.find("team/a", session.id, surely=True)).offset == len(HELLO)


async def cancelled(store: Store, uploads: Uploads, session: Session) -> None:
    await uploads.cancel(session)


async def cancelled_with_bytes(store: Store, uploads: Uploads, session: Session) -> None:
    await uploads.cancel(await uploads.extend(session, pieces(HELLO)))


async def finished(store: Store, uploads: Uploads, session: Session) -> None:
    session = await uploads.extend(session, pieces(HELLO))
    await uploads.finish(session, Digest.of(HELLO), store.repository("team/a").blobs)


async def finished_large(store: Store, uploads: Uploads, session: Session) -> None:
    data = bytes(10_000)
    session = await uploads.extend(session, pieces(data))
    await uploads.finish(session, Digest.of(data), store.repository("team/a").blobs)


async def finished_empty(store: Store, uploads: Uploads, session: Session) -> None:
    await uploads.finish(session, Digest.of(b""), store.repository("team/a").blobs)


async def other_content(store: Store, uploads: Uploads, session: Session) -> None:
    session = await uploads.extend(session, pieces(HELLO))
    finish = uploads.finish(session, Digest.of(b"x"), store.repository("team/a").blobs)
    assert await outcome(finish) is DigestInvalid


@pytest.mark.parametrize(
    "end", [cancelled, cancelled_with_bytes, finished, finished_large, finished_empty, other_content]
)
async def test_what_has_ended_is_over_for_all(
    store: Store, others: Uploads, driver: Driver, monkeypatch: pytest.MonkeyPatch, end: object
) -> None:
    session = await store.uploads.start("team/a")
    await end(store, others, session)  # type: ignore[operator]
    for _ in range(2):
        for uploads in (store.uploads, others):
            assert await outcome(uploads.find("team/a", session.id, surely=True)) is BlobUploadUnknown
        # When its key is swept, nobody takes it for one that is to come.
        now = time.time() + EMPTY_SECONDS + 1
        monkeypatch.setattr(under_test.time, "time", lambda now=now: now)
        await abandoned(driver, before=now + EMPTY_SECONDS)
        assert (await driver.children("uploads")).names == ()


async def test_ended_keys_stay_while_their_sessions_would_be_taken_for_new(
    store: Store, others: Uploads, driver: Driver
) -> None:
    session = await store.uploads.start("team/a")
    await store.uploads.cancel(await store.uploads.extend(session, pieces(HELLO)))
    assert await abandoned(driver, before=time.time() + EMPTY_SECONDS - 10) == 0
    assert await outcome(others.find("team/a", session.id)) is BlobUploadUnknown


@pytest.mark.parametrize("hours", [-1.1, 1.1])
async def test_an_empty_session_is_over_after_an_hour(
    store: Store, others: Uploads, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    empty, begun = [await store.uploads.start("team/a") for _ in range(2)]
    await store.uploads.extend(begun, pieces(HELLO))
    now = time.time() + hours * EMPTY_SECONDS
    monkeypatch.setattr(under_test.time, "time", lambda: now)
    for uploads in (store.uploads, others):
        assert await outcome(uploads.find("team/a", empty.id)) is BlobUploadUnknown
        assert (await uploads.find("team/a", begun.id)).offset == len(HELLO)


async def test_an_id_that_nobody_gave(store: Store) -> None:
    session = await store.uploads.start("team/a")
    for at in range(len("sha256-"), len(session.id)):
        digit = "0" if session.id[at] != "0" else "1"
        made_up = session.id[:at] + digit + session.id[at + 1 :]
        assert await outcome(store.uploads.find("team/a", made_up)) is BlobUploadUnknown


@pytest.mark.parametrize("lends", [False, True])
async def test_small_blobs_are_shared_where_they_are_lent(drivers: Drivers, lends: bool) -> None:
    store = Store(drivers(), upload_limit=LIMIT, lends=lends)
    await store.open()
    repository = store.repository("team/a")
    for data, whole in ((b"by steps", False), (b"at once", True)):
        digest = Digest.of(data)
        if whole:
            await store.uploads.single(digest, pieces(data), repository.blobs, size=len(data))
        else:
            session = await store.uploads.extend(await store.uploads.start("team/a"), pieces(data))
            await store.uploads.finish(session, digest, repository.blobs)
        assert (await repository.blobs.open(digest)).enclosed == data
        found = await outcome(store.proven_size(digest))
        assert found == (len(data) if lends else BlobUnknown)
