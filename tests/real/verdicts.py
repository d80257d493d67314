"""Comparing our verdict on a module with what a real Envoy made of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.publish.bare import inspect_module
from registry.verdict import Problem
from tests.real.envoys import Said
from tests.registry.wasm.modules import BEYOND, RUNS, STRICTER

REPORT = "SIDECARGO_DISAGREEMENTS"
"""Names a file in the environment that every disagreement is written to."""

# Envoy goes on after the first of these, to say in which step it was: no reasons of their own.
_STEPS = ("Failed to load Wasm code", "Failed to initialize Wasm code", "Plugin ")
_SHOWN = 47
# Where our message says what the file is, or that it is more than we look into: no words of Envoy's in it.
_OWN_WORDS = ("not-wasm", "wasm-empty", "wasm-truncated", "wasm-beyond-limits")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A module of which Envoy and we think differently, and what each says."""

    module: str
    release: str
    envoy: str
    ours: str

    def __str__(self) -> str:
        return f"{self.module} | {self.release} | Envoy: {self.envoy} | we: {self.ours}"


def compare(modules: Mapping[str, bytes], release: str, said: Mapping[str, Said]) -> list[Disagreement]:
    """Where our verdict is not that of an Envoy of this release; names may begin as in the table."""
    found = list(_compare(modules, release, said))
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as report:
            report.writelines(f"{one}\n" for one in found)
    return found


def _compare(modules: Mapping[str, bytes], release: str, said: Mapping[str, Said]) -> Iterator[Disagreement]:
    for name, data in modules.items():
        problems = judged(data, release)
        end, reason = said[name].end, reason_of(said[name])
        envoy = f"{end} ({reason or 'no words'})"
        ours = " / ".join(f"{problem.code}: {problem.message}" for problem in problems) or "loads"
        if name.startswith(BEYOND):
            if [problem.code for problem in problems] != ["wasm-beyond-limits"]:
                yield Disagreement(name, release, envoy, ours)
        elif name.startswith(STRICTER):
            if not problems:
                yield Disagreement(name, release, envoy, ours)
        elif said[name].loads:
            if problems:
                yield Disagreement(name, release, envoy, ours)
        elif not problems:
            if not (said[name].decided_by_running or name.startswith(RUNS)):
                yield Disagreement(name, release, envoy, ours)
        elif end in ("refused", "crashes") and not _same(end, reason, problems):
            yield Disagreement(name, release, f"other words: {envoy}", ours)


def suspects(modules: Mapping[str, bytes], release: str) -> list[str]:
    """The modules that we say crash an Envoy of this release."""
    return [name for name, data in modules.items() if any(map(_crashes, judged(data, release)))]


def judged(data: bytes, release: str) -> tuple[Problem, ...]:
    """Our problems of a bare module in an Envoy of this release."""
    verdict = next(one for one in inspect_module(data).verdicts if one.consumer == "envoy")
    return verdict.among((release,)).problems


def reason_of(said: Said) -> str:
    """The first thing that Envoy says is wrong."""
    for word in said.words:
        reason = word.removeprefix("Wasm VM failed ")
        if not reason.startswith(_STEPS) and "Uncaught " not in reason:
            return reason
    return ""


def _same(end: str, reason: str, problems: tuple[Problem, ...]) -> bool:
    """Whether our first problem says what Envoy says, as far as there is room in our message for names."""
    problem = problems[0]
    if problem.code in _OWN_WORDS and "Envoy" not in problem.message:
        return True
    if end == "crashes":
        return _crashes(problem)
    what, colon, names = reason.partition(": ")
    names = names.partition(", ")[0]
    plain = names.isascii() and names.isprintable() and "\\" not in names
    return what + (colon + names[:_SHOWN] if plain else "") in problem.message


def _crashes(problem: Problem) -> bool:
    return "crash" in problem.message
