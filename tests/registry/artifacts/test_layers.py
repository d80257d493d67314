from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence

import pytest

from registry.artifacts import layers
from registry.artifacts.layers import Candidate, Layers, TooMany, extract
from registry.artifacts.packed import Budget, Damaged, OverBudget, zstd
from registry.consumers.tar import TarError
from tests.registry.artifacts import images

WASM = b"\0asm\x01\0\0\0"
LINK, FOLDER, HARD = tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE

Entries = Sequence[tuple[str, bytes]]


def archive(*entries: tuple[str, bytes]) -> bytes:
    """A tar of files, in order; a content that is a type flag makes an entry of that type."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content in (LINK, FOLDER, HARD):
                entry.type, entry.linkname = content, "main.wasm"
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def looked(*contents: bytes) -> Layers:
    """What is found in layers that are given as an image has them, the lowest first."""
    found = Layers()
    for number in range(len(contents), 0, -1):
        found.add(number, io.BytesIO(contents[number - 1]), Budget(1 << 30), title=f"title-{number}")
    return found


# name, the layers from the lowest, what is chosen as NAME@LAYER
TABLE: list[tuple[str, list[bytes], list[str]]] = [
    ("nothing", [], []),
    ("an empty archive", [archive()], []),
    ("JSON", [b'{"a": 1}'], []),
    ("one file", [archive(("plugin.wasm", WASM))], ["plugin.wasm@1"]),
    ("a folder before it", [archive(("./", FOLDER), ("./opt/plugin.wasm", WASM))], ["opt/plugin.wasm@1"]),
    ("an absolute path", [archive(("/plugin.wasm", WASM))], ["plugin.wasm@1"]),
    ("a path that climbs", [archive(("../../plugin.wasm", WASM))], ["plugin.wasm@1"]),
    ("another name", [archive(("x", b""), ("filter.wasm", WASM))], ["filter.wasm@1"]),
    ("a name without .wasm", [archive(("x", b""), ("filter", WASM))], ["filter@1"]),
    ("zstd", [zstd.compress(archive(("plugin.wasm", WASM)))], ["plugin.wasm@1"]),
    ("a raw module", [WASM], ["title-1@1"]),
    ("a raw module in gzip", [gzip.compress(WASM)], ["title-1@1"]),
    ("a component", [b"\0asm\x0d\0\x01\0"], ["title-1@1"]),
    ("two raw modules", [WASM, WASM + b"\0"], ["title-2@2", "title-1@1"]),
    ("plugin.wasm among modules", [archive(("a.wasm", WASM), ("plugin.wasm", WASM))], ["plugin.wasm@1"]),
    ("several modules", [archive(("a.wasm", WASM), ("b.wasm", WASM))], ["a.wasm@1", "b.wasm@1"]),
    ("the first plugin.wasm", [archive(("b/plugin.wasm", WASM), ("plugin.wasm", WASM))], ["b/plugin.wasm@1"]),
    ("AppleDouble too", [archive(("._plugin.wasm", b"\0\5"), ("plugin.wasm", WASM))], ["plugin.wasm@1"]),
    ("only a pointer", [archive(("plugin.wasm", b"version https"), ("x.wasm", b"y"))], ["plugin.wasm@1"]),
    ("a pointer and a module", [archive(("plugin.wasm", b"version"), ("x.wasm", WASM))], ["x.wasm@1"]),
    ("a link and a module", [archive(("plugin.wasm", LINK), ("main.wasm", WASM))], ["main.wasm@1"]),
    ("not in the last layer", [archive(("plugin.wasm", WASM)), archive(("x", b""))], ["plugin.wasm@1"]),
    ("overwritten", [archive(("plugin.wasm", WASM)), archive(("plugin.wasm", WASM))], ["plugin.wasm@2"]),
    ("overwritten by text", [archive(("a.wasm", WASM)), archive(("a.wasm", b"text"))], ["a.wasm@2"]),
    ("overwritten by a link", [archive(("plugin.wasm", WASM)), archive(("plugin.wasm", HARD))], []),
    ("overwritten by a folder", [archive(("a.wasm", WASM)), archive(("a.wasm", FOLDER))], []),
    ("its folder is a file now", [archive(("d/a.wasm", WASM)), archive(("d", b""))], []),
    ("its folder once more", [archive(("d/a.wasm", WASM)), archive(("d", FOLDER))], ["d/a.wasm@1"]),
    ("deleted", [archive(("d/a.wasm", WASM)), archive(("d/.wh.a.wasm", b""))], []),
    ("its folder deleted", [archive(("c/d/a.wasm", WASM)), archive(("c/.wh.d", b""))], []),
    ("another deleted", [archive(("a.wasm", WASM)), archive((".wh.b.wasm", b""))], ["a.wasm@1"]),
    ("an opaque folder", [archive(("d/e/a.wasm", WASM)), archive(("d/.wh..wh..opq", b""))], []),
    ("an opaque root", [archive(("a.wasm", WASM)), archive((".wh..wh..opq", b""))], []),
    ("opaque elsewhere", [archive(("d/a.wasm", WASM)), archive(("e/.wh..wh..opq", b""))], ["d/a.wasm@1"]),
    ("deleted and made anew", [archive(("a.wasm", WASM)), archive((".wh.a.wasm", b""), ("a.wasm", WASM))],
     ["a.wasm@2"]),
    ("deleted, made anew above", [archive(("a.wasm", WASM)), archive((".wh.a.wasm", b"")),
     archive(("a.wasm", WASM))], ["a.wasm@3"]),
]  # fmt: skip


@pytest.mark.parametrize(("contents", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_the_choice(contents: list[bytes], expected: list[str]) -> None:
    found = looked(*contents)
    assert [f"{one.name}@{one.layer}" for one in found.choice()] == expected
    for one in found.choice():
        into = io.BytesIO()
        extract(io.BytesIO(contents[one.layer - 1]), one, into, Budget(1 << 20))
        assert len(into.getvalue()) == one.size
        assert into.getvalue().startswith(b"\0asm") == one.is_module


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("plugin.wasm", ["plugin.wasm"]),
        ("/a/x.wasm", ["a/x.wasm"]),
        ("./b/x.wasm", ["b/x.wasm"]),
        ("x.wasm", ["a/x.wasm", "b/x.wasm"]),
        ("y.wasm", ["c/y.wasm"]),
        ("z.wasm", []),
        ("", ["plugin.wasm"]),
    ],
)
def test_what_is_wanted(wanted: str, expected: list[str]) -> None:
    found = looked(
        archive(("plugin.wasm", WASM), *((name, WASM) for name in ("a/x.wasm", "b/x.wasm", "c/y.wasm")))
    )
    assert [one.name for one in found.choice(wanted)] == expected


def test_lower_layers_are_asked_for_only_when_nothing_is_decided() -> None:
    assert looked(archive(("plugin.wasm", WASM))).decided
    assert not looked(archive(("a.wasm", WASM))).decided
    assert not looked(archive(("plugin.wasm", b"text"))).decided


def test_what_else_is_there_is_told_shortly() -> None:
    assert looked(archive(*((f"file-{number}", b"") for number in range(9)))).others == [
        "file-0",
        "file-1",
        "file-2",
    ]


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MAX_NAMES", 5)
    monkeypatch.setattr(layers, "MAX_CANDIDATES", 2)
    many = archive(*((f"f{number}", b"") for number in range(3)))
    looked(many)
    with pytest.raises(TooMany, match="5 files"):
        looked(many, archive(*((f"g{number}", b"") for number in range(3))))
    with pytest.raises(TooMany, match="2 modules"):
        looked(archive(("a.wasm", WASM), ("b.wasm", WASM), ("c.wasm", WASM)))


def test_a_bomb_costs_no_more_than_the_budget() -> None:
    bomb = gzip.compress(archive(("a", bytes(1 << 20)), ("plugin.wasm", WASM)))
    with pytest.raises(OverBudget):
        Layers().add(1, io.BytesIO(bomb), Budget(1 << 19))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(archive(("a", b""), ("plugin.wasm", WASM * 999))[:2000], TarError, id="tar cut"),
        pytest.param(gzip.compress(archive(("a", bytes(9999))))[:40], Damaged, id="gzip cut"),
    ],
)
def test_damage(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        looked(content)


def test_a_layer_that_is_not_the_one_that_was_looked_through() -> None:
    candidate = Candidate("plugin.wasm", 1, 3, 8, True)
    with pytest.raises(TarError):
        extract(io.BytesIO(images.tar({"plugin.wasm": WASM})), candidate, io.BytesIO(), Budget(1 << 20))
