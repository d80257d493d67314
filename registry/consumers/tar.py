"""A tar archive read once, forward, in bounded memory: the entries that Go's archive/tar sees (reader.go).

Not Python's tarfile: it keeps every header it has seen, takes PAX records and long names into memory
whatever their size, recurses over them, and forgives other things than Go does, so that the two
would disagree on which entry is the first plugin.wasm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from registry.consumers import sparse
from registry.consumers.numbers import BadNumber, check_time, decimal, numeric

BLOCK = 512
MAX_SPECIAL = 1 << 20
# Headers, PAX records and parts of sparse files together: far beyond any plugin's layer.
MAX_STEPS = 100_000

LINK, SYMLINK, DIRECTORY = b"1", b"2", b"5"
GLOBAL = b"g"
_HEADER_ONLY = frozenset((LINK, SYMLINK, b"3", b"4", DIRECTORY, b"6"))
_PAX, _LONG_NAME, _LONG_LINK, _GNU_SPARSE = b"x", b"L", b"K", b"S"
_ZEROS = bytes(BLOCK)
_C_STRINGS = frozenset((b"path", b"linkpath", b"uname", b"gname"))
_TIMES = (b"atime", b"mtime", b"ctime")


class TarError(Exception):
    """An archive that Go does not read on; its text says why."""


class Stream(Protocol):
    """What an archive is read from, as `Gunzip` gives it; `fault` says why it ended early."""

    fault: str

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""

    def skip(self, size: int) -> int:
        """Leave out `size` bytes; gives how many there were."""

    def copy(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes in pieces; fewer only at the end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A header; `size` is what it claims, `kind` the type flag."""

    name: bytes
    kind: bytes
    size: int

    @property
    def base(self) -> bytes:
        """The last part of the name, as Go's filepath.Base has it."""
        return self.name.rstrip(b"/").rpartition(b"/")[2]

    @property
    def has_content(self) -> bool:
        """Whether its type has a content at all."""
        return self.kind not in _HEADER_ONLY and self.kind != GLOBAL


@dataclass(slots=True)
class _Header:
    name: bytes
    kind: bytes
    size: int
    block: bytes
    gnu: bool


class Tar:
    """Walks the entries; the content of each is read, if at all, before the next is asked for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = 0  # bytes of the current content that are still in the archive
        self._padding = 0
        self._steps = 0
        self._size = 0
        self._map: sparse.Map | None = None

    def next(self) -> Entry | None:
        """The next entry, None at the end; raises TarError."""
        try:
            return self._next()
        except BadNumber:
            raise TarError("archive/tar: invalid tar header") from None

    def content(self) -> Iterator[bytes]:
        """The content of the current entry in pieces; fewer bytes than its size when it is cut."""
        if self._map is None:
            return self._take(self._left)
        return sparse.expanded(self._map, self._size, self._take)

    def _next(self) -> Entry | None:
        records: dict[bytes, bytes] = {}
        long_name = b""
        while True:
            left, self._left, self._map = self._left, 0, None
            if self._stream.skip(left + self._padding) < left:
                raise TarError(self._ended())
            header = self._header()
            if header is None:
                return None
            self._begin(header)
            if header.kind in (_PAX, GLOBAL):
                records = self._records(self._special())
                if header.kind == GLOBAL:
                    # Beside a record that cannot be read, Go's order of a map decides by chance whether
                    # the path counts (mergePAX): here it does, and what chance decides is not taken.
                    return Entry(records.get(b"path") or header.name, GLOBAL, 0)
            elif header.kind == _LONG_NAME:
                long_name = self._special().partition(b"\0")[0]
            elif header.kind == _LONG_LINK:
                self._special()
            else:
                return self._entry(header, records, long_name)

    def _entry(self, header: _Header, records: dict[bytes, bytes], long_name: bytes) -> Entry:
        """reader.go, next: PAX records over the header, GNU's long name over both, sparse maps last."""
        _check(records)
        if size := records.get(b"size"):
            header.size = decimal(size)
        header.name = long_name or records.get(b"path") or header.name
        if header.kind == b"\0":
            header.kind = DIRECTORY if header.name.endswith(b"/") else b"0"
        self._begin(header)
        self._sparse(header, records)
        self._size = header.size
        return Entry(header.name, header.kind, header.size)

    def _begin(self, header: _Header) -> None:
        size = 0 if header.kind in _HEADER_ONLY else header.size
        if size < 0:
            raise BadNumber
        self._left, self._padding = size, -size % BLOCK

    def _header(self) -> _Header | None:
        self._step()
        block = self._stream.read(BLOCK)
        if block == _ZEROS:
            block = self._stream.read(BLOCK)
            if block == _ZEROS:
                return None
            if len(block) == BLOCK:
                raise BadNumber
        if len(block) < BLOCK:
            if block or self._stream.fault:
                raise TarError(self._ended())
            return None
        return _parsed(block)

    def _sparse(self, header: _Header, records: dict[bytes, bytes]) -> None:
        if header.kind == _GNU_SPARSE:
            if not header.gnu:
                raise BadNumber
            header.size, found = sparse.old_gnu(header.block, lambda: self._exactly(self._stream.read(BLOCK)))
        else:
            version = (records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b""))
            if version == (b"1", b"0"):
                in_content = True
            elif version in ((b"0", b"0"), (b"0", b"1")):
                in_content = False
            elif any(version) or not records.get(b"GNU.sparse.map"):
                return
            else:
                in_content = False
            header.name = records.get(b"GNU.sparse.name") or header.name
            if size := records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize"):
                header.size = decimal(size)
            found = (
                sparse.from_content(lambda: self._exactly(b"".join(self._take(BLOCK))))
                if in_content
                else sparse.from_records(records)
            )
        if header.kind in _HEADER_ONLY:
            raise BadNumber
        self._step(len(found))
        self._map = sparse.checked(found, header.size)

    def _records(self, data: bytes) -> dict[bytes, bytes]:
        """PAX records; the map of sparse version 0.0 becomes that of 0.1 (reader.go, parsePAX)."""
        records: dict[bytes, bytes] = {}
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            self._step()
            key, value, at = _record(data, at)
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                if (len(parts) % 2 == 0) != (key == b"GNU.sparse.offset") or b"," in value:
                    raise BadNumber
                parts.append(value)
            else:
                records[key] = value
        if parts:
            records[b"GNU.sparse.map"] = b",".join(parts)
        return records

    def _special(self) -> bytes:
        """The content of a header that describes the next one."""
        if self._left > MAX_SPECIAL:
            raise TarError("archive/tar: header field too long")
        size = self._left
        found = b"".join(self._take(size))
        if len(found) < size:
            raise TarError(self._ended())
        return found

    def _take(self, size: int) -> Iterator[bytes]:
        for piece in self._stream.copy(min(size, self._left)):
            self._left -= len(piece)
            yield piece

    def _exactly(self, block: bytes) -> bytes:
        if len(block) < BLOCK:
            raise TarError(self._ended())
        return block

    def _step(self, count: int = 1) -> None:
        self._steps += count
        if self._steps > MAX_STEPS:
            raise TarError(f"more than {MAX_STEPS} headers")

    def _ended(self) -> str:
        return self._stream.fault or "unexpected EOF"


