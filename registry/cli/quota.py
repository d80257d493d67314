"""`sidecargo quota`: how much of each quota is used, and all of it counted anew."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from registry import storages
from registry.cli.config import settings
from registry.console.failure import Failure, Refusal
from registry.settings import Flag, Settings
from storage.errors import Busy, StoreError, spoken
from storage.quota import counting
from storage.quota.quotas import Quotas


@dataclass(frozen=True, slots=True)
class Use:
    """One quota: what its repositories hold together and may, in bytes; when all was counted last."""

    repositories: str
    used: int | None
    allowed: int
    counted: str | None


@click.command()
@click.option("--count", "anew", is_flag=True, help="Count what is there, instead of what is noted.")
@click.option("--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]")
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(anew: bool, storage: str | None, path: Path | None, as_json: bool) -> None:
    """Show what is used of each quota (limits.quota).

    It may run beside the server, also with --count; the server counts all by itself once a day.

    \b
    Example:
      sidecargo quota --config sidecargo.yaml
      sidecargo quota --config sidecargo.yaml --count
    """
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    in_force = settings(path, flags).settings
    if not in_force.limits.quota:
        raise Failure("there is no quota in the settings.", "Set limits.quota, or name the file by --config.")
    try:
        uses = asyncio.run(_uses(in_force, anew))
    except (StoreError, Busy) as refused:
        raise Failure(refused.message, refused.fix) from None
    if as_json:
        click.echo(json.dumps({"quotas": [asdict(use) for use in uses]}, indent=2))
    else:
        for use in uses:
            click.echo(_line(use))


async def _uses(in_force: Settings, anew: bool) -> list[Use]:
    async with storages.existing(in_force) as place:
        assert place.quotas is not None
        if anew and len(await counting.count(place.quotas)) < len(place.quotas.accounts):
            raise Refusal("too much changed while it was counted.", "Do it again when less is pushed.")
        return await _seen(place.quotas)


async def _seen(quotas: Quotas) -> list[Use]:
    uses = []
    for account in quotas.accounts:
        seen = await account.book.ledger()
        counted = None
        if seen.counted is not None:
            counted = datetime.fromtimestamp(seen.counted, UTC).isoformat(timespec="seconds")
        used = None if seen.counted is None else seen.used
        uses.append(Use(account.title, used, account.allowed, counted))
    return uses


def _line(use: Use) -> str:
    if use.used is None:
        return f"{use.repositories}  not counted yet, of {spoken(use.allowed)}"
    share = f"{100 * use.used / use.allowed:.1f} %" if use.allowed else "all"
    return f"{use.repositories}  {spoken(use.used)} of {spoken(use.allowed)}  {share}"
