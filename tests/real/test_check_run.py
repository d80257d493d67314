"""`check --run` with a real Envoy: what it sees, what it survives, and that nothing is left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.releases import ENVOYS, NEWEST
from registry.trial.envoy import version
from registry.trial.outcome import Outcome
from registry.trial.run import Trial, run
from tests.real import process
from tests.real.process import Process, environment
from tests.real.tools import ROOT, require
from tests.real.trials import GOOD, GREEDY, HANGS, STAGES

pytestmark = [pytest.mark.real, pytest.mark.slow]

PATIENT = 120.0
"""Seconds in which a million lines are written, however busy the machine is."""


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder for temporary files whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        yield Path(folder)


def binary(release: str) -> Path:
    return require("envoy" if release == NEWEST else f"envoy-{release}")


def command(module: Path, *words: str | Path) -> list[str | Path]:
    envoy = ("--envoy-binary", binary(NEWEST))
    return [sys.executable, "-m", "registry", "check", module, "--run", *envoy, *words]


def env(temp: Path) -> dict[str, str]:
    return environment(TMPDIR=str(temp), PYTHONPATH=str(ROOT), SECRET="open sesame")


def started(temp: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{temp}/sidecargo-run-".encode() in words:
                found.append(int(entry.name))
    return found


def eventually(what: str, temp: Path, *, some: bool) -> list[int]:
    deadline = time.monotonic() + 30
    while bool(found := started(temp)) is not some:
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def check(temp: Path, module: bytes, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document of a run; nothing may be left behind."""
    path = temp / "plugin.wasm"
    path.write_bytes(module)
    ran = process.run(*command(path, "--json", *words), env=env(temp))
    path.unlink()
    assert list(temp.iterdir()) == [], "files are left"
    assert started(temp) == [], "processes are left"
    assert ran.out, ran.err
    return ran.code, json.loads(ran.out)


@pytest.mark.parametrize("release", ENVOYS)
def test_each_release_of_envoy_tells_the_stages_apart(release: str) -> None:
    envoy = binary(release)
    assert version(envoy).startswith(f"{release}.")
    outcomes = {name: run(envoy, io.BytesIO(module), Trial()) for name, (_, module) in STAGES.items()}
    assert {name: codes(outcome) for name, outcome in outcomes.items()} == {
        name: [code] for name, (code, _) in STAGES.items()
    }


@pytest.mark.parametrize("release", ENVOYS)
def test_each_release_of_envoy_runs_what_works(release: str) -> None:
    trial = Trial(clusters=("authz",), seconds=PATIENT)
    outcomes = {name: run(binary(release), io.BytesIO(module), trial) for name, module in GOOD.items()}
    assert {name: codes(outcome) for name, outcome in outcomes.items()} == {name: [] for name in GOOD}


def codes(outcome: Outcome) -> list[str]:
    return [problem.code for problem in outcome.problems]


def test_what_a_plugin_does_to_headers(temp: Path) -> None:
    code, found = check(temp, GOOD["changes headers"])
    assert (code, found["ok"], found["run"]["status"], found["run"]["answered_by"]) == (
        0,
        True,
        200,
        "upstream",
    )
    assert found["run"]["request"] == {
        "added": [["x-team", "blue!"]],
        "changed": [["user-agent", "blue!"]],
        "removed": ["accept"],
        "body_changed": False,
    }
    assert found["run"]["response"] == {
        "added": [["x-team", "blue!"]],
        "changed": [],
        "removed": ["content-type"],
        "body_changed": False,
    }


def test_a_plugin_that_does_nothing_changes_nothing(temp: Path) -> None:
    code, found = check(
        temp, GOOD["does nothing"], "--request", "PUT /a?b", "--header", "X-A: 1", "--body", "x"
    )
    nothing = {"added": [], "changed": [], "removed": [], "body_changed": False}
    assert (code, found["run"]["request"], found["run"]["response"]) == (0, nothing, nothing)


def test_what_it_logs_is_shown_once(temp: Path) -> None:
    _, found = check(temp, GOOD["logs"])
    assert found["run"]["log"] == [
        {"level": "info", "message": "first line"},
        {"level": "info", "message": "second line"},
    ]


def test_it_gets_its_configuration(temp: Path) -> None:
    _, found = check(temp, GOOD["logs what it is configured with"], "--config", '{"team": "ü"}')
    assert found["run"]["log"] == [{"level": "warning", "message": '{"team": "ü"}'}]


def test_a_million_lines_are_cut(temp: Path) -> None:
    code, found = check(temp, GOOD["logs a million lines"], "--timeout", f"{PATIENT:g}")
    assert (code, len(found["run"]["log"]), found["run"]["log_omitted"]) == (0, 200, 999_800)


