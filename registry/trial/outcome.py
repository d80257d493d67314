"""What came of a trial (pure): from Envoy's end and its log to problems that a person can act on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from registry.trial.journal import Journal, Line
from registry.trial.message import NO_CHANGES, Answer, Changes, Headers, Seen, changes
from registry.verdict import Problem


class End(Enum):
    """How Envoy's part ended."""

    DONE = "done"
    ENDED = "ended"
    """It ended before the trial did, by itself."""
    TIME_OUT = "time-out"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request: as the upstream saw it, None where it did not come so far; and what the client got."""

    seen: Seen | None = None
    answer: Answer | None = None


NOTHING = Exchange()


@dataclass(frozen=True, slots=True)
class Ran:
    """The facts: `live` once Envoy had taken the plugin; `code` is its exit code, negative: a signal.

    `plain` is the request beside the plugin, `tried` the same one through it; `seconds` is how long was
    waited for what did not come.
    """

    end: End
    code: int
    live: bool
    seconds: float
    configured: bool
    plain: Exchange = NOTHING
    tried: Exchange = NOTHING
    calls: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; without problems the plugin works as far as one request shows.

    `answer` is what the client got, `by_plugin` whether the plugin answered it itself; `request` and
    `response` are what the plugin did to the headers. `calls` are calls out to the clusters named;
    `refused_calls` counts those to others. `lines` are what it logged, but for `omitted` in their middle.
    """

    problems: tuple[Problem, ...]
    answer: Answer | None = None
    by_plugin: bool = False
    request: Changes = NO_CHANGES
    response: Changes = NO_CHANGES
    request_body: bool = False
    response_body: bool = False
    calls: tuple[Seen, ...] = ()
    refused_calls: int = 0
    lines: tuple[Line, ...] = ()
    omitted: int = 0
    trace: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.problems


def outcome(ran: Ran, journal: Journal) -> Outcome:
    """Judge a trial by what happened; the log explains it."""
    plain, tried = ran.plain, ran.tried
    problems = tuple(_problems(ran, journal))
    found = Outcome(
        problems,
        answer=tried.answer,
        calls=ran.calls,
        refused_calls=journal.refused_calls,
        lines=journal.lines,
        omitted=journal.omitted,
        trace=_trace(journal),
    )
    if plain.seen and tried.seen:
        found = replace(
            found,
            request=changes(plain.seen.named(), tried.seen.named()),
            request_body=plain.seen.body != tried.seen.body,
        )
        if plain.answer and tried.answer:
            response = changes(_headers(plain.answer), _headers(tried.answer))
            changed = plain.answer.body != tried.answer.body
            found = replace(found, response=response, response_body=changed)
    elif tried.answer and not problems:
        own = [(name, value) for name, value in tried.answer.headers if name.lower() not in _ENVOYS]
        found = replace(found, by_plugin=True, response=changes((), own))
    return found


def _trace(journal: Journal) -> tuple[str, ...]:
    """The plugin's own frames, without Envoy's heading."""
    return tuple(line for line in journal.traps[0].trace if not line.endswith(":")) if journal.traps else ()


# What Envoy adds to an answer that a plugin gives by itself.
_ENVOYS = frozenset(("date", "server", "content-length"))


def _headers(answer: Answer) -> Headers:
    return ((":status", str(answer.status)), *answer.headers)


def _problems(ran: Ran, journal: Journal) -> Iterator[Problem]:
    if ran.code < 0 and ran.end is not End.TIME_OUT:
        yield _crash(ran, journal)
    elif not ran.live and ran.end is End.ENDED:
        yield _not_taken(ran, journal)
    elif journal.traps:
        yield _trap(journal)
    elif journal.calls:
        yield Problem(
            "run-time-out",
            f"{journal.calls[-1]} did not come back within {ran.seconds:g} s: Envoy's thread hangs in it.",
            "Look for a loop that does not end; --timeout SECONDS waits longer.",
        )
    elif not ran.live:
        yield Problem(
            "run-time-out",
            f"its start function did not come back within {ran.seconds:g} s: Envoy never serves.",
            "Move what it does to proxy_on_vm_start or proxy_on_configure, and look for a loop.",
        )
    elif journal.failures:
        yield Problem("run-load", f"Envoy: {journal.failures[0]}", "Its log lines may say more.")
    elif ran.tried.answer is None:
        yield _unanswered(ran, journal)


# The words of tcmalloc and of V8.
_NO_MEMORY = ("Cannot allocate memory", "out of memory", "Unable to allocate")


