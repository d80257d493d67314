from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest

from tests.registry.talk import holding, leaving_nothing


def add(path: Path) -> None:
    path.write_text("more")


@pytest.mark.parametrize(
    ("name", "change"),
    [("temp/b", add), ("blobs/b", add), ("blobs/a", Path.unlink)],
    ids=["temporary", "a file", "gone"],
)
def test_what_stays_changed_is_named(tmp_path: Path, name: str, change: Callable[[Path], None]) -> None:
    for folder in ("temp", "blobs"):
        (tmp_path / folder).mkdir()
    add(tmp_path / "blobs/a")
    with pytest.raises(AssertionError, match=name), leaving_nothing(tmp_path, temporary=0.05):
        change(tmp_path / name)


def test_a_chore_may_be_at_work(tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    before, after = tmp_path / "temp/before", tmp_path / "temp/after"
    add(before)
    with leaving_nothing(tmp_path):
        before.unlink()
        add(after)
        gone = Timer(0.05, after.unlink)
        gone.start()
    gone.join()


def test_what_is_no_temporary_file_has_no_time(tmp_path: Path) -> None:
    gone = Timer(0.5, (tmp_path / "a").unlink)
    with pytest.raises(AssertionError, match="'a'"), leaving_nothing(tmp_path):
        add(tmp_path / "a")
        gone.start()
    gone.join()
    with leaving_nothing(tmp_path, 10):
        add(tmp_path / "a")
        gone = Timer(0.05, (tmp_path / "a").unlink)
        gone.start()
    gone.join()


def test_who_holds_a_secret(tmp_path: Path) -> None:
    add(tmp_path / "a")
    assert holding(tmp_path, ["less", "or"]) == [tmp_path / "a"]
    assert holding(tmp_path, ["less"]) == []
