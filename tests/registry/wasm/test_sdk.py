from __future__ import annotations

import pytest

from registry.wasm.module import Export, Import, Module
from registry.wasm.producers import Producers
from registry.wasm.sdk import Sdk, guess


def _module(
    *,
    exports: tuple[str, ...] = (),
    imports: tuple[str, ...] = (),
    custom: tuple[str, ...] = (),
    language: str = "",
    tool: str = "",
) -> Module:
    return Module(
        size=0,
        sha256="",
        exports=tuple(Export(name, "func", 0) for name in exports),
        imports=tuple(Import(name.split(".")[0], name.split(".")[1], "func") for name in imports),
        custom_sections=custom,
        producers=Producers(((language, "1"),) if language else (), ((tool, "1"),) if tool else ()),
    )


TABLE = [
    pytest.param(_module(), Sdk.UNKNOWN, id="nothing"),
    pytest.param(_module(language="Go", tool="Go cmd/compile"), Sdk.GO, id="go by producers"),
    pytest.param(_module(custom=("go:buildid",)), Sdk.GO, id="go stripped"),
    pytest.param(_module(imports=("gojs.runtime",)), Sdk.GO, id="go for js"),
    pytest.param(_module(exports=("tinygo_getCurrentStackPointer",), language="Go"), Sdk.TINYGO, id="tinygo"),
    pytest.param(_module(language="C99", tool="TinyGo"), Sdk.TINYGO, id="tinygo by producers"),
    pytest.param(_module(exports=("asyncify_start_unwind",)), Sdk.TINYGO, id="tinygo with its scheduler"),
    pytest.param(_module(language="Rust", tool="rustc"), Sdk.RUST, id="rust"),
    pytest.param(_module(language="Rust", imports=("env.abort",)), Sdk.RUST, id="rust with an own abort"),
    pytest.param(_module(imports=("env.abort",)), Sdk.ASSEMBLYSCRIPT, id="assemblyscript by abort"),
    pytest.param(_module(imports=("env.seed",)), Sdk.ASSEMBLYSCRIPT, id="assemblyscript by seed"),
    pytest.param(_module(exports=("__new", "__pin")), Sdk.ASSEMBLYSCRIPT, id="assemblyscript by runtime"),
    pytest.param(_module(exports=("__alloc", "__retain")), Sdk.ASSEMBLYSCRIPT, id="assemblyscript, old"),
    pytest.param(_module(imports=("env.emscripten_notify_memory_growth",)), Sdk.EMSCRIPTEN, id="emscripten"),
    pytest.param(_module(exports=("stackSave", "stackAlloc")), Sdk.EMSCRIPTEN, id="emscripten by its stack"),
    pytest.param(
        _module(exports=("stackSave", "asyncify_start_unwind")), Sdk.EMSCRIPTEN, id="emscripten asyncify"
    ),
    pytest.param(_module(language="C_plus_plus_14", tool="clang"), Sdk.CPP, id="c++ by producers"),
    pytest.param(_module(language="C11", tool="clang"), Sdk.CPP, id="c by producers"),
    pytest.param(_module(exports=("__wasm_call_ctors",)), Sdk.CPP, id="c++ by constructors"),
    pytest.param(_module(language="Zig", tool="Zig"), Sdk.ZIG, id="zig by producers"),
    pytest.param(_module(language="C99"), Sdk.ZIG, id="zig by C of nobody"),
]


@pytest.mark.parametrize(("module", "expected"), TABLE)
def test_guess(module: Module, expected: Sdk) -> None:
    assert guess(module) is expected