def _crash(ran: Ran, journal: Journal) -> Problem:
    when = "a request through it" if ran.live else "loading it"
    said = " ".join(line.strip("# ") for line in journal.stray[:6]).strip()
    name = _signal(-ran.code)
    if -ran.code == signal.SIGKILL:
        return Problem(
            "run-killed",
            f"the system killed Envoy ({name}) during {when}: out of memory?",
            "Give it more memory, or let the plugin use less.",
        )
    if any(words in said for words in _NO_MEMORY):
        return Problem(
            "run-memory",
            f"{when} takes more memory than Envoy has in a trial, so Envoy ends ({name}).",
            "Let it free what it keeps: shared data, queues, metrics, and its own memory.",
        )
    return Problem(
        "run-crash",
        f"{when} crashes Envoy itself ({name}): all its traffic is gone."
        + (f" {said[:200]}" if said else ""),
        "Do not deploy it. Build it with another release of its compiler, without its newest features.",
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _unanswered(ran: Ran, journal: Journal) -> Problem:
    if ran.tried.seen:
        return Problem(
            "run-time-out",
            f"it holds the response: nothing came within {ran.seconds:g} s.",
            "Return Continue from its response callbacks, or resume the response later.",
        )
    if ran.calls or journal.refused_calls:
        return Problem(
            "run-time-out",
            f"it holds the request while it calls out: nothing came within {ran.seconds:g} s.",
            "Resume the request when the call has ended, also when it failed; name clusters by --cluster.",
        )
    return Problem(
        "run-time-out",
        f"it holds the request: nothing came within {ran.seconds:g} s.",
        "Return Continue from its request callbacks, resume the request later, or answer it.",
    )


def _trap(journal: Journal) -> Problem:
    trap = journal.traps[0]
    fix = "Its log lines and the trace say where; a request that fails so is answered 503."
    if journal.refused_calls:
        fix = "Envoy refused its call out: name the cluster (--cluster NAME); set :method, :path, :authority."
    return Problem("run-trap", f"Envoy: Function: {trap.callback} failed: {trap.reason}", fix)


# What Envoy calls before a plugin is taken, by the problem's code and what to look at.
_STAGES = {
    "proxy_on_vm_start": ("run-vm-start", "Look at its root context's start: on_vm_start must return true."),
    "proxy_on_configure": ("run-configure", "Its log lines may say what it does not like about --config."),
    "_initialize": ("run-initialize", "Look at what runs first: global constructors, init functions."),
    "_start": ("run-initialize", "Look at what main and global constructors do."),
    "main": ("run-initialize", "Look at what main does."),
}
_NO_CONFIG = "It was given no configuration; add what it expects: --config JSON."


def _not_taken(ran: Ran, journal: Journal) -> Problem:
    """Envoy did not take the plugin (src/wasm.cc: the order is load, link, start, vm_start, configure)."""
    said = journal.failures[-1] if journal.failures else "Failed to load Wasm code"
    if journal.traps:
        trap = journal.traps[-1]
        code, fix = _STAGES.get(trap.callback, ("run-trap", "Its log lines and the trace say where."))
        message = f"Envoy: Function: {trap.callback} failed: {trap.reason} ({said})"
    elif said.startswith("Failed to start"):
        code, fix = _STAGES["proxy_on_vm_start"]
        message = f"Envoy: {said}: proxy_on_vm_start returned false."
    elif said.startswith("Failed to configure"):
        code, fix = _STAGES["proxy_on_configure"]
        message = f"Envoy: {said}: proxy_on_configure returned false."
    else:
        return _not_loaded(journal)
    return Problem(code, message, _NO_CONFIG if code == "run-configure" and not ran.configured else fix)


def _not_loaded(journal: Journal) -> Problem:
    said = journal.failures[0] if journal.failures else "Failed to load Wasm code"
    if said.startswith("Failed to create new Wasm instance"):
        uncaught = next((line for line in journal.stray if "Uncaught" in line), "")
        if uncaught:
            why = uncaught[uncaught.index("Uncaught") :]
            return Problem(
                "run-start",
                f"Envoy: {said}: its start function failed: {why}",
                "Move what it does there to proxy_on_vm_start or proxy_on_configure.",
            )
        return Problem(
            "run-load",
            f"Envoy: {said}: a data or element segment lies outside, or it needs more memory than there is.",
            "Declare memory and tables as large as what is put into them, and no more than is used.",
        )
    return Problem("run-load", f"Envoy: {said}", "`sidecargo check` without --run says more where it can.")
