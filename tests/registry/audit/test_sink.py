from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.audit import sink
from registry.audit.record import Record, silent

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from registry.audit import sink
from registry.audit.record import Record
audit = sink.opened(sys.argv[1], int(sys.argv[2]), 50)
for number in range(int(sys.argv[4])):
    audit(Record("push", "accepted", sys.argv[3], reference=str(number)))
"""


def record(reference: str = "v1") -> Record:
    return Record("push", "accepted", "user:alice", reference=reference)


def references(path: Path) -> list[str]:
    return [json.loads(line)["reference"] for line in path.read_text().splitlines()]


def test_stdout_has_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    audit = sink.opened("-")
    for reference in ("v1", "v2"):
        audit(record(reference))
    out, err = capfd.readouterr()
    assert [json.loads(line)["reference"] for line in out.splitlines()] == ["v1", "v2"]
    assert err == ""


def test_off_is_nowhere() -> None:
    assert sink.opened("off") is silent


def test_a_file_is_continued_and_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(20):
        sink.opened(str(path), 1000, 2)(record(str(number)))
    files = [tmp_path / f"{path.name}.2", tmp_path / f"{path.name}.1", path]
    assert set(tmp_path.iterdir()) == set(files)
    kept = [reference for file in files for reference in references(file)]
    assert kept == [str(number) for number in range(20 - len(kept), 20)]
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    assert path.stat().st_mode & 0o027 == 0, "others do not read it"


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = sink.opened(str(path))
    audit(record("1"))
    path.rename(tmp_path / "moved")
    audit(record("2"))
    path.unlink()
    audit(record("3"))
    assert (references(tmp_path / "moved"), references(path)) == (["1"], ["3"])


def test_several_processes_lose_nothing_and_mix_nothing(tmp_path: Path) -> None:
    path, each = tmp_path / "audit.jsonl", 300
    command = [sys.executable, "-c", WRITER, str(path), "4000"]
    writers = [subprocess.Popen([*command, name, str(each)], cwd=ROOT) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = list(tmp_path.iterdir())
    assert len(files) > 10
    said = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted((one["who"], int(one["reference"])) for one in said) == [
        (name, number) for name in ("a", "b", "c") for number in range(each)
    ]


def test_a_place_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere" / "audit", tmp_path):
        with pytest.raises(OSError):
            sink.opened(str(place))


def test_a_record_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, small_disk: Path
) -> None:
    path = small_disk / "audit.jsonl"
    audit = sink.opened(str(path))
    (small_disk / "all").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    for number in range(60):
        audit(record(str(number)))
    assert caplog.messages
    assert caplog.messages[0].startswith("a record was not written: [Errno 28]")
    assert '"reference": ' in caplog.messages[0]
    (small_disk / "all").unlink()
    audit(record("at last"))
    assert references(path)[-1] == "at last"
