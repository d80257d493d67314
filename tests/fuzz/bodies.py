"""Plugins with code that is typed as it is written: valid, but for a slip here and there when one is wanted.

Mutations of bytes hardly ever give a valid body; these do, so that a validator must follow every
block, label and handler to find out whether there is a slip.
"""

from __future__ import annotations

from random import Random

from tests.fuzz.operators import EFFECTS, EXTERN, F32, F64, FUNC, I32, I64, KINDS, LEAVING, V128, Kind
from tests.registry.wasm.binary import exports, functions, leb, module, name, section, types, vec

# The module's types, of which the first ones are functions' and tags'.
SIGNATURES: tuple[tuple[tuple[Kind, ...], tuple[Kind, ...]], ...] = (
    ((), ()),
    ((I32,), (I32,)),
    ((I32, I64), (F32,)),
    ((), (I32, I64)),
    ((I32,), ()),
    ((EXTERN, V128), (FUNC,)),
    ((I64, I32), ()),
)
TAGS = (0, 4, 6)
GLOBALS = ((I32, True), (I64, False), (F64, True), (EXTERN, True), (V128, True))
CONSTANTS = {
    I32: b"\x41\x2a",
    I64: b"\x42\x7f",
    F32: b"\x43\0\0\x80\x3f",
    F64: b"\x44\0\0\0\0\0\0\xf0\x3f",
    V128: b"\xfd\x0c" + bytes(range(16)),
    FUNC: b"\xd0\x70",
    EXTERN: b"\xd0\x6f",
}


LEGACY, MODERN, NONE = "legacy", "modern", "none"


def module_of(chance: Random) -> bytes:
    """A plugin with some functions of typed code; half of them without a slip."""
    slips = chance.choice((0.0, 0.0, 0.002, 0.01))
    exceptions = chance.choice((LEGACY, LEGACY, MODERN, NONE))
    kinds = [0, 1, *(chance.randrange(len(SIGNATURES)) for _ in range(chance.randint(1, 3)))]
    own = [_Body(chance, kinds, at, slips, exceptions).written() for at in range(2, len(kinds))]
    bodies = [b"\0\x0b", b"\0\x41\0\x0b", *own]
    initial = [kind + bytes((mutable,)) + CONSTANTS[kind] + b"\x0b" for kind, mutable in GLOBALS]
    return module(
        types(*(b"\x60" + vec(takes) + vec(gives) for takes, gives in SIGNATURES)),
        functions(*kinds),
        section(4, vec([FUNC + b"\0\4", EXTERN + b"\0\4"])),
        section(5, b"\1\0\1"),
        section(13, vec([b"\0" + leb(tag) for tag in TAGS])),
        section(6, vec(initial)),
        exports(("proxy_abi_version_0_2_1", 0, 0), ("malloc", 0, 1), ("memory", 2, 0)),
        section(9, vec([b"\1\0\1\0"])),
        section(12, b"\1"),
        section(10, vec(leb(len(body)) + body for body in bodies)),
        section(11, vec([b"\1" + name("data")])),
    )


