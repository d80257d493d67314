"""Marks: what a run has seen, in tables on a temporary file: memory stays flat at millions of objects."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
import threading
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from storage.errors import StoreFull, StoreUnavailable

PAGE = 1000
"""Rows that are moved at a time."""

T = TypeVar("T")

Row = tuple[Any, ...]


class Marks:
    """Tables for one run, made of `schema`; a context, at whose end they are gone.

    `folder` is where the file lies, which no other process sees; None: where the system has such files.
    Methods raise StoreFull where there is no room for it, StoreUnavailable where it cannot be used.
    """

    def __init__(self, schema: str, folder: Path | None = None) -> None:
        self._schema = schema
        self._folder = folder
        self._lock = threading.Lock()
        self._picks = 0
        self._base: sqlite3.Connection | None = None

    async def __aenter__(self) -> Marks:
        await to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not in a thread: one that is cancelled may still be at work, and is waited for.
        with self._lock:
            if self._base:
                self._base.close()
            self._base = None

    async def execute(self, statement: str, *values: Any) -> int:
        """Run one statement; how many rows it changed."""
        return await self._run(lambda base: base.execute(statement, values).rowcount)

    async def add(self, statement: str, rows: Sequence[Row]) -> None:
        """Run one statement for each of these rows."""
        if rows:
            await self._run(lambda base: base.executemany(statement, rows) and None)

    async def some(self, query: str, *values: Any) -> list[Row]:
        """All rows of a query that gives few."""
        return await self._run(lambda base: base.execute(query, values).fetchall())

    async def pages(self, query: str, *values: Any) -> AsyncIterator[list[Row]]:
        """All rows as they are now, PAGE at a time: what happens to the tables meanwhile changes none."""
        self._picks += 1
        picked = f"picked_{self._picks}"
        await self.execute(f"CREATE TABLE {picked} AS {query}", *values)
        last = 0
        while rows := await self.some(
            f"SELECT rowid, * FROM {picked} WHERE rowid > ? ORDER BY rowid LIMIT {PAGE}",  # noqa: S608 - our name
            last,
        ):
            yield [row[1:] for row in rows]
            last = rows[-1][0]
        await self.execute(f"DROP TABLE {picked}")

    def _open(self) -> None:
        with _failures_told():
            file, path = tempfile.mkstemp(prefix="gc-", dir=self._folder)
            os.close(file)
            try:
                base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                # No journal and no sync: of a run that ends, nothing of this is read again.
                base.executescript(
                    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
                    "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8000;" + self._schema
                )
            finally:
                Path(path).unlink()
            self._base = base

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def locked() -> T:
            with self._lock, _failures_told():
                if self._base is None:
                    raise sqlite3.ProgrammingError("closed")
                self._base.execute("BEGIN")
                found = work(self._base)
                self._base.execute("COMMIT")
                return found

        return await to_thread(locked)


def _is_full(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


@contextlib.contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if _is_full(error):
            raise StoreFull(
                "there is no room for the temporary file of garbage collection.",
                fix="Free space in the folder of temporary files and run it again.",
            ) from error
        raise StoreUnavailable(
            f"the temporary file of garbage collection cannot be used: {error}.",
            fix="See that the folder of temporary files can be written.",
        ) from error
