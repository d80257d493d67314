"""The Proxy-Wasm ABI that a module is written for, by the name of an export (proxy-wasm-cpp-host,
src/bytecode_util.cc, getAbiVersion): Envoy looks for it before all else."""

from __future__ import annotations

from collections.abc import Iterator

from registry.verdict import Problem
from registry.wasm.fixes import fix
from registry.wasm.hosts import ABIS
from registry.wasm.module import Module
from registry.wasm.sdk import Sdk

ABI_PREFIX = "proxy_abi_version_"
_UNKNOWN_ABI = "Envoy: Missing or unknown Proxy-Wasm ABI version"


def abi_version(module: Module) -> str | None:
    """The Proxy-Wasm ABI that Envoy sees, such as `0_2_1`: the first known one of the exported functions."""
    for found in module.exports:
        version = found.name.removeprefix(ABI_PREFIX)
        if found.kind == "func" and version != found.name and version in ABIS:
            return version
    return None


def problems(module: Module, sdk: Sdk) -> Iterator[Problem]:
    """Why Envoy sees no ABI that it knows."""
    if abi_version(module) is not None:
        return
    named = next((found for found in module.exports if found.name.startswith(ABI_PREFIX)), None)
    if named is None:
        exports = ", ".join(found.name[:30] for found in module.exports[:3]) or "nothing"
        yield Problem(
            "no-abi", f"{_UNKNOWN_ABI}: it exports {exports[:60]}.", fix("no-abi", sdk, names=names(module))
        )
    elif named.kind != "func":
        yield Problem(
            "abi-not-a-function",
            f"{_UNKNOWN_ABI}: {named.name[:40]} is a {named.kind}.",
            fix("abi-not-a-function", sdk),
        )
    else:
        yield Problem(
            "unknown-abi",
            f"{_UNKNOWN_ABI}: it has {named.name[len(ABI_PREFIX) :][:20]}.",
            fix("unknown-abi", sdk),
        )


def names(module: Module) -> frozenset[str]:
    """What the module exports and imports: it tells how it was built."""
    return frozenset((*(found.name for found in module.exports), *map(str, module.imports)))
