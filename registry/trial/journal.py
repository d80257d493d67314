"""Envoy's log, read as it comes (pure): what the plugin logged, which call is under way, what failed.

Envoy traces every call into the plugin and out of it (proxy-wasm-cpp-host, src/v8/v8.cc), so the log
tells where a plugin is, without a guess. Each of its records begins with a word that is new at every
trial: what a plugin logs can never be taken for a record.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

FORMAT = "{word} %l %n %v"
"""Envoy's --log-format, with the word to put in."""

LONGEST = 64 << 10
"""Bytes of a line that are looked at."""

TRACED = 12
"""Lines of a trap's backtrace that are kept."""

KEPT = 100
"""Lines that are kept from the beginning of what a plugin logs, and as many from its end."""

_LOGGED = "wasm log"
_INTO, _BACK = "[host->vm] ", "[host<-vm] "
_OUT, _ANSWER = "[vm->host] ", "[vm<-host] "
_FAILED, _REASON = "Function: ", " failed: "
_VM_FAILED = "Wasm VM failed "
_NEW_VM = "Thread-Local Wasm created"
_NOISE = ("Plugin ", "Unable to create Wasm", "~Wasm", "Base Wasm created", _NEW_VM)
_CALL_OUTS = ("proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream")


@dataclass(frozen=True, slots=True)
class Line:
    """What a plugin logged: `level` is Envoy's word for it."""

    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Trap:
    """A call into the plugin that did not end well: the callback, and Envoy's words."""

    callback: str
    reason: str
    trace: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Journal:
    """What the log has told so far. `word` is what each record begins with."""

    word: str
    first: list[Line] = field(default_factory=list)
    last: deque[Line] = field(default_factory=lambda: deque(maxlen=KEPT))
    logged: int = 0
    calls: list[str] = field(default_factory=list)
    """Calls into the plugin that have not come back, the innermost last."""
    traps: list[Trap] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Why Envoy did not take the plugin, in its words, first cause first."""
    stray: list[str] = field(default_factory=list)
    """Lines of no record: what V8 says itself, or Envoy's last words."""
    refused_calls: int = 0
    """Calls out to a cluster that Envoy refused."""
    _record: Line | Trap | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is kept of what the plugin logged."""
        return (*self.first, *self.last)

    @property
    def omitted(self) -> int:
        """How many lines of the plugin are not kept."""
        return self.logged - len(self.first) - len(self.last)

    def read(self, line: str) -> None:
        """Take the next line of the log, without its end."""
        word, _, rest = line.partition(" ")
        if word != self.word:
            self._continued(line)
            return
        level, _, rest = rest.partition(" ")
        logger, _, message = rest.partition(" ")
        self._record = None
        if logger != "wasm":
            self._of_envoy(level, message)
        elif message.startswith(_LOGGED):
            self._log(Line(level, message.partition(": ")[2]))
        elif message.startswith("["):
            self._traced(message)
        else:
            self._of_wasm(level, message)

    def _traced(self, message: str) -> None:
        if message.startswith(_INTO):
            self.calls.append(message[len(_INTO) :].partition("(")[0])
        elif message.startswith(_BACK):
            self._back(message[len(_BACK) :].partition(" ")[0])
        elif message.startswith(_ANSWER):
            function, _, result = message[len(_ANSWER) :].partition(" return: ")
            if result != "0" and function.rpartition(".")[2] in _CALL_OUTS:
                self.refused_calls += 1

    def _of_wasm(self, level: str, message: str) -> None:
        if message.startswith(_NEW_VM):
            # The plugin is started several times; what its last start says is what the others said.
            self.first.clear()
            self.last.clear()
            self.logged = 0
        elif message.startswith(_FAILED) and _REASON in message:
            callback, _, reason = message[len(_FAILED) :].partition(_REASON)
            self._back(callback)
            self._record = Trap(callback, reason)
            if len(self.traps) < KEPT:
                self.traps.append(self._record)
        elif level in ("error", "critical") and not message.startswith(_NOISE) and len(self.failures) < KEPT:
            self.failures.append(message.removeprefix(_VM_FAILED))

    def _of_envoy(self, level: str, message: str) -> None:
        if level in ("error", "critical") and len(self.stray) < KEPT:
            self.stray.append(message)

    def _continued(self, line: str) -> None:
        """A line that no record begins: more of what the plugin logged or failed with, or somebody else's."""
        if isinstance(self._record, Line):
            self._log(Line(self._record.level, line))
        elif isinstance(self._record, Trap):
            if len(self._record.trace) < TRACED:
                self._record.trace.append(line.strip())
        elif line.strip() and len(self.stray) < KEPT:
            self.stray.append(line)

    def _log(self, line: Line) -> None:
        self._record = line
        self.logged += 1
        (self.first if len(self.first) < KEPT else self.last).append(line)

    def _back(self, callback: str) -> None:
        for at in range(len(self.calls) - 1, -1, -1):
            if self.calls[at] == callback:
                del self.calls[at]
                return
