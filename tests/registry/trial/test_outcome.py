from __future__ import annotations

from dataclasses import replace

import pytest

from registry.trial.journal import Journal, Line
from registry.trial.message import Answer, Changes, Seen
from registry.trial.outcome import End, Exchange, Outcome, Ran, outcome

SEEN = Seen("GET", "/", (("host", "a"),))
PLAIN = Exchange(SEEN, Answer(200, (("server", "envoy"),), b"hello"))
DONE = Ran(End.DONE, 0, True, 5, False, PLAIN, PLAIN)
DIED = Ran(End.ENDED, 1, False, 5, False)
LATE = Ran(End.TIME_OUT, -9, False, 30, False)
HELD = replace(LATE, live=True, plain=PLAIN)

INTO = "W trace wasm [host->vm] {}(1, 0)"
FAILED = "W error wasm Function: {} failed: Uncaught RuntimeError: unreachable"
VM = "W error wasm Wasm VM failed {}"


def judged(ran: Ran, *lines: str) -> Outcome:
    journal = Journal("W")
    for line in lines:
        journal.read(line)
    return outcome(ran, journal)


CASES = {
    "nothing is wrong": (DONE, [], "", ""),
    "link": (
        DIED,
        [
            "W error wasm Failed to load Wasm module due to a missing import: env.nope",
            VM.format("Failed to initialize Wasm code"),
        ],
        "run-load",
        "Envoy: Failed to load Wasm module due to a missing import: env.nope",
    ),
    "instance": (
        DIED,
        ["W error wasm Failed to create new Wasm instance", VM.format("Failed to initialize Wasm code")],
        "run-load",
        "segment lies outside",
    ),
    "start": (
        DIED,
        [
            "wasm://wasm/1:2: Uncaught RuntimeError: unreachable",
            "W error wasm Failed to create new Wasm instance",
            VM.format("Failed to initialize Wasm code"),
        ],
        "run-start",
        "its start function failed: Uncaught RuntimeError: unreachable",
    ),
    "initialize": (
        DIED,
        [FAILED.format("_initialize"), VM.format("Failed to initialize Wasm code")],
        "run-initialize",
        "Function: _initialize failed",
    ),
    "vm_start false": (
        DIED,
        [VM.format("Failed to start base Wasm")],
        "run-vm-start",
        "proxy_on_vm_start returned false",
    ),
    "vm_start traps": (
        DIED,
        [FAILED.format("proxy_on_vm_start"), VM.format("Failed to start base Wasm")],
        "run-vm-start",
        "Function: proxy_on_vm_start failed",
    ),
    "configure false": (
        DIED,
        [VM.format("Failed to configure base Wasm plugin")],
        "run-configure",
        "proxy_on_configure returned false",
    ),
    "a trap in a callback": (
        DONE,
        [INTO.format("proxy_on_log"), FAILED.format("proxy_on_log")],
        "run-trap",
        "Function: proxy_on_log failed",
    ),
    "another callback at the start": (
        DIED,
        [FAILED.format("proxy_on_context_create"), VM.format("Failed to start base Wasm")],
        "run-trap",
        "Function: proxy_on_context_create failed",
    ),
    "a crash at load": (
        replace(DIED, code=-5),
        ["#", "# Fatal error in , line 0", "# unreachable code"],
        "run-crash",
        "loading it crashes Envoy itself (SIGTRAP): all its traffic is gone. Fatal error in",
    ),
    "a crash at a request": (
        replace(DONE, code=-11),
        [],
        "run-crash",
        "a request through it crashes Envoy itself (SIGSEGV)",
    ),
    "memory is full": (
        replace(DONE, code=-6),
        [
            "W critical main x",
            "system_allocator.h:362] mprotect(0x3108, 2097152) failed (Cannot allocate memory)",
        ],
        "run-memory",
        "a request through it takes more memory than Envoy has in a trial",
    ),
    "killed by the system": (replace(DONE, code=-9), [], "run-killed", "out of memory?"),
    "an unknown signal": (replace(DIED, code=-70), [], "run-crash", "(signal 70)"),
    "a loop in a callback": (
        LATE,
        [INTO.format("proxy_on_vm_start")],
        "run-time-out",
        "proxy_on_vm_start did",
    ),
    "a loop in the start function": (LATE, [], "run-time-out", "its start function did not come back"),
    "a loop at the end": (DONE, [INTO.format("proxy_on_done")], "run-time-out", "proxy_on_done did"),
    "a request that is held": (HELD, [], "run-time-out", "it holds the request: nothing came within 30 s"),
    "held for a call": (
        HELD,
        ["W trace wasm [vm<-host] env.proxy_http_call return: 2"],
        "run-time-out",
        "it holds the request while it calls out",
    ),
    "a response that is held": (
        replace(HELD, tried=Exchange(SEEN)),
        [],
        "run-time-out",
        "it holds the response",
    ),
    "a worker that does not take it": (DONE, ["W error wasm no isolate"], "run-load", "Envoy: no isolate"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of(name: str) -> None:
    ran, lines, code, message = CASES[name]
    found = judged(ran, *lines)
    assert [problem.code for problem in found.problems] == ([code] if code else [])
    assert found.ok is not bool(code)
    for problem in found.problems:
        assert message in problem.message
        assert problem.fix


def test_a_plugin_without_configuration_is_told_of_config() -> None:
    line = VM.format("Failed to configure base Wasm plugin")
    assert "--config JSON" in judged(DIED, line).problems[0].fix
    assert "log lines" in judged(replace(DIED, configured=True), line).problems[0].fix


def test_what_it_did() -> None:
    tried = Exchange(
        Seen("GET", "/", (("host", "a"), ("x", "1")), b"more"),
        Answer(201, (("server", "envoy"), ("y", "2")), b"else"),
    )
    found = judged(replace(DONE, tried=tried), "W info wasm wasm log a: hello")
    assert found.request == Changes(added=(("x", "1"),))
    assert found.response == Changes(added=(("y", "2"),), changed=((":status", "201"),))
    assert (found.request_body, found.response_body, found.by_plugin) == (True, True, False)
    assert found.lines == (Line("info", "hello"),)


def test_an_answer_of_its_own_is_shown_but_for_what_envoy_adds() -> None:
    own = Answer(403, (("date", "now"), ("server", "envoy"), ("content-length", "2"), ("why", "no")), b"no")
    found = judged(replace(DONE, tried=Exchange(None, own)))
    assert (found.by_plugin, found.response, found.request) == (
        True,
        Changes(added=(("why", "no"),)),
        Changes(),
    )


def test_the_answer_to_a_trap_is_not_the_plugins() -> None:
    found = judged(
        replace(DONE, tried=Exchange(None, Answer(503, ()))), FAILED.format("a"), "trace:", " 0: b"
    )
    assert (found.by_plugin, found.response, found.trace) == (False, Changes(), ("0: b",))
