from __future__ import annotations

from pathlib import Path

import pytest

from registry.artifacts.judged import judged
from registry.artifacts.targets import opened
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout
from tests.registry.wasm import binary


@pytest.mark.parametrize("form", ["file", "layout"])
def test_the_module_is_at_hand(form: str, plugin: Path, tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(binary.plugin()))
    folder = made.names(image).to(tmp_path / "layout")
    with opened(str(plugin if form == "file" else folder)) as found, judged(found) as result:
        assert result.findings.ok
        assert result.module is not None
        assert result.module.read() == binary.plugin()
        assert result.digest == (None if form == "file" else image.digest)


@pytest.mark.parametrize("form", ["file", "layout"])
def test_without_a_module_there_is_none(form: str, tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"no module")
    made = Layout()
    folder = made.names(made.image(images.layer(b"no module"))).to(tmp_path / "layout")
    with opened(str(path if form == "file" else folder)) as found, judged(found) as result:
        assert not result.findings.ok
        assert result.module is None


@pytest.mark.parametrize(("platform", "is_pinned"), [("linux/amd64", True), ("linux/arm64", False)])
def test_an_index_is_never_what_to_pin(platform: str, is_pinned: bool, tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(binary.plugin()))
    folder = made.names(made.index({platform: image})).to(tmp_path / "layout")
    with opened(str(folder)) as found, judged(found) as result:
        assert result.findings.ok is is_pinned
        assert result.digest == (image.digest if is_pinned else None)
