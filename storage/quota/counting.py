"""The sums of quotas made anew out of what is there, while servers go on to write.

What changes meanwhile is noted in the ledger, and looked at once more at the end: the sum is right then.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from storage import paths
from storage.driver import Driver, ObjectMissing
from storage.quota import accounted
from storage.quota.account import Account
from storage.quota.book import Book
from storage.quota.ledger import Ledger
from storage.quota.quotas import Quotas

WAITED_FOR = 3 * 3600.0
"""For how many seconds a count is waited for; a process that ended in it is replaced by the next one then."""

_AT_ONCE = 32


@dataclass(slots=True)
class _Found:
    """What a count has met of one quota: each object by a hash of its key, for there may be many."""

    total: int = 0
    sizes: dict[int, int] = field(default_factory=dict)

    def add(self, key: str, size: int) -> None:
        self.total += size
        self.sizes[hash(key)] = size

    def met(self, key: str) -> int:
        return self.sizes.get(hash(key), 0)


@dataclass(frozen=True, slots=True)
class _Start:
    by: str

    def looks(self, ledger: Ledger) -> Collection[str]:
        del ledger
        return ()

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        del present
        return ledger.counting(self.by, round(now + WAITED_FOR, 1))


@dataclass(frozen=True, slots=True)
class _Finish:
    by: str
    found: _Found

    def looks(self, ledger: Ledger) -> Collection[str]:
        return ledger.count.touched.keys() if ledger.count else ()

    def take(self, ledger: Ledger, present: Collection[str], now: float) -> Ledger:
        return ledger.counted_anew(self.by, self.found.total, self.found.met, present, round(now, 1))


async def count(quotas: Quotas, accounts: Sequence[Account] | None = None) -> list[Account]:
    """Count what is there of these quotas, or of all; those that are counted now.

    The others changed too much meanwhile, or somebody else has begun to count them since.
    """
    wanted = quotas.accounts if accounts is None else tuple(accounts)
    by = secrets.token_hex(4)
    found = {account: _Found() for account in wanted}
    for account in wanted:
        await account.book.change(_Start(by))
    await _walk(quotas, found)
    return [account for account in wanted if await _finished(account.book, by, found[account])]


async def _walk(quotas: Quotas, found: dict[Account, _Found]) -> None:
    batch: list[tuple[Account, str]] = []
    async for entry in quotas.driver.walk(paths.REPOSITORIES):
        owned = paths.owned(entry.key)
        if owned is None or not accounted.counts(entry.key):
            continue
        account = quotas.of(owned.repository)
        if account in found:
            batch.append((account, entry.key))
        if len(batch) >= _AT_ONCE:
            await _add(quotas.driver, batch, found)
            batch = []
    await _add(quotas.driver, batch, found)


async def _add(driver: Driver, batch: Sequence[tuple[Account, str]], found: dict[Account, _Found]) -> None:
    sizes = await asyncio.gather(*(_size(driver, key) for _, key in batch))
    for (account, key), size in zip(batch, sizes, strict=True):
        if size is not None:
            found[account].add(key, size)


async def _size(driver: Driver, key: str) -> int | None:
    with contextlib.suppress(ObjectMissing):
        return accounted.size_of(await accounted.beginning(driver, key), key)
    return None


async def _finished(book: Book, by: str, found: _Found) -> bool:
    before = (await book.ledger()).count
    await book.change(_Finish(by, found))
    return before is not None and before.by == by and (await book.ledger()).count is None
