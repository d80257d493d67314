from __future__ import annotations

import pytest
from wasmtime import wat2wasm

from registry.wasm.abi import abi_version, names, problems
from registry.wasm.module import Module, read
from registry.wasm.sdk import Sdk


def _exporting(*exports: str) -> Module:
    functions = "".join(f'(func (export "{title}"))' for title in exports)
    return read(wat2wasm(f"(module {functions})"))


@pytest.mark.parametrize(
    ("exports", "version"),
    [
        pytest.param(["proxy_abi_version_0_2_0", "proxy_abi_version_0_1_0"], "0_2_0", id="the first counts"),
        pytest.param(["proxy_abi_version_9_9_9", "proxy_abi_version_0_1_0"], "0_1_0", id="the first known"),
        pytest.param(["proxy_abi_version_0_2_1"], "0_2_1", id="one"),
        pytest.param(["proxy_abi_version_0_2_10"], None, id="no prefix match"),
        pytest.param(["0_2_1"], None, id="no prefix"),
        pytest.param([], None, id="none"),
    ],
)
def test_abi_version(exports: list[str], version: str | None) -> None:
    assert abi_version(_exporting(*exports)) == version


@pytest.mark.parametrize(
    ("module", "code", "says"),
    [
        pytest.param(_exporting("a", "b"), "no-abi", "it exports a, b.", id="none"),
        pytest.param(_exporting("proxy_abi_version_0_3_0"), "unknown-abi", "it has 0_3_0.", id="unknown"),
        pytest.param(
            read(wat2wasm('(module (memory (export "proxy_abi_version_0_2_1") 1))')),
            "abi-not-a-function",
            "is a memory.",
            id="a memory",
        ),
    ],
)
def test_problems(module: Module, code: str, says: str) -> None:
    (problem,) = problems(module, Sdk.UNKNOWN)
    assert problem.code == code
    assert problem.message.startswith("Envoy: Missing or unknown Proxy-Wasm ABI version: ")
    assert problem.message.endswith(says)


def test_no_problem() -> None:
    assert list(problems(_exporting("proxy_abi_version_0_2_1"), Sdk.UNKNOWN)) == []


def test_names() -> None:
    module = read(wat2wasm('(module (import "env" "f" (func)) (memory (export "m") 1))'))
    assert names(module) == {"env.f", "m"}
