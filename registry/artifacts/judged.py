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
from registry.publish.inspect import Findings, inspect, inspect_module
from storage.digest import Digest
from storage.manifest import Descriptor


@dataclass(frozen=True, slots=True)
class Judged:
    """The findings on a target; `digest` is what to pin.

    It is None where no registry has named it yet, and where an index leads to no image: none compares that.
    `module` is the module's file when one was found, at its beginning.
    """

    findings: Findings
    digest: Digest | None
    module: BinaryIO | None

    @property
    def layer(self) -> Descriptor | None:
        """The layer that the module came from; None where the push is still to name it."""
        return self.findings.layer if self.digest else None


@contextmanager
def judged(target: Target) -> Iterator[Judged]:
    """Judge what was opened; raises Failure when a part of it cannot be read."""
    if isinstance(target, Bare):
        findings = inspect_module(target.data)
        yield Judged(findings, None, _file_over(target.data) if findings.module else None)
        return
    with tempfile.TemporaryFile() as module:
        findings = asyncio.run(
            inspect(target.manifest, target.source, cast(BinaryIO, module), _temporary_file)
        )
        module.seek(0)
        own = None if target.manifest.is_index else target.digest
        digest = findings.image.digest if findings.image else own
        yield Judged(findings, digest, cast(BinaryIO, module) if findings.module else None)


def _file_over(data: bytes | mmap.mmap) -> BinaryIO:
    return io.BytesIO(data) if isinstance(data, bytes) else cast(BinaryIO, data)


def _temporary_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile())
