"""Modules that differ in what they import: the functions of the host, WASI, and all else."""

from __future__ import annotations

from collections.abc import Iterator

from tests.registry.wasm.plugins import MALLOC, imported, plugin, wat

ABIS = ("0_1_0", "0_2_0", "0_2_1")

# Parameters of the functions of `env`, as proxy-wasm-cpp-host declares them (exports.h); all answer an i32.
HOST = {
    "get_configuration": "ii",
    "get_status": "iii",
    "log": "iii",
    "get_log_level": "i",
    "get_property": "iiii",
    "set_property": "iiii",
    "continue_request": "",
    "continue_response": "",
    "continue_stream": "i",
    "close_stream": "i",
    "send_local_response": "iiiiiiii",
    "clear_route_cache": "",
    "get_shared_data": "iiiii",
    "set_shared_data": "iiiii",
    "register_shared_queue": "iii",
    "resolve_shared_queue": "iiiii",
    "dequeue_shared_queue": "iii",
    "enqueue_shared_queue": "iii",
    "get_buffer_bytes": "iiiii",
    "get_buffer_status": "iii",
    "set_buffer_bytes": "iiiii",
    "add_header_map_value": "iiiii",
    "get_header_map_value": "iiiii",
    "replace_header_map_value": "iiiii",
    "remove_header_map_value": "iii",
    "get_header_map_pairs": "iii",
    "set_header_map_pairs": "iii",
    "get_header_map_size": "ii",
    "http_call": "iiiiiiiiii",
    "define_metric": "iiii",
    "increment_metric": "iI",
    "record_metric": "iI",
    "get_metric": "ii",
    "grpc_call": "iiiiiiiiiiii",
    "grpc_stream": "iiiiiiiii",
    "grpc_cancel": "i",
    "grpc_close": "i",
    "grpc_send": "iiii",
    "set_tick_period_milliseconds": "i",
    "get_current_time_nanoseconds": "i",
    "set_effective_context": "i",
    "done": "",
    "call_foreign_function": "iiiiii",
    # Names of earlier drafts and of other hosts.
    "call_on_shared_queue": "ii",
    "get_request_body_buffer_bytes": "iiii",
    "get_response_body_buffer_bytes": "iiii",
    "dispatch_http_call": "iiiiiiiiii",
    "send_http_response": "iiiiiiii",
    "set_log_level": "i",
}
WASI = {
    "fd_write": "iiii",
    "fd_read": "iiii",
    "fd_seek": "iIii",
    "fd_close": "i",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "args_get": "ii",
    "args_sizes_get": "ii",
    "clock_time_get": "iIi",
    "clock_res_get": "ii",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_datasync": "i",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_prestat_dir_name": "iii",
    "fd_prestat_get": "ii",
    "fd_pwrite": "iiiIi",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_exit": "i",
    "proc_raise": "i",
    "random_get": "ii",
    "sched_yield": "",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")


def modules() -> Iterator[tuple[str, bytes]]:
    """Every module of this part of the table with its name."""
    yield from _host()
    yield from _wasi()
    yield from _others()


def _host() -> Iterator[tuple[str, bytes]]:
    for name, params in HOST.items():
        for abi in ABIS:
            needs = imported("env", f"proxy_{name}", params, "i")
            yield f"host proxy_{name} in {abi}", plugin(imports=needs, abi=abi)
    for at, (name, params) in enumerate(HOST.items()):
        for what, kind in wrong(params, "i", at):
            yield f"host proxy_{name} {what}", plugin(imports=imported("env", f"proxy_{name}", *kind))
    for name, params, result in (
        ("pthread_equal", "ii", "i"),
        ("pthread_equal", "ii", ""),
        ("emscripten_notify_memory_growth", "i", ""),
        ("emscripten_notify_memory_growth", "i", "i"),
        ("abort", "iiii", ""),
        ("proxy_", "", "i"),
        ("log", "iii", "i"),
        ("", "", ""),
        ("émoji 🎉", "", ""),
        ("proxy_log\\n", "iii", "i"),
        ("a" * 300, "", ""),
    ):
        yield f"host {name[:20]!r} {params}->{result}", plugin(imports=imported("env", name, params, result))
    yield "host proxy_log of another module", plugin(imports=imported("proxy", "proxy_log", "iii", "i"))
    yield "host env_proxy_log without a module", plugin(imports=imported("", "env.proxy_log", "iii", "i"))
    yield "host a dot moved", plugin(imports=imported("wasi_snapshot_preview1.x", "fd_close", "i", "i"))
    yield "host twice", plugin(imports=imported("env", "proxy_done", "", "i") * 2)
    second = imported("env", "proxy_done", "", "i") + imported("env", "proxy_done", "", "")
    yield "host twice, once wrong", plugin(imports=second)
    wrong_then_missing = imported("env", "proxy_log", "ii", "i") + imported("env", "nothing", "")
    yield "host wrong then missing", plugin(imports=wrong_then_missing)
    missing_then_wrong = imported("env", "nothing", "") + imported("env", "proxy_log", "ii", "i")
    yield "host missing then wrong", plugin(imports=missing_then_wrong)


def wrong(params: str, result: str, at: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """Two signatures that differ from the right one, of other kinds from one function to the next."""
    more = [
        ("with one more parameter", (params + "i", result)),
        ("of another type", (("I" if params[:1] != "I" else "i") + params[1:], result)),
        ("with a float", (params[:-1] + "f", result)),
        ("with one less parameter", (params[:-1], result)),
        ("with two results", (params, "ii")),
        ("with a long result", (params, "I")),
        ("without its result", (params, "" if result else "i")),
    ]
    different = [(what, kind) for what, kind in more if kind != (params, result)]
    yield different[at % len(different)]
    yield different[(at + 3) % len(different)]


def _wasi() -> Iterator[tuple[str, bytes]]:
    for at, (name, params) in enumerate(WASI.items()):
        result = "" if name == "proc_exit" else "i"
        for module in WASI_MODULES:
            yield f"wasi {module}.{name}", plugin(imports=imported(module, name, params, result))
        what, kind = next(wrong(params, result, at))
        yield f"wasi {name} {what}", plugin(imports=imported(WASI_MODULES[0], name, *kind))
    for abi in ABIS:
        yield f"wasi in {abi}", plugin(imports=imported(WASI_MODULES[0], "fd_write", "iiii", "i"), abi=abi)
    yield "wasi of env", plugin(imports=imported("env", "fd_write", "iiii", "i"))
    yield "wasi preview 2", plugin(imports=imported("wasi:io/streams@0.2.0", "drop", "i"))
    yield (
        "wasi of another snapshot",
        plugin(imports=imported("wasi_snapshot_preview2", "fd_write", "iiii", "i")),
    )
    # The last parameter of path_link and the second of path_symlink: as the WASI of the time had them.
    yield "wasi path_link of six", plugin(imports=imported(WASI_MODULES[0], "path_link", "iiiiii", "i"))
    yield "wasi path_symlink of four", plugin(imports=imported(WASI_MODULES[0], "path_symlink", "iiii", "i"))


def _others() -> Iterator[tuple[str, bytes]]:
    for name, field in {
        "a global": '(import "env" "g" (global i32))',
        "a variable global": '(import "env" "__stack_pointer" (global (mut i32)))',
        "a tag": '(import "env" "t" (tag))',
        "a tag with a parameter": '(import "env" "__cpp_exception" (tag (param i32)))',
        "a tag after a missing function": '(import "env" "no" (func)) (import "env" "t" (tag))',
        "a table": '(import "env" "t" (table 1 funcref))',
        "a table with a maximum": '(import "env" "t" (table 1 2 funcref))',
        "a table of externref": '(import "env" "t" (table 1 externref))',
        "a table of another module": '(import "anything" "t" (table 1 funcref))',
        "a global after a missing function": '(import "env" "no" (func)) (import "env" "g" (global i32))',
        "a missing function after a global": '(import "env" "g" (global i32)) (import "env" "no" (func))',
        "a missing function after a table": '(import "env" "t" (table 1 funcref)) (import "env" "no" (func))',
        "a large table": '(import "env" "t" (table 10000000 funcref))',
        "a too large table": '(import "env" "t" (table 10000001 funcref))',
        "a table of 64 bits": '(import "env" "t" (table i64 1 funcref))',
        "a table of non-null references": '(import "env" "t" (table 1 (ref func)))',
        "a table of anyref": '(import "env" "t" (table 1 anyref))',
        "a table of exnref": '(import "env" "t" (table 1 exnref))',
        "two tables": '(import "env" "t" (table 1 funcref)) (import "env" "u" (table 1 funcref))',
        "an exact function": "(type $f (func (result i32)))"
        ' (import "env" "proxy_done" (func (exact (type $f))))',
        "a function with references": '(import "env" "proxy_done" (func (param externref) (result funcref)))',
        "a function with vectors": '(import "env" "proxy_done" (func (param v128) (result i32)))',
    }.items():
        yield f"imports {name}", plugin(imports=field)
    for name, field in {
        "a memory": '(import "env" "memory" (memory 1))',
        "a memory with a maximum": '(import "env" "memory" (memory 1 2))',
        "a shared memory": '(import "env" "memory" (memory 1 2 shared))',
        "a memory of 64 bits": '(import "env" "memory" (memory i64 1))',
        "a memory of all pages": '(import "env" "memory" (memory 65536))',
        "a memory of 16384 pages": '(import "env" "memory" (memory 16384))',
        "a memory of 16385 pages": '(import "env" "memory" (memory 16385))',
        "a memory with a maximum of 65536": '(import "env" "memory" (memory 1 65536))',
        "a memory and exports it": '(import "env" "memory" (memory 1)) (export "memory" (memory 0))',
        "a memory and has another": '(import "env" "memory" (memory 1)) (memory (export "memory") 1)',
        "two memories": '(import "env" "memory" (memory 1)) (import "env" "more" (memory 1))',
        "a memory after a tag": '(import "env" "t" (tag)) (import "env" "memory" (memory 1))',
    }.items():
        yield f"imports {name}", wat(f'(module {field} (func (export "proxy_abi_version_0_2_1")) {MALLOC})')
