"""`sidecargo push`: a module, out of whatever holds it, as an image that every consumer loads."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from registry.artifacts.judged import judged
from registry.artifacts.send import copy, send
from registry.artifacts.sources import Image
from registry.artifacts.targets import Target, opened, typed
from registry.artifacts.unwrap import Unwrapped, unwrapped
from registry.artifacts.wrap import wrapped
from registry.client.reference import Reference
from registry.client.remote import Remote, Stored
from registry.console.failure import Failure, Refusal
from registry.publish.bare import inspect_module
from registry.publish.inspect import Findings
from registry.releases import NEWEST
from registry.verdict import Problem
from storage.digest import Digest
from storage.errors import DigestInvalid, NameInvalid
from storage.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class Pushed:
    """What the registry stored, the SHA-256 of its module, and a line on what was done to the target."""

    stored: Stored
    module: str
    did: str


@click.command()
@click.argument("target")
@click.argument("destination", metavar="HOST/REPO:TAG")
@click.option("--file", metavar="PATH", default="", help="The module in an artifact that holds several.")
@click.option(
    "--platform",
    metavar="OS/ARCH",
    default="",
    help="The image in an index whose images hold different ones.",
)
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    target: str, destination: str, file: str, platform: str, plain_http: tuple[str, ...], as_json: bool
) -> None:
    """Push a plugin as an image that istio-agent and Envoy Gateway load; docker is not needed.

    TARGET is a .wasm file or - (standard input), the folder of an OCI layout, the archive of docker
    save, or HOST/REPO:TAG (docker's credentials are used), in whatever layout: as oras, wkg,
    wasm-to-oci, buildah or an ARM laptop made it, packed by gzip, zstd or not. The module is found,
    checked, and wrapped anew; annotations and labels that describe it are kept. A plugin that does
    not load is not pushed.

    An image that loads as it is, is copied byte for byte: its digest stays, and what was signed or
    attested for that digest stays true. Of an index it is the image for linux/amd64.

    \b
    Example:
      sidecargo push plugin.wasm localhost:5000/acme/plugin:v1
      sidecargo push artifacts.example.com/acme/plugin:v1 registry.example.com/acme/plugin:v1
      docker save acme/plugin:v1 | sidecargo push - registry.example.com/acme/plugin:v1
    """
    reference = _destination(destination)
    with (
        opened(target, plain_http, unpack=True) as found,
        Remote(reference.host, plain_http=reference.host in plain_http) as remote,
    ):
        pushed = push(found, reference, remote, file=file, platform=platform, name=typed(target))
    if as_json:
        click.echo(json.dumps(_data(reference, pushed), indent=2))
    else:
        for line in (pushed.did, *_next(reference, pushed.stored)):
            click.echo(line)
    for warning in pushed.stored.warnings:
        click.echo(f"warning: {warning}", err=True)


def push(
    target: Target,
    reference: Reference,
    remote: Remote,
    *,
    file: str = "",
    platform: str = "",
    name: str = "",
) -> Pushed:
    """Push what was opened; `file` and `platform` choose where several modules could be meant.

    `name` is how fixes name the target.

    Raises Refusal for what does not load, for what is not clear and for what the registry does not
    take; Failure for parts that cannot be read.
    """
    if isinstance(target, Image) and not file and not platform:
        with judged(target) as result:
            module = result.findings.facts
            if result.digest and module and not _problems(result.findings):
                image = result.findings.image or Descriptor(target.manifest.media_type, result.digest, 0)
                stored = copy(image, target.source, reference, remote)
                did = f"copied {_which(target, result.findings)}: it loads as it is"
                return Pushed(stored, module.sha256, did)
    with unwrapped(target, file=file, platform=platform) as taken:
        sha256 = _loading(target.name, taken, reference, name)
        with wrapped(taken.module, taken.size, taken.about) as image_made:
            return Pushed(send(image_made, reference, remote), sha256, f"took {taken.where}")


def _which(target: Image, findings: Findings) -> str:
    return "the image for linux/amd64" if findings.image and target.manifest.is_index else "the image"


def _loading(shown: str, taken: Unwrapped, reference: Reference, name: str) -> str:
    """The SHA-256 of a module that loads; Refusal for one that does not."""
    if taken.size == 0:
        findings = inspect_module(b"")
    else:
        with mmap.mmap(taken.module.fileno(), 0, access=mmap.ACCESS_READ) as data:
            findings = inspect_module(data)
    problems = _problems(findings)
    if problems or findings.facts is None:
        named = [problem.about(str(reference), name) for problem in problems]
        raise Refusal("\n".join(f"{shown} does not load: {problem}" for problem in named))
    return findings.facts.sha256


def _problems(findings: Findings) -> tuple[Problem, ...]:
    """What keeps it from loading anywhere with the newest Envoy; older ones are the registry's business."""
    found = (problem for verdict in findings.verdicts for problem in verdict.among((NEWEST,)).problems)
    return tuple(dict.fromkeys(found))


def _destination(text: str) -> Reference:
    try:
        reference = Reference.parse(text)
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(error.message, error.fix) from None
    if isinstance(reference.target, Digest):
        raise Failure(f"{text} names a digest, which the content decides.", "Push to HOST/REPO:TAG.")
    return reference


def _data(reference: Reference, pushed: Pushed) -> dict[str, object]:
    digest = pushed.stored.digest
    return {
        "reference": str(reference),
        "digest": str(digest),
        "pin": str(reference.at(digest)),
        "module": {"sha256": pushed.module},
        "did": pushed.did,
        "warnings": list(pushed.stored.warnings),
    }


def _next(reference: Reference, stored: Stored) -> Iterator[str]:
    digest = stored.digest
    yield f"pushed {reference}"
    yield f"digest {digest}"
    when = ", once what the registry warns of is mended" if stored.warnings else " in what you apply next"
    yield f"Pin that digest{when}:"
    yield "  WasmPlugin               spec.url: oci://" + str(reference.at(digest))
    yield f"  EnvoyExtensionPolicy     spec.wasm[].code.image.url: {reference}, .sha256: {digest.hex}"
