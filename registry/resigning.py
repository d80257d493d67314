"""Signing again by two processes a processor: half of the time each waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from registry import keyring, storages
from registry.publish.resign import Counts, Resign, Share
from registry.publish.signatures import Signer
from registry.settings import Settings
from registry.workers import use_threads
from storage.errors import StoreError, StoreUnavailable
from storage.store import Store

MOST = 8
"""Processes, at most."""

Told = Callable[[str, Counts], None]

_EACH = 20  # manifests after which a process tells how far it is


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a process is with its share: the repository that it is in, and its counts; its last word?"""

    repository: str
    counts: Counts
    is_last: bool = False


def run(settings: Settings, host: str, told: Told) -> Counts:
    """Sign what the key of now has not signed, in the store of these settings; what was done.

    `host` is how the registry is known; `told` is called now and then with a repository's name and the
    counts so far. Raises StoreError, also where a process ends before it is done.
    """
    of = min(2 * len(os.sched_getaffinity(0)), MOST)
    with contextlib.ExitStack() as running:
        open_ones = [running.enter_context(_begun(settings, host, Share(number, of))) for number in range(of)]
        found: dict[Connection, Counts] = {}
        while open_ones:
            for task in wait(open_ones):
                assert isinstance(task, Connection)
                said = _heard(task)
                found[task] = said.counts
                told(said.repository, _added(found.values()))
                if said.is_last:
                    open_ones.remove(task)
    return _added(found.values())


@contextlib.contextmanager
def _begun(settings: Settings, host: str, share: Share) -> Iterator[Connection]:
    """A process that signs a share, and what it tells; it ends with the context."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(settings, host, share, theirs), daemon=True)
    with ours:
        process.start()
        theirs.close()  # so that its death is heard
        try:
            yield ours
        finally:
            process.terminate()
            process.join()


def _heard(task: Connection) -> _Progress:
    """The next word of a process; raises StoreError."""
    try:
        said = task.recv()
    except EOFError:
        raise StoreUnavailable(
            "a process that signed was ended before it was done.", fix="Run it again with --resume."
        ) from None
    if isinstance(said, StoreError):
        raise said
    assert isinstance(said, _Progress)
    return said


def _work(settings: Settings, host: str, share: Share, parent: Connection) -> None:
    """What a process does; it ends early where nobody hears it any more."""

    def told(repository: str, counts: Counts) -> None:
        if counts.seen % _EACH == 0:
            parent.send(_Progress(repository, counts))

    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        try:
            counts = asyncio.run(_signed(settings, host, share, told))
            parent.send(_Progress("", counts, is_last=True))
        except StoreError as failed:
            parent.send(failed)


async def _signed(settings: Settings, host: str, share: Share, told: Told) -> Counts:
    use_threads()
    async with storages.existing(settings) as place:
        store = Store(
            place.driver,
            upload_limit=settings.limits.upload,
            tag_history=settings.tags.history.total_seconds(),
        )
        ring = keyring.ring(settings.signing, place.folder)
        return await Resign(store, Signer(ring, host, bundles=settings.signing.bundles), told, share).run()


def _added(shares: Iterable[Counts]) -> Counts:
    """All of them together; each goes through all repositories."""
    every = [*shares]
    return Counts(
        max(one.repositories for one in every),
        sum(one.seen for one in every),
        sum(one.anew for one in every),
        sum(one.unreadable for one in every),
    )
