"""Modules that differ in their code and in the features of WebAssembly that they use."""

from __future__ import annotations

from collections.abc import Iterator

from tests.registry.wasm import binary
from tests.registry.wasm.binary import leb, section, vec
from tests.registry.wasm.plugins import MALLOC, exported, plugin, wat

# By proposal, in text; all but those of the last groups are valid.
FEATURES = {
    "sign extension": "(func (result i32) (i32.extend8_s (i32.const 1)))",
    "saturating truncation": "(func (result i32) (i32.trunc_sat_f32_s (f32.const 1)))",
    "multi value": "(func (result i32 i32) (i32.const 1) (i32.const 2))",
    "multi value block": "(func (drop (drop (block (result i32 i32) (i32.const 1) (i32.const 2)))))",
    "block with parameters": "(func (i32.const 1) (block (param i32) (drop)))",
    "bulk memory": "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
    "bulk memory with data": '(data "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))',
    "bulk tables": "(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
    "reference types": "(table 1 externref) (func (result externref) (table.get 0 (i32.const 0)))",
    "select with a type": "(func (param externref) (result externref)"
    " (select (result externref) (local.get 0) (local.get 0) (i32.const 1)))",
    "two tables": "(table 1 funcref) (table 1 funcref)",
    "variable global exported": '(global (export "g") (mut i32) (i32.const 0))',
    "simd": "(func (result v128) (i32x4.splat (i32.const 1)))",
    "simd constant": "(func (result v128) (v128.const i32x4 1 2 3 4))",
    "simd shuffle": "(func (param v128) (result v128)"
    " (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 0) (local.get 0)))",
    "simd global": "(global v128 (v128.const i32x4 1 2 3 4))",
    "relaxed simd": "(func (param v128 v128 v128) (result v128)"
    " (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2)))",
    "relaxed simd dot": "(func (param v128 v128) (result v128)"
    " (i16x8.relaxed_dot_i8x16_i7x16_s (local.get 0) (local.get 1)))",
    "tail call": "(func $f (return_call $f))",
    "tail call indirect": "(table 1 funcref) (type $t (func))"
    " (func (return_call_indirect (type $t) (i32.const 0)))",
    "tail call by reference": "(type $t (func)) (func (param (ref $t)) (return_call_ref $t (local.get 0)))",
    "extended constants": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    "extended constants in data": '(data (i32.add (i32.const 1) (i32.const 2)) "x")',
    "extended constants subtract long": "(global i64 (i64.sub (i64.const 1) (i64.const 2)))",
    "division in a constant": "(global i32 (i32.div_s (i32.const 1) (i32.const 2)))",
    "global of a global": "(global $a i32 (i32.const 1)) (global i32 (global.get $a))",
    "global of a variable global": "(global $a (mut i32) (i32.const 1)) (global i32 (global.get $a))",
    "function references": "(type $t (func)) (func $f) (elem declare func $f)"
    " (func (call_ref $t (ref.func $f)))",
    "table of typed references": "(type $t (func)) (func $f) (table 1 (ref $t) (ref.func $f))",
    "branch on null": "(func (param funcref) (block (br_on_null 0 (local.get 0)) (drop)))",
    "gc struct": "(type $s (struct (field (mut i32)))) (func (drop (struct.new $s (i32.const 1))))",
    "gc array": "(type $a (array (mut i8))) (func (drop (array.new_default $a (i32.const 1))))",
    "gc i31": "(func (drop (i31.get_s (ref.i31 (i32.const 1)))))",
    "gc cast": "(func (param anyref) (drop (ref.test (ref i31) (local.get 0))))",
    "gc subtypes": "(type $a (sub (struct))) (type $b (sub final $a (struct (field i32))))"
    " (func (param (ref $b)))",
    "gc recursion": "(rec (type $a (struct (field (ref null $b)))) (type $b (struct (field (ref null $a)))))",
    "gc subtype of a final type": "(type $a (struct)) (type $b (sub $a (struct)))",
    "gc constant": "(type $s (struct)) (global (ref $s) (struct.new $s))",
    "gc conversion": "(func (param externref) (drop (any.convert_extern (local.get 0))))",
    "gc array of data": '(type $a (array i8)) (data "abc")'
    " (func (drop (array.new_data $a 0 (i32.const 0) (i32.const 3))))",
    "exceptions": "(tag $e) (func (block $h (try_table (catch $e $h) (throw $e))))",
    "exceptions catch all": "(func (block $h (try_table (catch_all $h) nop)))",
    "exceptions by reference": "(func (throw_ref (block $h (result exnref)"
    " (try_table (catch_all_ref $h) nop) (return))))",
    "exceptions legacy": "(tag $e) (func try nop catch $e end)",
    "exceptions legacy catch all": "(func try nop catch_all end)",
    "exceptions legacy with a value": "(tag $e (param i32))"
    " (func try i32.const 1 throw $e catch $e drop end)",
    "exceptions legacy delegate": "(func try try nop delegate 0 catch_all rethrow 0 end)",
    "exceptions legacy rethrow outside": "(func try rethrow 0 catch_all end)",
    "exceptions legacy with a bad body": "(func try drop catch_all end)",
    "exceptions legacy of no tag": "(func try nop catch 3 end)",
    "exceptions legacy with a result": "(func (result i32)"
    " try (result i32) i32.const 1 catch_all i32.const 2 end)",
    "exceptions legacy with a wrong result": "(func try (result i32) i32.const 1 catch_all end drop)",
    "exceptions of both kinds": "(tag $e) (func try nop catch $e end)"
    " (func (block $h (try_table (catch $e $h) nop)))",
    "exceptions legacy and a bad function": "(func try nop catch_all end) (func (result i32))",
    "exceptions legacy and a table of 20,000,000": "(table 20000000 funcref) (func try nop catch_all end)",
    "exceptions legacy and 300,000 pages of 64 bits": "(memory i64 1 300000) (func try nop catch_all end)",
    "exceptions legacy and a br_table of 65,530": "(func try nop catch_all end)"
    f" (func i32.const 0 br_table {'0 ' * 65_531})",
    "exceptions legacy and ref.test of exn": "(func try nop catch_all end)"
    " (func (param exnref) (drop (ref.test (ref null exn) (local.get 0))))",
    "exceptions legacy and ref.cast to noexn": "(func try nop catch_all end)"
    " (func (param exnref) (drop (ref.cast (ref null noexn) (local.get 0))))",
    "exceptions legacy and ref.test of any": "(func try nop catch_all end)"
    " (func (param anyref) (drop (ref.test (ref null i31) (local.get 0))))",
    "tag with a result": "(type $t (func (result i32))) (tag (type $t))",
    "tag exported": '(tag (export "e") (param i32))',
    "64-bit table": "(table i64 1 funcref)",
    "atomic fence": "(func atomic.fence)",
    "wide arithmetic": "(func (result i64 i64)"
    " (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))",
    "stack switching": "(type $f (func)) (type $c (cont $f)) (func $x) (elem declare func $x)"
    " (func (drop (cont.new $c (ref.func $x))))",
    "shared functions": "(type (shared (func)))",
    "shared globals": "(global (shared i32) (i32.const 0))",
    "custom descriptors": "(rec (type $a (descriptor $b) (struct)) (type $b (describes $a) (struct)))",
    "atomics": "(func (result i32) (i32.atomic.load (i32.const 0)))",
    "atomic notify": "(func (result i32) (memory.atomic.notify (i32.const 0) (i32.const 0)))",
    "atomic badly aligned": "(func (result i32) (i32.atomic.load align=1 (i32.const 0)))",
    "large offset": "(func (result i32) (i32.load offset=4294967295 (i32.const 0)))",
    "exact reference": "(type $t (struct)) (func (param (ref (exact $t))))",
}
MEMORIES = {
    "64-bit": '(memory (export "memory") i64 1)',
    "64-bit with a maximum": '(memory (export "memory") i64 1 2)',
    "64-bit of too many pages": '(memory (export "memory") i64 1 0x1000000000000)',
    "shared": '(memory (export "memory") 1 2 shared)',
    "shared without a maximum": '(memory (export "memory") 1 shared)',
    "two": '(memory (export "memory") 1) (memory 1)',
    "ten": '(memory (export "memory") 1)' + "(memory 1)" * 9,
    "of one byte a page": '(memory (export "memory") 1 (pagesize 1))',
    "of a usual page": '(memory (export "memory") 1 (pagesize 65536))',
    "of 16383 pages": '(memory (export "memory") 16383)',
    "of 16384 pages": '(memory (export "memory") 16384)',
    "of 16385 pages": '(memory (export "memory") 16385)',
    "of 32768 pages": '(memory (export "memory") 32768)',
    "of 65536 pages": '(memory (export "memory") 65536)',
    "of 65537 pages": '(memory (export "memory") 65537)',
    "of no page": '(memory (export "memory") 0)',
    "with a maximum of 65536": '(memory (export "memory") 1 65536)',
    "with a maximum of 65537": '(memory (export "memory") 1 65537)',
    "with a maximum of 16385": '(memory (export "memory") 1 16385)',
    "with a maximum below the minimum": '(memory (export "memory") 2 1)',
    "two, one of 16385 pages": '(memory (export "memory") 1) (memory 16385)',
}
BODIES = {
    "no result": "(func (result i32))",
    "a wrong result": "(func (result i32) (i64.const 1))",
    "a value left over": "(func (i32.const 1))",
    "an empty stack": "(func (drop))",
    "operands of other types": "(func (drop (i32.add (i64.const 1) (i32.const 1))))",
    "an unknown local": "(func (drop (local.get 7)))",
    "an unknown global": "(func (drop (global.get 7)))",
    "an unknown function": "(func (call 77))",
    "an unknown type": "(func (type 77))",
    "an unknown label": "(func (br 3))",
    "an unknown table": "(func (drop (table.get 3 (i32.const 0))))",
    "an unknown memory": "(func (drop (i32.load 3 (i32.const 0))))",
    "an unknown data segment": "(func (data.drop 0))",
    "an unknown element segment": "(func (elem.drop 0))",
    "an unknown tag": "(func (throw 0))",
    "an alignment too large": "(func (drop (i32.load align=8 (i32.const 0))))",
    "a constant global set": "(global $g i32 (i32.const 0)) (func (global.set $g (i32.const 1)))",
    "an if without else": "(func (drop (if (result i32) (i32.const 1) (then (i32.const 1)))))",
    "a table of labels that differ": "(func (block (result i32)"
    " (br_table 0 1 (i32.const 1) (i32.const 1))) (drop))",
    "dead code of wrong types": "(func unreachable (i64.const 1) (i32.eqz) (drop))",
    "dead code with anything": "(func unreachable (i32.add) (drop))",
    "a reference not declared": "(func $f) (func (drop (ref.func $f)))",
    "a local not set": "(func (local (ref func)) (drop (local.get 0)))",
    "select of references": "(func (param funcref)"
    " (drop (select (local.get 0) (local.get 0) (i32.const 1))))",
    "a wrong global": "(global i32 (i64.const 1))",
    "a global of itself": "(global i32 (global.get 0))",
    "an element of no function": "(table 1 funcref) (elem (i32.const 0) 9)",
    "an element without a table": "(func $f) (elem (i32.const 0) $f)",
    "an offset of another type": '(data (i64.const 0) "x")',
    "a start function with a parameter": "(func $s (param i32)) (start $s)",
    "a start function with a result": "(func $s (result i32) (i32.const 1)) (start $s)",
    "a start function that is not there": "(start 9)",
    "an export that is not there": '(export "f" (func 9))',
    "an export of no memory": '(export "m" (memory 9))',
    "two exports of a name": '(export "memory" (memory 0))',
    "call_indirect without a table": "(func (call_indirect (i32.const 0)))",
    "memory.grow of a long": "(func (drop (memory.grow (i64.const 1))))",
}
# Exported functions are described to the host by types that its interface knows.
EXPORTS = {
    "a vector parameter": '(func (export "f") (param v128))',
    "a vector result": '(func (export "f") (result v128) (v128.const i32x4 0 0 0 0))',
    "an externref": '(func (export "f") (param externref))',
    "a funcref": '(func (export "f") (param funcref))',
    "an anyref": '(func (export "f") (param anyref))',
    "an exnref": '(func (export "f") (param exnref))',
    "an i31ref": '(func (export "f") (param i31ref))',
    "a null reference": '(func (export "f") (param nullref))',
    "a typed function reference": '(type $t (func)) (func (export "f") (param (ref null $t)))',
    "a struct reference": '(type $s (struct)) (func (export "f") (param (ref null $s)))',
    "a non-null externref": '(func (export "f") (param (ref extern)))',
    "a vector global": '(global (export "g") v128 (v128.const i32x4 0 0 0 0))',
    "an anyref global": '(global (export "g") anyref (ref.null any))',
    "an externref global": '(global (export "g") externref (ref.null extern))',
    "a table of anyref": '(table (export "t") 1 anyref)',
    "a table of exnref": '(table (export "t") 1 exnref)',
    "a table of externref": '(table (export "t") 1 externref)',
    "a table of 64 bits": '(table (export "t") i64 1 funcref)',
    "a table of typed references": '(type $t (func)) (table (export "t") 1 (ref null $t))',
    "a table of non-null references": '(func $f) (table (export "t") 1 (ref func) (ref.func $f))',
    "a tag": '(tag (export "e"))',
    "a tag with a reference": '(tag (export "e") (param anyref))',
}
# Bodies as bytes, between the locals (none) and the end.
OPCODES = {
    "an unknown opcode": b"\x27",
    "an opcode of asm.js": b"\xff",
    "an unknown prefixed opcode": b"\xfc\x7f",
    "an unknown vector opcode": b"\xfd\xff\x7f",
    "an unknown atomic opcode": b"\xfe\x7f",
    "an unknown gc opcode": b"\xfb\x7f",
    "an end too early": b"\x0b",
    "a block that does not end": b"\x02\x40",
    "an else without if": b"\x05",
    "a constant cut short": b"\x41",
    "an over-long constant": b"\x41\x80\x80\x80\x80\x80\x00\x1a",
    "a constant with unused bits": b"\x41\xff\xff\xff\xff\x4f\x1a",
    "a padded constant": b"\x41\x80\x80\x80\x80\x00\x1a",
    "a block type of nothing": b"\x02\x41\x0b",
    "a memory index that is padded": b"\x3f\x80\x00\x1a",
    "a memory index of one": b"\x3f\x01\x1a",
    "a call of a padded index": b"\x10\x80\x80\x80\x80\x00",
    "a prefixed opcode that is padded": b"\x41\x00\x41\x00\x41\x00\xfc\x8b\x80\x00\x00",
    "an alignment with a memory bit": b"\x41\x00\x28\x42\x00\x00\x1a",
    "a string constant": b"\xfb\x82\x01\x00\x1a",
    "a half-precision lane": b"\x43\x00\x00\x00\x00\xfd\xa0\x02\x1a",
    "a fence with a flag": b"\xfe\x03\x01",
}


