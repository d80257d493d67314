from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from registry.artifacts.files import Archive, Files, Folder
from registry.console.failure import Failure
from tests.registry.artifacts import images


@pytest.fixture(name="files", params=["folder", "tar", "tar.gz", "tar with ./"])
def _files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").write_bytes(b"content")
        return Folder(tmp_path)
    data = images.tar({"./a/b" if "./" in request.param else "a/b": b"content"})
    return Archive(io.BytesIO(gzip.compress(data) if request.param == "tar.gz" else data), "x.tar")


def test_files_are_found_by_name(files: Files) -> None:
    assert files.has("a/b")
    assert not files.has("a/c")
    with files.open("a/b") as file:
        assert file.read() == b"content"
    with pytest.raises(Failure, match="a/c"):
        files.open("a/c")


def test_links_inside_an_archive_are_followed() -> None:
    data = images.tar(
        {"one/layer.tar": b"content"}, {"two/layer.tar": "../one/layer.tar", "three": "nowhere"}
    )
    with Archive(io.BytesIO(data), "x.tar") as files:
        assert files.open("two/layer.tar").read() == b"content"
        with pytest.raises(Failure, match="has no file three"):
            files.open("three")


@pytest.mark.parametrize("data", [b"", b"not a tar" * 100, images.tar({"a": b"x" * 5000})[:1000]])
def test_a_broken_archive_is_said(data: bytes) -> None:
    with pytest.raises(Failure, match=r"x\.tar"):
        Archive(io.BytesIO(data), "x.tar").open("a")
