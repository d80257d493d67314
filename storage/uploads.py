"""Uploads: from the first byte of a blob to its digest (OCI Distribution 1.1, "Pushing blobs").

The state of a session is in the store, so any process may go on with it. The running hash is kept
in memory where the session was last written to; where it is not at hand, the staged bytes are read
again.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from storage import paths
from storage.blobs import Blobs
from storage.digest import Digest, hasher
from storage.driver import Driver, ObjectMissing, StageBusy, StageMoved
from storage.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    QuotaExceeded,
    UploadOutOfOrder,
)
from storage.incoming import SMALL, Running, ahead, hashed, measured, too_large
from storage.quota.quotas import Quotas
from storage.together import together

EMPTY_SECONDS = 3600
"""A session that has received nothing by then is over."""

_REMEMBERED = 1024
_ID = re.compile(r"(sha256|sha512)-([0-9a-f]{8})[0-9a-f]{16}[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Session:
    """An upload under way: `offset` is how many bytes are safe.

    Its id says when it was begun, and is bound to its repository: one that a store has not heard of yet is
    known by it.
    """

    id: str
    repository: str
    offset: int
    algorithm: str

    @property
    def key(self) -> str:
        """Where its bytes are staged: the same id in another repository is another key."""
        return paths.upload(self.repository, self.id)


class Uploads:
    """All sessions of a store; each is bound to its repository and its owner, which its id says."""

    def __init__(
        self, driver: Driver, limit: int, *, shared: bool = True, quotas: Quotas | None = None
    ) -> None:
        self._driver = driver
        self.quotas = quotas or Quotas(driver, ())
        self._shared = shared  # small blobs too: for who does not know which repository has them
        self._limit = limit
        self._running: OrderedDict[str, Running] = OrderedDict()

    async def start(self, repository: str, algorithm: str = "sha256", *, owner: str = "") -> Session:
        """Begin a session; raises DigestInvalid for an algorithm that is not known, QuotaExceeded."""
        running = Running(hasher(algorithm))
        await self.quotas.asked(repository).must_have_room()
        session = Session(_new_id(repository, algorithm, owner), repository, 0, algorithm)
        self._remember(session, running)
        await self._driver.stage(session.key)
        return session

    async def find(self, repository: str, upload: str, *, owner: str = "", surely: bool = False) -> Session:
        """Where a session stands; raises BlobUploadUnknown, also when it is another repository's or owner's.

        What this process did last is not asked for again, unless it has to be said `surely`: another one may
        have added to it since, which is seen when more is added, or it is finished.
        """
        written = _ID.fullmatch(upload)
        if not written or upload != _sealed(upload[:-8], repository, owner):
            raise _unknown(upload)
        session = Session(upload, repository, 0, written[1])
        running = self._running.get(session.key)
        if running and not surely:
            offset = running.size
        else:
            try:
                offset = await self._driver.staged(session.key)
            except ObjectMissing:
                raise _unknown(upload) from None
        if not offset and abs(time.time() - int(written[2], 16)) > EMPTY_SECONDS:
            raise _unknown(upload)
        return replace(session, offset=offset)

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
        UploadOutOfOrder, SizeInvalid, BodyTooLarge, BlobUploadUnknown, QuotaExceeded. What came before a
        failure stays and counts; of what no quota has room for nothing does.
        """
        begin = session.offset if offset is None else offset
        try:
            source = await self._with_room(session, source, begin, size)
            return await self._extended(session, source, begin, offset, size)
        except (QuotaExceeded, BlobUploadUnknown):
            await self.cancel(session)
            raise

    async def _with_room(
        self, session: Session, source: AsyncIterator[bytes], begin: int, size: int | None
    ) -> AsyncIterator[bytes]:
        """The body, where there is room for it: all of it at once where its size is known."""
        account = self.quotas.asked(session.repository)
        if size is None:
            return account.within(source, begin)
        if size <= self._limit - begin:  # else it is refused for that
            await account.announced(session.key, begin + size)
        return source

    async def _extended(
        self,
        session: Session,
        source: AsyncIterator[bytes],
        begin: int,
        offset: int | None,
        size: int | None,
    ) -> Session:
        running = self._running.pop(session.key, None)
        if begin == 0:
            running = Running(hasher(session.algorithm))
        elif running and running.size != begin:
            running = None
        try:
            async with (
                aclosing(ahead(measured(source, self._limit - begin, size))) as pieces,
                aclosing(hashed(running, pieces) if running else pieces) as noted,
            ):
                end = await self._driver.extend(session.key, offset, noted)
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
        if end > self._limit:  # others have added to it, too
            raise too_large()
        if running and running.size == end:
            self._remember(session, running)
        return replace(session, offset=end)

    async def finish(self, session: Session, digest: Digest, blobs: Blobs) -> int:
        """Make what was received the blob `digest`, give it to `blobs`, and return its size.

        Raises DigestInvalid when the content is another one, QuotaExceeded; the session then is over.
        """
        running = self._running.pop(session.key, None)
        account = self.quotas.asked(session.repository)
        try:
            if running is None or not await self._is_of_all(running, session, digest):
                running = await self._hashed_again(session, digest)
            if running.hasher.hexdigest() != digest.hex:
                await self.cancel(session)
                raise _other_content(digest, running)
            async with account.adding(blobs.link_key(digest), running.size, instead=session.key):
                await self._publish(session, digest, running, blobs)
        except ObjectMissing:
            raise _unknown(session.id) from None
        except QuotaExceeded:
            await self.cancel(session)
            raise
        except (StageMoved, StageBusy):
            raise _busy(session) from None
        return running.size

    async def single(
        self, digest: Digest, source: AsyncIterator[bytes], blobs: Blobs, *, size: int | None = None
    ) -> int:
        """Store a blob whose digest is known before its first byte; nothing stays of a failure.

        Raises DigestInvalid, SizeInvalid, BodyTooLarge, QuotaExceeded.
        """
        account = self.quotas.asked(blobs.repository)
        if size is None:
            source = account.within(source)
        elif size <= self._limit:  # else it is refused for that
            async with account.adding(blobs.link_key(digest), size):
                return await self._single(digest, source, blobs, size)
        return await self._single(digest, source, blobs, size)

    async def _single(
        self, digest: Digest, source: AsyncIterator[bytes], blobs: Blobs, size: int | None
    ) -> int:
        running = Running(hasher(digest.algorithm))

        async def proven(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            async for piece in pieces:
                yield piece
            if running.hasher.hexdigest() != digest.hex:
                raise _other_content(digest, running)

        async with (
            aclosing(ahead(measured(source, self._limit, size))) as pieces,
            aclosing(hashed(running, pieces)) as noted,
            aclosing(proven(noted)) as whole,
        ):
            if size is not None and size <= SMALL:
                await self._keep(digest, b"".join([piece async for piece in whole]), blobs)
                return size
            stored = await self._driver.put_stream(paths.blob(digest), whole)
        async with self.quotas.asked(blobs.repository).adding(blobs.link_key(digest), stored):
            await blobs.link(digest, stored)
        return stored

    async def cancel(self, session: Session) -> None:
        """Forget a session and what it received."""
        self._running.pop(session.key, None)
        await self._driver.discard(session.key)
        await self.quotas.asked(session.repository).dropped(session.key)

    async def _is_of_all(self, running: Running, session: Session, digest: Digest) -> bool:
        """Whether a hash is of all that was received: another process may have added to it since."""
        if running.size != session.offset or digest.algorithm != session.algorithm:
            return False
        return running.hasher.hexdigest() == digest.hex or (
            await self._driver.staged(session.key) == running.size
        )

    async def _hashed_again(self, session: Session, digest: Digest) -> Running:
        running = Running(hasher(digest.algorithm))
        async for _ in hashed(running, self._driver.read_staged(session.key)):
            pass
        return running

    async def _publish(self, session: Session, digest: Digest, running: Running, blobs: Blobs) -> None:
        if running.small is not None:
            await together(
                self._driver.publish(session.key, None, running.size),
                self._keep(digest, running.small, blobs),
            )
            return
        link = partial(blobs.link, digest, running.size)
        await self._driver.publish(session.key, paths.blob(digest), running.size, then=link)

    async def _keep(self, digest: Digest, data: bytes, blobs: Blobs) -> None:
        await (blobs.keep(digest, data) if self._shared else blobs.put(digest, data))

    def _remember(self, session: Session, running: Running) -> None:
        self._running[session.key] = running
        while len(self._running) > _REMEMBERED:
            self._running.popitem(last=False)


def _new_id(repository: str, algorithm: str, owner: str) -> str:
    return _sealed(f"{algorithm}-{int(time.time()):08x}{secrets.token_hex(8)}", repository, owner)


def _sealed(begun: str, repository: str, owner: str) -> str:
    """An id of this repository and owner. It is no secret: who may push may begin an upload, by whichever id.

    The id of one that is there cannot be made somebody else's, for then it is not the one that is there.
    """
    whose = f"{begun}.{repository}.{owner}" if owner else f"{begun}.{repository}"
    return begun + hashlib.sha256(whose.encode()).hexdigest()[:8]


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
