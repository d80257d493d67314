"""`sidecargo migrate`: brings the storage to the format of this release."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from registry import storages
from registry.cli.config import settings
from registry.console.failure import Failure
from registry.console.terminal import Status
from registry.settings import Flag, Settings
from storage import formats
from storage.errors import StoreError
from storage.formats import FORMAT
from storage.migration import Progress, migrate


@click.command()
@click.option("--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]")
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(storage: str | None, path: Path | None, as_json: bool) -> int:
    """Bring the storage to the format of this release, while it is served.

    Update all servers first: a release serves the format before its own as it is, beside older ones. Run this
    when no older release serves the storage any more; from then on none can. It may be interrupted and run
    again, and does nothing where nothing is to be done.

    \b
    Example:
      sidecargo migrate --storage /var/lib/sidecargo
    """
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    try:
        return asyncio.run(_migrate(settings(path, flags).settings, as_json))
    except StoreError as refused:
        raise Failure(refused.message, refused.fix) from None


async def _migrate(in_force: Settings, as_json: bool) -> int:
    with Status() as status:

        def told(progress: Progress) -> None:
            status.show(f"{progress.changed} of {progress.looked} objects changed", progress.looked)

        async with storages.existing(in_force) as place:
            found = await formats.load(place.driver)
            done = await migrate(place.driver, told)
    if as_json:
        data = {"from": found.former or found.number, "to": FORMAT, "changed": done.changed}
        click.echo(json.dumps(data, indent=2))
    elif found.is_settled:
        click.echo(f"the storage has format {FORMAT} already: nothing to do")
    else:
        click.echo(f"the storage has format {FORMAT} now: {done.changed} manifests changed")
    return 0
