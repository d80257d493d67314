from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import cast

import pytest

from storage import uploads as under_test
from storage.digest import Digest
from storage.disk import DiskDriver
from storage.driver import CHUNK
from storage.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    BodyTooLarge,
    DigestInvalid,
    RegistryError,
    SizeInvalid,
    StoreFull,
    UploadOutOfOrder,
)
from storage.repositories import Repository
from storage.store import Store
from storage.uploads import Session, Uploads
from tests.storage.conftest import LIMIT, objects
from tests.storage.streams import collect, failing, odd, outcome, pieces, together

DATA = random.Random(5).randbytes(2 * CHUNK + 4321)
DIGEST = Digest.of(DATA)
HELLO = b"hello"


class Gone(Exception):
    """The client went away."""


class CountingDriver(DiskDriver):
    """Counts how often staged bytes are read again."""

    reads = 0

    def read_staged(self, key: str) -> AsyncIterator[bytes]:
        self.reads += 1
        return super().read_staged(key)


@pytest.fixture
def driver(tmp_path) -> CountingDriver:  # type: ignore[no-untyped-def]
    return CountingDriver(tmp_path / "store")


@pytest.fixture
def uploads(store: Store) -> Uploads:
    return store.uploads


@pytest.fixture
def another(driver: DiskDriver) -> Uploads:
    """The uploads as another process sees them."""
    return Uploads(DiskDriver(driver.root), LIMIT)


async def content(repository: Repository, digest: Digest) -> bytes:
    return await collect(repository.blobs.read(await repository.blobs.open(digest)))


async def begun(uploads: Uploads, data: bytes = HELLO) -> Session:
    """A session that has received `data`."""
    return await uploads.extend(await uploads.start("team/a"), pieces(data))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_an_upload_in_chunks(
    uploads: Uploads, repository: Repository, driver: CountingDriver, algorithm: str
) -> None:
    digest = Digest.of(DATA, algorithm)
    session = await uploads.start("team/a", algorithm)
    assert (session.offset, session.algorithm) == (0, algorithm)
    for part in odd(DATA, (1_000_001, 3, 70_000)):
        session = await uploads.find("team/a", session.id)
        session = await uploads.extend(session, pieces(part), offset=session.offset, size=len(part))
    assert session == await uploads.find("team/a", session.id)
    assert await uploads.finish(session, digest, repository.blobs) == len(DATA)
    assert await content(repository, digest) == DATA
    assert driver.reads == 0
    assert set(objects(driver)) == {
        "format",
        f"blobs/{algorithm}/{digest.hex[:2]}/{digest.hex}",
        f"repositories/team/a/_blobs/{algorithm}/{digest.hex}",
    }


async def test_another_process_goes_on_and_hashes_again(
    uploads: Uploads, another: Uploads, repository: Repository, driver: CountingDriver
) -> None:
    session = await begun(uploads, DATA[:CHUNK])
    session = await another.extend(await another.find("team/a", session.id), pieces(DATA[CHUNK:-1]))
    session = await uploads.extend(await uploads.find("team/a", session.id), pieces(DATA[-1:]))
    assert await uploads.finish(session, DIGEST, repository.blobs) == len(DATA)
    assert await content(repository, DIGEST) == DATA
    assert driver.reads == 1


async def test_a_session_begun_elsewhere_is_hashed_from_its_first_byte(
    uploads: Uploads, another: Uploads, repository: Repository, driver: CountingDriver
) -> None:
    session = await another.start("team/a")
    session = await uploads.extend(await uploads.find("team/a", session.id), pieces(HELLO))
    await uploads.finish(session, Digest.of(HELLO), repository.blobs)
    assert driver.reads == 0


async def test_a_hash_that_was_overtaken_is_not_used(
    uploads: Uploads, another: Uploads, repository: Repository
) -> None:
    session = await begun(uploads)
    await another.extend(await another.find("team/a", session.id), pieces(b" world"))
    session = await uploads.find("team/a", session.id)
    assert await uploads.finish(session, Digest.of(b"hello world"), repository.blobs) == 11


