"""A target, judged: what the consumers make of it, and its module at hand."""

from __future__ import annotations

import asyncio
import io
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from registry.artifacts.targets import Bare, Target
from registry.publish.bare import inspect_module
from registry.publish.here import Here
from registry.publish.inspect import Findings, inspect
from registry.wasm.module import Module, read
from storage.digest import Digest
from storage.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings on a target; `digest` is what to pin.

    It is None where no registry has named it yet, and where an index leads to no image: none compares that.
    `module` is the module's file when one was found, at its beginning; `parsed` is what it says of itself.
    """

    findings: Findings
    digest: Digest | None
    module: BinaryIO | None
    parsed: Module | None

    @property
    def layer(self) -> Descriptor | None:
        """The layer that the module came from; None where the push is still to name it."""
        return self.findings.layer if self.digest else None


@contextmanager
def judged(target: Target) -> Iterator[Judged]:
    """Judge what was opened; raises Failure when a part of it cannot be read."""
    if isinstance(target, Bare):
        findings, data = inspect_module(target.data), target.data
        parsed = read(data, findings.facts.sha256) if findings.facts else None
        yield Judged(findings, None, _file_over(data) if parsed else None, parsed)
        return
    with tempfile.TemporaryFile() as module:
        file = cast(BinaryIO, module)
        findings = asyncio.run(inspect(target.manifest, target.source, Here(file, _temporary_file)))
        own = None if target.manifest.is_index else target.digest
        digest = findings.image.digest if findings.image else own
        if findings.facts is None:
            yield Judged(findings, digest, None, None)
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            parsed = read(data, findings.facts.sha256)
        file.seek(0)
        yield Judged(findings, digest, file, parsed)


def _file_over(data: bytes | mmap.mmap) -> BinaryIO:
    return io.BytesIO(data) if isinstance(data, bytes) else cast(BinaryIO, data)


def _temporary_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile())