class _Body:
    """A function's body while it is written."""

    def __init__(self, chance: Random, kinds: list[int], at: int, slips: float, exceptions: str) -> None:
        self.chance = chance
        self.kinds = kinds
        self.slips = slips
        self.exceptions = exceptions
        takes, self.gives = SIGNATURES[kinds[at]]
        more = [chance.choice((I32, I64, F32, F64, V128, EXTERN)) for _ in range(chance.randint(0, 3))]
        self.declared = vec(b"\1" + kind for kind in more)
        self.locals = [*takes, *more]
        self.labels: list[tuple[Kind, ...]] = [self.gives]
        # Which labels, from the outermost, are those of legacy handlers: what `rethrow` may name.
        self.handlers: set[int] = set()
        self.left = chance.randint(5, 60)

    def written(self) -> bytes:
        code = b"".join(self.statement() for _ in range(self.chance.randint(1, 4)))
        return self.declared + code + self.values(self.gives) + b"\x0b"

    def values(self, kinds: tuple[Kind, ...]) -> bytes:
        return b"".join(self.value(kind) for kind in kinds)

    def value(self, kind: Kind) -> bytes:
        """Code that leaves one value."""
        self.left -= 1
        if self.chance.random() < self.slips:
            kind = self.chance.choice(KINDS)
        if self.left < 0 or self.chance.random() < 0.2:
            return CONSTANTS[kind]
        pick = self.chance.randrange(10)
        if pick < 4:
            code, takes = self.chance.choice(LEAVING[kind])
            return self.values(takes) + code
        if pick < 6:
            return self.variable(kind)
        if pick == 6:
            typed = b"\x1c\1" + kind if kind in (FUNC, EXTERN) or self.chance.random() < 0.3 else b"\x1b"
            return self.value(kind) + self.value(kind) + self.value(I32) + typed
        if pick == 7:
            return self.away() + self.chance.choice((b"", b"", CONSTANTS[kind]))
        return self.block(kind, (kind,))

    def variable(self, kind: Kind) -> bytes:
        own = [at for at, other in enumerate(self.locals) if other == kind]
        shared = [at for at, (other, _) in enumerate(GLOBALS) if other == kind]
        if own and self.chance.random() < 0.7:
            at = leb(self.chance.choice(own))
            return self.value(kind) + b"\x22" + at if self.chance.random() < 0.3 else b"\x20" + at
        return b"\x23" + leb(self.chance.choice(shared)) if shared else CONSTANTS[kind]

    def statement(self) -> bytes:
        """Code that leaves nothing."""
        self.left -= 1
        pick = self.chance.randrange(9)
        if self.left < 0 or pick == 0:
            return b"\x01"
        if pick == 1:
            return self.value(self.chance.choice(KINDS)) + b"\x1a"
        if pick == 2 and self.locals:
            at = self.chance.randrange(len(self.locals))
            return self.value(self.locals[at]) + b"\x21" + leb(at)
        if pick == 3:
            at = self.chance.choice([n for n, (_, mutable) in enumerate(GLOBALS) if mutable])
            return self.value(GLOBALS[at][0]) + b"\x24" + leb(at)
        if pick == 4:
            callee = self.chance.randrange(len(self.kinds))
            takes, gives = SIGNATURES[self.kinds[callee]]
            call = b"\x10" + leb(callee)
            if self.chance.random() < 0.3:
                call = CONSTANTS[I32] + b"\x11" + leb(self.kinds[callee]) + b"\0"
            return self.values(takes) + call + b"\x1a" * len(gives)
        if pick == 5:
            at = self.chance.randrange(len(self.labels))
            kinds = self.labels[-1 - at]
            return self.values(kinds) + self.value(I32) + b"\x0d" + leb(at) + b"\x1a" * len(kinds)
        if pick < 8:
            return self.block(b"\x40", ())
        code, takes = self.chance.choice(EFFECTS)
        return self.values(takes) + code

    def away(self) -> bytes:
        """Code after which nothing is reached."""
        pick = self.chance.randrange(7)
        at = self.chance.randrange(len(self.labels))
        if pick == 0:
            return self.values(self.labels[-1 - at]) + b"\x0c" + leb(at)
        if pick == 1:
            return self.values(self.gives) + b"\x0f"
        if pick == 2:
            alike = [n for n, kinds in enumerate(reversed(self.labels)) if kinds == self.labels[-1 - at]]
            targets = vec(leb(self.chance.choice(alike)) for _ in range(self.chance.randint(0, 3)))
            return self.values(self.labels[-1 - at]) + self.value(I32) + b"\x0e" + targets + leb(at)
        if pick < 5 and self.exceptions != NONE:
            if self.handlers and self.chance.random() < 0.5:
                return b"\x09" + leb(len(self.labels) - 1 - self.chance.choice(sorted(self.handlers)))
            tag = self.chance.randrange(len(TAGS))
            return self.values(SIGNATURES[TAGS[tag]][0]) + b"\x08" + leb(tag)
        return b"\x00"

    def block(self, form: bytes, gives: tuple[Kind, ...]) -> bytes:
        pick = self.chance.randrange(5)
        if pick == 0:
            return b"\x02" + form + self.inside(gives, gives) + b"\x0b"
        if pick == 1:
            return b"\x03" + form + self.inside(gives, ()) + b"\x0b"
        if pick == 2 or self.exceptions == NONE:
            alone = not gives and self.chance.random() < 0.3
            other = b"" if alone else b"\x05" + self.inside(gives, gives)
            return self.value(I32) + b"\x04" + form + self.inside(gives, gives) + other + b"\x0b"
        if self.exceptions == LEGACY:
            return self.legacy(form, gives)
        return self.modern(form, gives)

    def inside(
        self, gives: tuple[Kind, ...], label: tuple[Kind, ...], start: bytes = b"", handler: bool = False
    ) -> bytes:
        self.labels.append(label)
        if handler:
            self.handlers.add(len(self.labels) - 1)
        code = (
            start + b"".join(self.statement() for _ in range(self.chance.randint(0, 2))) + self.values(gives)
        )
        self.handlers.discard(len(self.labels) - 1)
        self.labels.pop()
        return code

    def legacy(self, form: bytes, gives: tuple[Kind, ...]) -> bytes:
        code = b"\x06" + form + self.inside(gives, gives)
        if self.chance.random() < 0.2:
            return code + b"\x18" + leb(self.chance.randrange(len(self.labels)))
        for _ in range(self.chance.randint(0, 2)):
            tag = self.chance.randrange(len(TAGS))
            caught = b"\x1a" * len(SIGNATURES[TAGS[tag]][0])
            code += b"\x07" + leb(tag) + self.inside(gives, gives, caught, handler=True)
        if self.chance.random() < 0.5:
            code += b"\x19" + self.inside(gives, gives, handler=True)
        return code + b"\x0b"

    def modern(self, form: bytes, gives: tuple[Kind, ...]) -> bytes:
        fitting = [n for n, kinds in enumerate(reversed(self.labels)) if kinds == ()]
        with_one = [n for n, kinds in enumerate(reversed(self.labels)) if kinds == (I32,)]
        clauses = [b"\0\0" + leb(n) for n in fitting] + [b"\2" + leb(n) for n in fitting]
        clauses += [b"\0\1" + leb(n) for n in with_one]
        chosen = [self.chance.choice(clauses) for _ in range(self.chance.randint(0, 2))] if clauses else []
        return b"\x1f" + form + vec(chosen) + self.inside(gives, gives) + b"\x0b"
