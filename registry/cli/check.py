"""`sidecargo check`: would it load?"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from registry.artifacts.judged import Judged, judged
from registry.artifacts.sources import Image, RemoteSource
from registry.artifacts.targets import opened, typed
from registry.cli import asked as asking
from registry.cli import trial, verdicts
from registry.cli.asked import Asked, asked
from registry.console.failure import REFUSED, Failure
from registry.trial.outcome import Outcome
from registry.verdict import PLACEHOLDER

_SKIPPED = "not run: Envoy {release} does not load it. Run it all the same: --anyway"
_NOTHING = "not run: there is no module in it"


@click.command()
@click.argument("target", required=False)
@asking.options
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@trial.options
@click.option("--stored", "of_store", is_flag=True, help="Judge all that is stored again, instead of TARGET.")
@click.option(
    "--storage",
    metavar="DIR|s3://BUCKET/PREFIX",
    help="With --stored: where the content is.  [default: ./data]",
)
@click.option(
    "--config",
    metavar="TEXT|@FILE",
    help="With --run: the plugin's configuration (JSON). With --stored: the settings file.",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    target: str | None,
    consumers: tuple[str, ...],
    envoys: tuple[str, ...],
    istio: str | None,
    plain_http: tuple[str, ...],
    as_json: bool,
    runs: bool,
    of_store: bool,
    storage: str | None,
    config: str | None,
    **words: Any,
) -> int:
    """Check whether a plugin loads in istio-agent, Envoy Gateway and Envoy.

    TARGET is a .wasm file or - (standard input), the folder of an OCI layout, the archive of docker
    save, or HOST/REPO:TAG, read with docker's credentials. Exits 0 when it loads everywhere asked,
    1 when it does not, 2 when TARGET cannot be read.

    With --run it is loaded in a real Envoy too, and a request is sent through it: what it does to the
    headers, what it answers and what it logs is shown. Exits 1 when that fails.

    With --stored everything in the registry's storage is judged again: what would break with --istio
    or --envoy. It may run beside the server, and go on after an interruption. Exits 1 when something
    would break.

    \b
    Example:
      sidecargo check plugin.wasm
      docker save acme/plugin:v1 | sidecargo check -
      sidecargo check --json --envoy 1.36 --envoy 1.40 localhost:5000/acme/plugin:v1
      sidecargo check plugin.wasm --run --config '{"header": "x-team"}' --header 'cookie: a=b'
      sidecargo check --stored --istio 1.31
    """
    _refuse_nonsense(context, target, runs, of_store)
    if of_store:
        # Here, for the settings are much to load, and a TARGET needs none of them.
        stored = import_module("registry.cli.stored")
        path = Path(config) if config else None
        return int(stored.check(storage, path, consumers, envoys, istio, as_json))
    assert target
    wanted = asked(consumers, envoys, istio)
    if not runs:
        with _judged(target, plain_http) as result:
            return _show(target, result, wanted, as_json)
    # First, for what is wrong with them needs no target.
    planned = trial.trial(config, words)
    binary, release = trial.envoy_binary(words["envoy_binary"])
    with _judged(target, plain_http) as result:
        exports = [one.name for one in result.parsed.exports] if result.parsed else []
        for note in trial.notes(planned.configuration, exports):
            click.echo(f"note: {note}", err=True)
        if result.module is None:
            return _show(target, result, wanted, as_json, release, _NOTHING)
        if not words["anyway"] and not _loads(result, release):
            return _show(target, result, wanted, as_json, release, _SKIPPED.format(release=release))
        outcome = trial.tried(binary, result.module, planned)
        return _show(target, result, wanted, as_json, release, outcome)


@contextmanager
def _judged(target: str, plain_http: Collection[str]) -> Iterator[Judged]:
    """The target, judged; the fixes name it."""
    with opened(target, plain_http) as found, judged(found) as result:
        reference, name = PLACEHOLDER, typed(target)
        if isinstance(found, Image) and isinstance(found.source, RemoteSource):
            name = found.name
            reference = PLACEHOLDER if "@" in name else name
        named = verdicts.about(result.findings.verdicts, reference, name)
        yield replace(result, findings=replace(result.findings, verdicts=named))


def _refuse_nonsense(context: click.Context, target: str | None, runs: bool, of_store: bool) -> None:
    def given(name: str) -> bool:
        return context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)

    def option(name: str) -> str:
        return next(one.opts[0] for one in context.command.params if one.name == name)

    if of_store and target is not None:
        raise Failure("--stored judges what is stored; it takes no TARGET.", "Leave one of them out.")
    if of_store and runs:
        raise Failure("--run tries one TARGET; it does not go with --stored.", "Leave one of them out.")
    if not target and not of_store:
        raise Failure("there is no TARGET to check.", "Name a file, a folder or HOST/REPO:TAG; see --help.")
    for name in trial.ONLY_WITH_RUN:
        if given(name) and not runs:
            raise Failure(f"{option(name)} says how to run a plugin.", "Add --run.")
    if given("storage") and not of_store:
        raise Failure("--storage says where what is stored lies.", "Add --stored, or leave it out.")
    if given("config") and not (of_store or runs):
        raise Failure("--config goes with --run or --stored.", "Add one of them, or leave it out.")
    if given("plain_http") and of_store:
        raise Failure("--plain-http is for a TARGET in a registry.", "Leave it out.")


def _loads(result: Judged, release: str) -> bool:
    """Whether the Envoy that is to run it loads it, by what is known without running."""
    minor = ".".join(release.split(".")[:2])
    return all(found.among((minor,)).ok for found in result.findings.verdicts if found.consumer == "envoy")


def _show(
    target: str,
    result: Judged,
    wanted: Asked,
    as_json: bool,
    release: str = "",
    outcome: Outcome | str | None = None,
) -> int:
    """Print the answer, with that of a trial or why there was none; the exit code."""
    data = verdicts.as_data(target, result, wanted)
    ok = data["ok"] and (outcome is None or (isinstance(outcome, Outcome) and outcome.ok))
    if as_json:
        if isinstance(outcome, Outcome):
            data["run"] = trial.as_data(outcome, release)
        elif outcome:
            data["run"] = {"envoy": release, "ok": None, "skipped": outcome}
        click.echo(json.dumps(data | {"ok": ok}, indent=2))
        return 0 if ok else REFUSED
    for line in verdicts.lines(target, result, wanted):
        click.echo(line)
    if isinstance(outcome, Outcome):
        for line in trial.lines(outcome, release):
            click.echo(line)
    elif outcome:
        click.echo(f"  run     {outcome}")
    return 0 if ok else REFUSED
