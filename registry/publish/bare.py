"""Inspecting a bare module, as Envoy meets it."""

from __future__ import annotations

import mmap

from registry.consumers import envoy, envoy_gateway, istio
from registry.publish.inspect import CONSUMERS, Findings, refused
from registry.verdict import Problem, Verdict
from registry.wasm import survey
from registry.wasm.judge import judge
from registry.wasm.module import NotAModule, read

_TOO_LARGE = {"istio": istio.too_large, "envoy": envoy.too_large, "envoy-gateway": envoy_gateway.too_large}


def inspect_module(
    data: bytes | memoryview | mmap.mmap, sha256: str | None = None, *, code_is_valid: bool = False
) -> Findings:
    """Judge a module; `sha256` (hexadecimal) is computed when it is not given.

    Consumers differ only in how large a module they take. See `wasm.judge` for `code_is_valid`.
    """
    try:
        module = read(data, sha256)
    except NotAModule as refusal:
        return Findings(refused(refusal.problem))
    problems = judge(module, data, code_is_valid=code_is_valid)
    verdicts = (
        Verdict(consumer, (*_some(_TOO_LARGE[consumer](module.size)), *problems)) for consumer in CONSUMERS
    )
    return Findings(tuple(verdicts), survey.of(module))


def _some(problem: Problem | None) -> tuple[Problem, ...]:
    return (problem,) if problem else ()
