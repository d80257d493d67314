from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.artifacts import targets
from registry.artifacts.packed import zstd
from registry.artifacts.sources import Image
from registry.artifacts.targets import Bare, opened
from registry.console.failure import Failure
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout


@pytest.fixture(name="layout")
def _layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Two images, `v1` and `v2`, in the folder `layout` and in `layout.tar`."""
    monkeypatch.chdir(tmp_path)
    made = Layout()
    for name in ("v1", "v2"):
        made.named(made.image(images.layer(name.encode())), name)
    made.to(tmp_path / "layout")
    (tmp_path / "layout.tar").write_bytes(images.tar(made.files))
    return made


@pytest.mark.parametrize("data", [b"", b"\0asm\x01\0\0\0", b"anything", b"\x1f\x8b not gzip", bytes(100)])
def test_a_file_that_is_no_archive_is_judged_as_a_module(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with opened(str(path)) as found:
        assert isinstance(found, Bare)
        assert bytes(found.data[:]) == data


@pytest.mark.parametrize("text", ["layout:v2", "./layout:v2", "layout.tar:v2", "{}/layout.tar:v2"])
def test_an_image_in_a_layout(text: str, layout: Layout, tmp_path: Path) -> None:
    with opened(text.format(tmp_path)) as found:
        assert isinstance(found, Image)
        assert str(found.digest) == layout.entries[1]["digest"]


@pytest.mark.parametrize("data", [b"", b"\0asm\x01\0\0\0", b"x" * (1 << 20)], ids=["nothing", "few", "many"])
@pytest.mark.parametrize("unpack", [False, True])
def test_a_pipe_with_a_name(data: bytes, unpack: bool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(data,))
    writing.start()
    with opened(str(pipe), unpack=unpack) as found:
        assert isinstance(found, Bare)
        assert (found.name, bytes(found.data[:])) == (str(pipe), data)
    writing.join()


def test_how_a_fix_names_it(tmp_path: Path) -> None:
    (tmp_path / "a b.wasm").touch()
    assert targets.typed(f"{tmp_path}/a b.wasm") == f"'{tmp_path}/a b.wasm'"
    assert targets.typed("localhost:5000/a/b:v1") == "localhost:5000/a/b:v1"
    assert [targets.typed(text) for text in ("-", "/dev/null")] == ["", ""]


def test_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened("/dev/null") as found:
        assert isinstance(found, Bare)
        assert found.data == b""
    monkeypatch.setattr(targets, "_MAX_STDIN", 100)
    with pytest.raises(Failure, match=r"^/dev/zero is larger than 100 bytes"), opened("/dev/zero"):
        pass


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Failure, match="standard input is closed"), opened("-"):
        pass


@pytest.mark.parametrize("data", [b"\0asm\x01\0\0\0", images.tar({"plugin.wasm": b"x"})[:100]])
def test_standard_input(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with opened("-") as found:
        assert isinstance(found, Bare)
        assert (found.name, bytes(found.data[:])) == ("standard input", data)


def test_an_archive_on_standard_input(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Layout()
    image = made.image(images.layer(b"x"))
    made.names(image)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(images.tar(made.files))))
    with opened("-") as found:
        assert isinstance(found, Image)
        assert found.digest == image.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none.wasm", "none.wasm: no such file or folder"),
        ("./none", "./none: no such file or folder"),
        ("/none/none.tar", "/none/none.tar: no such file or folder"),
        ("acme/plugin:v1", "there is no file 'acme/plugin:v1', and as a reference: .* names no registry"),
        ("", "there is no file"),
        ("x" * 5000, "there is no file"),
        ("a\0b", "there is no file"),
        ("layout", "several images"),
        ("other", "neither an OCI layout nor an image saved by docker"),
        (
            "other.tar",
            r"saved by docker\. As a plain archive: sidecargo push other\.tar HOST/REPO:TAG takes it",
        ),
        ("other.tar:v1", r"saved by docker\. Give a \.wasm file"),
        ("file.wasm:v1", "no archive, so it has no image 'v1'"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other.tar").write_bytes(images.tar({"plugin.wasm": b"x"}))
    (tmp_path / "file.wasm").write_bytes(b"x")
    with pytest.raises(Failure, match=said), opened(text):
        pass


PLUGIN = images.tar({"plugin.wasm": b"x"})


@pytest.mark.parametrize(
    ("packed", "content"),
    [
        pytest.param(b"x", b"x", id="plain"),
        pytest.param(gzip.compress(b"x"), b"x", id="gzip"),
        pytest.param(zstd.compress(b"x"), b"x", id="zstd"),
        pytest.param(gzip.compress(b""), b"", id="nothing"),
        pytest.param(PLUGIN, PLUGIN, id="a tar that is no image"),
        pytest.param(gzip.compress(PLUGIN), PLUGIN, id="the same in gzip"),
    ],
)
def test_unpacked(packed: bytes, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(packed)
    with opened(str(path), unpack=True) as found:
        assert isinstance(found, Bare)
        assert bytes(found.data[:]) == content


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_an_unpacked_archive_is_its_image(pack: Callable[[bytes], bytes], layout: Layout) -> None:
    Path("layout.packed").write_bytes(pack(images.tar(layout.files)))
    with opened("layout.packed:v2", unpack=True) as found:
        assert isinstance(found, Image)
        assert str(found.digest) == layout.entries[1]["digest"]


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(b"x" * 99)[:-9], "cannot be unpacked: gzip"),
        (gzip.compress(b"x" * 200), "more than 100"),
    ],
    ids=["cut", "a bomb"],
)
def test_what_cannot_be_unpacked(
    packed: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "_MAX_STDIN", 100)
    path = tmp_path / "file"
    path.write_bytes(packed)
    with pytest.raises(Failure, match=said), opened(str(path), unpack=True):
        pass


def test_a_reference_is_asked_for_in_its_registry(layout: Layout) -> None:
    with pytest.raises(Failure, match="localhost:1 cannot be reached"), opened("localhost:1/layout:v1"):
        pass
