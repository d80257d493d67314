"""`sidecargo url`: the URL to fetch a plugin by, for what fetches without a login."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from registry.artifacts import stored_plugin
from registry.client import urls
from registry.client.reference import Reference
from registry.client.remote import Remote
from registry.client.urls import Given, Listed


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--expires", metavar="TIME", help="End it after so long, as 90d or 12h.  [default: never]")
@click.option("--list", "wanted", flag_value="list", help="List those that were given out.")
@click.option("--revoke", "wanted", flag_value="revoke", help="End those that were given out.")
@click.option("--id", "url_id", metavar="ID", help="Only this one.  [--revoke]")
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    reference: str,
    expires: str | None,
    wanted: str | None,
    url_id: str | None,
    plain_http: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the URL of the plugin.wasm of HOST/REPO:TAG or HOST/REPO@sha256:DIGEST.

    What is not for everybody gets a URL that needs no login: keep it as a secret. It is good for this tag or
    this digest alone, until it is revoked; whoever may pull gets one, whoever may push lists and revokes.
    One that expires takes the plugin from the next pod that starts.

    \b
    Example:
      sidecargo url registry.example.com/acme/plugin:v1
      sidecargo url registry.example.com/acme/plugin:v1 --expires 90d
      sidecargo url registry.example.com/acme/plugin:v1 --list
      sidecargo url registry.example.com/acme/plugin:v1 --revoke --id 0123456789abcdef
    """
    if expires is not None and wanted:
        raise click.UsageError(f"--expires and --{wanted} exclude each other.")
    if url_id is not None and wanted != "revoke":
        raise click.UsageError("--id is for --revoke.")
    asked = stored_plugin.reference(reference)
    with Remote(asked.host, plain_http=asked.host in plain_http) as remote:
        if wanted == "list":
            _print(urls.listed(remote, asked.repository, asked.target), "", as_json)
        elif wanted == "revoke":
            gone = urls.revoke(remote, asked.repository, asked.target, url_id or "")
            _print(gone, "revoked ", as_json)
        else:
            given = urls.give(remote, asked.repository, asked.target, expires or "")
            _print_url(asked, f"{remote.origin}{given.path}", given, as_json)


def _print_url(asked: Reference, url: str, given: Given, as_json: bool) -> None:
    if given.listed:
        revoke = f"sidecargo url {asked} --revoke --id {given.listed.id}"
        click.echo(f"note: whoever has this URL may download the plugin; to end it: {revoke}", err=True)
    known = _said(given.listed) if given.listed else {"id": None}
    click.echo(json.dumps({"url": url} | known, indent=2) if as_json else url)


def _print(found: Sequence[Listed], before: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"urls": [_said(one) for one in found]}, indent=2))
        return
    for one in found:
        until = f"until {one.expires}" if one.expires else "for ever"
        click.echo(f"{before}{one.id}  by {one.by}  since {one.since}  {until}")


def _said(one: Listed) -> dict[str, Any]:
    return asdict(one) | {"expires": one.expires or None}
