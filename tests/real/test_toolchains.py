"""Plugins as their toolchains really build them, right and wrong: Envoy decides, the fix speaks their SDK.

Sources and build scripts are in `toolchains/`. TinyGo and components of wasm32-wasip2 are not among them: no
package registry has a compiler for either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.publish.bare import inspect_module
from registry.releases import NEWEST
from registry.verdict import Problem
from registry.wasm.module import NotAModule, read
from registry.wasm.sdk import Sdk, guess
from tests.real import envoy, upstream
from tests.real.tools import require

pytestmark = [pytest.mark.real, pytest.mark.slow]

LIBRARY = "-buildmode=c-shared"
BROWSER = "asc --config node_modules/@assemblyscript/wasi-shim/asconfig.json"
EXCEPTIONS = "-fwasm-exceptions"


@dataclass(frozen=True, slots=True)
class Case:
    """A module and whose it is; of what does not load, the first problem's code and a part of its fix."""

    toolchain: str
    name: str
    sdk: Sdk | None
    code: str = ""
    fix: str = ""

    @property
    def path(self) -> Path:
        return require(f"{self.toolchain}-modules") / f"{self.name}.wasm"


CASES = [
    Case("go", "good", Sdk.GO),
    Case("go", "stripped", Sdk.GO),
    Case("go", "network", Sdk.GO),
    Case("go", "program", Sdk.GO, "go-program", LIBRARY),
    Case("go", "javascript", Sdk.GO, "missing-import", "not for GOOS=js"),
    Case("go", "no-sdk", Sdk.GO, "no-abi", "Import proxy-wasm-go-sdk"),
    Case("go", "no-sdk-program", Sdk.GO, "no-abi", LIBRARY),
    Case("go", "native", None, "not-wasm", "GOOS=wasip1 GOARCH=wasm"),
    Case("rust", "good", Sdk.RUST),
    Case("rust", "good-unknown", Sdk.RUST),
    Case("rust", "program", Sdk.RUST),
    Case("rust", "bindgen", Sdk.RUST, "missing-import", "No JavaScript: target wasm32-wasip1"),
    Case("rust", "no-sdk", Sdk.RUST, "no-abi", "proxy_wasm::main!"),
    Case("assemblyscript", "good", Sdk.ASSEMBLYSCRIPT),
    Case("assemblyscript", "good-own", Sdk.UNKNOWN),
    Case("assemblyscript", "no-abort", Sdk.ASSEMBLYSCRIPT, "missing-import", "--use abort=abort_proc_exit"),
    Case("assemblyscript", "no-abort-own", Sdk.ASSEMBLYSCRIPT, "missing-import", "--use abort="),
    Case("assemblyscript", "no-proxy", Sdk.ASSEMBLYSCRIPT, "no-abi", "@solo-io/proxy-runtime/proxy"),
    Case("assemblyscript", "browser", Sdk.ASSEMBLYSCRIPT, "missing-import", BROWSER),
    Case("assemblyscript", "console", Sdk.ASSEMBLYSCRIPT, "missing-import", BROWSER),
    Case("assemblyscript", "console-mended", Sdk.UNKNOWN),
    Case("emscripten", "good", Sdk.EMSCRIPTEN),
    Case("emscripten", "asyncify", Sdk.EMSCRIPTEN),
    Case("emscripten", "throwing-wasm", Sdk.EMSCRIPTEN),
    Case("emscripten", "throwing-not", Sdk.EMSCRIPTEN),
    Case("emscripten", "throwing", Sdk.EMSCRIPTEN, "missing-import", EXCEPTIONS),
    Case("emscripten", "jumping", Sdk.EMSCRIPTEN, "missing-import", "no setjmp"),
    Case("emscripten", "socket", Sdk.EMSCRIPTEN, "missing-import", "RootContext::httpCall"),
    Case("emscripten", "no-malloc", Sdk.EMSCRIPTEN, "no-malloc", "emcc -sEXPORTED_FUNCTIONS=_malloc"),
    Case("emscripten", "program", Sdk.EMSCRIPTEN, "no-abi", "emcc --no-entry"),
    Case("emscripten", "side-module", Sdk.CPP, "missing-import", "-sSIDE_MODULE"),
    Case("zig", "good", Sdk.UNKNOWN),
    Case("zig", "good-debug", Sdk.ZIG),
    Case("zig", "no-exports", Sdk.UNKNOWN, "no-abi", "zig -fno-entry -rdynamic"),
    Case("zig", "object", Sdk.UNKNOWN, "no-abi", "It is an object file: link it"),
    Case("zig", "c-good", Sdk.UNKNOWN),
    Case("zig", "c-debug", Sdk.CPP),
    Case("zig", "c-imports", Sdk.UNKNOWN),
    Case("zig", "c-no-malloc", Sdk.UNKNOWN, "no-malloc", "proxy_on_memory_allocate"),
    Case("zig", "c-program", Sdk.UNKNOWN, "no-abi", "It is a program"),
]
every_case = pytest.mark.parametrize(
    "case", [pytest.param(one, id=f"{one.toolchain}-{one.name}") for one in CASES]
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with upstream.running() as number:
        yield number


def problems(path: Path) -> tuple[Problem, ...]:
    """What the newest Envoy has against a module."""
    found = inspect_module(path.read_bytes())
    return tuple(dict.fromkeys(one for each in found.verdicts for one in each.among((NEWEST,)).problems))


@every_case
def test_the_fix_speaks_its_language(case: Case) -> None:
    found = problems(case.path)
    if case.sdk:
        assert guess(read(case.path.read_bytes())) is case.sdk
    else:
        with pytest.raises(NotAModule):
            read(case.path.read_bytes())
    assert (found[0].code if found else "") == case.code, found
    if case.code:
        assert case.fix in found[0].fix
    for problem in found:
        assert len(str(problem)) <= 200, problem
        assert str(problem).isascii(), problem


@every_case
def test_envoy_decides_the_same(case: Case, port: int, tmp_path: Path) -> None:
    code = {"local": {"filename": str(case.path)}}
    if not case.code:
        running = envoy.start(require("envoy"), tmp_path, code, upstream=port)
        answer = running.get()
        running.stop()
        assert (answer.status, answer.headers.get("x-custom-header")) == (200, "custom-value")
        return
    with pytest.raises(AssertionError):  # it does not even start: its plugin fails closed
        envoy.start(require("envoy"), tmp_path, code, upstream=port)
    (log,) = tmp_path.glob("envoy-*.log")
    said = re.search(r"Envoy: ([^:.]+)", problems(case.path)[0].message)
    assert (said[1] if said else "Failed to parse corrupted Wasm module") in log.read_text(errors="replace")


def test_old_envoys_lack_what_the_network_of_go_needs() -> None:
    (problem,) = inspect_module(Case("go", "network", Sdk.GO).path.read_bytes()).verdicts[0].problems
    assert (problem.code, problem.envoys) == ("missing-import", ("1.36", "1.37", "1.38"))
    assert "proxywasm.DispatchHttpCall" in problem.fix


def test_what_is_built_is_what_is_tested() -> None:
    built = {
        (toolchain, path.stem)
        for toolchain in sorted({case.toolchain for case in CASES})
        for path in require(f"{toolchain}-modules").glob("*.wasm")
    }
    assert built == {(case.toolchain, case.name) for case in CASES}