def modules() -> Iterator[tuple[str, bytes]]:
    """Every module of this part of the table with its name."""
    for name, fields in FEATURES.items():
        yield f"feature {name}", plugin(fields)
    for name, memory in MEMORIES.items():
        yield f"memory {name}", plugin(memory=memory)
    for name, fields in BODIES.items():
        yield f"body with {name}", plugin(fields)
    for name, fields in EXPORTS.items():
        yield f"exports {name}", plugin(fields)
    for name, code in OPCODES.items():
        yield f"code with {name}", with_body(b"\x00" + code + b"\x0b")
    yield from _limits()
    yield from _locals()
    shared = '(memory (export "memory") 1 2 shared)'
    yield (
        "feature atomic wait",
        plugin(
            "(func (result i32) (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))",
            memory=shared,
        ),
    )
    long = '(memory (export "memory") i64 1)'
    yield "feature 64-bit addresses", plugin("(func (drop (i32.load (i64.const 0))))", memory=long)
    yield "body with a short address", plugin("(func (drop (i32.load (i32.const 0))))", memory=long)
    yield "feature load of a second memory", plugin("(memory $m 1) (func (drop (i32.load $m (i32.const 0))))")
    yield "component", wat("(component)")
    yield (
        "component with a plugin",
        wat(f'(component (core module (func (export "proxy_abi_version_0_2_1")) {MALLOC}))'),
    )


