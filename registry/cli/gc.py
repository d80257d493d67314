"""`sidecargo gc`: collects what nobody names, says what would go, and brings back what went."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from registry import chores, storages
from registry.cli.config import settings
from registry.cli.noted import note
from registry.console.failure import REFUSED, Failure, Refusal
from registry.console.terminal import Status
from registry.settings import Flag, Settings
from storage import names
from storage.digest import Digest
from storage.errors import DigestInvalid, ManifestUnknown, NameInvalid, StoreError
from storage.gc.job import Collected, Gone
from storage.store import Store
from storage.trash import Restored, Trash

_WORDS = {"tag": "tag", "manifest": "manifest", "link": "unused", "content": "bytes", "trash": "purge"}


@click.command()
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; print all that would go.")
@click.option(
    "--restore",
    "restored",
    metavar="REPO[:TAG|@DIGEST]",
    help="Bring back what was collected in the last 14 days.",
)
@click.option("--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]")
@click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(dry: bool, restored: str | None, storage: str | None, path: Path | None, as_json: bool) -> int:
    """Collect garbage: manifests that retention lets go, blobs and bytes that nobody names.

    It may run beside the server, which does the same every day (gc.interval). What goes rests in a trash
    for 14 days; a blob is unlinked first, and its bytes go a day later. Nothing goes because nobody has
    pulled it, and without a rule of retention no manifest goes.

    Exits 1 when something could not be read, of whose repository nothing goes then, or when not all of
    what is to be restored is left.

    \b
    Example:
      sidecargo gc --dry-run
      sidecargo gc --config sidecargo.yaml
      sidecargo gc --restore team-a/plugin:v1
    """
    if dry and restored is not None:
        raise Failure("--restore brings back; it does not go with --dry-run.", "Leave one of them out.")
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    in_force = settings(path, flags).settings
    try:
        if restored is not None:
            return asyncio.run(_restore(in_force, *_named(restored), as_json))
        return asyncio.run(_collect(in_force, dry, as_json))
    except StoreError as refused:
        raise Failure(refused.message, refused.fix) from None


async def _collect(in_force: Settings, dry: bool, as_json: bool) -> int:
    with Status() as status:
        tell = _teller(status, as_json) if dry else _silent
        async with storages.existing(in_force) as place:
            if not dry:
                store = Store(place.driver, upload_limit=in_force.limits.upload)
                await store.sweep(age=in_force.timeouts.uploads.total_seconds())
            collector = chores.collector_of(
                in_force, place.driver, place.temp, pause=0.0, told=tell, shown=status.show
            )
            if as_json and dry:
                click.echo('{"gone": [', nl=False)
            done = await collector.run(dry=dry)
    if as_json:
        data = {"dry_run": dry, "ok": not done.damaged} | asdict(done)
        click.echo(f"\n], {json.dumps(data)[1:]}" if dry else json.dumps(data, indent=2))
    else:
        for line in _summary(done, dry):
            click.echo(line)
    return REFUSED if done.damaged else 0


def _teller(status: Status, as_json: bool) -> Callable[[Gone], None]:
    """Prints what would go, as it is found: it may be much."""
    separator = "\n"

    def tell(gone: Gone) -> None:
        nonlocal separator
        status.clear()
        if as_json:
            click.echo(separator + json.dumps(asdict(gone)), nl=False)
            separator = ",\n"
        else:
            click.echo(_line(gone))

    return tell


def _silent(_: Gone) -> None:
    pass


def _line(gone: Gone) -> str:
    sign = {"tag": ":", "manifest": "@", "link": "@"}.get(gone.kind, "")
    size = f"  {gone.size:,} bytes" if gone.kind in ("manifest", "content", "trash") else ""
    return f"{_WORDS[gone.kind]:8}  {gone.repository}{sign}{gone.name}{size}"


def _summary(done: Collected, dry: bool) -> Iterator[str]:
    went = "would go" if dry else "went"
    named = f"{done.tags} tags, {done.manifests} manifests and {done.links} unused blobs"
    yield f"{done.repositories} repositories: {named} {went}"
    yield f"  bytes of {done.contents} blobs that no repository has {went}: {done.content_bytes:,}"
    if done.purged:
        yield f"  purged from the trash after 14 days: {done.purged_bytes:,} bytes of {done.purged}"
    if done.restored:
        yield f"  put back, as it is named again: {done.restored}"
    for name in done.damaged:
        yield f"  {name}: nothing {went}, for what it has cannot all be read; sidecargo fsck says what"


def _named(text: str) -> tuple[str, str | Digest | None]:
    """REPO, REPO:TAG or REPO@DIGEST, read."""
    name, at, digest = text.partition("@")
    name, colon, tag = name.partition(":") if not at else (name, "", "")
    try:
        names.repository(name)
        if at:
            return name, Digest.parse(digest)
        return name, names.tag(tag) if colon else None
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(error.message, "Write REPO, REPO:TAG or REPO@sha256:…, without the host.") from None


async def _restore(in_force: Settings, name: str, reference: str | Digest | None, as_json: bool) -> int:
    async with storages.existing(in_force) as place:
        trash = Trash(place.driver, name)
        try:
            found = await (trash.restore_all() if reference is None else trash.restore(reference))
        except ManifestUnknown as unknown:
            raise Refusal(unknown.message, unknown.fix) from None
    for digest in found.manifests:
        note(in_force, "delete", "undone", repository=name, reference=str(digest), digest=str(digest))
    if as_json:
        click.echo(json.dumps(_as_data(name, found), indent=2))
    else:
        for digest in found.manifests:
            click.echo(f"manifest  {name}@{digest}")
        for tag in found.tags:
            click.echo(f"tag       {name}:{tag}")
        for digest in found.missing:
            click.echo(f"missing   {name}@{digest}: nothing of it is left; push it again")
        if not found.manifests and not found.tags and not found.missing:
            click.echo("nothing was away")
    return REFUSED if found.missing else 0


def _as_data(name: str, found: Restored) -> dict[str, Any]:
    return {
        "repository": name,
        "ok": not found.missing,
        "manifests": [str(digest) for digest in found.manifests],
        "tags": found.tags,
        "missing": [str(digest) for digest in found.missing],
    }
