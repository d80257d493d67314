"""What Envoy looks up among a plugin's exports, in its order, and the signature that it then insists on.

Read off proxy-wasm-cpp-host (src/wasm.cc: getFunctions; include/proxy-wasm/wasm.h: the members and
FOR_ALL_MODULE_FUNCTIONS) and Envoy (source/extensions/common/wasm/wasm.cc: getFunctions), then asked of the
binaries of every release in registry/releases.py. docs/envoy-releases.md shows the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.releases import at_least
from registry.wasm.hosts import ABIS
from registry.wasm.types import FuncType


@dataclass(frozen=True, slots=True)
class Callback:
    """An export that Envoy calls; `since` is the first release that looks for it, empty for all known ones.

    Where `unless` is named it is looked for only when that was not found; where `provided`, only when it was.
    """

    name: str
    signature: FuncType
    abis: tuple[str, ...] = ABIS
    since: str = ""
    unless: str = ""
    provided: str = ""

    def sought(self, envoy: str, abi: str | None, usable: set[str]) -> bool:
        """Whether this Envoy looks for it in a plugin of this ABI, `usable` being what it found so far."""
        return (
            (self.abis == ABIS if abi is None else abi in self.abis)
            and (not self.since or at_least(envoy, self.since))
            and (not self.unless or self.unless not in usable)
            and (not self.provided or self.provided in usable)
        )


_FIRST_ABI = ABIS[:1]
_LATER_ABIS = ABIS[1:]

# Parameters and result as Envoy prints them.
_FOR_ALL = {
    "proxy_validate_configuration": "i32 i32 -> i32",
    "proxy_on_vm_start": "i32 i32 -> i32",
    "proxy_on_configure": "i32 i32 -> i32",
    "proxy_on_tick": "i32 -> void",
    "proxy_on_context_create": "i32 i32 -> void",
    "proxy_on_new_connection": "i32 -> i32",
    "proxy_on_downstream_data": "i32 i32 i32 -> i32",
    "proxy_on_upstream_data": "i32 i32 i32 -> i32",
    "proxy_on_downstream_connection_close": "i32 i32 -> void",
    "proxy_on_upstream_connection_close": "i32 i32 -> void",
    "proxy_on_request_body": "i32 i32 i32 -> i32",
    "proxy_on_request_trailers": "i32 i32 -> i32",
    "proxy_on_request_metadata": "i32 i32 -> i32",
    "proxy_on_response_body": "i32 i32 i32 -> i32",
    "proxy_on_response_trailers": "i32 i32 -> i32",
    "proxy_on_response_metadata": "i32 i32 -> i32",
    "proxy_on_http_call_response": "i32 i32 i32 i32 i32 -> void",
    "proxy_on_grpc_receive": "i32 i32 i32 -> void",
    "proxy_on_grpc_close": "i32 i32 i32 -> void",
    "proxy_on_grpc_receive_initial_metadata": "i32 i32 i32 -> void",
    "proxy_on_grpc_receive_trailing_metadata": "i32 i32 i32 -> void",
    "proxy_on_queue_ready": "i32 i32 -> void",
    "proxy_on_done": "i32 -> i32",
    "proxy_on_log": "i32 -> void",
    "proxy_on_delete": "i32 -> void",
}


def _table() -> Iterator[Callback]:
    yield Callback("_initialize", FuncType.spelled("void -> void"))
    yield Callback("main", FuncType.spelled("i32 i32 -> i32"), provided="_initialize")
    yield Callback("__main_void", FuncType.spelled("void -> i32"), since="1.39", provided="_initialize")
    yield Callback("_start", FuncType.spelled("void -> void"), unless="_initialize")
    yield Callback("malloc", FuncType.spelled("i32 -> i32"))
    yield Callback("proxy_on_memory_allocate", FuncType.spelled("i32 -> i32"), unless="malloc")
    for name, signature in _FOR_ALL.items():
        yield Callback(name, FuncType.spelled(signature))
    for name in ("proxy_on_request_headers", "proxy_on_response_headers"):
        yield Callback(name, FuncType.spelled("i32 i32 -> i32"), _FIRST_ABI)
        yield Callback(name, FuncType.spelled("i32 i32 i32 -> i32"), _LATER_ABIS)
    yield Callback("proxy_on_foreign_function", FuncType.spelled("i32 i32 i32 -> void"), _LATER_ABIS)
    yield Callback("envoy_on_resolve_dns", FuncType.spelled("i32 i32 i32 -> void"))
    yield Callback("envoy_on_stats_update", FuncType.spelled("i32 i32 -> void"))


CALLBACKS: tuple[Callback, ...] = tuple(_table())
"""Every export that a known Envoy looks for, in the order in which it does."""

ALLOCATORS = ("malloc", "proxy_on_memory_allocate")
"""One of these has to be there: Envoy needs it to hand over anything."""
