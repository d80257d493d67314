"""Reading the primitives of the binary format (WebAssembly core spec, "Binary Format", Values)."""

from __future__ import annotations

import re

MAX_NAME = 1 << 20


class Malformed(Exception):
    """Bytes that are not what the format wants at this place; its text says what and where."""


class BeyondLimit(Malformed):
    """Bytes that may be right, but more of them than is looked at here."""


class Reader:
    """A position in the bytes of one section; every step is checked against their end."""

    __slots__ = ("_base", "_data", "pos")

    def __init__(self, data: bytes | memoryview, base: int = 0) -> None:
        self._data = data
        self._base = base
        self.pos = 0

    @property
    def place(self) -> int:
        """Where in the file it stands."""
        return self._base + self.pos

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return bytes(self._data[self.pos :])

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self.pos >= len(self._data)

    def byte(self) -> int:
        """The next byte; raises Malformed at the end."""
        try:
            found = self._data[self.pos]
        except IndexError:
            raise Malformed(f"it ends at byte {self._base + self.pos}, in the middle of a value") from None
        self.pos += 1
        return found

    def peek(self) -> int:
        """The next byte, left where it is; raises Malformed at the end."""
        found = self.byte()
        self.pos -= 1
        return found

    def unsigned(self, bits: int = 32) -> int:
        """An unsigned LEB128 of at most `bits` bits; raises Malformed when it runs on or overflows."""
        first = self.byte()
        if first < 0x80:
            return first
        result, shift, found = first & 0x7F, 7, first
        while found & 0x80:
            if shift >= bits:
                raise Malformed(f"the LEB128 number before byte {self._base + self.pos} runs on")
            found = self.byte()
            result |= (found & 0x7F) << shift
            shift += 7
        if result >> bits:
            raise Malformed(f"the LEB128 number before byte {self._base + self.pos} is over {bits} bits")
        return result

    def skip(self, length: int) -> None:
        """Step over bytes; raises Malformed when there are fewer."""
        if length > len(self._data) - self.pos:
            raise Malformed(f"{length} bytes at byte {self.place} run over the end of their section")
        self.pos += length

    def take(self, length: int) -> bytes:
        """The next bytes, `length` or as many as there are; raises Malformed at the end."""
        found = bytes(self._data[self.pos : self.pos + length])
        if length and not found:
            raise Malformed(f"it ends at byte {self.place}, in the middle of a value")
        self.pos += len(found)
        return found

    def match(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """What a pattern finds here, left where it is."""
        found = pattern.match(self._data, self.pos)
        return found.group() if found else None

    def signed(self, bits: int) -> int:
        """A signed LEB128 of at most `bits` bits; raises Malformed when it runs on."""
        result = shift = 0
        while True:
            found = self.byte()
            result |= (found & 0x7F) << shift
            shift += 7
            if not found & 0x80:
                return result - (1 << shift) if found & 0x40 else result
            if shift >= bits:
                raise Malformed(f"the LEB128 number before byte {self._base + self.pos} runs on")

    def count(self, what: str, limit: int) -> int:
        """How many entries follow; raises Malformed for fewer bytes, BeyondLimit for more than `limit`."""
        number = self.unsigned()
        if number > len(self._data) - self.pos:
            raise Malformed(f"it announces {number} {what} in {len(self._data) - self.pos} bytes")
        if number > limit:
            raise BeyondLimit(f"it has {number} {what}; {limit} is the limit")
        return number

    def name(self, limit: int = MAX_NAME) -> str:
        """A name; raises Malformed when it is cut or not UTF-8, BeyondLimit when it is over `limit` bytes."""
        length = self.unsigned()
        if length > len(self._data) - self.pos:
            raise Malformed(f"a name of {length} bytes runs over the end of its section")
        if length > limit:
            raise BeyondLimit(f"a name has {length} bytes; {limit} is the limit")
        found = self._data[self.pos : self.pos + length]
        self.pos += length
        return _text(bytes(found))


def _text(found: bytes) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise Malformed(f"the name {found[:40]!r} is not UTF-8") from None