def test_a_plugin_that_answers_itself(temp: Path) -> None:
    code, found = check(temp, GOOD["answers itself"])
    assert (code, found["run"]["status"], found["run"]["answered_by"]) == (0, 418, "plugin")
    assert ["xteapot", "yes"] in found["run"]["response"]["added"]


def test_a_cluster_that_was_named_answers(temp: Path) -> None:
    code, found = check(temp, GOOD["calls out and goes on"], "--cluster", "authz")
    assert (code, found["run"]["calls"], found["run"]["calls_refused"]) == (0, ["GET authz.local/check"], 0)


def test_a_call_to_a_cluster_that_was_not_named(temp: Path) -> None:
    code, found = check(temp, STAGES["a call to a cluster that is not there"][1])
    (problem,) = found["run"]["problems"]
    assert (code, found["ok"], found["run"]["calls_refused"]) == (1, False, 1)
    assert "--cluster" in problem["fix"]


def test_memory_has_a_limit(temp: Path) -> None:
    code, found = check(temp, GREEDY, "--timeout", "120")
    assert (code, [problem["code"] for problem in found["run"]["problems"]]) == (1, ["run-memory"])


def test_what_does_not_load_is_not_run_unless_asked(temp: Path) -> None:
    crashing = STAGES["an imported tag"][1]
    code, found = check(temp, crashing)
    assert (code, found["ok"], found["run"]["ok"]) == (1, False, None)
    assert "--anyway" in found["run"]["skipped"]
    code, found = check(temp, crashing, "--anyway")
    (problem,) = found["run"]["problems"]
    assert (code, found["run"]["ok"]) == (1, False)
    assert problem["message"].startswith("loading it crashes Envoy itself (SIGTRAP)")


@pytest.mark.parametrize("where", HANGS)
def test_what_never_comes_back_is_ended(where: str, temp: Path) -> None:
    code, found = check(temp, HANGS[where], "--timeout", "20")
    (problem,) = found["run"]["problems"]
    assert (code, problem["code"]) == (1, "run-time-out")
    assert where in problem["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_envoy_goes_with_us_whatever_ends_us(number: signal.Signals, temp: Path, tmp_path: Path) -> None:
    module = tmp_path / "plugin.wasm"
    module.write_bytes(HANGS["proxy_on_vm_start"])
    running = Process(command(module), log=tmp_path / "log", env=env(temp))
    eventually("Envoy does not start", temp, some=True)
    os.kill(running.pid, number)
    eventually(f"Envoy outlives {number.name}", temp, some=False)
    running.wait_until(lambda: not running.running)
    running.kill()
    if number != signal.SIGKILL:  # which nobody can act on
        assert list(temp.iterdir()) == []


def test_envoy_sees_nothing_of_our_environment(temp: Path, tmp_path: Path) -> None:
    module = tmp_path / "plugin.wasm"
    module.write_bytes(HANGS["proxy_on_vm_start"])
    running = Process(command(module), log=tmp_path / "log", env=env(temp))
    try:
        (envoy,) = eventually("Envoy does not start", temp, some=True)
        assert Path(f"/proc/{envoy}/environ").read_bytes() == b"PATH=/usr/bin:/bin\0"
        assert os.getpgid(envoy) == envoy, "a group of its own"
        (folder,) = temp.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        running.kill()
        eventually("Envoy stays", temp, some=False)


def test_for_people(temp: Path, tmp_path: Path) -> None:
    module = tmp_path / "plugin.wasm"
    module.write_bytes(GOOD["changes headers"])
    ran = process.run(*command(module), env=env(temp))
    assert (ran.code, ran.err) == (0, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    start = lines.index(f"run Envoy {version(binary(NEWEST))}: works")
    assert lines[start + 1 :] == [
        "request + x-team: blue!",
        "~ user-agent: blue!",
        "- accept",
        "response 200",
        "+ x-team: blue!",
        "- content-type",
    ]


def test_the_package_of_the_extra_is_found(temp: Path, tmp_path: Path) -> None:
    module = tmp_path / "plugin.wasm"
    module.write_bytes(GOOD["does nothing"])
    package = binary(NEWEST).parents[2]
    words = [sys.executable, "-m", "registry", "check", module, "--run", "--json"]
    ran = process.run(*words, env=env(temp) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{package}"})
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["run"]["envoy"] == version(binary(NEWEST))


def test_the_plugin_of_the_seed(temp: Path) -> None:
    code, found = check(temp, require("plugin").read_bytes())
    assert (code, found["run"]["response"]["added"]) == (0, [["x-custom-header", "custom-value"]])
