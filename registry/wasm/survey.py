"""What a module may do, told from its imports and exports.

An import shows what a module is able to do, not what it does at run time. Host functions:
proxy-wasm-cpp-host, include/proxy-wasm/exports.h and src/wasm.cc (registerCallbacks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from registry.wasm.abi import abi_version
from registry.wasm.facts import Facts
from registry.wasm.module import Module
from registry.wasm.sdk import guess
from registry.wasm.types import Memory

MAX_MEMORIES = 8
MAX_MADE_BY = 8
MAX_OTHERS = 20
_SHOWN = 80

_BUFFER = "proxy_get_buffer_bytes"

READS: Mapping[str, str] = {
    "proxy_get_header_map_value": "headers",
    "proxy_get_header_map_pairs": "headers",
    "proxy_get_header_map_size": "headers",
    "proxy_get_property": "properties",
    "proxy_get_metric": "metrics",
    "proxy_get_shared_data": "shared data",
    "proxy_resolve_shared_queue": "shared queues",
    "proxy_dequeue_shared_queue": "shared queues",
    "proxy_get_configuration": "configuration",
    "proxy_get_status": "call results",
}
"""Host functions by what they read. One more reads bodies, configuration and call results: see `of`."""

CHANGES: Mapping[str, str] = {
    "proxy_add_header_map_value": "headers",
    "proxy_replace_header_map_value": "headers",
    "proxy_remove_header_map_value": "headers",
    "proxy_set_header_map_pairs": "headers",
    "proxy_set_buffer_bytes": "bodies",
    "proxy_set_property": "properties",
    "proxy_send_local_response": "local responses",
    "proxy_set_shared_data": "shared data",
    "proxy_register_shared_queue": "shared queues",
    "proxy_enqueue_shared_queue": "shared queues",
    "proxy_define_metric": "metrics",
    "proxy_record_metric": "metrics",
    "proxy_increment_metric": "metrics",
    "proxy_clear_route_cache": "route",
    "proxy_continue_request": "streams",
    "proxy_continue_response": "streams",
    "proxy_continue_stream": "streams",
    "proxy_close_stream": "streams",
}
"""Host functions by what they change."""

CALLS: Mapping[str, str] = {
    "proxy_http_call": "HTTP",
    "proxy_grpc_call": "gRPC",
    "proxy_grpc_stream": "gRPC",
    "proxy_grpc_send": "gRPC",
    "proxy_call_foreign_function": "foreign functions",
    "envoy_resolve_dns": "DNS",
}
"""Host functions by whom they call out to."""

SYSTEM: Mapping[str, str] = {
    "proxy_get_current_time_nanoseconds": "clock",
    "proxy_set_tick_period_milliseconds": "timer",
    "clock_time_get": "clock",
    "clock_res_get": "clock",
    "random_get": "random numbers",
    "environ_get": "environment variables",
    "environ_sizes_get": "environment variables",
    "path_open": "files",
    "path_filestat_get": "files",
    "path_filestat_set_times": "files",
    "path_link": "files",
    "path_create_directory": "files",
    "path_readlink": "files",
    "path_remove_directory": "files",
    "path_rename": "files",
    "path_symlink": "files",
    "path_unlink_file": "files",
    "sock_accept": "sockets",
    "sock_recv": "sockets",
    "sock_send": "sockets",
    "sock_shutdown": "sockets",
}
"""Functions of host and WASI by what they ask of the machine. Files that are there at the start are none."""

_NEUTRAL = frozenset(
    (
        "proxy_log",
        "proxy_get_log_level",
        "proxy_done",
        "proxy_set_effective_context",
        "proxy_get_buffer_status",
        "proxy_grpc_cancel",
        "proxy_grpc_close",
        "pthread_equal",
        "emscripten_notify_memory_growth",
    )
)
_WASI = ("wasi_unstable", "wasi_snapshot_preview1")

PHASES: Mapping[str, str] = {
    "proxy_on_vm_start": "VM start",
    "proxy_on_configure": "configuration",
    "proxy_on_tick": "timer",
    "proxy_on_queue_ready": "shared queues",
    "proxy_on_http_call_response": "HTTP call results",
    "proxy_on_grpc_receive": "gRPC call results",
    "proxy_on_foreign_function": "foreign functions",
    "proxy_on_new_connection": "new connections",
    "proxy_on_downstream_data": "downstream data",
    "proxy_on_upstream_data": "upstream data",
    "proxy_on_downstream_connection_close": "downstream close",
    "proxy_on_upstream_connection_close": "upstream close",
    "proxy_on_request_headers": "request headers",
    "proxy_on_request_body": "request bodies",
    "proxy_on_request_trailers": "request trailers",
    "proxy_on_request_metadata": "request metadata",
    "proxy_on_response_headers": "response headers",
    "proxy_on_response_body": "response bodies",
    "proxy_on_response_trailers": "response trailers",
    "proxy_on_response_metadata": "response metadata",
    "proxy_on_log": "access log",
}
"""Callbacks by the phase in which Envoy calls them."""

_HTTP = tuple(name for name in PHASES if name.startswith(("proxy_on_request_", "proxy_on_response_")))
_NETWORK = tuple(name for name in PHASES if name.endswith(("_data", "_connection", "_connection_close")))
_BODIES = tuple(name for name in PHASES if name.endswith(("_body", "_data")))
_CONFIGURED = ("proxy_on_configure", "proxy_on_vm_start")
_ANSWERED = ("proxy_on_http_call_response", "proxy_on_grpc_receive")


def of(module: Module) -> Facts:
    """The facts of a module."""
    needed = [item.name for item in module.imports if item.kind == "func"]
    offered = {item.name for item in module.exports if item.kind == "func"}
    reads = set(_among(READS, needed))
    # The one function for all buffers: which of them can be read shows by the callbacks in which they are.
    if _BUFFER in needed:
        reads |= {
            word
            for word, callbacks in (
                ("bodies", _BODIES),
                ("configuration", _CONFIGURED),
                ("call results", _ANSWERED),
            )
            if not offered.isdisjoint(callbacks)
        }
    return Facts(
        sha256=module.sha256,
        size=module.size,
        abi=abi_version(module) or "",
        sdk=guess(module).value,
        language=_spoken(module.producers.language[:1]),
        made_by=tuple(_spoken((made,)) for made in module.producers.processed_by[:MAX_MADE_BY]),
        filters=tuple(
            kind
            for kind, callbacks in (("http", _HTTP), ("network", _NETWORK))
            if not offered.isdisjoint(callbacks)
        ),
        phases=tuple(phase for callback, phase in PHASES.items() if callback in offered),
        reads=tuple(sorted(reads)),
        changes=_among(CHANGES, needed),
        calls=_among(CALLS, needed),
        system=_among(SYSTEM, needed),
        others=_others(module),
        memories=tuple((memory.minimum, memory.maximum) for memory in _own_first(module.memories)),
        imports=len(module.imports),
        exports=len(module.exports),
    )


def _among(table: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({table[name] for name in names if name in table}))


def _others(module: Module) -> tuple[str, ...]:
    known = {_BUFFER, *READS, *CHANGES, *CALLS, *SYSTEM, *_NEUTRAL}
    strange: dict[str, None] = {}
    for item in module.imports:
        is_known = item.kind == "func" and (
            (item.module == "env" and item.name in known) or item.module in _WASI
        )
        if not is_known:
            strange[f"{item.module}.{item.name}"[:_SHOWN]] = None
            if len(strange) == MAX_OTHERS:
                break
    return tuple(strange)


def _own_first(memories: tuple[Memory, ...]) -> Iterable[Memory]:
    return sorted(memories, key=lambda memory: memory.imported)[:MAX_MEMORIES]


def _spoken(producers: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}".strip()[:_SHOWN] for name, version in producers)
