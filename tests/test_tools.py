"""`.ci/tools`: says where a part is, and what it could not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.process import Finished, environment, run
from tests.real.tools import TOOLS


def tools(*words: str, cache: Path, path: str = "/usr/bin:/bin") -> Finished:
    """Run it with a cache of its own and without Go."""
    return run(TOOLS, *words, env=environment(PATH=path, SIDECARGO_CACHE=str(cache)))


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--strict",), 1)], ids=["lenient", "strict"])
def test_what_cannot_be_had_is_an_error_only_when_strict(
    tmp_path: Path, flags: tuple[str, ...], code: int
) -> None:
    done = tools(*flags, "crane", cache=tmp_path)
    assert (done.code, done.err.strip()) == (code, "could not get crane: Go is not installed")


def test_where_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    done = tools("--where", "crane", cache=tmp_path)
    assert (done.code, done.out, done.err.strip()) == (1, "", "crane is not here: run .ci/tools crane")


def test_where_prints_the_path_of_what_is_there(tmp_path: Path) -> None:
    binary = tmp_path / "go" / "crane@v0.21.6" / "crane"
    binary.parent.mkdir(parents=True)
    binary.touch()
    assert tools("--where", "crane", cache=tmp_path).out.strip() == str(binary)
    assert tools("--strict", "crane", cache=tmp_path).code == 0


@pytest.mark.parametrize("words", [("nothing",), ("--where", "nothing"), ("--wrong",)], ids=" ".join)
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert tools(*words, cache=tmp_path).code == 2
