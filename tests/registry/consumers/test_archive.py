from __future__ import annotations

import gzip
import hashlib
import io
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.consumers.archive import Extracted, copy_raw, extract
from registry.verdict import Problem
from tests.registry.consumers.build import PLUGIN, Shape, corrupted, layer, renumbered, squeezed, tar
from tests.registry.consumers.judging import judged
from tests.registry.consumers.shapes import CONTENT, HOSTILE, RAW_CONTENT

MODULE = b"\0asm\x01\0\0\0"


@pytest.mark.parametrize("shape", [*RAW_CONTENT, *CONTENT, *HOSTILE], ids=str)
def test_shape(shape: Shape) -> None:
    found = judged(shape)
    if isinstance(found, Problem):
        assert found.code == shape.code
        assert found.message
        assert found.fix
        assert found.message.isprintable()
        assert len(str(found)) <= 200, str(found)
    else:
        assert shape.code is None
        assert found[0] == PLUGIN
        assert found[1].sha256 == hashlib.sha256(PLUGIN).hexdigest()
        assert found[1].size == len(PLUGIN)


def _extract(content: bytes, limit: int = 1 << 20, step: int = 0, layers: int = 1) -> Extracted | Problem:
    parts = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    return extract(parts, io.BytesIO(), limit, layers=layers)


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
        pytest.param(["motd"], 3, "the last of 3 layers holds motd.", "as the last step", id="layers"),
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


class _Counted(io.BytesIO):
    """Counts what is written and keeps nothing."""

    written = 0

    def write(self, data: object) -> int:
        assert isinstance(data, (bytes, bytearray, memoryview))
        self.written += len(data)
        return len(data)


def _packed(pieces: Iterator[bytes]) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(engine.compress(piece) for piece in pieces), engine.flush()])


def _header(name: str, size: int) -> bytes:
    return renumbered(tar((name, b""))[:512], 0, size=b"%011o" % size)


def _bomb(name: str, head: bytes, size: int = 200 << 20) -> bytes:
    def pieces() -> Iterator[bytes]:
        yield _header(name, size)
        yield head
        left = size - len(head)
        while left > 0:
            yield bytes(min(left, 1 << 20))
            left -= 1 << 20
        yield tar(("plugin.wasm", PLUGIN))

    return _packed(pieces())


def _gib() -> bytes:
    return _bomb("plugin.wasm", b"noise at first", 1 << 30)


BOMBS: list[tuple[str, Callable[[], bytes], str | None, int]] = [
    ("1 GiB that is no module", _gib, "entry-too-large", 0),
    ("200 MiB that is no module", lambda: _bomb("plugin.wasm", b"not wasm"), "plugin-not-wasm", 0),
    ("200 MiB that is a module", lambda: _bomb("plugin.wasm", MODULE), None, 200 << 20),
    ("200 MiB before it", lambda: _bomb("zeros", b""), None, len(PLUGIN)),
    ("endless zeros", lambda: _packed(bytes(1 << 20) for _ in range(300)), "no-plugin-wasm", 0),
    ("many members", lambda: squeezed(b"") * 150_000, "layer-corrupt", 0),
    ("100 nested members", lambda: _nested(100), "layer-corrupt", 0),
    ("many entries", lambda: _packed(_header("x", 0) for _ in range(20_000)), "layer-corrupt", 0),
    ("many PAX records", lambda: _pax_bomb(b"5 a=\n" * 20_000), "layer-corrupt", 0),
    ("a PAX header of 200 MiB", lambda: _special_bomb(b"x"), "layer-corrupt", 0),
    ("a long name of 200 MiB", lambda: _special_bomb(b"L"), "layer-corrupt", 0),
    ("empty blocks", lambda: squeezed(b"")[:10] + b"\0\0\0\xff\xff" * 400_000, "layer-corrupt", 0),
    ("a gzip header without end", lambda: b"\x1f\x8b\x08\x08" + b"n" * (1 << 20), "layer-corrupt", 0),
]  # fmt: skip


def _nested(depth: int) -> bytes:
    data = tar(("plugin.wasm", PLUGIN))
    for _ in range(depth):
        data = gzip.compress(data)
    return data


def _pax_bomb(records: bytes) -> bytes:
    head = renumbered(_header("x", len(records)), 0, kind=b"x")
    return squeezed(head + records + bytes(-len(records) % 512) + tar(("plugin.wasm", PLUGIN)))


def _special_bomb(kind: bytes) -> bytes:
    size = 200 << 20
    head = renumbered(_header("x", size), 0, kind=kind)
    return _packed(iter([head, *[bytes(1 << 20)] * 200, tar(("plugin.wasm", PLUGIN))]))


@pytest.mark.parametrize(("make", "code", "written"), [pytest.param(*bomb[1:], id=bomb[0]) for bomb in BOMBS])
def test_bombs(
    make: Callable[[], bytes], code: str | None, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.consumers.tar.MAX_STEPS", 10_000)  # the same road, less of it
    content = make()
    into = _Counted()
    tracemalloc.start()
    try:
        found = extract([content], into)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert (found.code if isinstance(found, Problem) else None) == code
    assert into.written == written


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_noise_in_an_archive(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(ARCHIVES)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=4)):
        raw[at % len(raw)] = value
    if data.draw(st.booleans()):  # the checksum right again, so that the noise gets further
        raw[:512] = renumbered(bytes(raw), 0)[:512]
    _plain(_extract(squeezed(bytes(raw[: data.draw(st.integers(0, len(raw)))]))))


@settings(max_examples=200, deadline=None)
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
