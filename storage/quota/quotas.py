"""All quotas of a store: which one names a repository, and the account that is kept of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from storage import paths
from storage.driver import Driver
from storage.quota.account import Account, Unlimited
from storage.quota.book import Book

UNLIMITED = Unlimited()


@dataclass(frozen=True, slots=True)
class Quota:
    """How many bytes the repositories may hold together that `names` says, which is written as `title`."""

    title: str
    allowed: int
    names: Callable[[str], bool]


class Quotas:
    """The quotas of a store, in their order: the first one that names a repository counts.

    `driver` is one that knows nothing of quotas. `clock` tells Unix seconds.
    """

    def __init__(
        self, driver: Driver, quotas: Sequence[Quota], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.driver = driver
        self._quotas = tuple(quotas)
        self.accounts = tuple(
            Account(quota.title, quota.allowed, Book(driver, key, quota.title, clock=clock))
            for quota, key in zip(quotas, _keys(quotas), strict=True)
        )
        self._found = lru_cache(4096)(self._find)

    def of(self, repository: str) -> Account | None:
        """The account of a repository, if a quota names it."""
        return self._found(repository)

    def asked(self, repository: str) -> Unlimited:
        """What pushes to a repository ask."""
        return self._found(repository) or UNLIMITED

    async def close(self) -> None:
        """Be done with what nobody waits for."""
        for account in self.accounts:
            await account.close()

    def _find(self, repository: str) -> Account | None:
        for quota, account in zip(self._quotas, self.accounts, strict=True):
            if quota.names(repository):
                return account
        return None


def _keys(quotas: Sequence[Quota]) -> list[str]:
    """Where the sums are kept: a quota has what those before it leave, so they are a part of its name."""
    keys, before = [], hashlib.sha256()
    for quota in quotas:
        before.update(f"{quota.title}\n".encode())
        keys.append(paths.quota(before.hexdigest()[:16]))
    return keys
