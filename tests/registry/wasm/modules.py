"""The table of modules by name. What becomes of each is not written here: real Envoys say it.

`tests/real/test_module_verdicts.py` gives every one to every Envoy release. A name that begins with
`runs:` marks a module of which only running shows what happens; `beyond:` one that Envoy loads and we
refuse, because it is larger than we look into; `stricter:` one that V8 takes although the specification
does not, and that no compiler writes (docs/envoy-releases.md, "wasmtime and V8").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tests.registry.wasm.table import callbacks, code, entries, host, structure

PARTS = (callbacks.modules, host.modules, code.modules, structure.modules, entries.modules)
RUNS = "runs:"
BEYOND = "beyond:"
STRICTER = "stricter:"


@cache
def table() -> dict[str, bytes]:
    """Every module by its name."""
    found: dict[str, bytes] = {}
    for name, module in _all():
        assert name not in found, f"two modules are called {name!r}"
        found[name] = module
    return found


def _all() -> Iterator[tuple[str, bytes]]:
    for part in PARTS:
        yield from part()
