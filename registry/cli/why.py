"""`sidecargo why`: why the last push was refused, for those whose client showed a status only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from registry.client.reference import Reference
from registry.client.remote import Remote
from registry.client.transport import Answer, RemoteError
from registry.console.failure import REFUSED, Failure
from registry.console.terminal import printable
from registry.verdict import Problem
from storage.errors import DigestInvalid, NameInvalid

_MAX_REPORT = 4 << 20


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--plain-http", multiple=True, metavar="HOST", help="Speak plain HTTP to this registry.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the registry's report.")
def command(reference: str, plain_http: tuple[str, ...], as_json: bool) -> int:
    """Tell why the last push of HOST/REPO:TAG or HOST/REPO@DIGEST was refused, and what to type.

    A Sidecargo registry keeps refusals for 7 days; docker's credentials are used, and the right to pull is
    enough. Exits 0 when the last push was not refused, 1 when it was, 2 when that cannot be read.

    \b
    Example:
      sidecargo why localhost:5000/acme/plugin:v1
      sidecargo why --json localhost:5000/acme/plugin:v1
    """
    asked = _parsed(reference)
    with Remote(asked.host, plain_http=asked.host in plain_http) as remote:
        report = _report(asked, remote.report(asked.repository, asked.target))
    try:
        lines, code = list(_lines(asked, report)), REFUSED if is_refused(report) else 0
    except (AttributeError, KeyError, TypeError):
        raise Failure(f"{asked.host} has a report of another form.", "Use a newer sidecargo.") from None
    for line in [json.dumps(report, indent=2)] if as_json else lines:
        click.echo(line)
    return code


def is_refused(report: Mapping[str, Any]) -> bool:
    """Whether the last push of what the report is about was refused.

    A later one by digest, beside a tag that is there, may have been part of another push: it is told only.
    """
    last = report["last_refused"]
    if report["state"] == "refused":
        return True
    return bool(last and last["is_last"] and last["direct"] and not last["warned"])


def _parsed(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except (NameInvalid, DigestInvalid) as error:
        raise Failure(error.message, error.fix) from None


def _report(asked: Reference, answer: Answer) -> dict[str, Any]:
    """The report in an answer; raises RemoteError, or Failure where there is none."""
    if answer.status not in (200, 404):
        raise answer.refusal(str(asked))
    body = answer.body(_MAX_REPORT)
    try:
        said = json.loads(body)
        if answer.status == 404 and said["errors"][0]["code"] == "MANIFEST_UNKNOWN":
            message = printable(str(said["errors"][0]["message"]))
            raise RemoteError(f"{asked}: {message}", "No refused push of it was kept either.", status=404)
        if answer.status == 200 and {"state", "digest", "consumers", "last_refused"} <= set(said):
            return dict(said)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        pass
    raise Failure(
        f"{asked.host} keeps no refusals: it is no Sidecargo.",
        f"Judge what you have: sidecargo check {asked}",
    )


def _lines(asked: Reference, report: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people; everything in it is from elsewhere."""
    last = report["last_refused"]
    if report["state"] == "accepted":
        yield f"{asked} is accepted: {printable(str(report['digest']))}"
        for name, verdict in report["consumers"].items():
            yield f"  {printable(name)}  {'loads' if verdict['ok'] else 'does not load'}"
            yield from _problems(verdict["problems"])
    yield from _verification(report.get("verification"))
    if last is None:
        return
    what = "was taken with a warning" if last["warned"] else "was refused"
    if last["direct"]:
        yield f"{'The last' if last['is_last'] else 'An earlier'} push of {asked} {what}."
    else:
        yield f"A push by digest to {asked.name} {what}, as the images of an index are pushed before its tag."
    yield f"  pushed   {printable(str(last['reference']))} at {printable(str(last['at']))}"
    yield f"  digest   {printable(str(last['digest']))}"
    yield from _problems(last["problems"])


def _verification(said: Mapping[str, Any] | None) -> Iterator[str]:
    """Whether it is held back from who may not push; a registry of an older release does not say."""
    if said and said["problem"]:
        yield "  It is held back: who may not push does not get it."
        yield from _problems([said["problem"]])


def _problems(problems: list[Mapping[str, Any]]) -> Iterator[str]:
    for said in problems:
        problem = Problem.from_json(said)
        yield f"    problem: {printable(problem.message)}"
        if problem.fix:
            yield f"    fix:     {printable(problem.fix)}"
        if problem.envoys:
            yield f"    in:      Envoy {printable(', '.join(problem.envoys))} only"