def _parsed(block: bytes) -> _Header:
    """reader.go, readHeader: every number is read, so that what Go refuses is refused."""
    given = numeric(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
    if given != unsigned:
        high = sum(1 for at, value in enumerate(block) if value >= 0x80 and not 148 <= at < 156)
        if given != unsigned - 256 * high:
            raise BadNumber
    name = _string(block[:100])
    size = numeric(block[124:136])
    for start, end in ((100, 108), (108, 116), (116, 124), (136, 148)):
        numeric(block[start:end])
    magic = block[257:263]
    gnu = magic == b"ustar " and block[263:265] == b" \0"
    prefix = b""
    if gnu or magic == b"ustar\0":
        numeric(block[329:337])
        numeric(block[337:345])
        if gnu:
            prefix = _old_go_prefix(block)
        elif block[508:] == b"tar\0":
            prefix = _string(block[345:476])
            numeric(block[476:488])
            numeric(block[488:500])
        else:
            prefix = _string(block[345:500])
    return _Header(b"/".join((prefix, name)) if prefix else name, block[156:157], size, block, gnu)


def _old_go_prefix(block: bytes) -> bytes:
    """Go before 1.8 wrote a prefix where GNU has times: it is one when those cannot be read."""
    try:
        for start in (345, 357):
            if block[start]:
                numeric(block[start : start + 12])
    except BadNumber:
        prefix = _string(block[345:500])
        return prefix if prefix.isascii() else b""
    return b""


def _record(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Key, value and the position after them (strconv.go, parsePAXRecord)."""
    space = data.find(b" ", at, at + 32)
    if space < 0:
        raise BadNumber
    length = decimal(data[at:space])
    end = at + length
    if length < 5 or end > len(data) or end <= space + 1 or data[end - 1] != 0x0A:
        raise BadNumber
    key, equals, value = data[space + 1 : end - 1].partition(b"=")
    if not equals or not key or b"\0" in (value if key in _C_STRINGS else key):
        raise BadNumber
    return key, value, end


def _check(records: dict[bytes, bytes]) -> None:
    """reader.go, mergePAX: numbers that are not used here are refused where Go refuses them."""
    for key in (b"uid", b"gid"):
        if value := records.get(key):
            decimal(value)
    for key in _TIMES:
        if value := records.get(key):
            check_time(value)


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