def with_body(body: bytes, functions: int = 1) -> bytes:
    """A plugin whose last functions, of type () -> (), have this body."""
    return binary.module(
        binary.types(binary.VOID, binary.ALLOC),
        binary.functions(0, 1, *[0] * functions),
        section(5, b"\x01\x00\x01"),
        binary.exports(("proxy_abi_version_0_2_1", 0, 0), ("malloc", 0, 1), ("memory", 2, 0)),
        section(
            10,
            vec([b"\x02\x00\x0b", b"\x04\x00\x41\x00\x0b", *[leb(len(body)) + body] * functions]),
        ),
    )


def _limits() -> Iterator[tuple[str, bytes]]:
    for count in (1000, 1001):
        yield f"limit {count} parameters", plugin(f"(func {'(param i32)' * count})")
        yield f"limit {count} results", plugin(f"(func (result{' i32' * count}) unreachable)")
    yield "limit 100 memories", plugin("(memory 0)" * 99)
    yield "beyond: 101 memories", plugin("(memory 0)" * 100)
    for size in (10_000_000, 10_000_001, 4_294_967_295):
        yield f"limit table of {size}", plugin(f"(table {size} funcref)")
    yield "limit table up to 4294967295", plugin("(table 1 4294967295 funcref)")
    yield "limit 65535 table entries to branch to", plugin(f"(func (br_table{' 0' * 65_521} (i32.const 0)))")
    for depth in (500, 20_000):
        yield (
            f"limit {depth} blocks deep",
            with_body(b"\x00" + b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b"),
        )
    for count in (63, 64):
        chain = "".join(f"(type $t{at} (sub $t{at - 1} (struct)))" for at in range(1, count + 1))
        yield f"limit {count} subtypes deep", plugin(f"(type $t0 (sub (struct))) {chain}")
    for count in (999, 1000, 10_000, 10_001):
        fields = "(field i32)" * count
        yield f"limit {count} fields", plugin(f"(type (struct {fields}))")
    yield "limit 3000 exports", plugin("".join(exported(f"f{at}", "") for at in range(3000)))
    yield "limit 3000 globals", plugin("(global i32 (i32.const 0))" * 3000)
    yield "limit 300 imports", plugin(imports='(import "env" "proxy_done" (func (result i32)))' * 300)
    yield "limit name of 100000 bytes", plugin(exported("n" * 100_000, ""))
    yield "beyond: a name of 100001 bytes", plugin(exported("n" * 100_001, ""))
    for count in (100_000, 100_001):
        yield f"limit import of {count} bytes", plugin(imports=f'(import "env" "{"n" * count}" (func))')
    for count in (10_000, 10_001):
        yield (
            f"limit {count} element segments",
            plugin("(func $f) (table 1 funcref)" + "(elem declare func $f)" * count),
        )


def _locals() -> Iterator[tuple[str, bytes]]:
    for count in (49_998, 49_999, 50_000, 50_001, 2**32 - 1):
        yield f"limit {count} locals", with_body(vec([leb(count) + b"\x7f"]) + b"\x0b")
    yield "limit locals over 32 bits", with_body(vec([leb(2**32 - 1) + b"\x7f", b"\x01\x7f"]) + b"\x0b")
    yield "locals of no type", with_body(vec([b"\x01\x41"]) + b"\x0b")
    yield "locals cut short", with_body(b"\x02\x01\x7f\x0b")
    yield "locals none of a type", with_body(vec([b"\x00\x7f"]) + b"\x0b")
