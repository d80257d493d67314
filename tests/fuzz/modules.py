"""Modules that no compiler would write, drawn from any source of chance (`random.Random`'s methods).

Every one begins as a module of the table, one of the rich ones here, or one with code of `bodies`, and is
changed in a few places: mostly so that its sections still have the right sizes, since any other change
ends at the first of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from random import Random

from tests.fuzz.bodies import module_of
from tests.registry.wasm.binary import HEADER, leb, section
from tests.registry.wasm.modules import RUNS, table
from tests.registry.wasm.plugins import exported, imported, plugin

MOST_BASE = 3_000
"""Bytes of the largest module that is a beginning."""

# Bytes that mean something somewhere: types, flags, small numbers, opcodes, the ends of LEB128 numbers.
TELLING = bytes.fromhex(
    "00 01 02 03 04 05 06 07 08 0b 0d 10 1a 1b 20 21 28 36 40 41 42 43 44 45 4e 4f 50 5e 5f 60"
    "61 62 63 64 65 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 77 78 7b 7c 7d 7e 7f 80 81"
    "d0 d1 d2 d3 fb fc fd fe ff"
)
RICH = (
    "(func $a (param i32 i64 f32 f64) (result i32) (local i32 i64)"
    " (local.set 4 (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))))"
    " (block $out (loop $top (br_if $out (i32.eqz (local.get 4)))"
    " (local.set 4 (i32.sub (local.get 4) (i32.const 1))) (br $top)))"
    " (if (result i32) (i32.lt_s (local.get 0) (i32.const 9))"
    " (then (i32.trunc_f32_s (local.get 2))) (else (i32.load offset=4 (i32.const 8)))))"
    "(func (param i64) (result i64) (i64.store (i32.const 0) (i64.mul (local.get 0) (i64.const 3)))"
    " (i64.shl (local.get 0) (i64.clz (i64.load32_u (i32.const 4)))))"
    '(data (i32.const 16) "some text")',
    "(type $t (func (param i32) (result i32))) (table 4 8 funcref) (global $g (mut i32) (i32.const 5))"
    "(func $f (type $t) (global.set $g (i32.add (global.get $g) (local.get 0))) (global.get $g))"
    "(func (param i32) (result i32) (call_indirect (type $t) (local.get 0) (i32.const 1)))"
    "(func (result i32) (select (i32.const 1) (memory.size) (i32.eqz (memory.grow (i32.const 0)))))"
    "(func (param i32) (block (block (block (br_table 0 1 2 (local.get 0))))) return)"
    "(elem (i32.const 1) $f $f) (elem declare func $f)",
    "(func (param v128) (result v128) (i32x4.add (local.get 0) (v128.const i32x4 1 2 3 4)))"
    "(func (param v128) (result i32) (i8x16.extract_lane_s 3"
    " (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
    " (local.get 0) (local.get 0))))"
    "(func (param i32) (result v128) (v128.load32_splat offset=3 (local.get 0)))",
    "(type $s (sub (struct (field i32) (field (mut i64)))))"
    "(type $u (sub $s (struct (field i32) (field (mut i64)))))"
    "(type $b (array (mut i16)))"
    "(func (param (ref null $u)) (result i64) (struct.get $s 1 (local.get 0)))"
    "(func (param anyref) (result i32) (block $no (result anyref)"
    " (return (array.len (br_on_cast_fail $no anyref (ref $b) (local.get 0))))) (drop) (i32.const 0))"
    "(func (drop (array.new_fixed $b 2 (i32.const 1) (i32.const 2))) (drop (ref.i31 (i32.const 3))))",
    "(tag $e (param i32)) (tag $n)"
    "(func (result i32) (block $h (result i32)"
    " (try_table (result i32) (catch $e $h) (throw $e (i32.const 1)))))"
    "(func (block $h (result exnref) (try_table (catch_all_ref $h) (call 0) (drop)) (return)) (throw_ref))",
    "(tag $e (param i32)) (tag $n)"
    "(func (result i32) try (result i32) i32.const 1 throw $e"
    " catch $e catch $n i32.const 2 catch_all i32.const 3 end)"
    "(func try try throw $n delegate 0 catch $n rethrow 0 end)"
    "(func (param i32) (local i64) local.get 0 drop)",
    "(type $t (func (param i32) (result i32))) (func $f (type $t) (return_call $f (local.get 0)))"
    "(func (param (ref $t)) (result i32) (call_ref $t (i32.const 1) (local.get 0)))"
    "(table $x 1 externref) (func (param externref) (table.set $x (i32.const 0) (local.get 0))"
    " (drop (table.grow $x (ref.null extern) (i32.const 1))))"
    '(data $d "passive") (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d))'
    "(func (memory.copy (i32.const 0) (i32.const 1) (i32.const 2)))",
)


@cache
def bases() -> tuple[bytes, ...]:
    """What modules begin as."""
    needs = (
        imported("env", "proxy_log", "iii", "i")
        + imported("env", "proxy_increment_metric", "iI", "i")
        + imported("wasi_snapshot_preview1", "fd_write", "iiii", "i")
    )
    offers = exported("proxy_on_request_headers", "iii", "i") + exported("proxy_on_configure", "ii", "i", 1)
    rich = [plugin(fields + offers, imports=needs) for fields in RICH]
    small = [data for name, data in table().items() if len(data) < MOST_BASE and not name.startswith(RUNS)]
    return (*rich * (len(small) // len(rich)), *small)


def module(chance: Random) -> bytes:
    """A module, right or nearly so."""
    if chance.random() < 0.4:
        data, changes = module_of(chance), chance.choice((0, 0, 1))
    else:
        data, changes = chance.choice(bases()), chance.choice((1, 1, 1, 2, 3))
    for _ in range(changes):
        change = chance.choice(_CHANGES)
        data = change(data, chance)
    return data


def seeded(name: str) -> Random:
    """The source of chance that a name stands for, the same in every run and on every machine."""
    return Random(zlib.crc32(name.encode()))


def sections(data: bytes) -> list[tuple[int, bytes]]:
    """The sections of a module by number and content; what does not read as one is left out."""
    found: list[tuple[int, bytes]] = []
    pos = len(HEADER)
    while pos < len(data):
        number, size, shift = data[pos], 0, 0
        pos += 1
        while pos < len(data):
            size |= (data[pos] & 0x7F) << shift
            shift += 7
            pos += 1
            if not data[pos - 1] & 0x80:
                break
        found.append((number, data[pos : pos + size]))
        pos += size
    return found


def joined(parts: list[tuple[int, bytes]]) -> bytes:
    """A module of these sections."""
    return HEADER + b"".join(section(number, content) for number, content in parts)


def _inside(data: bytes, chance: Random, change: Callable[[bytes, Random], bytes]) -> bytes:
    """Changes the content of one section, whose size stays right."""
    parts = sections(data)
    if not parts:
        return data
    at = chance.randrange(len(parts))
    number, content = parts[at]
    parts[at] = number, change(content, chance)
    return joined(parts)


def _replace(content: bytes, chance: Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    value = chance.choice(TELLING) if chance.random() < 0.7 else chance.randrange(256)
    return content[:at] + bytes((value,)) + content[at + 1 :]


def _nudge(content: bytes, chance: Random) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes(((content[at] + chance.choice((-1, 1))) & 0xFF,)) + content[at + 1 :]


def _insert(content: bytes, chance: Random) -> bytes:
    at = chance.randint(0, len(content))
    more = bytes(chance.choice(TELLING) for _ in range(chance.randint(1, 3)))
    return content[:at] + more + content[at:]


def _remove(content: bytes, chance: Random) -> bytes:
    at = chance.randint(0, len(content))
    return content[:at] + content[at + chance.randint(1, 3) :]


def _repeat(content: bytes, chance: Random) -> bytes:
    start = chance.randint(0, len(content))
    piece = content[start : start + chance.randint(1, 12)]
    at = chance.randint(0, len(content))
    return content[:at] + piece + content[at:]


def _pad(content: bytes, chance: Random) -> bytes:
    """A byte of a number becomes a longer form of the same number."""
    if not content:
        return content
    at = chance.randrange(len(content))
    padding = b"\x80" * chance.randint(0, 4) + b"\0"
    return content[:at] + bytes((content[at] | 0x80,)) + padding + content[at + 1 :]


def _recode(data: bytes, chance: Random) -> bytes:
    """Changes an opcode of the code section to another one near it, which often takes the same operands."""
    parts = sections(data)
    for at, (number, content) in enumerate(parts):
        if number == 10 and content:
            change = chance.choice((_nudge, _nudge, _replace))
            parts[at] = number, change(content, chance)
    return joined(parts)


def _shuffle(data: bytes, chance: Random) -> bytes:
    """Drops, doubles or moves a section, or takes one of another module in its place."""
    parts = sections(data)
    if not parts:
        return data
    at = chance.randrange(len(parts))
    how = chance.randrange(4)
    if how == 0:
        del parts[at]
    elif how == 1:
        parts.insert(at, parts[at])
    elif how == 2:
        parts.insert(chance.randrange(len(parts)), parts.pop(at))
    else:
        others = dict(sections(chance.choice(bases())))
        parts[at] = parts[at][0], others.get(parts[at][0], b"")
    return joined(parts)


def _damage(data: bytes, chance: Random) -> bytes:
    """Bytes as a bad disk or a cut download leaves them."""
    how = chance.randrange(3)
    if how == 0:
        return data[: chance.randint(0, len(data))]
    if how == 1:
        return data + bytes(chance.choice(TELLING) for _ in range(chance.randint(1, 6)))
    return _replace(data, chance)


def _of(change: Callable[[bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    return lambda data, chance: _inside(data, chance, change)


def _custom(data: bytes, chance: Random) -> bytes:
    """A custom section somewhere, of a name that readers know."""
    parts = sections(data)
    title = chance.choice((b"name", b"producers", b"precompiled_v8", b"target_features", b"x"))
    noise = bytes(chance.choice(TELLING) for _ in range(chance.randint(0, 9)))
    parts.insert(chance.randint(0, len(parts)), (0, leb(len(title)) + title + noise))
    return joined(parts)


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_of(change) for change in (_replace, _replace, _nudge, _nudge, _insert, _remove, _repeat, _pad)),
    *(_recode,) * 4,
    _shuffle,
    _custom,
    _damage,
)
