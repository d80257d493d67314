"""`sidecargo push`: a module, out of whatever holds it, as an image that every consumer loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import BinaryIO, cast

import click

from registry.cli.failure import Failure, Refusal
from registry.cli.judged import Judged, judged
from registry.cli.reference import Reference
from registry.cli.remote import Remote, Stored
from registry.cli.targets import opened
from registry.cli.terminal import printable, progress
from registry.cli.transport import RemoteError
from registry.cli.wrap import Wrapped, wrapped
from storage.digest import Digest
from storage.errors import DigestInvalid, NameInvalid
from storage.manifest import OCI_MANIFEST


@click.command()
@click.argument("target")
@click.argument("destination", metavar="HOST/REPO:TAG")
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, destination: str, plain_http: tuple[str, ...], as_json: bool) -> None:
    """Push a plugin as an image that istio-agent and Envoy Gateway load; docker is not needed.

    TARGET is a .wasm file or - (standard input), the folder of an OCI layout, the archive of docker
    save, or HOST/REPO:TAG; docker's credentials are used. A plugin that does not load is not pushed.

    \b
    Example:
      sidecargo push plugin.wasm localhost:5000/acme/plugin:v1
      docker save acme/plugin:v1 | sidecargo push - registry.example.com/acme/plugin:v1
    """
    reference = _destination(destination)
    with opened(target, plain_http) as found, judged(found) as result:
        module = _loadable(target, result)
        with (
            wrapped(module, result.findings.module.size if result.findings.module else 0) as image,
            Remote(reference.host, plain_http=reference.host in plain_http) as remote,
        ):
            stored = send(image, reference, remote)
    if as_json:
        click.echo(json.dumps({"reference": str(reference), "digest": str(stored.digest)}, indent=2))
    else:
        for line in _next(reference, stored.digest):
            click.echo(line)
    for warning in stored.warnings:
        click.echo(f"warning: {warning}", err=True)


def send(image: Wrapped, reference: Reference, remote: Remote) -> Stored:
    """Push an image, blobs before the manifest, with progress; Refusal when the registry does not take it."""
    name = reference.repository
    tag = str(reference.target)
    try:
        with progress(f"pushing {printable(name, 60)}", image.layer.size) as advance:
            watched = cast(BinaryIO, _Watched(image.packed, advance))
            remote.put_blob(name, image.layer.digest, image.layer.size, watched)
            advance(image.layer.size - watched.tell())  # what was there already is done too
        remote.put_blob(name, image.config_digest, len(image.config), BytesIO(image.config))
        return remote.put_manifest(name, tag, image.manifest, OCI_MANIFEST)
    except RemoteError as error:
        raise Refusal(error.message) from None


class _Watched:
    """A file that tells how far it has been read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._advance(len(piece))
        return piece

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int) -> int:
        # A request that is sent again begins anew, and so does its bar.
        self._advance(offset - self._file.tell())
        return self._file.seek(offset)


def _destination(text: str) -> Reference:
    try:
        reference = Reference.parse(text)
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(error.message, error.fix) from None
    if isinstance(reference.target, Digest):
        raise Failure(f"{text} names a digest, which the content decides.", "Push to HOST/REPO:TAG.")
    return reference


def _loadable(target: str, result: Judged) -> BinaryIO:
    if result.findings.ok and result.module:
        return result.module
    problems = "\n".join(f"{target} does not load: {problem}" for problem in result.findings.problems)
    raise Refusal(problems or f"{target} holds no plugin.")


def _next(reference: Reference, digest: Digest) -> Iterator[str]:
    yield f"pushed {reference}"
    yield f"digest {digest}"
    yield "Pin that digest in what you apply next:"
    yield "  WasmPlugin               spec.url: oci://" + str(reference.at(digest))
    yield f"  EnvoyExtensionPolicy     spec.wasm[].code.image.url: {reference}, .sha256: {digest.hex}"
