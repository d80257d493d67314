"""What no Envoy survives: types at a module's border for which V8's C API has no name.

V8, src/wasm/c-api.cc: the types of imports and exports are put into that API's terms when Envoy links a
module (proxy-wasm-cpp-host, src/v8/v8.cc, link: module->imports(), module->exports()); a tag, or a value
type other than four numbers, funcref and externref, ends the process there: all its traffic is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry.verdict import Problem
from registry.wasm.fixes import fix
from registry.wasm.module import Export, Import, Module
from registry.wasm.sdk import Sdk
from registry.wasm.types import printable

# The names that JavaScript takes for places in an array; V8 keeps them apart and does not find them by name.
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_INDEX = (1 << 32) - 2
_CRASH = "crashes Envoy itself (V8 fatal error)."
_TYPES_FIX = "Keep vectors and GC references inside: pass numbers or pointers, do not export or import them."


def import_problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    """What crashes Envoy among the imports; it is looked at before any of them is linked."""
    tag = next((needed for needed in module.imports if needed.kind == "tag"), None)
    if tag:
        yield Problem(
            "imported-tag",
            f"it imports the tag {_short(str(tag))}: loading it {_CRASH}",
            fix("imported-tag", sdk),
        )
    yield from _first_strange("imports", module.imports)
    for kind in ("memory", "table"):
        if len([needed for needed in module.imports if needed.kind == kind]) > 1:
            yield Problem(
                f"second-imported-{kind}",
                f"it imports more than one {kind}: Envoy keeps one and frees the others, which may crash it "
                "(else: Failed to create new Wasm instance).",
                f"Import one {kind} at most, define the others.",
            )


def export_problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    """What crashes Envoy among the exports; it is looked at when all else is done."""
    tag = next((found for found in module.exports if found.kind == "tag"), None)
    if tag:
        yield Problem(
            "exported-tag",
            f"it exports the tag {_short(tag.name)}: loading it {_CRASH}",
            fix("exported-tag", sdk)
            or "Do not export it: link without --export-all, keep exceptions inside.",
        )
    yield from _first_strange("exports", module.exports)
    names = {found.name for found in module.exports}
    for found in module.exports:
        if found.kind in ("func", "memory") and _is_lost(found.name, names):
            yield Problem(
                "name-crash",
                f"it exports the {found.kind} {_short(ascii(found.name))}, a name that V8's C API cannot "
                f"look up: that {_CRASH}",
                "Give it a name that is no number and does not end with a zero byte.",
            )
            return


def _is_lost(name: str, names: set[str]) -> bool:
    """Whether the API looks for it under another name: as an index, or without the zero byte at its end."""
    if name.endswith("\0"):
        return name[:-1] not in names
    return _INDEX.fullmatch(name) is not None and int(name) <= _MAX_INDEX


def _first_strange(does: str, found: tuple[Import, ...] | tuple[Export, ...]) -> Iterator[Problem]:
    for each in found:
        if each.kind != "tag" and (strange := _strange(each)):
            name = each.name if isinstance(each, Export) else str(each)
            yield Problem(
                "type-crash",
                f"it {does} the {each.kind} {_short(name)} with {strange}: that {_CRASH}",
                _TYPES_FIX,
            )
            return


def _strange(each: Import | Export) -> str | None:
    """The first type in it for which Envoy's engine has no name."""
    types = each.signature.types if each.signature else (each.type,) if each.type else ()
    return next((value for value in types if printable(value) is None), None)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
