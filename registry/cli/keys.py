"""`sidecargo keys`: makes the keys that sign, says which count, puts a new one into the place of another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from registry import keyring, storages
from registry.cli.config import settings
from registry.cli.noted import note
from registry.console.failure import REFUSED, Failure
from registry.console.terminal import Status
from registry.keyring import write_new
from registry.publish.resign import Counts
from registry.settings import Flag, Settings
from registry.signing.keys import KeyInvalid
from registry.signing.ring import KeyRing
from storage.errors import StoreError, StoreUnavailable

_config = click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file.")
_storage = click.option(
    "--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]", default=None
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Make signing keys, list those that count, and rotate them.

    \b
    Example:
      sidecargo keys new signing.pem
      sidecargo keys list
    """


@command.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--config",
    "said",
    type=click.Path(path_type=Path),
    help="The settings file, for the audit that it names.",
)
def new(path: Path, said: Path | None) -> None:
    """Make a private key (ECDSA P-256, PEM) that only its owner can read; print its public key.

    Never overwrites a file.

    \b
    Example:
      sidecargo keys new signing.pem > cosign.pub
      sidecargo serve --signing-key signing.pem
    """
    in_force = settings(said).settings if said is not None else None
    try:
        key = write_new(path)
    except FileExistsError:
        raise Failure(f"{path} exists.", "Choose another name: what it signed is verified by it.") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}.", "Give a path that can be written to.") from None
    if in_force is not None:
        note(in_force, "key", "made", key.key_id)
    click.echo(key.public_pem, nl=False)


@command.command("list")
@_config
@_storage
@_as_json
def listed(path: Path | None, storage: str | None, as_json: bool) -> None:
    """Print the keys that count, as GET /keys/ of a server with these settings has them.

    The first one signs; a server that runs has those that were there when it started.

    \b
    Example:
      sidecargo keys list --config sidecargo.yaml
    """
    found = _ring(_in_force(path, storage))
    # Here, for what it says comes from the server, which is much to load.
    told = import_module("registry.plugins.keys").told
    keys = [told(one, signs=one.key.key_id == found.signing.key_id) for one in found.published]
    if as_json:
        click.echo(json.dumps({"keys": keys}, indent=2))
        return
    for key in keys:
        since = f"  since {key['since']}" if key["since"] else ""
        click.echo(f"{'signs ' if key['signs'] else 'signed'}  {key['id']}{since}")


@command.command()
@click.option("--resume", is_flag=True, help="Make no new key; sign what the key of now has not signed yet.")
@_config
@_storage
@_as_json
def rotate(resume: bool, path: Path | None, storage: str | None, as_json: bool) -> int:
    """Let a new key sign, and sign what is stored with it too. Older signatures and public keys stay.

    A key that was made in the storage folder is replaced by a new one; of the old one the public part is
    kept. Of keys that the settings name nothing is changed: write the new one first, the old one after it,
    then run this. It runs beside the servers, which sign with the new key once they are restarted; then
    --resume signs what was pushed meanwhile. Stopped, it goes on with --resume.

    Exits 1 when something could not be read.

    \b
    Example:
      sidecargo keys rotate --storage /var/lib/sidecargo
      sidecargo keys rotate --resume --config sidecargo.yaml
    """
    in_force = _in_force(path, storage)
    before = _ring(in_force)
    named = in_force.signing.keys
    if named and len(before.published) == 1 and not resume:
        raise Failure(
            "the settings name one key, and there is none to rotate to.",
            f"Make one: sidecargo keys new new.key. Write signing: {{keys: [new.key, {named[0]}]}}, "
            "restart the servers and run this again.",
        )
    try:
        if not resume and not named and (root := storages.folder(in_force)):
            keyring.rotate(root)
        found = _ring(in_force)
        if found.signing.key_id != before.signing.key_id:
            note(in_force, "key", "made", found.signing.key_id)
        if not as_json and found.signing.key_id != before.signing.key_id:
            click.echo(f"signs   {found.signing.key_id}")
            click.echo(f"signed  {before.signing.key_id}")
        with Status() as status:
            counts = import_module("registry.resigning").run(
                in_force,
                import_module("registry.app").known_as(in_force),
                lambda name, so_far: status.show(f"{name}: {_counted(so_far)}", so_far.seen),
            )
    except StoreError as refused:
        raise Failure(refused.message, refused.fix) from None
    if as_json:
        click.echo(json.dumps(_as_data(found, before, counts), indent=2))
    else:
        for line in _summary(counts, resume):
            click.echo(line)
    return REFUSED if counts.unreadable else 0


def _in_force(path: Path | None, storage: str | None) -> Settings:
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    return settings(path, flags).settings


def _ring(in_force: Settings) -> KeyRing:
    """The keys of these settings; none is made."""
    root = storages.folder(in_force)
    try:
        if not in_force.signing.keys and root and not (root / keyring.FOLDER / keyring.MADE).exists():
            raise StoreUnavailable(
                f"there is no key in {in_force.storage.url} yet.",
                fix="One is made when the server starts; or name the storage with --storage.",
            )
        return keyring.ring(in_force.signing, root)
    except (StoreError, KeyInvalid) as refused:
        raise Failure(refused.message, refused.fix) from None


def _summary(counts: Counts, resume: bool) -> Iterator[str]:
    yield f"{counts.repositories} repositories, {_counted(counts)}"
    if counts.unreadable:
        yield f"  {counts.unreadable} cannot be read: sidecargo fsck says what they are"
    if not resume:
        yield "  restart the servers, then: sidecargo keys rotate --resume"


def _counted(counts: Counts) -> str:
    return f"{counts.seen} signed manifests, {counts.anew} of them signed anew"


def _as_data(found: KeyRing, before: KeyRing, counts: Counts) -> dict[str, Any]:
    was = before.signing.key_id
    key = found.signing.key_id
    return {"ok": not counts.unreadable, "key": key, "was": was if was != key else None} | asdict(counts)
