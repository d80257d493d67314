"""Uploads: from the first byte of a blob to its digest (OCI Distribution 1.1, "Pushing blobs").

The state of a session is in the store, so any process may go on with it. The running hash is kept
in memory where the session was last written to; where it is not at hand, the staged bytes are read
again.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from storage import paths
from storage.blobs import Blobs
from storage.digest import Digest, Hasher, hasher
from storage.driver import CHUNK, Driver, ObjectMissing, StageBusy, StageMoved
from storage.errors import BlobUploadUnknown, BodyTooLarge, DigestInvalid, SizeInvalid, UploadOutOfOrder

_REMEMBERED = 1024
_FIRST = 128 << 10
_ID = re.compile(r"sha(?:256|512)-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Session:
    """An upload under way: `offset` is how many bytes are safe."""

    id: str
    repository: str
    offset: int
    algorithm: str

    @property
    def key(self) -> str:
        """Where its bytes are staged: the same id in another repository is another key."""
        return paths.upload(self.repository, self.id)


@dataclass(slots=True)
class Running:
    """A hash of the first `size` bytes of something."""

    hasher: Hasher
    size: int = 0


class Uploads:
    """All sessions of a store; each is bound to the repository that began it."""

    def __init__(self, driver: Driver, limit: int) -> None:
        self._driver = driver
        self._limit = limit
        self._running: OrderedDict[str, Running] = OrderedDict()

    async def start(self, repository: str, algorithm: str = "sha256") -> Session:
        """Begin a session; raises DigestInvalid for an algorithm that is not known."""
        session = Session(f"{algorithm}-{uuid.uuid4().hex}", repository, 0, algorithm)
        self._remember(session, Running(hasher(algorithm)))
        await self._driver.stage(session.key)
        return session

    async def find(self, repository: str, upload: str) -> Session:
        """Where a session stands; raises BlobUploadUnknown, also when it is another repository's."""
        if not _ID.fullmatch(upload):
            raise _unknown(upload)
        session = Session(upload, repository, 0, upload.partition("-")[0])
        try:
            return replace(session, offset=await self._driver.staged(session.key))
        except ObjectMissing:
            raise _unknown(upload) from None

    async def extend(
        self,
        session: Session,
        source: AsyncIterator[bytes],
        *,
        offset: int | None = None,
        size: int | None = None,
    ) -> Session:
        """Go on with a session and return where it stands then.

        `offset` (None: where it stands) and `size` in bytes are what the client announced. Raises
        UploadOutOfOrder, SizeInvalid, BodyTooLarge, BlobUploadUnknown. What came before a failure
        stays and counts.
        """
        begin = session.offset if offset is None else offset
        running = self._running.pop(session.key, None)
        if begin == 0:
            running = Running(hasher(session.algorithm))
        elif running and running.size != begin:
            running = None
        pieces = _measured(source, self._limit - begin, size)
        try:
            end = await self._driver.extend(
                session.key, begin, _hashed(running, pieces) if running else pieces
            )
        except ObjectMissing:
            raise _unknown(session.id) from None
        except StageMoved as moved:
            raise UploadOutOfOrder(
                f"the chunk begins at {begin}, but the upload stands at {moved.size}.",
                offset=moved.size,
                fix=f"Go on at {moved.size}.",
            ) from None
        except StageBusy:
            raise _busy(session) from None
        if running and running.size == end:
            self._remember(session, running)
        return replace(session, offset=end)

    async def finish(self, session: Session, digest: Digest, blobs: Blobs) -> int:
        """Make what was received the blob `digest`, give it to `blobs`, and return its size.

        Raises DigestInvalid when the content is another one; the session then is over.
        """
        running = self._running.pop(session.key, None)
        try:
            if running is None or running.size != session.offset or digest.algorithm != session.algorithm:
                running = Running(hasher(digest.algorithm))
                async for _ in _hashed(running, self._driver.read_staged(session.key)):
                    pass
            if running.hasher.hexdigest() != digest.hex:
                await self.cancel(session)
                raise _other_content(digest, running)
            await self._driver.publish(session.key, paths.blob(digest), running.size)
        except ObjectMissing:
            raise _unknown(session.id) from None
        except (StageMoved, StageBusy):
            raise _busy(session) from None
        await blobs.link(digest, running.size)
        return running.size

    async def single(
        self, digest: Digest, source: AsyncIterator[bytes], blobs: Blobs, *, size: int | None = None
    ) -> int:
        """Store a blob whose digest is known before its first byte; nothing stays of a failure.

        Raises DigestInvalid, SizeInvalid, BodyTooLarge.
        """
        running = Running(hasher(digest.algorithm))

        async def proven() -> AsyncIterator[bytes]:
            async for piece in _hashed(running, _measured(source, self._limit, size)):
                yield piece
            if running.hasher.hexdigest() != digest.hex:
                raise _other_content(digest, running)

        stored = await self._driver.put_stream(paths.blob(digest), proven())
        await blobs.link(digest, stored)
        return stored

    async def cancel(self, session: Session) -> None:
        """Forget a session and what it received."""
        self._running.pop(session.key, None)
        await self._driver.discard(session.key)

    def _remember(self, session: Session, running: Running) -> None:
        self._running[session.key] = running
        while len(self._running) > _REMEMBERED:
            self._running.popitem(last=False)


async def _measured(source: AsyncIterator[bytes], limit: int, size: int | None) -> AsyncIterator[bytes]:
    """The source in pieces of up to about CHUNK; raises BodyTooLarge over `limit`, SizeInvalid if not `size`.

    The first ones are smaller: of a short body, too, most is stored when its end comes.
    """
    if (size or 0) > limit:
        raise _too_large()
    seen = 0
    held, enough = bytearray(), _FIRST
    try:
        async for piece in source:
            seen += len(piece)
            if seen > limit:
                raise _too_large()
            held += piece
            if len(held) >= enough:
                yield bytes(held)
                held.clear()
                enough = min(2 * enough, CHUNK)
    except Exception:
        # What came before the client went away counts: it may go on from there.
        if held:
            yield bytes(held)
        raise
    if held:
        yield bytes(held)
    if size is not None and seen != size:
        raise SizeInvalid(f"{seen} bytes came where {size} were announced.")


async def _hashed(running: Running, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, hashed in a thread while they are written."""
    async for piece in pieces:
        hashing = asyncio.create_task(asyncio.to_thread(running.hasher.update, piece))
        try:
            yield piece
        finally:
            await hashing
        running.size += len(piece)


def _unknown(upload: str) -> BlobUploadUnknown:
    return BlobUploadUnknown(
        f"there is no upload {upload[:64]!r} in this repository.", fix="Begin a new one."
    )


def _busy(session: Session) -> UploadOutOfOrder:
    return UploadOutOfOrder(
        "another request is writing to this upload now.",
        offset=session.offset,
        fix="Ask where it stands, then go on.",
    )


def _other_content(digest: Digest, running: Running) -> DigestInvalid:
    return DigestInvalid(
        f"the content is not {digest}: its {running.size} bytes hash to "
        f"{digest.algorithm}:{running.hasher.hexdigest()}."
    )


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        "the upload is larger than this registry takes.",
        fix="Raise limits.upload in its settings, or push less.",
    )
