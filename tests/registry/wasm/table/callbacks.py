"""Modules that differ in what they export: the ABI version, allocators, callbacks; and in what these do."""

from __future__ import annotations

from collections.abc import Iterator

from tests.registry.wasm.plugins import MEMORY, exported, imported, plugin
from tests.registry.wasm.table.host import ABIS, HOST, wrong

# Parameters, result and an answer that goes on: what proxy-wasm-cpp-host calls (wasm.h, getFunctions).
CALLBACKS = {
    "_initialize": ("", "", 0),
    "_start": ("", "", 0),
    "proxy_validate_configuration": ("ii", "i", 1),
    "proxy_on_vm_start": ("ii", "i", 1),
    "proxy_on_configure": ("ii", "i", 1),
    "proxy_on_tick": ("i", "", 0),
    "proxy_on_context_create": ("ii", "", 0),
    "proxy_on_new_connection": ("i", "i", 0),
    "proxy_on_downstream_data": ("iii", "i", 0),
    "proxy_on_upstream_data": ("iii", "i", 0),
    "proxy_on_downstream_connection_close": ("ii", "", 0),
    "proxy_on_upstream_connection_close": ("ii", "", 0),
    "proxy_on_request_headers": ("iii", "i", 0),
    "proxy_on_request_body": ("iii", "i", 0),
    "proxy_on_request_trailers": ("ii", "i", 0),
    "proxy_on_request_metadata": ("ii", "i", 0),
    "proxy_on_response_headers": ("iii", "i", 0),
    "proxy_on_response_body": ("iii", "i", 0),
    "proxy_on_response_trailers": ("ii", "i", 0),
    "proxy_on_response_metadata": ("ii", "i", 0),
    "proxy_on_http_call_response": ("iiiii", "", 0),
    "proxy_on_grpc_receive": ("iii", "", 0),
    "proxy_on_grpc_close": ("iii", "", 0),
    "proxy_on_grpc_create_initial_metadata": ("iii", "", 0),
    "proxy_on_grpc_receive_initial_metadata": ("iii", "", 0),
    "proxy_on_grpc_receive_trailing_metadata": ("iii", "", 0),
    "proxy_on_queue_ready": ("ii", "", 0),
    "proxy_on_foreign_function": ("iii", "", 0),
    "proxy_on_done": ("i", "i", 1),
    "proxy_on_log": ("i", "", 0),
    "proxy_on_delete": ("i", "", 0),
    "proxy_on_unheard_of": ("iiii", "i", 0),
}
ALLOCATORS = ("malloc", "proxy_on_memory_allocate")


def modules() -> Iterator[tuple[str, bytes]]:
    """Every module of this part of the table with its name."""
    yield from _versions()
    yield from _callbacks()
    yield from _allocators()
    yield from _running()


def _versions() -> Iterator[tuple[str, bytes]]:
    for abi in (*ABIS, "0_2_2", "0_3_0", "vNEXT", "0_2", "", "0_2_1x"):
        yield f"abi {abi or 'none'}", plugin(abi=abi)
    both = '(func (export "proxy_abi_version_0_1_0")) (func (export "proxy_abi_version_0_2_1"))'
    for name in ("proxy_clear_route_cache", "proxy_get_log_level", "proxy_continue_stream"):
        needs = imported("env", name, HOST[name.removeprefix("proxy_")], "i")
        yield f"abi both, old first, {name}", plugin(both, imports=needs, abi="")
    newer = '(func (export "proxy_abi_version_0_2_1")) (func (export "proxy_abi_version_0_1_0"))'
    yield (
        "abi both, new first",
        plugin(newer, imports=imported("env", "proxy_get_log_level", "i", "i"), abi=""),
    )
    yield "abi unknown and known", plugin('(func (export "proxy_abi_version_0_3_0"))')
    for kind in ("(global {} i32 (i32.const 0))", "(memory {} 1)", "(table {} 1 funcref)", "(tag {})"):
        field = kind.format('(export "proxy_abi_version_0_2_1")')
        yield f"abi as a {kind[1:].split()[0]}", plugin(field, abi="", memory="")
    yield "abi with parameters", plugin('(func (export "proxy_abi_version_0_2_1") (param i32 i64))', abi="")
    yield "abi with a result", plugin(exported("proxy_abi_version_0_2_1", "", "i"), abi="")
    import_ = '(import "env" "proxy_done" (func $f (result i32)))'
    again = '(export "proxy_abi_version_0_2_1" (func $f))'
    yield "abi is an import exported", plugin(again, imports=import_, abi="")
    yield "abi imported only", plugin(imports='(import "env" "proxy_abi_version_0_2_1" (func))', abi="")


