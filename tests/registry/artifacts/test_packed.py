from __future__ import annotations

import gzip
import io

import pytest

from registry.artifacts.packed import Budget, Damaged, OverBudget, Unpacked, packing, unpack, zstd

CONTENT = bytes(range(256)) * 5_000
ZSTD = zstd.compress(CONTENT)

TABLE = [
    pytest.param(CONTENT, "", id="plain"),
    pytest.param(gzip.compress(CONTENT), "gzip", id="gzip"),
    pytest.param(gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]), "gzip", id="gzip members"),
    pytest.param(ZSTD, "zstd", id="zstd"),
    pytest.param(zstd.compress(CONTENT[:100]) + zstd.compress(CONTENT[100:]), "zstd", id="zstd frames"),
]


@pytest.mark.parametrize(("packed", "by"), TABLE)
def test_what_is_in_it(packed: bytes, by: str) -> None:
    found = Unpacked(io.BytesIO(packed), Budget(len(CONTENT)))
    assert (found.packing, found.head) == (by, CONTENT[:512])
    assert found.read(3) == CONTENT[:3]
    assert found.skip(700_000) == 700_000
    assert b"".join(found.copy(len(CONTENT))) == CONTENT[700_003:]
    assert (found.read(1), found.skip(1)) == (b"", 0)


@pytest.mark.parametrize(("packed", "by"), TABLE)
def test_never_more_than_the_budget(packed: bytes, by: str) -> None:
    budget = Budget(len(CONTENT) - 1)
    with pytest.raises(OverBudget):
        unpack(io.BytesIO(packed), io.BytesIO(), budget)
    assert budget.left >= -(1 << 20), "it is noticed within a piece"


def test_files_share_a_budget() -> None:
    budget = Budget(len(CONTENT) * 2 - 1)
    unpack(io.BytesIO(ZSTD), io.BytesIO(), budget)
    with pytest.raises(OverBudget):
        unpack(io.BytesIO(ZSTD), io.BytesIO(), budget)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(CONTENT)[:-20], id="gzip cut"),
        pytest.param(gzip.compress(CONTENT)[:-8] + b"wrongsum", id="gzip sum"),
        pytest.param(gzip.compress(CONTENT)[:30] + b"\xff" * 99, id="gzip broken"),
        pytest.param(b"\x1f\x8b", id="gzip sign"),
        pytest.param(ZSTD[:-5], id="zstd cut"),
        pytest.param(ZSTD[:9] + b"\xff" * 99, id="zstd broken"),
        pytest.param(
            zstd.compress(b"", options={zstd.CompressionParameter.window_log: 10})[:4] + b"\x00\xf8\x00",
            id="zstd window of gigabytes",
        ),
    ],
)
def test_damage(packed: bytes) -> None:
    with pytest.raises(Damaged, match=r"gzip|zstd"):
        unpack(io.BytesIO(packed), io.BytesIO(), Budget(1 << 30))


def test_an_empty_file() -> None:
    found = Unpacked(io.BytesIO(), Budget(0))
    assert (found.packing, found.head, found.read(9)) == ("", b"", b"")
    assert packing(b"") == ""
