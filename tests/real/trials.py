"""Plugins written by hand for trials: each does one thing that a trial has to survive, or to see."""

from __future__ import annotations

import struct

from wasmtime import wat2wasm

_ALL = """(module
  {imports}
  (memory (export "memory") 2)
  {data}
  (func (export "proxy_abi_version_0_2_1"))
  (global $next (mut i32) (i32.const 65536))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get $size))))
  (func (export "proxy_on_context_create") (param i32 i32))
  {body})"""


def _host(name: str, alias: str, parameters: int) -> str:
    kinds = " i32" * parameters
    return f'(import "env" "proxy_{name}" (func ${alias} (param{kinds}) (result i32)))'


_LOG = _host("log", "log", 3)
_ADD = _host("add_header_map_value", "add", 5)
_SET = _host("replace_header_map_value", "set", 5)
_GONE = _host("remove_header_map_value", "gone", 3)
_CALL = _host("http_call", "call", 10)
_ANSWER = _host("send_local_response", "answer", 8)
_GO_ON = _host("continue_stream", "go_on", 1)
_AS = _host("set_effective_context", "as", 1)
_SHARE = _host("set_shared_data", "share", 5)
_GET = _host("get_buffer_bytes", "get", 5)

_LOOP = "(loop $on (br $on))"
_YES, _NO = "(i32.const 1)", "(i32.const 0)"


def plugin(body: str = "", *, imports: str = "", data: str = "") -> bytes:
    """A plugin that loads, with more functions in it."""
    return bytes(wat2wasm(_ALL.format(body=body, imports=imports, data=data)))


def _on(name: str, code: str, result: str = _NO, parameters: int = 3, more: str = "") -> str:
    return (
        f'(func (export "proxy_on_{name}") (param{" i32" * parameters}) (result i32) {more} {code} {result})'
    )


