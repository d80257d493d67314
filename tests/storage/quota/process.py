"""A process that serves a store with quotas, of which tests have several; and what the sum has to be."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from registry import patterns
from storage.digest import Digest
from storage.driver import Driver
from storage.quota import accounted, counting
from storage.quota.accounted import Accounted
from storage.quota.quotas import Quota, Quotas
from storage.repositories import Repository
from storage.store import Store
from tests.storage.streams import pieces

LIMIT = 4 << 20


class Process:
    """One process over `driver`, with quotas by their patterns; `clock` tells Unix seconds."""

    def __init__(self, driver: Driver, clock: Callable[[], float] | None = None, **allowed: int) -> None:
        rules = [
            Quota(pattern, size, partial(patterns.matches, pattern)) for pattern, size in allowed.items()
        ]
        self.quotas = Quotas(driver, rules, **({"clock": clock} if clock else {}))
        self.driver = Accounted(driver, self.quotas)
        self.store = Store(self.driver, upload_limit=LIMIT, quotas=self.quotas)

    def repository(self, name: str = "team/a") -> Repository:
        return self.store.repository(name)

    async def counted(self) -> Process:
        """The same, its quotas counted, as a server does at its start."""
        await counting.count(self.quotas)
        return self

    async def used(self, name: str = "team/a") -> int:
        """What is in use of the quota of a repository, when nothing is under way."""
        await self.quotas.close()
        account = self.quotas.of(name)
        assert account is not None
        return (await account.book.ledger()).used


async def there(driver: Driver, *names: str) -> int:
    """The bytes of what is in these repositories: what the sum has to be when nothing is under way."""
    total = 0
    for name in names:
        async for entry in driver.walk(f"repositories/{name}"):
            if accounted.counts(entry.key):
                total += accounted.size_of(await accounted.beginning(driver, entry.key), entry.key)
    return total


def data(number: int, size: int = 10_000) -> bytes:
    """A blob that no other number has."""
    return random.Random(number).randbytes(size)


async def push(repository: Repository, content: bytes) -> Digest:
    """A blob whose size and digest are known before its first byte, as oras pushes it."""
    digest = Digest.of(content)
    await repository.uploads.single(digest, pieces(content), repository.blobs, size=len(content))
    return digest


async def push_chunked(repository: Repository, content: bytes) -> Digest:
    """A blob of which nothing is known before its end, as docker pushes it."""
    uploads, digest = repository.uploads, Digest.of(content)
    session = await uploads.start(repository.name)
    session = await uploads.extend(session, pieces(content[:3000], content[3000:]))
    await uploads.finish(session, digest, repository.blobs)
    return digest


async def push_announced(repository: Repository, content: bytes) -> Digest:
    """A blob in two chunks of known sizes."""
    uploads, digest = repository.uploads, Digest.of(content)
    session = await uploads.start(repository.name)
    for part in (content[:3000], content[3000:]):
        session = await uploads.extend(session, pieces(part), size=len(part))
    await uploads.finish(session, digest, repository.blobs)
    return digest
