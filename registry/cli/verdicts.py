"""How findings are shown: lines for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ByteSize

from registry.artifacts.judged import Judged
from registry.cli.asked import Asked
from registry.console.terminal import printable
from registry.releases import ENVOYS
from registry.verdict import Problem, Verdict
from registry.wasm.abi import abi_version
from registry.wasm.module import Module
from registry.wasm.sdk import guess


def as_data(target: str, result: Judged, asked: Asked) -> dict[str, Any]:
    """The answer for programs."""
    findings = result.findings
    verdicts = asked.verdicts(findings.verdicts)
    return {
        "target": target,
        "digest": str(result.digest) if result.digest else None,
        "ok": all(verdict.ok for verdict in verdicts),
        "consumers": {verdict.consumer: consumer(verdict, asked) for verdict in verdicts},
        "module": _module(result.parsed) if result.parsed else None,
        "layer": result.layer.to_json() if result.layer else None,
    }


def consumer(verdict: Verdict, asked: Asked) -> dict[str, Any]:
    """One consumer's verdict; `envoys` says of each release that was asked for whether it loads there."""
    return {
        "ok": verdict.ok,
        "envoys": {envoy: verdict.among((envoy,)).ok for envoy in asked.envoys[verdict.consumer]},
        "problems": [problem.to_json() for problem in verdict.problems],
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


def lines(target: str, result: Judged, asked: Asked) -> Iterator[str]:
    """The answer for people."""
    yield printable(target)
    verdicts = asked.verdicts(result.findings.verdicts)
    yield from verdict_lines(verdicts, asked)
    if verdicts and all(verdict.ok for verdict in verdicts):
        found = result.findings.verdicts
        yield from (f"  {line}" for line in elsewhere(one for verdict in found for one in verdict.problems))
    if module := result.parsed:
        size = ByteSize(module.size).human_readable()
        facts = f"{size}, ABI {abi_version(module) or 'none'}, SDK {guess(module)}"
        yield f"  module  {facts}, {len(module.imports)} imports, {len(module.exports)} exports"
        yield f"          sha256 {module.sha256} (what code.remote and http(s) URLs compare)"
    if layer := result.layer:
        yield f"  layer   {printable(layer.media_type)} {layer.digest}"
    if result.digest:
        yield f"  image   {result.digest} (what oci:// URLs compare)"


def verdict_lines(verdicts: Sequence[Verdict], asked: Asked) -> Iterator[str]:
    """A line a consumer and set of releases with the same problems, and those problems, told once."""
    rows = [
        (asked.name(verdict.consumer), f"Envoy {', '.join(envoys)}", problems)
        for verdict in verdicts
        for envoys, problems in asked.by_release(verdict)
    ]
    names = max((len(name) for name, _, _ in rows), default=0)
    releases = max((len(envoys) for _, envoys, _ in rows), default=0)
    told: dict[tuple[Problem, ...], str] = {}
    for name, envoys, problems in rows:
        yield f"  {name:<{names}}  {envoys:<{releases}}  {'does not load' if problems else 'loads'}"
        if problems in told:
            yield f"    as for {told[problems]}"
        elif problems:
            yield from problem_lines(problems)
            told[problems] = name


def about(verdicts: Sequence[Verdict], reference: str, target: str) -> tuple[Verdict, ...]:
    """The verdicts with fixes that name the image and what is to be mended, as for `Problem.about`."""
    return tuple(
        replace(verdict, problems=tuple(problem.about(reference, target) for problem in verdict.problems))
        for verdict in verdicts
    )


def problem_lines(problems: Sequence[Problem], indent: str = "    ") -> Iterator[str]:
    """What is wrong and what to type, on a line each."""
    for problem in problems:
        yield f"{indent}problem: {printable(problem.message)}"
        yield f"{indent}fix:     {printable(problem.fix)}"


def elsewhere(problems: Iterable[Problem]) -> Iterator[str]:
    """Where else what loads does not, by these problems: to know before an older mesh meets it."""
    others = {problem for problem in problems if problem.envoys}
    for envoys in dict.fromkeys(problem.envoys for problem in sorted(others, key=lambda one: one.code)):
        known = [envoy for envoy in ENVOYS if envoy in envoys]
        yield f"but not in Envoy {', '.join(known)}: see --envoy {known[0] if known else envoys[0]}"
