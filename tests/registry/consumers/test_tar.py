from __future__ import annotations

import tarfile

import pytest

from registry.consumers.gunzip import Gunzip
from registry.consumers.tar import MAX_SPECIAL, Entry, Tar, TarError
from tests.registry.consumers.build import info, pax, renumbered, squeezed, tar


def _walk(archive: bytes) -> list[tuple[str, str, bytes]]:
    reader = Tar(Gunzip([squeezed(archive)], 1 << 24))
    found = []
    while entry := reader.next():
        found.append((entry.name.decode(), entry.kind.decode(), b"".join(reader.content())))
    return found


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_entries_and_contents(form: int) -> None:
    long = "folder/" * 20 + "name"
    archive = tar(("a", b"1" * 600), info("d", tarfile.DIRTYPE), (long, b"2"), ("e", b""), form=form)
    assert _walk(archive) == [("a", "0", b"1" * 600), ("d/", "5", b""), (long, "0", b"2"), ("e", "0", b"")]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_very_long_names_and_links(form: int) -> None:
    name, target = "n" * 3000, "t" * 3000
    archive = tar(info(name, tarfile.SYMTYPE, linkname=target), ("after", b"x"), form=form)
    assert _walk(archive) == [(name, "2", b""), ("after", "0", b"x")]


def test_contents_need_not_be_read() -> None:
    reader = Tar(Gunzip([squeezed(tar(("a", b"1" * 5000), ("b", b"2")))], 1 << 20))
    first = reader.next()
    assert first == Entry(b"a", b"0", 5000)
    assert next(reader.content())[:10] == b"1" * 10
    second = reader.next()
    assert second
    assert (second.name, b"".join(reader.content())) == (b"b", b"2")
    assert reader.next() is None


def test_a_pax_header_counts_for_the_next_entry_only() -> None:
    first = pax({"path": "renamed"}, ("a", b"1"))[:2048]
    assert [name for name, _, _ in _walk(first + tar(("b", b"2")))] == ["renamed", "b"]


def test_a_global_pax_header_is_an_entry_and_changes_no_other() -> None:
    archive = pax({"path": "renamed"}, ("a", b"1"), b"g")
    assert _walk(archive) == [("renamed", "g", b""), ("a", "0", b"1")]


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (b"plugin.wasm", b"plugin.wasm"),
        (b"./plugin.wasm", b"plugin.wasm"),
        (b"a/b/plugin.wasm//", b"plugin.wasm"),
        (b"plugin.wasm/x", b"x"),
        (b"", b""),
        (b"///", b""),
        (b"a\\plugin.wasm", b"a\\plugin.wasm"),
    ],
)
def test_base(name: bytes, base: bytes) -> None:
    assert Entry(name, b"0", 0).base == base


PLAIN = tar(("a", b"1"))
REFUSED = [
    pytest.param(PLAIN[:100], "unexpected EOF", id="cut in a header"),
    pytest.param(b"x" + PLAIN[1:], "invalid tar header", id="wrong checksum"),
    pytest.param(bytes(512) + PLAIN, "invalid tar header", id="one zero block"),
    pytest.param(renumbered(PLAIN, 0, size=b"9"), "invalid tar header", id="size not octal"),
    pytest.param(renumbered(PLAIN, 0, size=b"\xff" * 12), "invalid tar header", id="size below nothing"),
    pytest.param(renumbered(PLAIN, 0, mtime=b"x"), "invalid tar header", id="time"),
    pytest.param(renumbered(PLAIN, 0, kind=b"S"), "invalid tar header", id="sparse, but not GNU's"),
    pytest.param(
        renumbered(PLAIN, 0, kind=b"x", size=b"%011o" % (MAX_SPECIAL + 1)) + bytes(MAX_SPECIAL + 512),
        "header field too long",
        id="PAX header too long",
    ),
    pytest.param(renumbered(PLAIN, 0, kind=b"L", size=b"%011o" % 9999), "unexpected EOF", id="name cut"),
    pytest.param(renumbered(PLAIN, 0, kind=b"x"), "invalid tar header", id="no PAX record"),
]


@pytest.mark.parametrize(("archive", "says"), REFUSED)
def test_refused(archive: bytes, says: str) -> None:
    with pytest.raises(TarError, match=says):
        _walk(archive)


@pytest.mark.parametrize(
    "records",
    [b"5 a=", b"6 a=\n", b"4 =\n", b"05 a\n", b"x a=b\n", b"9999 a=\n", b"12 path=a\0b\n", b"8 a\0=bc\n"],
)
def test_refused_records(records: bytes) -> None:
    head = renumbered(tar(("x", records)), 0, kind=b"x")[:1024]
    with pytest.raises(TarError):
        _walk(head + PLAIN)


def test_the_steps_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar(*((str(at), b"") for at in range(20)))
    monkeypatch.setattr("registry.consumers.tar.MAX_STEPS", 21)
    assert len(_walk(archive)) == 20
    monkeypatch.setattr("registry.consumers.tar.MAX_STEPS", 20)
    with pytest.raises(TarError, match="more than 20 headers"):
        _walk(archive)
