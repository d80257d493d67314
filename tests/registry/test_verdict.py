"""`Problem` and `Verdict`: what is told, of which releases, and by which name."""

from __future__ import annotations

import pytest

from registry.verdict import MODULE_FILE, PLACEHOLDER, SAVED_IMAGE, SHOWN, Problem, Verdict

ANY = Problem("no-abi", "there is no ABI.", f"sidecargo push main.wasm {PLACEHOLDER}")
OLD = Problem("missing-import", "sock_accept is missing.", "Do without.", envoys=("1.36", "1.37"))


@pytest.mark.parametrize(
    ("problem", "envoys", "concerns"),
    [
        pytest.param(ANY, ("1.40",), True, id="one of all releases, asked for one"),
        pytest.param(ANY, (), True, id="one of all releases, asked for none"),
        pytest.param(OLD, ("1.40",), False, id="one of others"),
        pytest.param(OLD, ("1.40", "1.36"), True, id="one of these and others"),
        pytest.param(OLD, (), True, id="one of some, asked for none"),
    ],
)
def test_whom_a_problem_concerns(problem: Problem, envoys: tuple[str, ...], concerns: bool) -> None:
    assert problem.concerns(envoys) is concerns
    assert Verdict("istio", (problem,)).among(envoys).ok is not concerns


@pytest.mark.parametrize("problem", [ANY, OLD], ids=["any", "old"])
def test_a_problem_comes_back_from_json(problem: Problem) -> None:
    assert Problem.from_json(problem.to_json()) == problem
    assert ("envoys" in problem.to_json()) is bool(problem.envoys)


def test_a_fix_names_the_image() -> None:
    assert ANY.about("a.example/b:v1").fix == "sidecargo push main.wasm a.example/b:v1"
    assert OLD.about("a.example/b:v1") == OLD


def test_a_name_that_would_push_the_fix_out_of_sight_stays_away() -> None:
    longest = "a" * (SHOWN - len(str(ANY)) + len(PLACEHOLDER))
    assert len(str(ANY.about(longest, most=SHOWN))) == SHOWN
    assert ANY.about(longest + "a", most=SHOWN) == ANY
    assert ANY.about(longest + "a").fix.endswith(longest + "a")


@pytest.mark.parametrize(
    ("fix", "typed"),
    [
        (f"Mend it: sidecargo {MODULE_FILE} {PLACEHOLDER}", "Mend it: sidecargo push ./dist a/b:v1"),
        (f"Add it, or: {SAVED_IMAGE} {PLACEHOLDER}", "Add it, or: sidecargo push ./dist a/b:v1"),
        ("Build it as a library.", "Build it as a library."),
    ],
)
def test_a_fix_names_what_is_to_be_mended(fix: str, typed: str) -> None:
    assert Problem("x", "y.", fix).about("a/b:v1", "./dist").fix == typed
