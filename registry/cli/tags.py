"""`sidecargo tags`: what the tags of a repository name and named, and how one is moved back."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from registry.cli.config import settings
from registry.cli.noted import note
from registry.console.failure import Failure, Refusal
from registry.plugins import history as histories
from registry.publish import restoring
from registry.publish.examiner import Examiner
from registry.publish.restoring import Restored
from registry.settings import Flag, Settings
from storage import attached, names
from storage.digest import Digest
from storage.errors import (
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    RegistryError,
    StoreError,
    TagImmutable,
)
from storage.repositories import Repository
from storage.store import Store
from storage.tags import History

_AT_ONCE = 64
_FORCE = "Push under a new tag, or move it all the same with --force."

F = TypeVar("F", bound=Callable[..., Any])


def _options(command: F) -> F:
    """The options that all of them have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--config", "path", type=click.Path(path_type=Path), help="The settings file."),
        click.option("--storage", metavar="DIR|s3://…", help="Where the content is.  [default: ./data]"),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """List tags, show what they named, and move them back, in the registry's own storage.

    It may be done beside the server.

    \b
    Example:
      sidecargo tags list team/wasm
      sidecargo tags history team/wasm:v1
      sidecargo tags restore team/wasm:v1
    """


@command.command("list")
@click.argument("repository", metavar="REPO")
@_options
def listed(repository: str, storage: str | None, path: Path | None, as_json: bool) -> None:
    """List the tags of a repository with what they name; those of signatures are left out.

    \b
    Example:
      sidecargo tags list team/wasm --storage /var/lib/sidecargo
    """
    in_force = _settings(storage, path)
    with _told():
        asyncio.run(_list(in_force, names.repository(repository), as_json))


@command.command()
@click.argument("named", metavar="REPO:TAG")
@_options
def history(named: str, storage: str | None, path: Path | None, as_json: bool) -> None:
    """Show what a tag names and what it named before, since and until when, and who wanted it.

    \b
    Example:
      sidecargo tags history team/wasm:v1 --storage /var/lib/sidecargo
    """
    in_force = _settings(storage, path)
    with _told():
        repository, tag = _parsed(named)
        asyncio.run(_history(in_force, repository, tag, as_json))


@command.command()
@click.argument("named", metavar="REPO:TAG")
@click.argument("digest", required=False)
@click.option("--force", is_flag=True, help="Also a tag that is immutable by the settings.")
@_options
def restore(
    named: str, digest: str | None, force: bool, storage: str | None, path: Path | None, as_json: bool
) -> None:
    """Move a tag back to DIGEST; without one, to what it named before.

    Sidecars that have the tag do not notice: it says what to type for what runs. Exits 1 when the tag or the
    digest is not there, or the tag is immutable.

    \b
    Example:
      sidecargo tags restore team/wasm:v1
      sidecargo tags restore team/wasm:v1 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15…
    """
    in_force = _settings(storage, path)
    with _told():
        repository, tag = _parsed(named)
        wanted = Digest.parse(digest) if digest is not None else None
        asyncio.run(_restore(in_force, repository, tag, wanted, force, as_json))


@dataclass(frozen=True, slots=True)
class _Opened:
    repository: Repository
    examiner: Examiner


@contextlib.asynccontextmanager
async def _opened(in_force: Settings, name: str) -> AsyncIterator[_Opened]:
    # Here, for the server is much to load, and --help needs none of it.
    app = import_module("registry.app")
    async with app.judging(in_force) as (store, examiner):
        assert isinstance(store, Store)
        yield _Opened(store.repository(name), examiner)


async def _list(in_force: Settings, name: str, as_json: bool) -> None:
    """Print the tags as they are read: they may be many."""
    async with _opened(in_force, name) as opened:
        tags = opened.repository.tags
        await opened.repository.must_exist()
        shown: list[dict[str, Any]] = []
        after, more = "", True
        while more:
            page = await tags.page(after=after, limit=_AT_ONCE)
            wanted = [tag for tag in page.names if attached.stem_of(tag) is None]
            found = await asyncio.gather(*map(partial(_or_none, tags.history), wanted))
            for tag, history in zip(wanted, found, strict=True):
                if history is None:
                    continue
                row = histories.document(name, tag, history)
                if as_json:
                    shown.append({key: row[key] for key in ("tag", "digest", "since", "by")})
                else:
                    click.echo(f"{tag}  {_row(row)}")
            after, more = (page.names[-1] if page.names else after), page.more
    if as_json:
        click.echo(json.dumps({"repository": name, "tags": shown}, indent=2))


