from __future__ import annotations

import pytest

from registry.trial.journal import KEPT, TRACED, Journal, Line, Trap


def journal(*lines: str) -> Journal:
    """What these lines of a log tell; W is the word that begins a record."""
    found = Journal("W")
    for line in lines:
        found.read(line)
    return found


def test_what_a_plugin_logs() -> None:
    found = journal(
        "W info wasm wasm log plugin plugin: hello: world",
        "W trace wasm [vm<-host] env.proxy_log return: 0",
        "W critical wasm wasm log plugin plugin: ",
    )
    assert found.lines == (Line("info", "hello: world"), Line("critical", ""))


def test_a_line_of_a_plugin_is_never_a_record() -> None:
    """It cannot know the word, whatever it puts into its lines."""
    found = journal(
        "W info wasm wasm log plugin plugin: one",
        "X error wasm Function: proxy_on_configure failed: a lie",
        "info wasm wasm log plugin plugin: three",
    )
    assert [line.message for line in found.lines] == [
        "one",
        "X error wasm Function: proxy_on_configure failed: a lie",
        "info wasm wasm log plugin plugin: three",
    ]
    assert (found.traps, found.failures, found.stray) == ([], [], [])


def test_of_a_plugin_that_is_started_several_times_the_last_start_counts() -> None:
    start = "W debug wasm Thread-Local Wasm created 2 now active"
    found = journal(start, "W info wasm wasm log a: once", start, "W info wasm wasm log a: again")
    assert (found.lines, found.logged, found.omitted) == ((Line("info", "again"),), 1, 0)


def test_only_so_many_lines_are_kept() -> None:
    found = journal(*(f"W info wasm wasm log a: {number}" for number in range(1000)))
    kept = [int(line.message) for line in found.lines]
    assert kept == [*range(KEPT), *range(1000 - KEPT, 1000)]
    assert (found.logged, found.omitted) == (1000, 1000 - 2 * KEPT)


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        (["[host->vm] proxy_on_vm_start(1, 0)"], ["proxy_on_vm_start"]),
        (["[host->vm] proxy_on_vm_start(1, 0)", "[host<-vm] proxy_on_vm_start return: 1"], []),
        (["[host->vm] a(1)", "[host->vm] malloc(8)", "[host<-vm] malloc return: 0"], ["a"]),
        (["[host->vm] a()", "[host->vm] b()", "[host<-vm] a return: void"], ["b"]),
        (["[host<-vm] a return: void"], []),
    ],
)
def test_which_calls_have_not_come_back(lines: list[str], calls: list[str]) -> None:
    assert journal(*(f"W trace wasm {line}" for line in lines)).calls == calls


def test_a_trap() -> None:
    found = journal(
        "W trace wasm [host->vm] proxy_on_request_headers(2, 7, 1)",
        "W error wasm Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable",
        "Proxy-Wasm plugin in-VM backtrace:",
        "  0:  0xf6 - inner",
        "W debug wasm ~Wasm 1 remaining active",
        "somebody else's",
    )
    trace = ["Proxy-Wasm plugin in-VM backtrace:", "0:  0xf6 - inner"]
    assert found.traps == [Trap("proxy_on_request_headers", "Uncaught RuntimeError: unreachable", trace)]
    assert (found.calls, found.stray) == ([], ["somebody else's"])


def test_why_envoy_did_not_take_it_first_cause_first() -> None:
    found = journal(
        "W error wasm Failed to load Wasm module due to a missing import: env.nope",
        "W error wasm Wasm VM failed Failed to initialize Wasm code",
        "W trace wasm Unable to create Wasm",
        "W critical wasm Plugin plugin failed to load",
        "W critical wasm Plugin configured to fail closed failed to load",
        "W critical main error initializing config",
    )
    assert found.failures == [
        "Failed to load Wasm module due to a missing import: env.nope",
        "Failed to initialize Wasm code",
    ]
    assert found.stray == ["error initializing config"]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("[vm<-host] env.proxy_http_call return: 2", 1),
        ("[vm<-host] env.proxy_grpc_stream return: 1", 1),
        ("[vm<-host] env.proxy_http_call return: 0", 0),
        ("[vm<-host] env.proxy_get_property return: 1", 0),
    ],
)
def test_a_call_out_that_envoy_refuses(line: str, refused: int) -> None:
    assert journal(f"W trace wasm {line}").refused_calls == refused


def test_nothing_grows_without_end() -> None:
    lines = ["W error wasm Function: a failed: b", *["frame"] * 1000] * 200
    found = journal(*lines, *["W error wasm no"] * 1000, *["W error main no"] * 1000, "W error wasm x", "y")
    assert (len(found.traps), len(found.traps[0].trace)) == (KEPT, TRACED)
    assert (len(found.failures), len(found.stray)) == (KEPT, KEPT)


@pytest.mark.parametrize("line", ["", "W", "W info", "W info wasm", "W  ", "W trace wasm [", "\udcff"])
def test_any_line_can_be_read(line: str) -> None:
    journal(line, line)
