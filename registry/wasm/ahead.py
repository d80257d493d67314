"""Validating ahead: the code of a module, which is most of the work, while the rest of it still comes.

Whether a code section is valid depends on what stands before it alone: the sections of the module, and how
many data segments there will be, which the data count section says (core spec, "Modules", "Binary Format").
So a module is valid when its part up to the code is, with that many empty segments after it, and when it is
itself with other, valid code in that place.
"""

from __future__ import annotations

from threading import Thread

from registry.wasm import validity
from registry.wasm.bodies import leb
from registry.wasm.looks import HEADER
from registry.wasm.reader import Malformed, Reader
from registry.wasm.sections import CODE, DATA, DATA_COUNT

MOST = 16 << 20
"""Bytes that are held until the code is whole, at most."""
MOST_SEGMENTS = 100_000
"""V8 takes no more data segments (wasm-limits.h)."""

_HEAD = 6  # a section's number and its length, as long as that may be
_EMPTY_SEGMENT = b"\x01\x00"


class Ahead:
    """Takes a module in pieces, and validates its code in a thread once that is whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = HEADER
        self._segments: int | None = None
        self._looking = True
        self._thread: Thread | None = None
        self._valid = False

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if not self._looking:
            return
        self._held += piece
        try:
            self._looking = self._goes_on()
        except Malformed:  # the module is judged as a whole, and why is said then
            self._looking = False
        if not self._looking:
            self._held.clear()

    def code_is_valid(self) -> bool:
        """Whether the code is known to be valid; where it is not, nothing is known of it."""
        if self._thread:
            self._thread.join()
        return self._valid

    def _goes_on(self) -> bool:
        """Pass the sections that are whole; whether the code is still to come."""
        while len(self._held) >= self._at + _HEAD:
            number = self._held[self._at]
            head = Reader(bytes(self._held[self._at + 1 : self._at + _HEAD]))
            start = self._at + 1
            length = head.unsigned()
            start += head.pos
            if start + length > MOST:
                return False
            if start + length > len(self._held):
                return True
            self._at = start + length
            if number == DATA_COUNT:
                self._segments = Reader(bytes(self._held[start : self._at])).unsigned()
            if number == CODE:
                self._begin()
                return False
        return True

    def _begin(self) -> None:
        if (self._segments or 0) > MOST_SEGMENTS:
            return
        part = bytes(self._held[: self._at])
        if self._segments is not None:
            content = leb(self._segments) + _EMPTY_SEGMENT * self._segments
            part += bytes((DATA,)) + leb(len(content)) + content
        self._thread = Thread(target=self._validate, args=(part,), daemon=True)
        self._thread.start()

    def _validate(self, part: bytes) -> None:
        self._valid = validity.is_valid(part)
