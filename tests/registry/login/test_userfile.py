import logging
import os
from pathlib import Path

import pytest

from registry.access.robots import Robot, hashed
from registry.login import userfile
from registry.login.userfile import UserFile
from tests.registry.guarded import HASH

ROBOT = Robot("deploy", (hashed(b"x"),))


def test_without_a_file_there_are_robots_alone() -> None:
    known = UserFile(None, (ROBOT,)).now()
    assert known.robot("deploy", b"x", 0)
    assert known.kept("alice") is None


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"alice:{HASH}\n")
    users = UserFile(path, (ROBOT,))
    before = users.now()
    assert before.kept("alice") == HASH.encode()
    assert users.now() is before, "it is not read for nothing"
    path.write_text(f"carol:{HASH}\n")  # as long as before
    assert users.now().kept("alice") is None
    assert users.now().kept("carol")
    assert users.now().robot("deploy", b"x", 0)


def test_a_file_that_is_replaced_by_one_of_the_same_time_and_size_is_read_again(tmp_path: Path) -> None:
    path, other = tmp_path / "users", tmp_path / "other"
    path.write_text(f"alice:{HASH}\n")
    users = UserFile(path)
    other.write_text(f"carol:{HASH}\n")
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert users.now().kept("alice") is None


@pytest.mark.parametrize("how", ["away", "a folder", "too large"])
def test_who_was_in_a_file_that_cannot_be_read_stays(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users"
    path.write_text(f"alice:{HASH}\n")
    users = UserFile(path)
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "too large":
        monkeypatch.setattr(userfile, "LARGEST", 10)
        path.write_text(f"carol:{HASH}\n")
    for _ in range(3):
        assert users.now().kept("alice")
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "who was in it stays" in said.getMessage()
    monkeypatch.undo()
    if how == "a folder":
        path.rmdir()
    path.write_text(f"carol:{HASH}\n")
    assert users.now().kept("alice") is None
    assert users.now().kept("carol")


def test_at_first_it_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        UserFile(tmp_path / "users")


def test_a_broken_line_is_logged_once_without_what_it_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users"
    path.write_bytes(f"alice:{HASH}\nhunter2\nbob:\xff\n".encode("latin-1"))
    users = UserFile(path)
    for _ in range(3):
        assert users.now().kept("alice")
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        f"{path}, line 2",
        f"{path}, line 3",
    ]
    assert "hunter2" not in caplog.text