def _callbacks() -> Iterator[tuple[str, bytes]]:
    for at, (name, (params, result, value)) in enumerate(CALLBACKS.items()):
        for abi in ABIS:
            yield f"callback {name} in {abi}", plugin(exported(name, params, result, value), abi=abi)
            what, kind = list(wrong(params, result, at))[ABIS.index(abi) % 2]
            yield f"callback {name} {what} in {abi}", plugin(exported(name, *kind, value), abi=abi)
    for name in ("proxy_on_request_headers", "proxy_on_response_headers"):
        for abi in ABIS:
            yield f"callback {name} of two in {abi}", plugin(exported(name, "ii", "i"), abi=abi)
    for first in ("", exported("_initialize", "")):
        also = "main beside _initialize" if first else "main alone"
        for name, params, result in (
            ("main", "ii", "i"),
            ("main", "", "i"),
            ("main", "ii", ""),
            ("__main_void", "", "i"),
            ("__main_void", "", ""),
            ("__main_argc_argv", "i", "i"),
            ("_start", "", ""),
            ("_start", "i", ""),
            ("_start", "", "i"),
        ):
            yield (
                f"callback {also}: {name} {params}->{result}",
                plugin(first + exported(name, params, result)),
            )
    yield "callback is a global", plugin('(global (export "proxy_on_tick") i32 (i32.const 0))')
    two = exported("proxy_on_tick", "ii") + exported("proxy_on_log", "")
    yield "callback two wrong", plugin(two)
    yield "callback wrong and no malloc", plugin(exported("proxy_on_tick", ""), malloc="")
    yield "callback _initialize wrong and no malloc", plugin(exported("_initialize", "i"), malloc="")
    reference = '(func (export "proxy_on_tick") (param externref))'
    yield "callback with a reference", plugin(reference)
    vector = '(func (export "proxy_on_tick") (param v128))'
    yield "callback with a vector", plugin(vector)


def _allocators() -> Iterator[tuple[str, bytes]]:
    yield "malloc missing", plugin(malloc="")
    for name in ALLOCATORS:
        for params, result in (("i", "i"), ("", "i"), ("i", ""), ("ii", "i"), ("I", "I"), ("i", "ii")):
            yield f"{name} {params}->{result}", plugin(malloc=exported(name, params, result))
        yield f"{name} is a global", plugin(malloc=f'(global (export "{name}") i32 (i32.const 0))')
    good, bad = exported("malloc", "i", "i"), exported("proxy_on_memory_allocate", "")
    yield "malloc right, the other wrong", plugin(malloc=good + bad)
    good, bad = exported("proxy_on_memory_allocate", "i", "i"), exported("malloc", "")
    yield "malloc wrong, the other right", plugin(malloc=good + bad)
    yield (
        "malloc imported",
        plugin(
            '(export "malloc" (func $f))',
            imports='(import "env" "proxy_done" (func $f (result i32)))',
            malloc="",
        ),
    )


def _running() -> Iterator[tuple[str, bytes]]:
    trap = "(func $trap unreachable)"
    yield "runs: a start function that traps", plugin(f"{trap} (start $trap)")
    yield "runs: an _initialize that traps", plugin(f'{trap} (export "_initialize" (func $trap))')
    yield "runs: a _start that traps", plugin(f'{trap} (export "_start" (func $trap))')
    yield "runs: data out of bounds", plugin('(data (i32.const 65536) "x")')
    yield "runs: elements out of bounds", plugin("(table 1 funcref) (func $f) (elem (i32.const 1) $f)")
    for name in ("proxy_on_vm_start", "proxy_on_configure"):
        yield f"runs: {name} answers 0", plugin(exported(name, "ii", "i", 0))
        fails = f'(func (export "{name}") (param i32 i32) (result i32) unreachable)'
        yield f"runs: {name} traps", plugin(fails)
    for name in ("proxy_on_context_create", "proxy_on_log", "proxy_on_done", "proxy_on_request_headers"):
        params, result, _ = CALLBACKS[name]
        body = exported(name, params, result).removesuffix(")") + " unreachable)"
        yield f"runs: {name} traps", plugin(body)
    exits = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
    yield "runs: _start exits", plugin('(func (export "_start") (call $exit (i32.const 0)))', imports=exits)
    held = '(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))'
    yield (
        "runs: a start function calls the host",
        plugin("(func $s (drop (call $tick (i32.const 1)))) (start $s)", imports=held),
    )
    yield "runs: no memory at all", plugin(memory="")
    yield "runs: memory not exported", plugin(memory="(memory 1)")
    yield "runs: memory of another name", plugin(memory='(memory (export "mem") 1)')
    twice = '(memory 1) (export "memory" (memory 0)) (export "again" (memory 0))'
    yield "runs: memory exported twice", plugin(memory=twice)
    yield "exports two memories", plugin('(memory (export "more") 1)', memory=MEMORY)
    yield "runs: memory is a function", plugin(memory='(func (export "memory"))')
