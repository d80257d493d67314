from __future__ import annotations

import pytest

from registry.wasm.module import Export, Kind, Module
from registry.wasm.programs import problems
from registry.wasm.sdk import guess


def _module(*exports: str, custom: str = "go:buildid", kind: Kind = "func") -> Module:
    return Module(
        size=0,
        sha256="",
        exports=tuple(Export(name, kind, 0) for name in exports),
        custom_sections=(custom,),
    )


@pytest.mark.parametrize(
    ("module", "codes"),
    [
        pytest.param(_module("_start"), ["go-program"], id="a program"),
        pytest.param(_module("_initialize"), [], id="a library"),
        pytest.param(_module("_start", "_initialize"), [], id="both: _initialize is called"),
        pytest.param(_module("_start", kind="global"), [], id="no function"),
        pytest.param(_module("_start", custom="name"), [], id="of another compiler"),
        pytest.param(_module("_start", "tinygo_launch"), [], id="TinyGo"),
    ],
)
def test_go_programs(module: Module, codes: list[str]) -> None:
    found = list(problems(module, guess(module)))
    assert [problem.code for problem in found] == codes
    assert all("-buildmode=c-shared" in problem.fix and len(str(problem)) <= 200 for problem in found)
