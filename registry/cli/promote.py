"""`sidecargo promote`: a plugin on to the next repository or registry, with its digest and signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import click

from registry.artifacts import stored_plugin
from registry.artifacts.stored_plugin import StoredPlugin
from registry.cli import verdicts
from registry.cli.asked import asked
from registry.client import signatures
from registry.client.copying import Copier, Place, read
from registry.client.reference import Reference
from registry.client.remote import Remote, Stored
from registry.client.signatures import Copied
from registry.console.terminal import printable, progress
from registry.releases import NEWEST


@dataclass(frozen=True, slots=True)
class Promoted:
    """What was copied where; `uncovered` are signatures of the index that say nothing of its child."""

    source: Reference
    destination: Reference
    plugin: StoredPlugin
    stored: Stored
    signed: Copied
    uncovered: int


@click.command()
@click.argument("source", metavar="REF")
@click.argument("destination", metavar="HOST/REPO:TAG")
@click.option(
    "--istio", metavar="RELEASE", help="It must load in this Istio; without --envoy, in that alone."
)
@click.option(
    "--envoy",
    "envoys",
    metavar="RELEASE",
    multiple=True,
    help=f"It must load in this Envoy, as 1.40; may be given several times.  [default: {NEWEST}]",
)
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    source: str,
    destination: str,
    istio: str | None,
    envoys: tuple[str, ...],
    plain_http: tuple[str, ...],
    as_json: bool,
) -> None:
    """Copy a plugin by its digest, with its signatures, and print the one digest to pin.

    REF is HOST/REPO:TAG or HOST/REPO@sha256:DIGEST in any registry. Of an index its linux/amd64 image is
    copied: what the new tag names is what agents compare, so tools that pin what a tag names pin right.
    Not a byte changes. A plugin that does not load is not copied.

    \b
    Example:
      sidecargo promote registry.example.com/dev/plugin:v1 registry.example.com/prod/plugin:v1
      sidecargo promote artifacts.example.com/acme/plugin:v1 registry.example.com/acme/plugin:v1
    """
    start, end = stored_plugin.reference(source), stored_plugin.destination(destination)
    must = asked((), envoys, istio)
    with (
        Remote(start.host, plain_http=start.host in plain_http) as origin,
        Remote(end.host, plain_http=end.host in plain_http) as target,
    ):
        plugin = stored_plugin.find(start, origin, must.envoys)
        promoted = promote(
            start, end, plugin, Copier(Place(origin, start.repository), Place(target, end.repository))
        )
    if as_json:
        click.echo(json.dumps(_data(promoted), indent=2))
    else:
        for line in _lines(promoted):
            click.echo(line)
    for line in verdicts.elsewhere(plugin.elsewhere):
        click.echo(f"note: {end} loads, {line}", err=True)
    for warning in (*promoted.stored.warnings, *_warnings(promoted)):
        click.echo(f"warning: {warning}", err=True)


def promote(start: Reference, end: Reference, plugin: StoredPlugin, copier: Copier) -> Promoted:
    """Copy a plugin that loads: image, signatures, and the tag last, so that it never names less.

    Raises RemoteError or Failure for what cannot be read, Refusal for what is not taken.
    """
    fetched = copier.source.remote.manifest(copier.source.repository, plugin.image)
    manifest = read(fetched, str(copier.source))
    blobs = list(manifest.blobs())
    with progress(f"copying {printable(end.repository, 60)}", sum(blob.size for blob in blobs)) as advance:
        copier.blobs(blobs, advance)
    copier.manifest(fetched, plugin.image)
    signed = signatures.copy(copier, plugin.image)
    stored = copier.manifest(fetched, str(end.target))
    is_child = plugin.named != plugin.image
    uncovered = signatures.count(copier.source, plugin.named) if is_child else 0
    return Promoted(start, end, plugin, stored, signed, uncovered)


def _data(promoted: Promoted) -> dict[str, object]:
    return {
        "source": str(promoted.source.at(promoted.plugin.image)),
        "reference": str(promoted.destination),
        "digest": str(promoted.plugin.image),
        "pin": str(promoted.destination.at(promoted.plugin.image)),
        "module": {"sha256": promoted.plugin.module.hex},
        "signatures": {"tag": promoted.signed.tagged, "bundle": promoted.signed.bundles},
    }


def _lines(promoted: Promoted) -> Iterator[str]:
    signed = promoted.signed
    yield f"promoted {promoted.destination}"
    yield f"digest {promoted.plugin.image}"
    yield f"signatures {signed.count} ({signed.tagged} under cosign's tag, {signed.bundles} as bundles)"
    when = ", once what the registry warns of is mended" if promoted.stored.warnings else ""
    yield f"Pin that digest{when}: oci://{promoted.destination.at(promoted.plugin.image)}"


def _warnings(promoted: Promoted) -> Iterator[str]:
    if promoted.uncovered and not promoted.signed.count:
        yield (
            f"{promoted.uncovered} signatures of {promoted.source} are for its index, not for its image. "
            f"Sign {promoted.destination.at(promoted.plugin.image)}, or the index by cosign sign -r."
        )
