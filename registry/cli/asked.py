"""Whom a verdict is asked for: consumers, and the releases of Envoy that each of them runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from registry.console.failure import Failure
from registry.publish.inspect import CONSUMERS
from registry.releases import ENVOYS, NEWEST, UnknownRelease, envoy_of, minor
from registry.verdict import Problem, Verdict

ISTIO = "istio"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """Consumers in the order to show them, with their Envoys; `istio` is the release named, if one was."""

    envoys: dict[str, tuple[str, ...]]
    istio: str = ""

    def name(self, consumer: str) -> str:
        """How the consumer is called, with its own release where one was asked for."""
        return f"{consumer} {self.istio}" if consumer == ISTIO and self.istio else consumer

    def verdict(self, verdict: Verdict) -> Verdict:
        """A verdict for what was asked alone."""
        return verdict.among(self.envoys[verdict.consumer])

    def verdicts(self, found: Sequence[Verdict]) -> tuple[Verdict, ...]:
        """The verdicts of the consumers that were asked for."""
        of = {verdict.consumer: verdict for verdict in found}
        return tuple(self.verdict(of[consumer]) for consumer in self.envoys if consumer in of)

    def by_release(self, verdict: Verdict) -> Iterator[tuple[tuple[str, ...], tuple[Problem, ...]]]:
        """A verdict's problems by the releases that have the same ones, oldest first."""
        same: dict[tuple[Problem, ...], list[str]] = {}
        for envoy in self.envoys[verdict.consumer]:
            same.setdefault(verdict.among((envoy,)).problems, []).append(envoy)
        for problems, envoys in same.items():
            yield tuple(envoys), problems


def options(command: F) -> F:
    """The options of a command whose verdicts are for consumers and releases."""
    for option in (
        click.option("--istio", metavar="RELEASE", help="Judge for this Istio: its agent, and its Envoy."),
        click.option(
            "--envoy",
            "envoys",
            multiple=True,
            metavar="RELEASE",
            help=f"Judge for this Envoy, as 1.40; may be given several times.  [default: {NEWEST}]",
        ),
        click.option(
            "--consumer",
            "consumers",
            multiple=True,
            type=click.Choice(CONSUMERS),
            help="Ask for this one only.",
        ),
    ):
        command = option(command)
    return command


def asked(
    consumers: Sequence[str],
    envoys: Sequence[str],
    istio: str | None,
    *,
    every: Sequence[str] = CONSUMERS,
    usual: Sequence[str] = (NEWEST,),
) -> Asked:
    """Who is asked for; Failure names the releases that are known.

    With `istio` alone it is istio-agent; beside --envoy it says what Istio runs, and the others run
    those Envoys. `every` and `usual` are whom and what to ask for when nothing is said.
    """
    releases = tuple(sorted({_envoy(said) for said in envoys} or set(usual), key=ENVOYS.index))
    try:
        proxy = envoy_of(istio) if istio is not None else ""
    except UnknownRelease as unknown:
        raise Failure(unknown.message, unknown.fix) from None
    if not consumers:
        consumers = (ISTIO,) if proxy and not envoys else every
    found = dict.fromkeys(consumers, releases)
    if proxy and ISTIO in found:
        found[ISTIO] = (proxy,)
    return Asked(found, minor(istio or ""))


def _envoy(said: str) -> str:
    release = minor(said)
    if release not in ENVOYS:
        raise Failure(f"{said!r} is no Envoy release that is judged for.", f"Known: {', '.join(ENVOYS)}.")
    return release
