"""The verdict on a module is that of the real Envoys: asked in this run, not written down."""

from __future__ import annotations

import pytest

from registry.releases import ENVOYS, NEWEST
from tests.real import envoys
from tests.real.envoys import Said
from tests.real.tools import require
from tests.real.verdicts import REPORT, compare, reason_of, suspects
from tests.registry.wasm.modules import table
from tests.registry.wasm.plugins import exported, plugin

pytestmark = [pytest.mark.real, pytest.mark.slow]


TAG = plugin(imports='(import "env" "t" (tag))')
ENDLESS = plugin("(func $s (loop (br 0))) (start $s)")
SILENT = plugin(exported("proxy_on_request_headers", "iii", "i", 1))
NO_ABI = plugin(abi="")


@pytest.mark.parametrize("release", ENVOYS)
def test_every_verdict_is_envoys(release: str) -> None:
    modules = table()
    said = envoys.ask(release, modules, suspects(modules, release))
    assert [str(one) for one in compare(modules, release, said)] == []


@pytest.mark.parametrize("release", ENVOYS)
def test_a_plugin_as_a_compiler_makes_it_loads(release: str) -> None:
    modules = {"built by Go": require("plugin").read_bytes()}
    said = envoys.ask(release, modules)
    assert said["built by Go"].loads
    assert compare(modules, release, said) == []


def test_one_that_crashes_or_hangs_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoys, "PATIENCE", 15.0)
    modules = {"one": envoys.GOOD, "tag": TAG, "two": envoys.GOOD, "endless": ENDLESS, "three": NO_ABI}
    modules |= {"silent": SILENT, "again": TAG, "four": envoys.GOOD}
    said = envoys.ask(NEWEST, modules)
    assert {name: one.end for name, one in said.items()} == {
        "one": "loads",
        "tag": "crashes",
        "two": "loads",
        "endless": "hangs",
        "three": "refused",
        "silent": "hangs",
        "again": "crashes",
        "four": "loads",
    }
    assert reason_of(said["three"]) == "Missing or unknown Proxy-Wasm ABI version"


def test_a_wrong_verdict_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REPORT, raising=False)
    words = ("Wasm VM failed Wasm module is missing malloc function.",)
    modules = {"good": envoys.GOOD, "no abi": NO_ABI, "tag": TAG, "runs: endless": ENDLESS}
    said = {
        "good": Said("refused", words),
        "no abi": Said("refused", words),
        "tag": Said("loads"),
        "runs: endless": Said("crashes"),
    }
    found = compare(modules, NEWEST, said)
    assert [(one.module, one.envoy) for one in found] == [
        ("good", "refused (Wasm module is missing malloc function.)"),
        ("no abi", "other words: refused (Wasm module is missing malloc function.)"),
        ("tag", "loads (no words)"),
    ]
