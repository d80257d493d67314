from __future__ import annotations

from registry.artifacts.judged import Judged
from registry.cli import verdicts
from registry.cli.asked import Asked
from registry.publish.bare import inspect_module
from registry.publish.inspect import Findings
from registry.verdict import Problem, Verdict
from registry.wasm.module import read
from tests.registry.wasm import binary

OLD = Problem("old", "too old\x1b[31m", "wait", envoys=("1.36", "1.37"))
PUSH = Problem("push", "broken", "sidecargo push main.wasm HOST/REPO:TAG")


def judged(*found: Verdict) -> Judged:
    return Judged(Findings(found), None, None, None)


def test_a_line_for_each_consumer_and_its_releases() -> None:
    asked = Asked({"istio": ("1.40",), "envoy": ("1.36", "1.37", "1.40")}, istio="1.31")
    found = judged(Verdict("istio", (OLD,)), Verdict("envoy", (OLD,)))
    assert list(verdicts.lines("x\nwasm", found, asked)) == [
        "x wasm",
        "  istio 1.31  Envoy 1.40        loads",
        "  envoy       Envoy 1.36, 1.37  does not load",
        "    problem: too old?[31m",
        "    fix:     wait",
        "  envoy       Envoy 1.40        loads",
    ]


def test_the_same_problem_is_told_once() -> None:
    asked = Asked({"istio": ("1.40",), "envoy": ("1.40",)})
    found = verdicts.verdict_lines([Verdict("istio", (PUSH,)), Verdict("envoy", (PUSH,))], asked)
    assert list(found)[-2:] == ["  envoy  Envoy 1.40  does not load", "    as for istio"]


def test_who_loads_now_is_told_where_it_does_not() -> None:
    found = judged(Verdict("istio", (OLD,)), Verdict("envoy", (OLD,)))
    asked = Asked({"istio": ("1.40",), "envoy": ("1.40",)})
    assert list(verdicts.lines("x", found, asked))[-1] == "  but not in Envoy 1.36, 1.37: see --envoy 1.36"
    assert "but not" not in " ".join(verdicts.lines("x", found, Asked({"istio": ("1.36",)})))


def test_a_document_tells_the_releases_apart() -> None:
    asked = Asked({"envoy": ("1.37", "1.40")})
    found = verdicts.as_data("x", judged(Verdict("envoy", (OLD,))), asked)
    assert found["ok"] is False
    assert found["consumers"] == {
        "envoy": {"ok": False, "envoys": {"1.37": False, "1.40": True}, "problems": [OLD.to_json()]}
    }


def test_a_fix_names_the_image() -> None:
    (found,) = verdicts.about([Verdict("envoy", (PUSH, OLD))], "localhost:5000/a:v1", "a.tar")
    assert found.problems[0].fix == "sidecargo push a.tar localhost:5000/a:v1"
    assert found.problems[1] == OLD


def test_the_module_and_what_to_pin() -> None:
    data = binary.plugin()
    result = Judged(inspect_module(data), None, None, read(data))
    shown = "\n".join(verdicts.lines("x", result, Asked({"envoy": ("1.40",)})))
    assert "ABI 0_2_1, SDK unknown, 0 imports, 2 exports" in shown
    assert result.findings.facts
    assert f"sha256 {result.findings.facts.sha256}" in shown
