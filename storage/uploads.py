"""Uploads: from the first byte of a blob to its digest (OCI Distribution 1.1, "Pushing blobs").

The state of a session is in the store, so any process may go on with it. The running hash is kept
in memory where the session was last written to; where it is not at hand, the staged bytes are read
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial

from storage import paths
from storage.blobs import Blobs
from storage.digest import Digest, hasher
from storage.driver import Driver, ObjectMissing, StageBusy, StageMoved
from storage.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    StoreError,
    UploadOutOfOrder,
)
from storage.incoming import SMALL, Running, hashed, measured, too_large
from storage.together import together

LINGER = 0.25
"""Seconds that the beginning of an upload waits for what comes, where calls are journeys: then it is one."""

_SEEN_WITHIN = 2.0  # seconds in which what another process began is there
_LOOK_EVERY = 0.02
_REMEMBERED = 1024
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


class Uploads:
    """All sessions of a store; each is bound to the repository that began it.

    A session is begun in the store a moment after it was asked for, unless its first bytes come before: over
    a network that is a call less. Whoever asks another process for it in that moment waits.
    """

    def __init__(self, driver: Driver, limit: int, *, linger: float = LINGER) -> None:
        self._driver = driver
        self._limit = limit
        self._linger = linger if driver.remote else 0.0
        self._running: OrderedDict[str, Running] = OrderedDict()
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._beginning: dict[str, asyncio.Task[None]] = {}

    async def start(self, repository: str, algorithm: str = "sha256") -> Session:
        """Begin a session; raises DigestInvalid for an algorithm that is not known."""
        running = Running(hasher(algorithm))
        session = Session(f"{algorithm}-{_new_id()}", repository, 0, algorithm)
        if self._linger:
            loop = asyncio.get_running_loop()
            self._waiting[session.key] = loop.call_later(self._linger, self._begin, session.key)
        else:
            await self._driver.stage(session.key)
        self._remember(session, running)
        return session

    async def find(self, repository: str, upload: str, *, surely: bool = False) -> Session:
        """Where a session stands; raises BlobUploadUnknown, also when it is another repository's.

        What this process did last is not asked for again, unless it has to be said `surely`: another one may
        have added to it since, which is seen when more is added, or it is finished.
        """
        if not _ID.fullmatch(upload):
            raise _unknown(upload)
        session = Session(upload, repository, 0, upload.partition("-")[0])
        if session.key in self._waiting or session.key in self._beginning:
            return session
        if not surely and (running := self._running.get(session.key)):
            return replace(session, offset=running.size)
        while True:
            with contextlib.suppress(ObjectMissing):
                return replace(session, offset=await self._driver.staged(session.key))
            if not self._linger or not _is_new(upload):
                raise _unknown(upload)
            await asyncio.sleep(_LOOK_EVERY)

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
        pieces = measured(source, self._limit - begin, size)
        new = await self._take_over(session)
        try:
            end = await self._driver.extend(
                session.key, offset, hashed(running, pieces) if running else pieces, new=new
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
        if end > self._limit:  # others have added to it, too
            raise too_large()
        if running and running.size == end:
            self._remember(session, running)
        return replace(session, offset=end)

    async def finish(self, session: Session, digest: Digest, blobs: Blobs) -> int:
        """Make what was received the blob `digest`, give it to `blobs`, and return its size.

        Raises DigestInvalid when the content is another one; the session then is over.
        """
        running = self._running.pop(session.key, None)
        if await self._take_over(session):
            await self._driver.stage(session.key)
        try:
            if running is None or not await self._is_of_all(running, session, digest):
                running = await self._hashed_again(session, digest)
            if running.hasher.hexdigest() != digest.hex:
                await self.cancel(session)
                raise _other_content(digest, running)
            await self._publish(session, digest, running, blobs)
        except ObjectMissing:
            raise _unknown(session.id) from None
        except (StageMoved, StageBusy):
            raise _busy(session) from None
        return running.size

    async def single(
        self, digest: Digest, source: AsyncIterator[bytes], blobs: Blobs, *, size: int | None = None
    ) -> int:
        """Store a blob whose digest is known before its first byte; nothing stays of a failure.

        Raises DigestInvalid, SizeInvalid, BodyTooLarge.
        """
        running = Running(hasher(digest.algorithm))

        async def proven() -> AsyncIterator[bytes]:
            async for piece in hashed(running, measured(source, self._limit, size)):
                yield piece
            if running.hasher.hexdigest() != digest.hex:
                raise _other_content(digest, running)

        if size is not None and size <= SMALL:
            await blobs.put(digest, b"".join([piece async for piece in proven()]))
            return size
        stored = await self._driver.put_stream(paths.blob(digest), proven())
        await blobs.link(digest, stored)
        return stored

    async def cancel(self, session: Session) -> None:
        """Forget a session and what it received."""
        self._running.pop(session.key, None)
        if not await self._take_over(session):
            await self._driver.discard(session.key)

    async def close(self) -> None:
        """Begin in the store what waits to be begun there."""
        for key, waiting in [*self._waiting.items()]:
            waiting.cancel()
            self._begin(key)
        await asyncio.gather(*self._beginning.values())

    def _begin(self, key: str) -> None:
        del self._waiting[key]
        self._beginning[key] = asyncio.get_running_loop().create_task(self._staged(key))

    async def _staged(self, key: str) -> None:
        try:
            # Where it fails, the session is one that nobody knows: it has received nothing.
            with contextlib.suppress(StoreError):
                await self._driver.stage(key)
        finally:
            del self._beginning[key]

    async def _take_over(self, session: Session) -> bool:
        """Whether the session is this caller's to begin, for it is not in the store yet."""
        if waiting := self._waiting.pop(session.key, None):
            waiting.cancel()
            return True
        if beginning := self._beginning.get(session.key):
            await asyncio.wait((beginning,))
        return False

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
                self._driver.publish(session.key, None, running.size), blobs.put(digest, running.small)
            )
            return
        link = partial(blobs.link, digest, running.size)
        await self._driver.publish(session.key, paths.blob(digest), running.size, then=link)

    def _remember(self, session: Session, running: Running) -> None:
        self._running[session.key] = running
        while len(self._running) > _REMEMBERED:
            self._running.popitem(last=False)


def _new_id() -> str:
    """An id that nobody guesses, and that says when it was made."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(10)}"


def _is_new(upload: str) -> bool:
    """Whether a session of that id may be begun at this moment, by another process."""
    made = int(upload.partition("-")[2][:12], 16) / 1000
    return abs(time.time() - made) < _SEEN_WITHIN


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
