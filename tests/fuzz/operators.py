"""Operators of WebAssembly with their types: what `bodies` writes code of."""

from __future__ import annotations

from collections.abc import Iterator

Kind = bytes
I32, I64, F32, F64, V128, FUNC, EXTERN = b"\x7f", b"\x7e", b"\x7d", b"\x7c", b"\x7b", b"\x70", b"\x6f"
KINDS = (I32, I64, F32, F64, I32, I64, V128, FUNC, EXTERN)

_LETTERS = {"i": I32, "I": I64, "f": F32, "F": F64, "v": V128, "r": FUNC, "x": EXTERN}

# Bytes (or the first and last of a range), what is taken, what is left.
_TABLE = """
45 i:i   46-4f ii:i   50 I:i   51-5a II:i   5b-60 ff:i   61-66 FF:i   67-69 i:i   6a-78 ii:i   79-7b I:I
7c-8a II:I   8b-91 f:f   92-98 ff:f   99-9f F:F   a0-a6 FF:F   a7 I:i   a8-a9 f:i   aa-ab F:i   ac-ad i:I
ae-af f:I   b0-b1 F:I   b2-b3 i:f   b4-b5 I:f   b6 F:f   b7-b8 i:F   b9-ba I:F   bb f:F   bc f:i   bd F:I
be i:f   bf I:F   c0-c1 i:i   c2-c4 I:I   fc00 f:i   fc01 f:i   fc02 F:i   fc03 F:i   fc04 f:I   fc05 f:I
fc06 F:I   fc07 F:I   280204 i:i   290304 i:I   2a0204 i:f   2b0304 i:F   2c0000 i:i   2d0000 i:i
2e0100 i:i   2f0100 i:i   300000 i:I   310007 i:I   320100 i:I   330100 i:I   340200 i:I   350200 i:I
3f00 :i   4000 i:i   fc1000 :i   fc0f01 xi:i   d1 r:i   d1 x:i   d200 :r   2500 i:r   2501 i:x   fb1cfb1d i:i
fd0f i:v   fd10 i:v   fd11 i:v   fd12 I:v   fd13 f:v   fd14 F:v   fd0e vv:v   fd23 vv:v   fd3c vv:v   fd4d v:v
fd4e vv:v   fd52 vvv:v   fd53 v:i   fd60 v:v   fd63 v:i   fd64 v:i   fd6e vv:v   fd8001 v:v   fd8301 v:i
fd8e01 vv:v   fda001 v:v   fda301 v:i   fdae01 vv:v   fdce01 vv:v   fde001 v:v   fde401 vv:v   fdec01 v:v
fdf001 vv:v   fdf801 v:v   fd8002 vv:v   fd8102 v:v   fd8502 vvv:v   fd8902 vvv:v   fd150f v:i   fd1d01 v:I
fd1c03 vi:v   fd000400 i:v   fd540007 iv:v
fd0d08090a0b0c0d0e0f1011121314151617 vv:v
fe100200 i:i   fe1f0300 iI:I   fe480200 iii:i   fe000200 ii:i
360200 ii:   370300 iI:   380200 if:   390300 iF:   3b0107 ii:   3a0000 ii:   3e0200 iI:   fd0b0400 iv:
fd5a020001 iv:   fc080000 iii:   fc0900 :   fc0a0000 iii:   fc0b00 iii:   fc0c0000 iii:   fc0d00 :
fc0e0000 iii:   fc1101 ixi:   2601 ix:   fe0300 :   fe170200 ii:   01 :
"""


def _table() -> Iterator[tuple[bytes, tuple[Kind, ...], tuple[Kind, ...]]]:
    words = iter(_TABLE.split())
    for code, kind in zip(words, words, strict=True):
        takes, _, gives = kind.partition(":")
        first, _, last = code.partition("-")
        for number in range(int(first, 16), int(last or first, 16) + 1) if len(first) == 2 else ():
            yield bytes((number,)), tuple(_LETTERS[t] for t in takes), tuple(_LETTERS[t] for t in gives)
        if len(first) > 2:
            yield bytes.fromhex(code), tuple(_LETTERS[t] for t in takes), tuple(_LETTERS[t] for t in gives)


EFFECTS = tuple((code, takes) for code, takes, gives in _table() if not gives)
"""Operators that leave nothing, with what they take."""

LEAVING: dict[Kind, list[tuple[bytes, tuple[Kind, ...]]]] = {kind: [] for kind in KINDS}
"""Operators by what they leave, with what they take."""
for _code, _takes, _gives in _table():
    if _gives:
        LEAVING[_gives[0]].append((_code, _takes))
