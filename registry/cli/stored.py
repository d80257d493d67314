"""`check --stored`: everything in the registry's storage judged again, beside a server that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from registry.cli import verdicts
from registry.cli.asked import Asked, asked
from registry.cli.config import settings
from registry.console.failure import REFUSED, Failure
from registry.console.terminal import Status
from registry.publish.examiner import Examiner
from registry.publish.rejudge import Broken, Counts, Rejudge, Unreadable
from registry.settings import Flag, Settings
from registry.verdict import Verdict
from storage.errors import StoreError
from storage.store import Store

_MOST_UNREADABLE = 1000

AskedOf = Callable[[str], Asked]


def check(
    storage: str | None,
    path: Path | None,
    consumers: Sequence[str],
    envoys: Sequence[str],
    istio: str | None,
    as_json: bool,
) -> int:
    """Judge the storage of these settings again; 1 when something would break, Failure for wrong usage."""
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    in_force = settings(path, flags).settings
    asked_of = _asked_of(in_force, consumers, envoys, istio)
    asked_of("any")  # what is wrong with the releases is told before anything is read
    # Here, for the server is much to load, and `check FILE` needs none of it.
    app = import_module("registry.app")
    host = app.known_as(in_force)

    async def judge() -> int:
        async with AsyncExitStack() as stack:
            try:
                store, examiner = await stack.enter_async_context(app.judging(in_force))
            except StoreError as refused:
                raise Failure(refused.message, refused.fix) from None
            return await _judge(store, examiner, asked_of, host, as_json)

    return asyncio.run(judge())


async def _judge(store: Store, examiner: Examiner, asked_of: AskedOf, host: str, as_json: bool) -> int:
    status = Status()

    def told(repository: str, counts: Counts) -> None:
        status.show(f"{repository}: {_counted(counts)}", counts.seen)

    def of(repository: str, found: Sequence[Verdict]) -> tuple[Verdict, ...]:
        return asked_of(repository).verdicts(found)

    work = Rejudge(store, examiner, of, told)
    show = _show_json if as_json else _show
    with status:
        await show(work, asked_of, host, status)
    return REFUSED if work.counts.broken or work.counts.unreadable else 0


def _asked_of(
    in_force: Settings, consumers: Sequence[str], envoys: Sequence[str], istio: str | None
) -> AskedOf:
    """Who is asked for in a repository: what was said, else those whom its admission is for."""

    @cache
    def by(every: tuple[str, ...], usual: tuple[str, ...]) -> Asked:
        return asked(consumers, envoys, istio, every=every, usual=usual)

    def of(repository: str) -> Asked:
        policy = in_force.admission.policy(repository)
        return by(policy.consumers, policy.envoys)

    return of


async def _show(work: Rejudge, asked_of: AskedOf, host: str, status: Status) -> None:
    """What would break, for people."""
    async for found in work.run():
        status.clear()
        for line in _lines(found, asked_of, host):
            click.echo(line)
    status.clear()
    counts = work.counts
    broken = f"{counts.broken} would break" if counts.broken else "nothing would break"
    click.echo(f"{counts.repositories} repositories, {_counted(counts)}: {broken}")
    if counts.absent:
        click.echo(f"  {counts.absent} could not be judged: some of their parts are not in this registry")
    if counts.unreadable:
        click.echo(f"  {counts.unreadable} cannot be read: push them again, or restore them from a backup")


def _lines(found: Broken | Unreadable, asked_of: AskedOf, host: str) -> Iterator[str]:
    if isinstance(found, Unreadable):
        yield f"{found.repository}@{found.digest}"
        yield f"  cannot be read: {found.why}"
        return
    name = found.repository
    more = f" and {found.more} more" if found.more else ""
    yield f"{name}:{', '.join(found.tags)}{more}" if found.tags else f"{name}, no tag"
    yield from verdicts.verdict_lines(_about(found, host), asked_of(name))
    for digest in found.digests:
        yield f"  {'image' if digest == found.image else 'index'}  {digest}"


def _about(found: Broken, host: str) -> tuple[Verdict, ...]:
    name = f"{host}/{found.repository}"
    if not found.tags:
        return verdicts.about(found.verdicts, f"{name}:TAG", f"{name}@{found.image}")
    return verdicts.about(found.verdicts, f"{name}:{found.tags[0]}", f"{name}:{found.tags[0]}")


async def _show_json(work: Rejudge, asked_of: AskedOf, host: str, status: Status) -> None:
    """What would break as one JSON document, written as it is found: it may be long."""
    click.echo('{"broken": [', nl=False)
    unreadable: list[dict[str, str]] = []
    separator = "\n"
    async for found in work.run():
        status.clear()
        if isinstance(found, Unreadable):
            damaged = {"repository": found.repository, "digest": str(found.digest), "message": found.why}
            unreadable += [damaged] if len(unreadable) < _MOST_UNREADABLE else []
            continue
        click.echo(separator + json.dumps(_as_data(found, asked_of, host)), nl=False)
        separator = ",\n"
    counts = work.counts
    rest = {
        "unreadable": unreadable,
        "ok": not counts.broken and not counts.unreadable,
        "repositories": counts.repositories,
        "manifests": counts.seen,
        "plugins": counts.plugins,
        "judged_anew": counts.anew,
        "not_judged": counts.absent,
        "not_readable": counts.unreadable,
    }
    click.echo(f"\n], {json.dumps(rest)[1:]}")


def _as_data(found: Broken, asked_of: AskedOf, host: str) -> dict[str, Any]:
    asked_for = asked_of(found.repository)
    return {
        "repository": found.repository,
        "tags": list(found.tags),
        "more_tags": found.more,
        "digest": str(found.image),
        "digests": [str(digest) for digest in found.digests],
        "consumers": {
            verdict.consumer: verdicts.consumer(verdict, asked_for) for verdict in _about(found, host)
        },
    }


def _counted(counts: Counts) -> str:
    anew = f", {counts.anew} of them read anew" if counts.anew else ""
    return f"{counts.seen} manifests judged{anew}"
