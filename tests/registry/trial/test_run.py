"""The story with programs that are no Envoy; with real ones: `tests/real/test_check_run.py`."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from registry.trial.envoy import EnvoyMissing
from registry.trial.run import Trial, run


def program(folder: Path, lines: str) -> Path:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_program_that_ends_says_why(temp: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissing, match=r"/program does not start: no luck\.$"):
        run(program(tmp_path, "echo no luck; exit 1"), io.BytesIO(b"module"), Trial())
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize("code", [0, 7])
def test_a_program_that_says_nothing(code: int, temp: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissing, match=f"exit code {code}"):
        run(program(tmp_path, f"exit {code}"), io.BytesIO(b"module"), Trial())


def test_the_module_is_in_a_folder_of_its_own(temp: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissing, match="drwx------ 6 module"):
        run(
            program(
                tmp_path, "echo $(ls -ld . | cut -c1-10) $(wc -c < plugin.wasm) $(cat plugin.wasm); exit 1"
            ),
            io.BytesIO(b"module"),
            Trial(),
        )


def test_a_program_that_hangs(temp: Path, tmp_path: Path) -> None:
    found = run(program(tmp_path, "sleep 1000"), io.BytesIO(b"module"), Trial(seconds=0.5))
    assert [problem.code for problem in found.problems] == ["run-time-out"]
    assert list(temp.iterdir()) == []


def test_a_program_that_crashes(temp: Path, tmp_path: Path) -> None:
    found = run(program(tmp_path, "kill -TRAP $$"), io.BytesIO(b"module"), Trial())
    assert [problem.code for problem in found.problems] == ["run-crash"]


def test_a_long_name_for_temporary_files_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(EnvoyMissing, match="start: /tmp/"):
        run(program(tmp_path, "pwd; exit 1"), io.BytesIO(b""), Trial())
