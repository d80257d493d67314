from __future__ import annotations

import json
from typing import Any

import pytest

from registry.wasm import survey
from registry.wasm.facts import Facts
from registry.wasm.hosts import HOST_FUNCTIONS, WASI_MODULES, HostFunction
from registry.wasm.module import read
from registry.wasm.survey import CALLS, CHANGES, MAX_MEMORIES, MAX_OTHERS, PHASES, READS, SYSTEM, of
from tests.registry.wasm import binary
from tests.registry.wasm.binary import function


def said(*imports: str, exports: tuple[str, ...] = (), **more: Any) -> Facts:
    """The facts of a module with these imports (of env, or MODULE.NAME) and exported functions."""
    needed = []
    for name in imports:
        module, _, function_name = name.rpartition(".")
        needed.append(function(module or "env", function_name))
    return of(
        read(binary.plugin(imported=needed, extra=[(name, 0, len(needed)) for name in exports], **more))
    )


def test_a_plain_module() -> None:
    found = said()
    data = binary.plugin()
    assert (found.size, found.abi, found.sdk) == (len(data), "0_2_1", "unknown")
    assert (found.imports, found.exports, found.memories) == (0, 2, ())
    for name in ("made_by", "filters", "phases", "reads", "changes", "calls", "system", "others"):
        assert getattr(found, name) == ()


@pytest.mark.parametrize(
    ("imports", "reads", "changes", "calls", "system"),
    [
        (["proxy_get_header_map_value"], ["headers"], [], [], []),
        (["proxy_add_header_map_value", "proxy_remove_header_map_value"], [], ["headers"], [], []),
        (["proxy_get_property", "proxy_set_property"], ["properties"], ["properties"], [], []),
        (["proxy_get_metric", "proxy_increment_metric"], ["metrics"], ["metrics"], [], []),
        (["proxy_get_shared_data", "proxy_set_shared_data"], ["shared data"], ["shared data"], [], []),
        (["proxy_get_configuration"], ["configuration"], [], [], []),
        (["proxy_set_buffer_bytes"], [], ["bodies"], [], []),
        (["proxy_send_local_response"], [], ["local responses"], [], []),
        (["proxy_http_call"], [], [], ["HTTP"], []),
        (["proxy_grpc_call", "proxy_grpc_send"], [], [], ["gRPC"], []),
        (["proxy_call_foreign_function"], [], [], ["foreign functions"], []),
        (["proxy_get_current_time_nanoseconds"], [], [], [], ["clock"]),
        (["wasi_snapshot_preview1.random_get"], [], [], [], ["random numbers"]),
        (["wasi_unstable.environ_get"], [], [], [], ["environment variables"]),
        (["wasi_snapshot_preview1.path_open"], [], [], [], ["files"]),
        (["wasi_snapshot_preview1.sock_send"], [], [], [], ["sockets"]),
        (["proxy_log", "wasi_snapshot_preview1.fd_write"], [], [], [], []),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value else "-",
)
def test_what_imports_allow(
    imports: list[str], reads: list[str], changes: list[str], calls: list[str], system: list[str]
) -> None:
    found = said(*imports)
    assert [list(words) for words in (found.reads, found.changes, found.calls, found.system)] == [
        reads,
        changes,
        calls,
        system,
    ]
    assert found.others == ()


@pytest.mark.parametrize(
    ("exports", "reads"),
    [
        ((), ()),
        (("proxy_on_request_body",), ("bodies",)),
        (("proxy_on_downstream_data",), ("bodies",)),
        (("proxy_on_configure",), ("configuration",)),
        (("proxy_on_http_call_response",), ("call results",)),
        (("proxy_on_vm_start", "proxy_on_response_body"), ("bodies", "configuration")),
    ],
)
def test_which_buffers_can_be_read_shows_by_the_callbacks(
    exports: tuple[str, ...], reads: tuple[str, ...]
) -> None:
    assert said("proxy_get_buffer_bytes", exports=exports).reads == reads


@pytest.mark.parametrize(
    ("exports", "filters", "phases"),
    [
        (("proxy_on_request_headers",), ("http",), ("request headers",)),
        (("proxy_on_new_connection",), ("network",), ("new connections",)),
        (("proxy_on_upstream_connection_close",), ("network",), ("upstream close",)),
        (("proxy_on_tick", "proxy_on_log"), (), ("timer", "access log")),
        (
            ("proxy_on_downstream_data", "proxy_on_response_trailers"),
            ("http", "network"),
            ("downstream data", "response trailers"),
        ),
        (("on_request_headers",), (), ()),
    ],
)
def test_what_it_acts_on(exports: tuple[str, ...], filters: tuple[str, ...], phases: tuple[str, ...]) -> None:
    found = said(exports=exports)
    assert (found.filters, found.phases) == (filters, phases)


def test_what_no_table_has_is_named() -> None:
    found = said("abort", "wbg.__wbindgen_throw", "proxy_http_call", "wasi_snapshot_preview1.sock_shutdown")
    assert found.others == ("env.abort", "wbg.__wbindgen_throw")


def test_who_made_it() -> None:
    tail = binary.producers(
        language=[("Rust", "")], processed_by=[("rustc", "1.90.0"), ("walrus", "0.23")], sdk=[("x", "1")]
    )
    found = said(tail=tail)
    assert (found.language, found.made_by, found.sdk) == ("Rust", ("rustc 1.90.0", "walrus 0.23"), "Rust")


def test_the_module_s_own_memory_comes_first() -> None:
    imported = binary.name("env") + binary.name("memory") + b"\x02\x00\x01"
    data = binary.module(
        binary.imports(imported), binary.section(5, binary.vec([b"\x01\x03\x10", b"\x00\x04"]))
    )
    assert of(read(data)).memories == ((3, 16), (4, None), (1, None))


def test_a_hostile_module_has_small_facts() -> None:
    names = [f"{at}{'é' * 400}" for at in range(9000)]
    memories = binary.section(5, binary.vec([b"\x00\x01"] * 900))
    tail = binary.producers(
        language=[("L" * 9000, "v" * 9000)] * 60, processed_by=[("p" * 9000, "v" * 9000)] * 60
    )
    data = binary.module(
        binary.types(binary.VOID),
        binary.imports(*(function("m", name) for name in names[:1000])),
        memories,
        binary.exports(*((name, 0, 0) for name in names[:1000])),
        tail,
    )
    found = of(read(data))
    assert len(json.dumps(found.to_json())) < 16 << 10
    assert (len(found.others), len(found.memories)) == (MAX_OTHERS, MAX_MEMORIES)
    assert (found.imports, found.exports) == (1000, 1000)


@pytest.mark.parametrize("known", HOST_FUNCTIONS, ids=lambda known: f"{known.module}.{known.name}")
def test_every_host_function_is_of_some_kind(known: HostFunction) -> None:
    tables = (READS, CHANGES, CALLS, SYSTEM)
    named = any(known.name in table for table in tables) or known.name in {*survey._NEUTRAL, survey._BUFFER}
    assert named or (
        known.module in WASI_MODULES and known.name.startswith(("fd_", "args_", "proc_", "poll_", "sched_"))
    )
    assert said(f"{known.module}.{known.name}").others == ()


def test_no_function_is_of_two_kinds() -> None:
    tables = (READS, CHANGES, CALLS, SYSTEM, dict.fromkeys(survey._NEUTRAL, ""))
    names = [name for table in tables for name in table]
    assert len(set(names)) == len(names)
    assert all(name.startswith("proxy_on_") for name in PHASES)