async def _or_none(history: Callable[[str], Awaitable[History]], tag: str) -> History | None:
    with contextlib.suppress(ManifestUnknown):  # deleted since it was listed
        return await history(tag)
    return None


async def _history(in_force: Settings, name: str, tag: str, as_json: bool) -> None:
    async with _opened(in_force, name) as opened:
        found = histories.document(name, tag, await opened.repository.tags.history(tag))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"now    {_row(found)}")
    for row in found["former"]:
        click.echo(f"until  {row['until']}  {_row(row)}")


def _row(row: dict[str, Any]) -> str:
    since = f"  since {row['since']}" if row["since"] else ""
    return f"{row['digest']}{since}{'  by ' + row['by'] if row['by'] else ''}"


async def _restore(
    in_force: Settings, name: str, tag: str, digest: Digest | None, force: bool, as_json: bool
) -> None:
    immutable = () if force else in_force.tags.immutable_in(name)
    async with _opened(in_force, name) as opened:
        try:
            done = await restoring.restore(opened.repository, tag, digest, immutable=immutable, by=_who())
        except TagImmutable as held:
            raise Refusal(held.message, _FORCE) from None
        moved = {"repository": name, "reference": tag, "digest": str(done.named.digest)}
        note(in_force, "tag", "restored", **moved, replaced=(f"{tag}@{done.was}",))
        plugin = None
        with contextlib.suppress(RegistryError):  # the tag has moved, whatever is known of the image
            plugin = await opened.examiner.plugin(opened.repository, done.named)
    image = plugin.image if plugin else None
    if as_json:
        data = {
            "repository": name,
            "tag": tag,
            "digest": str(done.named.digest),
            "was": str(done.was),
            "image": str(image) if image else None,
            "patch": _patch(in_force, name, image) if image else None,
        }
        click.echo(json.dumps(data, indent=2))
    else:
        for line in _said(in_force, name, tag, done, image):
            click.echo(line)


def _said(in_force: Settings, name: str, tag: str, done: Restored, image: Digest | None) -> Iterator[str]:
    if done.was == done.named.digest:
        yield f"{name}:{tag} names {done.was} already."
    else:
        yield f"{name}:{tag} names {done.named.digest} again; until now it named {done.was}."
    yield "Running sidecars will not notice: a proxy that has this tag does not ask for it again"
    if image is None:
        yield "(imagePullPolicy IfNotPresent). What to roll back to is not known: no plugin was found in it."
        return
    yield "(imagePullPolicy IfNotPresent, the default for every tag but latest). To roll back what runs,"
    yield "patch each WasmPlugin that uses it:"
    yield f"  {_patch(in_force, name, image)}"


def _patch(in_force: Settings, name: str, image: Digest) -> str:
    """What really rolls back: the digest that agents compare, in the resource.

    A `sha256` beside the URL would be that of another image, or of a file: it goes.
    """
    public = in_force.server.public_url
    host = urlsplit(public).netloc if public else "HOST"
    patch = json.dumps(
        {"spec": {"url": f"oci://{host}/{name}@{image}", "sha256": None}}, separators=(",", ":")
    )
    return f"kubectl patch wasmplugin NAME -n NAMESPACE --type merge -p '{patch}'"


def _who() -> str:
    """Whoever is at the registry's own machine."""
    try:
        return f"{getpass.getuser()} (sidecargo tags)"
    except (KeyError, OSError):  # no name for this number, as in a container
        return f"{os.getuid()} (sidecargo tags)"


def _settings(storage: str | None, path: Path | None) -> Settings:
    flags = (Flag("--storage", ("storage", "url"), storage),) if storage else ()
    return settings(path, flags).settings


def _parsed(text: str) -> tuple[str, str]:
    name, colon, tag = text.rpartition(":")
    if not colon or "@" in text:
        raise Failure(f"{text!r} is no REPO:TAG.", "Write it without the host, as in team/wasm:v1.")
    return names.repository(name), names.tag(tag)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong, as a command says it: 2 for what cannot be read, 1 for a no."""
    try:
        yield
    except (NameInvalid, DigestInvalid) as wrong:
        raise Failure(wrong.message, "Write REPO or REPO:TAG without the host, and sha256:….") from None
    except StoreError as failed:
        raise Failure(failed.message, failed.fix) from None
    except RegistryError as refused:
        raise Refusal(refused.message, refused.fix) from None
