from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.consumers.archive import Extracted, copy_raw, extract
from registry.verdict import Problem
from storage.digest import Digest
from storage.manifest import Descriptor
from tests.registry.consumers import bombs
from tests.registry.consumers.bombs import BOMBS
from tests.registry.consumers.build import (
    OCI_LAYER,
    PLUGIN,
    Shape,
    corrupted,
    info,
    layer,
    renumbered,
    squeezed,
    tar,
)
from tests.registry.consumers.judging import code_for, judged
from tests.registry.consumers.shapes import CONTENT, HOSTILE, RAW_CONTENT

MODULE = b"\0asm\x01\0\0\0"
DESCRIPTOR = Descriptor(OCI_LAYER, Digest("sha256", "0" * 64), 1)


@pytest.mark.parametrize("consumer", ["istio", "envoy-gateway"])
@pytest.mark.parametrize("shape", [*RAW_CONTENT, *CONTENT, *HOSTILE], ids=str)
def test_shape(shape: Shape, consumer: str) -> None:
    found, code = judged(shape, consumer), code_for(shape, consumer)
    if isinstance(found, Problem):
        assert found.code == code
        assert found.message
        assert found.fix
        assert found.message.isprintable()
        assert len(str(found)) <= 200, str(found)
    else:
        assert code is None
        assert found[0] == PLUGIN
        assert found[1].sha256 == hashlib.sha256(PLUGIN).hexdigest()
        assert found[1].size == len(PLUGIN)


def _extract(content: bytes, limit: int = 1 << 20, step: int = 0, layers: int = 1) -> Extracted | Problem:
    parts = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    return extract(parts, io.BytesIO(), limit, of=layers).found


@pytest.mark.parametrize("step", [1, 7, 512])
def test_the_size_of_the_chunks_does_not_matter(step: int) -> None:
    content = layer(("a", b"1" * 5000), ("plugin.wasm", PLUGIN))
    assert _extract(content, step=step) == _extract(content)
    assert isinstance(_extract(content), Extracted)


def test_the_name_in_the_layer_is_told() -> None:
    found = _extract(layer(("opt/plugin.wasm", PLUGIN)))
    assert isinstance(found, Extracted)
    assert found.name == "opt/plugin.wasm"


@pytest.mark.parametrize(
    ("names", "layers", "message", "fix"),
    [
        pytest.param(
            ["main.wasm"], 1, "the layer holds main.wasm.", "COPY main.wasm ./plugin.wasm", id="one"
        ),
        pytest.param(
            ["app/filter.wasm", *"abcdef"],
            1,
            "holds",
            "COPY filter.wasm ./plugin.wasm",
            id="the module's own name",
        ),
        pytest.param([], 1, "holds no file.", "COPY main.wasm ./plugin.wasm", id="nothing"),
        pytest.param(
            ["motd"],
            3,
            "the last of 3 layers holds motd.",
            "docker save IMAGE | sidecargo push -",
            id="layers",
        ),
    ],
)
def test_not_found_says_what_is_there(names: list[str], layers: int, message: str, fix: str) -> None:
    found = _extract(layer(*((name, b"") for name in names)), layers=layers)
    assert isinstance(found, Problem)
    assert message in found.message
    assert fix in found.fix


def test_the_limit_counts_headers_and_padding_as_the_agent_does() -> None:
    content = layer(("plugin.wasm", PLUGIN))
    assert isinstance(_extract(content, limit=512 + len(PLUGIN)), Extracted)
    found = _extract(content, limit=512 + len(PLUGIN) - 1)
    assert isinstance(found, Problem)


def test_beyond_the_limit_nothing_is_found() -> None:
    found = _extract(layer(("a", bytes(4000)), ("plugin.wasm", PLUGIN)), limit=4096)
    assert isinstance(found, Problem)
    assert found.code == "layer-too-large"


def test_raw_is_copied_as_it_is() -> None:
    into = io.BytesIO()
    found = copy_raw([PLUGIN[:3], b"", PLUGIN[3:]], into)
    assert found == Extracted(len(PLUGIN), hashlib.sha256(PLUGIN).hexdigest())
    assert into.getvalue() == PLUGIN