def _data(at: int, text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    escaped = "".join(rf"\{byte:02x}" for byte in raw)
    return f'(data (i32.const {at}) "{escaped}")'


def _pairs(**headers: str) -> bytes:
    """Headers as the ABI passes them: how many, their lengths, then names and values ended by 0."""
    pairs = [(f":{name}".encode(), value.encode()) for name, value in headers.items()]
    lengths = b"".join(struct.pack("<II", len(name), len(value)) for name, value in pairs)
    return (
        struct.pack("<I", len(pairs))
        + lengths
        + b"".join(name + b"\0" + value + b"\0" for name, value in pairs)
    )


_AUTHZ = _pairs(method="GET", path="/check", authority="authz.local")
_LOGGED = "first line\nsecond line"

GOOD = {
    "does nothing": plugin(),
    "changes headers": plugin(
        _on(
            "request_headers",
            "(drop (call $add (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 5)))"
            "(drop (call $set (i32.const 0) (i32.const 48) (i32.const 10) (i32.const 32) (i32.const 5)))"
            "(drop (call $gone (i32.const 0) (i32.const 64) (i32.const 6)))",
        )
        + _on(
            "response_headers",
            "(drop (call $add (i32.const 2) (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 5)))"
            "(drop (call $gone (i32.const 2) (i32.const 80) (i32.const 12)))",
        ),
        imports=_ADD + _SET + _GONE,
        data=_data(16, "x-team")
        + _data(32, "blue!")
        + _data(48, "user-agent")
        + _data(64, "accept")
        + _data(80, "content-type"),
    ),
    "logs": plugin(
        _on(
            "configure",
            f"(drop (call $log (i32.const 2) (i32.const 16) (i32.const {len(_LOGGED)})))",
            _YES,
            2,
        ),
        imports=_LOG,
        data=_data(16, _LOGGED),
    ),
    "logs what it is configured with": plugin(
        _on(
            "configure",
            "(drop (call $get (i32.const 7) (i32.const 0) (i32.const 1000) (i32.const 16) (i32.const 20)))"
            "(drop (call $log (i32.const 3) (i32.load (i32.const 16)) (i32.load (i32.const 20))))",
            _YES,
            2,
        ),
        imports=_LOG + _GET,
    ),
    "logs a million lines": plugin(
        _on(
            "request_headers",
            "(loop $on (drop (call $log (i32.const 2) (i32.const 16) (i32.const 5)))"
            "(br_if $on (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))",
            more="(local $n i32) (local.set $n (i32.const 1000000))",
        ),
        imports=_LOG,
        data=_data(16, "again"),
    ),
    "answers itself": plugin(
        _on(
            "request_headers",
            "(drop (call $answer (i32.const 418) (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 7)"
            f"(i32.const 64) (i32.const {len(_pairs(teapot='yes'))}) (i32.const -1)))",
            _YES,
        ),
        imports=_ANSWER,
        data=_data(16, "tea")
        + _data(32, "no tea\n")
        + _data(64, _pairs(teapot="yes").replace(b":teapot", b"xteapot")),
    ),
    "calls out and goes on": plugin(
        _on(
            "request_headers",
            f"(drop (call $call (i32.const 16) (i32.const 5) (i32.const 64) (i32.const {len(_AUTHZ)})"
            "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 8)))"
            "(global.set $id (local.get 0))",
            _YES,
        )
        + "(global $id (mut i32) (i32.const 0))"
        + '(func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)'
        # The root context gets the answer; the request goes on as itself.
        + "(drop (call $as (global.get $id))) (drop (call $go_on (i32.const 0))))",
        imports=_CALL + _GO_ON + _AS,
        data=_data(16, "authz") + _data(64, _AUTHZ),
    ),
}
"""What works."""

STAGES = {
    "start function traps": ("run-start", plugin("(func $s unreachable) (start $s)")),
    "_initialize traps": ("run-initialize", plugin('(func (export "_initialize") unreachable)')),
    "_start traps": ("run-initialize", plugin('(func (export "_start") unreachable)')),
    "vm_start answers false": ("run-vm-start", plugin(_on("vm_start", "", _NO, 2))),
    "vm_start traps": ("run-vm-start", plugin(_on("vm_start", "unreachable", _NO, 2))),
    "configure answers false": ("run-configure", plugin(_on("configure", "", _NO, 2))),
    "configure traps": ("run-configure", plugin(_on("configure", "unreachable", _NO, 2))),
    "context_create traps": (
        "run-trap",
        bytes(
            wat2wasm(
                _ALL.replace("(param i32 i32))", "(param i32 i32) unreachable)").format(
                    imports="", data="", body=""
                )
            )
        ),
    ),
    "a data segment lies outside": ("run-load", plugin(data=_data(1 << 30, "x"))),
    "an import is missing": ("run-load", plugin(imports='(import "env" "nope" (func))')),
    "no ABI version": ("run-load", bytes(wat2wasm('(module (memory (export "memory") 1))'))),
    "no module": ("run-load", b"\0asm"),
    "an imported tag": (
        "run-crash",
        plugin(imports='(import "env" "t" (tag (param i32)))'),
    ),
    "the request traps": ("run-trap", plugin(_on("request_headers", "unreachable"))),
    "the response traps": ("run-trap", plugin(_on("response_headers", "unreachable"))),
    "its log traps": ("run-trap", plugin('(func (export "proxy_on_log") (param i32) unreachable)')),
    "the stack runs over": (
        "run-trap",
        plugin("(func $deep (call $deep))" + _on("request_headers", "(call $deep)")),
    ),
    "memory runs out": (
        "run-trap",
        plugin(
            _on(
                "request_headers",
                "(loop $on (local.set $at (memory.grow (i32.const 256)))"
                "(if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))"
                "(memory.fill (i32.mul (local.get $at) (i32.const 65536)) (i32.const 1) (i32.const 16777216))"
                "(br $on))",
                more="(local $at i32)",
            )
        ),
    ),
    "a call to a cluster that is not there": (
        "run-trap",
        plugin(
            _on(
                "request_headers",
                f"(if (call $call (i32.const 16) (i32.const 4) (i32.const 64) (i32.const {len(_AUTHZ)})"
                "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 8))"
                "(then unreachable))",
            ),
            imports=_CALL,
            data=_data(16, "nope") + _data(64, _AUTHZ),
        ),
    ),
}
"""What fails at once: the problem's code, and the plugin."""

GREEDY = plugin(
    _on(
        "request_headers",
        "(loop $on (i32.store (i32.const 16) (local.get $n))"
        "(local.set $n (i32.add (local.get $n) (i32.const 1)))"
        "(drop (call $share (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 65536) (i32.const 0)))"
        "(br $on))",
        more="(local $n i32)",
    ),
    imports=_SHARE,
)
"""Fills Envoy's own memory, which no limit of the plugin's ends: shared data, 64 KiB a key."""

HANGS = {
    "start function": plugin(f"(func $s {_LOOP}) (start $s)"),
    "proxy_on_vm_start": plugin(_on("vm_start", _LOOP, _YES, 2)),
    "proxy_on_request_headers": plugin(_on("request_headers", _LOOP)),
    "the request": plugin(_on("request_headers", "", _YES)),
}
"""What never comes back, by what is said to hang."""