async def test_more_sessions_than_hashes_are_remembered(
    uploads: Uploads, repository: Repository, driver: CountingDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_REMEMBERED", 2)
    sessions = [await begun(uploads, b"%d" % at) for at in range(5)]
    for at, session in enumerate(sessions):
        await uploads.finish(session, Digest.of(b"%d" % at), repository.blobs)
    assert driver.reads == 3


@pytest.mark.parametrize(("began", "ends"), [("sha256", "sha512"), ("sha512", "sha256")])
async def test_the_digest_may_be_of_another_kind_than_was_announced(
    uploads: Uploads, repository: Repository, began: str, ends: str
) -> None:
    session = await uploads.extend(await uploads.start("team/a", began), pieces(HELLO))
    await uploads.finish(session, Digest.of(HELLO, ends), repository.blobs)
    assert await content(repository, Digest.of(HELLO, ends)) == HELLO


async def test_an_empty_blob(uploads: Uploads, repository: Repository) -> None:
    assert await uploads.finish(await uploads.start("team/a"), Digest.of(b""), repository.blobs) == 0
    assert await content(repository, Digest.of(b"")) == b""


async def test_an_unknown_algorithm_begins_nothing(uploads: Uploads, driver: DiskDriver) -> None:
    with pytest.raises(DigestInvalid):
        await uploads.start("team/a", "md5")
    assert set(objects(driver)) == {"format"}


# Whose session it is


@pytest.mark.parametrize("name", ["team", "team/b", "team/a/b", "a"])
async def test_a_session_is_its_repositorys(uploads: Uploads, name: str) -> None:
    session = await begun(uploads)
    with pytest.raises(BlobUploadUnknown):
        await uploads.find(name, session.id)
    stolen = Session(session.id, name, session.offset, session.algorithm)
    assert await outcome(uploads.extend(stolen, pieces(b"x"))) is BlobUploadUnknown
    assert (await uploads.find("team/a", session.id)).offset == len(HELLO)


@pytest.mark.parametrize(
    "upload",
    [
        "", ".", "..", "../format", "x", "sha256-", "sha256-" + "0" * 32, "sha256-" + "0" * 33,
        "sha256-" + "A" * 32, "md5-" + "0" * 32, "sha256-" + "0" * 32 + "\n", "sha256-" + "0" * 31 + "/",
        "x" * 10_000,
    ],
    ids=lambda upload: repr(upload[:50]),
)  # fmt: skip
async def test_sessions_that_are_not_here(uploads: Uploads, upload: str) -> None:
    with pytest.raises(BlobUploadUnknown) as raised:
        await uploads.find("team/a", upload)
    assert len(str(raised.value)) < 300


async def test_a_session_that_is_over(uploads: Uploads, repository: Repository) -> None:
    cancelled, finished = await begun(uploads), await begun(uploads)
    await uploads.cancel(cancelled)
    await uploads.cancel(cancelled)
    await uploads.finish(finished, Digest.of(HELLO), repository.blobs)
    for session in (cancelled, finished):
        assert await together(
            partial(uploads.find, "team/a", session.id),
            lambda session=session: uploads.extend(session, pieces(b"x")),  # type: ignore[misc]
            partial(uploads.finish, session, Digest.of(HELLO), repository.blobs),
        ) == [BlobUploadUnknown, BlobUploadUnknown, BlobUploadUnknown]


# What clients do wrong


@pytest.mark.parametrize("offset", [0, 4, 6, LIMIT * 2, -5])
async def test_a_chunk_out_of_order(
    uploads: Uploads, repository: Repository, driver: CountingDriver, offset: int
) -> None:
    session = await begun(uploads)
    with pytest.raises(UploadOutOfOrder) as raised:
        await uploads.extend(session, pieces(b"x"), offset=offset)
    assert raised.value.offset == 5
    assert (await uploads.find("team/a", session.id)).offset == 5
    await uploads.finish(session, Digest.of(HELLO), repository.blobs)
    assert await content(repository, Digest.of(HELLO)) == HELLO


@pytest.mark.parametrize("announced", [0, 4, 6, 100])
async def test_another_size_than_was_announced(
    uploads: Uploads, repository: Repository, announced: int
) -> None:
    session = await uploads.start("team/a")
    with pytest.raises(SizeInvalid):
        await uploads.extend(session, pieces(b"he", b"llo"), size=announced)
    session = await uploads.find("team/a", session.id)
    assert session.offset == 5
    await uploads.finish(session, Digest.of(HELLO), repository.blobs)
    with pytest.raises(SizeInvalid):
        await uploads.single(Digest.of(DATA), pieces(DATA), repository.blobs, size=announced)
    assert await outcome(repository.blobs.find(DIGEST)) is BlobUnknown


@pytest.mark.parametrize("kind", ["announced", "sent", "in two"])
async def test_more_than_the_limit(driver: CountingDriver, repository: Repository, kind: str) -> None:
    small = Uploads(driver, 10)
    session = await small.start("team/a")
    if kind == "in two":
        session = await small.extend(session, pieces(b"x" * 6))
    size = 11 - session.offset
    sent = failing(AssertionError("read")) if kind == "announced" else pieces(*[b"x"] * size)
    with pytest.raises(BodyTooLarge) as raised:
        await small.extend(session, sent, size=size if kind == "announced" else None)
    assert "limits.upload" in raised.value.fix
    assert (await small.find("team/a", session.id)).offset <= 10
    with pytest.raises(BodyTooLarge):
        await small.single(
            Digest.of(b"x" * 11),
            pieces(*[b"x"] * 11),
            repository.blobs,
            size=11 if kind == "announced" else None,
        )
    assert await small.single(Digest.of(b"x" * 10), pieces(b"x" * 10), repository.blobs) == 10


async def test_other_content_leaves_nothing(
    uploads: Uploads, another: Uploads, repository: Repository, driver: DiskDriver
) -> None:
    for mine in (uploads, another):
        session = await begun(uploads)
        with pytest.raises(DigestInvalid) as raised:
            await mine.finish(session, DIGEST, repository.blobs)
        assert str(DIGEST) in raised.value.message
        assert str(Digest.of(HELLO)) in raised.value.message
        assert await outcome(mine.find("team/a", session.id)) is BlobUploadUnknown
    with pytest.raises(DigestInvalid):
        await uploads.single(DIGEST, pieces(HELLO), repository.blobs)
    assert set(objects(driver)) == {"format"}


async def test_a_client_that_goes_away_in_mid_chunk_goes_on_later(
    uploads: Uploads, repository: Repository
) -> None:
    session = await begun(uploads, DATA[:10])
    for begin, end in ((10, 11), (11, CHUNK + 500), (CHUNK + 500, CHUNK + 500)):
        parts = odd(DATA[begin:end], (300_000, 5))
        with pytest.raises(Gone):
            await uploads.extend(session, failing(Gone(), *parts), size=len(DATA) - begin)
        session = await uploads.find("team/a", session.id)
        assert session.offset == end
    session = await uploads.extend(session, pieces(DATA[session.offset :]))
    assert await uploads.finish(session, DIGEST, repository.blobs) == len(DATA)
    assert await content(repository, DIGEST) == DATA


async def test_a_single_upload(uploads: Uploads, repository: Repository, driver: DiskDriver) -> None:
    for digest in (DIGEST, Digest.of(DATA, "sha512")):
        assert await uploads.single(
            digest, pieces(*odd(DATA, (99_999,))), repository.blobs, size=len(DATA)
        ) == len(DATA)
        assert await content(repository, digest) == DATA
    assert not [key for key in objects(driver) if key.startswith(("temp", "uploads"))]


async def test_a_single_upload_that_breaks_off_leaves_nothing(
    uploads: Uploads, repository: Repository, driver: DiskDriver
) -> None:
    with pytest.raises(Gone):
        await uploads.single(DIGEST, failing(Gone(), DATA[:-1]), repository.blobs)
    assert set(objects(driver)) == {"format"}


# Several at once


async def test_the_same_blob_by_many_at_once(
    uploads: Uploads, another: Uploads, repository: Repository, driver: DiskDriver
) -> None:
    def single(at: int) -> AsyncIterator[bytes]:
        cut = odd(DATA[: at * 35_000], (100_000,))
        return failing(Gone(), *cut) if at % 2 else pieces(*odd(DATA, (500_000 + at,)))

    async def chunked(mine: Uploads) -> int:
        session = await mine.extend(await mine.start("team/a"), pieces(DATA))
        return await mine.finish(session, DIGEST, repository.blobs)

    found = await together(
        *(partial(uploads.single, DIGEST, single(at), repository.blobs) for at in range(60)),
        *(partial(chunked, mine) for mine in (uploads, another) for _ in range(2)),
    )
    assert Counter(found) == {Gone: 30, len(DATA): 34}
    assert await content(repository, DIGEST) == DATA
    assert len(objects(driver)) == 3


async def test_two_that_finish_at_once(uploads: Uploads, another: Uploads, repository: Repository) -> None:
    for at in range(10):
        data = b"%d" % at
        session = await begun(uploads, data)
        found = await together(
            *(
                partial(mine.finish, session, Digest.of(data), repository.blobs)
                for mine in (uploads, another, uploads)
            )
        )
        assert found.count(len(data)) == 1
        assert set(found) <= {len(data), BlobUploadUnknown, UploadOutOfOrder}
        assert await content(repository, Digest.of(data)) == data


async def test_a_finish_against_an_extend_never_makes_a_blob_of_other_content(
    uploads: Uploads, another: Uploads, repository: Repository, driver: DiskDriver
) -> None:
    outcomes: Counter[str] = Counter()
    short, long = b"s" * 70_000, b"l" * 30_000
    for at in range(60):
        short, long = short[:-1] + bytes([at]), long[:-1] + bytes([at])
        session = await begun(uploads, short)
        finisher, extender = random.Random(at).sample([uploads, another], 2)
        digest = Digest.of(short if at % 3 else short + long)
        turns = [b""] * (at % 5)

        async def finish(
            finisher: Uploads = finisher, session: Session = session, digest: Digest = digest, at: int = at
        ) -> int:
            for _ in range(at % 4):
                await asyncio.sleep(0.0005)
            return await finisher.finish(await finisher.find("team/a", session.id), digest, repository.blobs)

        found = await together(
            finish,
            partial(extender.extend, session, pieces(long[:9], *turns, long[9:]), offset=len(short)),
        )
        outcomes[str(found[0])] += 1
        assert all(isinstance(one, int | Session) or issubclass(one, RegistryError) for one in found)  # type: ignore[arg-type]
        if isinstance(found[0], int):
            assert Digest.of(await content(repository, digest)) == digest
    for key, data in objects(driver).items():
        if key.startswith("blobs/"):
            assert Digest.of(data).hex == key.rpartition("/")[2]
    assert len(outcomes) > 1, outcomes


async def test_a_second_writer_is_told_where_the_upload_stands(uploads: Uploads, another: Uploads) -> None:
    session = await begun(uploads)
    found = await together(
        *(
            partial(mine.extend, session, pieces(b" world"), offset=5)
            for mine in (uploads, another, uploads, another)
        )
    )
    assert Counter(one if isinstance(one, type) else "done" for one in found) == {
        "done": 1,
        UploadOutOfOrder: 3,
    }
    assert (await uploads.find("team/a", session.id)).offset == 11


async def test_the_pieces_that_are_stored_grow(driver: DiskDriver, uploads: Uploads) -> None:
    """A small body is stored while it comes, a large one in few steps."""
    sizes: list[int] = []
    extend = driver.extend

    async def measured(key: str, offset: int | None, source: AsyncIterator[bytes]) -> int:
        async def pieces() -> AsyncIterator[bytes]:
            async for piece in source:
                sizes.append(len(piece))
                yield piece

        return await extend(key, offset, pieces())

    driver.extend = measured  # type: ignore[method-assign]
    session = await uploads.start("team/a")
    step = 64 << 10
    await uploads.extend(session, pieces(*(bytes(step) for _ in range(64))))
    assert sizes[:4] == [128 << 10, 256 << 10, 512 << 10, 512 << 10]
    assert sum(sizes) == 64 * step
    assert max(sizes) == CHUNK // 2


@pytest.mark.parametrize("known", [True, False], ids=["digest first", "digest last"])
async def test_of_what_the_store_refuses_nothing_goes_on(
    uploads: Uploads, repository: Repository, driver: DiskDriver, known: bool
) -> None:
    """The body is closed at once, though more of it was on its way."""
    closed, before = asyncio.Event(), asyncio.all_tasks()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield bytes(1 << 20)
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def refuse(*args: object) -> int:
        await anext(cast(AsyncIterator[bytes], args[-1]))
        await asyncio.sleep(0.01)
        raise StoreFull("full", fix="")

    driver.extend = driver.put_stream = refuse  # type: ignore[assignment,method-assign]
    with pytest.raises(StoreFull):
        if known:
            await uploads.single(Digest.of(b"x"), body(), repository.blobs, size=2 << 20)
        else:
            await uploads.extend(await uploads.start("team/a"), body())
    assert closed.is_set()
    assert asyncio.all_tasks() == before
