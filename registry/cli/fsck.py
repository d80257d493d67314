"""`sidecargo fsck`: is everything in the storage as it should be?"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from registry import storages
from registry.cli.config import settings
from registry.console.failure import REFUSED, Failure
from registry.console.terminal import Status, printable
from registry.settings import Flag
from storage.driver import Driver
from storage.errors import StoreError
from storage.fsck.check import SETTLE, Check, Counts, Result, Wanted
from storage.fsck.finding import Kind

_MIB = 1 << 20


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended without loss.")
@click.option("--skip-bytes", is_flag=True, help="Do not read content: records, links and manifests only.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, metavar="MIB", help="Read so much a second.")
@click.option("--restart", is_flag=True, help="Do not go on where the last check was interrupted.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=SETTLE,
    show_default=True,
    metavar="SECONDS",
    help="How long after the first look something must still be wrong to count.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]")
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
def command(
    repair: bool,
    skip_bytes: bool,
    rate: float,
    restart: bool,
    settle: float,
    as_json: bool,
    storage: str | None,
    path: Path | None,
) -> int:
    """Check the storage: every byte, link, manifest, tag and catalog entry.

    It may run beside the server: what is being written just now is looked at twice. Who is interrupted goes
    on where he was. With --repair what is wrong is mended or moved to the trash; nothing is destroyed.

    Exits 0 when nothing is wrong (or all of it was mended), 1 when something is, 2 for wrong usage or a
    storage that cannot be read.

    \b
    Example:
      sidecargo fsck --storage /var/lib/sidecargo
      sidecargo fsck --repair --rate 50
    """
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    in_force = settings(path, flags).settings
    wanted = Wanted(
        repair=repair,
        hash_bytes=not skip_bytes,
        rate=rate * _MIB,
        restart=restart,
        settle=settle,
        sparse=lambda repository: in_force.admission.policy(repository).sparse,
    )

    async def check() -> int:
        try:
            async with storages.existing(in_force) as place:
                return await _check(place.driver, wanted, as_json)
        except StoreError as refused:
            raise Failure(refused.message, refused.fix) from None

    return asyncio.run(check())


async def _check(driver: Driver, wanted: Wanted, as_json: bool) -> int:
    status = Status()

    def told(stage: str, counts: Counts) -> None:
        status.show(f"{stage}: {_counted(counts)}, {counts.found} findings", counts.objects)

    check = Check(driver, wanted, told)
    with status:
        await (_show_json if as_json else _show)(check, status)
    return REFUSED if check.counts.left else 0


async def _show(check: Check, status: Status) -> None:
    """What is wrong, for people."""
    async with aclosing(check.run()) as results:  # type: ignore[type-var]
        async for result in results:
            if result.finding.kind is not Kind.UNLINKED:
                status.clear()
                for line in _lines(result):
                    click.echo(line)
    status.clear()
    counts = check.counts
    found = f"{counts.found} findings" if counts.found else "nothing is wrong"
    mended = f", {counts.mended} mended, {counts.left} left" if counts.mended else ""
    click.echo(f"{_counted(counts)}: {found}{mended}")
    if check.went_on:
        click.echo("  bytes: gone on where the last check was interrupted (--restart reads all of them)")
    if counts.unlinked:
        size = counts.unlinked_bytes / _MIB
        click.echo(f"  {counts.unlinked} blobs ({size:.1f} MiB) are nobody's: garbage collection takes them")


def _lines(result: Result) -> tuple[str, ...]:
    found = result.finding
    said = f"{found.kind.value} {printable(found.key)}", f"  {printable(found.what)}"
    return (*said, "  mended" if result.mended else f"  fix: {found.fix}")


async def _show_json(check: Check, status: Status) -> None:
    """The same as one JSON document, written as it is found: it may be long."""
    click.echo('{"findings": [', nl=False)
    separator = "\n"
    async with aclosing(check.run()) as results:  # type: ignore[type-var]
        async for result in results:
            status.clear()
            click.echo(separator + json.dumps(_as_data(result)), nl=False)
            separator = ",\n"
    counts = check.counts
    rest = {
        "ok": not counts.left,
        "found": counts.found,
        "mended": counts.mended,
        "left": counts.left,
        "notes": counts.notes,
        "objects": counts.objects,
        "blobs": counts.blobs,
        "bytes": counts.bytes,
        "unlinked": counts.unlinked,
        "unlinked_bytes": counts.unlinked_bytes,
        "went_on": check.went_on,
    }
    click.echo(f"\n], {json.dumps(rest)[1:]}")


def _as_data(result: Result) -> dict[str, Any]:
    found = result.finding
    return {
        "kind": found.kind.value,
        "key": found.key,
        "what": found.what,
        "fix": found.fix,
        "harms": found.kind.harms,
        "mended": result.mended,
    }


def _counted(counts: Counts) -> str:
    hashed = f", {counts.blobs} blobs ({counts.bytes / _MIB:.1f} MiB) hashed" if counts.blobs else ""
    return f"{counts.objects} objects{hashed}"
