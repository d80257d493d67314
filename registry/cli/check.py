"""`sidecargo check`: would it load?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
from pydantic import ByteSize

from registry.cli.failure import REFUSED, Failure
from registry.cli.judged import Judged, judged
from registry.cli.targets import opened
from registry.cli.terminal import printable
from registry.publish.inspect import Findings
from registry.settings import CONSUMERS
from registry.verdict import Verdict
from registry.wasm.abi import abi_version
from registry.wasm.module import Module
from registry.wasm.sdk import guess


@click.command()
@click.argument("target")
@click.option(
    "--consumer", "consumers", multiple=True, type=click.Choice(CONSUMERS), help="Ask for this one only."
)
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, consumers: tuple[str, ...], plain_http: tuple[str, ...], as_json: bool) -> int:
    """Check whether a plugin loads in istio-agent and Envoy.

    TARGET is a .wasm file or - (standard input), the folder of an OCI layout, the archive of docker
    save, or HOST/REPO:TAG, read with docker's credentials. Exits 0 when it loads everywhere asked,
    1 when it does not, 2 when TARGET cannot be read.

    \b
    Example:
      sidecargo check plugin.wasm
      docker save acme/plugin:v1 | sidecargo check -
      sidecargo check --json localhost:5000/acme/plugin:v1
    """
    with opened(target, plain_http) as found, judged(found) as result:
        verdicts = asked(result.findings, consumers)
        if as_json:
            click.echo(json.dumps(as_data(target, result, verdicts), indent=2))
        else:
            for line in _lines(target, result, verdicts):
                click.echo(line)
    return 0 if all(verdict.ok for verdict in verdicts) else REFUSED


def asked(findings: Findings, consumers: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of the consumers that were asked for; all that there are when none is named.

    What no module was found in loads nowhere, whoever is asked. Failure for a consumer whose rules
    this release does not know.
    """
    if not consumers:
        return findings.verdicts
    known = {verdict.consumer: verdict for verdict in findings.verdicts}
    if findings.module is None:
        return tuple(known.get(name) or Verdict(name, findings.problems) for name in consumers)
    for name in consumers:
        if name not in known:
            raise Failure(f"this release does not judge for {name}.", f"Ask for {', '.join(known)}.")
    return tuple(known[name] for name in consumers)


def as_data(target: str, result: Judged, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The answer for programs."""
    findings = result.findings
    return {
        "target": target,
        "digest": str(result.digest) if result.digest else None,
        "ok": all(verdict.ok for verdict in verdicts),
        "consumers": {
            verdict.consumer: {
                "ok": verdict.ok,
                "problems": [
                    {"code": problem.code, "message": problem.message, "fix": problem.fix}
                    for problem in verdict.problems
                ],
            }
            for verdict in verdicts
        },
        "module": _module(findings.module) if findings.module else None,
        "layer": result.layer.to_json() if result.layer else None,
    }


def _module(module: Module) -> dict[str, Any]:
    return {
        "sha256": module.sha256,
        "size": module.size,
        "abi": abi_version(module),
        "sdk": str(guess(module)),
        "imports": [str(needed) for needed in module.imports],
        "exports": [offered.name for offered in module.exports],
    }


def _lines(target: str, result: Judged, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The answer for people."""
    yield printable(target)
    width = max((len(verdict.consumer) for verdict in verdicts), default=0)
    for verdict in verdicts:
        yield f"  {verdict.consumer:<{width}}  {'loads' if verdict.ok else 'does not load'}"
        for problem in verdict.problems:
            yield f"    problem: {printable(problem.message)}"
            yield f"    fix:     {printable(problem.fix)}"
    if module := result.findings.module:
        size = ByteSize(module.size).human_readable()
        facts = f"{size}, ABI {abi_version(module) or 'none'}, SDK {guess(module)}"
        yield f"  module  {facts}, {len(module.imports)} imports, {len(module.exports)} exports"
        yield f"          sha256 {module.sha256} (what code.remote and http(s) URLs compare)"
    if layer := result.layer:
        yield f"  layer   {printable(layer.media_type)} {layer.digest}"
    if result.digest:
        yield f"  image   {result.digest} (what oci:// URLs compare)"
