"""What a plugin can import: the functions that Envoys offer, by release and by Proxy-Wasm ABI.

Read off proxy-wasm-cpp-host (include/proxy-wasm/exports.h: FOR_ALL_HOST_FUNCTIONS, …_ABI_SPECIFIC,
FOR_ALL_WASI_FUNCTIONS; src/wasm.cc: registerCallbacks) and Envoy (source/extensions/common/wasm/wasm.cc),
then asked of the binaries of every release in registry/releases.py. docs/envoy-releases.md shows the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.releases import at_least
from registry.wasm.types import FuncType

ABIS = ("0_1_0", "0_2_0", "0_2_1")
WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")

_FIRST_ABI = ABIS[:1]
_LATER_ABIS = ABIS[1:]
_NEWEST_ABI = ABIS[2:]

# Parameters and result, as Envoy prints them, of `env.proxy_…`, for every ABI.
_PROXY = {
    "add_header_map_value": "i32 i32 i32 i32 i32 -> i32",
    "call_foreign_function": "i32 i32 i32 i32 i32 i32 -> i32",
    "define_metric": "i32 i32 i32 i32 -> i32",
    "dequeue_shared_queue": "i32 i32 i32 -> i32",
    "done": "void -> i32",
    "enqueue_shared_queue": "i32 i32 i32 -> i32",
    "get_buffer_bytes": "i32 i32 i32 i32 i32 -> i32",
    "get_buffer_status": "i32 i32 i32 -> i32",
    "get_current_time_nanoseconds": "i32 -> i32",
    "get_header_map_pairs": "i32 i32 i32 -> i32",
    "get_header_map_size": "i32 i32 -> i32",
    "get_header_map_value": "i32 i32 i32 i32 i32 -> i32",
    "get_metric": "i32 i32 -> i32",
    "get_property": "i32 i32 i32 i32 -> i32",
    "get_shared_data": "i32 i32 i32 i32 i32 -> i32",
    "get_status": "i32 i32 i32 -> i32",
    "grpc_call": "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 -> i32",
    "grpc_cancel": "i32 -> i32",
    "grpc_close": "i32 -> i32",
    "grpc_send": "i32 i32 i32 i32 -> i32",
    "grpc_stream": "i32 i32 i32 i32 i32 i32 i32 i32 i32 -> i32",
    "http_call": "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 -> i32",
    "increment_metric": "i32 i64 -> i32",
    "log": "i32 i32 i32 -> i32",
    "record_metric": "i32 i64 -> i32",
    "register_shared_queue": "i32 i32 i32 -> i32",
    "remove_header_map_value": "i32 i32 i32 -> i32",
    "replace_header_map_value": "i32 i32 i32 i32 i32 -> i32",
    "resolve_shared_queue": "i32 i32 i32 i32 i32 -> i32",
    "send_local_response": "i32 i32 i32 i32 i32 i32 i32 i32 -> i32",
    "set_buffer_bytes": "i32 i32 i32 i32 i32 -> i32",
    "set_effective_context": "i32 -> i32",
    "set_header_map_pairs": "i32 i32 i32 -> i32",
    "set_property": "i32 i32 i32 i32 -> i32",
    "set_shared_data": "i32 i32 i32 i32 i32 -> i32",
    "set_tick_period_milliseconds": "i32 -> i32",
}
_PROXY_BY_ABI = {
    "clear_route_cache": ("void -> i32", _FIRST_ABI),
    "continue_request": ("void -> i32", _FIRST_ABI),
    "continue_response": ("void -> i32", _FIRST_ABI),
    "get_configuration": ("i32 i32 -> i32", _FIRST_ABI),
    "close_stream": ("i32 -> i32", _LATER_ABIS),
    "continue_stream": ("i32 -> i32", _LATER_ABIS),
    "get_log_level": ("i32 -> i32", _NEWEST_ABI),
}
# Without the prefix `proxy_`: what emscripten needs, and what only Envoy has.
_OTHERS = {
    "emscripten_notify_memory_growth": "i32 -> void",
    "envoy_resolve_dns": "i32 i32 i32 -> i32",
    "pthread_equal": "i32 i32 -> i32",
}
_WASI = {
    "args_get": "i32 i32 -> i32",
    "args_sizes_get": "i32 i32 -> i32",
    "clock_time_get": "i32 i64 i32 -> i32",
    "environ_get": "i32 i32 -> i32",
    "environ_sizes_get": "i32 i32 -> i32",
    "fd_close": "i32 -> i32",
    "fd_fdstat_get": "i32 i32 -> i32",
    "fd_fdstat_set_flags": "i32 i32 -> i32",
    "fd_prestat_dir_name": "i32 i32 i32 -> i32",
    "fd_prestat_get": "i32 i32 -> i32",
    "fd_read": "i32 i32 i32 i32 -> i32",
    "fd_seek": "i32 i64 i32 i32 -> i32",
    "fd_write": "i32 i32 i32 i32 -> i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32 -> i32",
    "poll_oneoff": "i32 i32 i32 i32 -> i32",
    "proc_exit": "i32 -> void",
    "random_get": "i32 i32 -> i32",
    "sched_yield": "void -> i32",
}
# Those that proxy-wasm-cpp-host has since 94091cd (2026-04), for Go's runtime.
_WASI_SINCE_1_39 = {
    "clock_res_get": "i32 i32 -> i32",
    "fd_advise": "i32 i64 i64 i32 -> i32",
    "fd_allocate": "i32 i64 i64 -> i32",
    "fd_datasync": "i32 -> i32",
    "fd_fdstat_set_rights": "i32 i64 i64 -> i32",
    "fd_filestat_get": "i32 i32 -> i32",
    "fd_filestat_set_size": "i32 i64 -> i32",
    "fd_filestat_set_times": "i32 i64 i64 i32 -> i32",
    "fd_pread": "i32 i32 i32 i64 i32 -> i32",
    "fd_pwrite": "i32 i32 i32 i64 i32 -> i32",
    "fd_readdir": "i32 i32 i32 i64 i32 -> i32",
    "fd_renumber": "i32 i32 -> i32",
    "fd_sync": "i32 -> i32",
    "fd_tell": "i32 i32 -> i32",
    "path_create_directory": "i32 i32 i32 -> i32",
    "path_filestat_get": "i32 i32 i32 i32 i32 -> i32",
    "path_filestat_set_times": "i32 i32 i32 i32 i64 i64 i32 -> i32",
    "path_link": "i32 i32 i32 i32 i32 i32 -> i32",
    "path_readlink": "i32 i32 i32 i32 i32 i32 -> i32",
    "path_remove_directory": "i32 i32 i32 -> i32",
    "path_rename": "i32 i32 i32 i32 i32 i32 -> i32",
    "path_symlink": "i32 i32 i32 i32 -> i32",
    "path_unlink_file": "i32 i32 i32 -> i32",
    "sock_accept": "i32 i32 i32 -> i32",
    "sock_recv": "i32 i32 i32 i32 i32 i32 -> i32",
    "sock_send": "i32 i32 i32 i32 i32 -> i32",
    "sock_shutdown": "i32 i32 -> i32",
}


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function that Envoys offer; `since` is the first release that has it, empty for all known ones."""

    module: str
    name: str
    signature: FuncType
    abis: tuple[str, ...] = ABIS
    since: str = ""

    def offered(self, envoy: str, abi: str | None) -> bool:
        """Whether this Envoy offers it to a plugin of this ABI; without an ABI, to any plugin."""
        return (abi is None or abi in self.abis) and (not self.since or at_least(envoy, self.since))


def _table() -> Iterator[HostFunction]:
    for name, signature in _PROXY.items():
        yield HostFunction("env", f"proxy_{name}", FuncType.spelled(signature))
    for name, (signature, abis) in _PROXY_BY_ABI.items():
        yield HostFunction("env", f"proxy_{name}", FuncType.spelled(signature), abis)
    for name, signature in _OTHERS.items():
        yield HostFunction("env", name, FuncType.spelled(signature))
    for module in WASI_MODULES:
        for name, signature in _WASI.items():
            yield HostFunction(module, name, FuncType.spelled(signature))
        for name, signature in _WASI_SINCE_1_39.items():
            yield HostFunction(module, name, FuncType.spelled(signature), since="1.39")


HOST_FUNCTIONS: tuple[HostFunction, ...] = tuple(_table())
"""Every function that a known Envoy offers to some plugin."""

_BY_NAME = {(offered.module, offered.name): offered for offered in HOST_FUNCTIONS}


def host_function(module: str, name: str) -> HostFunction | None:
    """What an import of that name can mean, whatever the release and the ABI."""
    return _BY_NAME.get((module, name))
