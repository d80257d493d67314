"""Layers looked into in this process: the same work as an inspector's, without its process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from registry.consumers.istio import LIMIT, Form
from registry.publish.examiner import Examiner
from registry.publish.foresight import Foresight
from registry.publish.here import Here
from registry.publish.inspect import Looked


class InThread:
    """An `inspect.Look` with the construction of `Inspectors`."""

    def __init__(self, folder: Path | None = None, *, ahead: bool = False) -> None:
        self.asked = 0

    async def __call__(
        self, form: Form, pieces: AsyncIterator[bytes], *, of: int = 1, limit: int = LIMIT
    ) -> Looked:
        self.asked += 1
        with spool() as into:
            return await Here(into, spool)(form, pieces, of=of, limit=limit)

    async def close(self) -> None:
        """Nothing is open."""


def spool() -> BinaryIO:
    return cast(BinaryIO, TemporaryFile())


def examiner() -> Examiner:
    """One that foresees nothing, for nothing is uploaded to it."""
    look = InThread()
    return Examiner(look, Foresight(look), spool)