def test_raw_over_the_limit() -> None:
    found = copy_raw(io.BytesIO(MODULE + bytes(100)), io.BytesIO(), 64)
    assert isinstance(found, Problem)
    assert found.code == "module-too-large"
    assert isinstance(copy_raw(io.BytesIO(MODULE), io.BytesIO(), 8), Extracted)


SYMLINK = info("plugin.wasm", tarfile.SYMTYPE)
TEXT = tar(("plugin.wasm", b"text " * 100))


@pytest.mark.parametrize(
    ("archive", "settled"),
    [
        pytest.param(tar(("plugin.wasm", PLUGIN)), True, id="a plugin"),
        pytest.param(TEXT, True, id="no module"),
        pytest.param(TEXT[: 512 + 499], False, id="no module, cut"),
        pytest.param(tar(("plugin.wasm", b"")), True, id="empty"),
        pytest.param(tar(("plugin.wasm", PLUGIN))[: 512 + 20], False, id="a plugin, cut"),
        pytest.param(tar(SYMLINK), True, id="a link"),
        pytest.param(renumbered(tar(SYMLINK), 0, size=b"%011o" % 9), False, id="a link with a size"),
        pytest.param(renumbered(TEXT, 0, size=b"%011o" % (300 << 20)), False, id="too large"),
        pytest.param(tar(("main.wasm", PLUGIN)), False, id="another name"),
    ],
)
def test_agents_look_no_further_once_they_have_read_the_file(archive: bytes, settled: bool) -> None:
    assert extract([squeezed(archive)], io.BytesIO()).settled is settled


def test_an_entry_that_claims_too_much_is_told_and_passed() -> None:
    link = renumbered(tar(info("far", tarfile.SYMTYPE))[:512], 0, size=b"%011o" % (300 << 20))
    found = extract([squeezed(link + link + tar(("plugin.wasm", PLUGIN)))], io.BytesIO())
    assert isinstance(found.found, Extracted)
    assert found.oversized == ("far", 300 << 20)


class _Counted(io.BytesIO):
    """Counts what is written and keeps nothing."""

    written = 0

    def write(self, data: object) -> int:
        assert isinstance(data, (bytes, bytearray, memoryview))
        self.written += len(data)
        return len(data)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.consumers.tar.MAX_STEPS", 10_000)  # the same road, less of it
    bomb = BOMBS[name]
    content, into = bomb.make(), _Counted()
    tracemalloc.start()
    try:
        found = extract([content], into).found
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20
    assert (found.code if isinstance(found, Problem) else None) == bomb.code
    assert into.written == bomb.written


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_in_full_take_little_memory(name: str, record_property: Callable[[str, object], None]) -> None:
    cost = bombs.apart(name)
    record_property("seconds", cost.seconds)
    assert cost.code == BOMBS[name].code
    assert cost.memory < 50 << 20


@settings(max_examples=300)
@given(st.data())
def test_noise_in_an_archive(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(ARCHIVES)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=4)):
        raw[at % len(raw)] = value
    if data.draw(st.booleans()):  # the checksum right again, so that the noise gets further
        raw[:512] = renumbered(bytes(raw), 0)[:512]
    _plain(_extract(squeezed(bytes(raw[: data.draw(st.integers(0, len(raw)))]))))


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(0, 400), st.integers(1, 50))
def test_noise_in_a_gzip_stream(noise: bytes, at: int, step: int) -> None:
    content = layer(("a", b"1" * 5000), ("plugin.wasm", PLUGIN))
    _plain(_extract(content[:at] + noise, step=step))
    _plain(_extract(noise, step=step))
    _plain(_extract(corrupted(content, at % len(content)), step=step))


ARCHIVES = [
    tar(("plugin.wasm", PLUGIN)),
    tar(("a", b"x" * 600), ("b/" * 60 + "plugin.wasm", PLUGIN), form=1),
    tar(("a", b"x" * 600), ("ä/" * 60 + "plugin.wasm", PLUGIN), form=2),
]


def _plain(found: Extracted | Problem) -> None:
    if isinstance(found, Problem):
        assert found.fix
        assert len(str(found)) <= 200
    else:
        assert found.size >= 8
