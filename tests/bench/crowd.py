"""Many large uploads at a time: each of its own content, which costs the client next to nothing."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

UPLOADS = 20


@dataclass(frozen=True, slots=True)
class Body:
    """What all have in common, from a file, and an end of one's own."""

    file: Path
    end: bytes
    digest: str

    @property
    def size(self) -> int:
        return self.file.stat().st_size + len(self.end)


def fill(file: Path, megabytes: int) -> None:
    """Make the file that all have in common."""
    piece = os.urandom(1_000_000)
    with file.open("wb") as out:
        for _ in range(megabytes):
            out.write(piece)


def bodies(file: Path, turn: str) -> list[Body]:
    """So many that nobody has yet; `turn` is what no other call has said."""
    with file.open("rb") as content:
        common = hashlib.file_digest(content, "sha256")
    made = []
    for number in range(UPLOADS):
        end, own = f"{turn}-{number}".encode(), common.copy()
        own.update(end)
        made.append(Body(file, end, f"sha256:{own.hexdigest()}"))
    return made


def upload(host: str, repository: str, crowd: list[Body], send: Callable[..., float]) -> float:
    """Send all of them at a time, each on a connection of its own; the seconds until the last is answered."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(crowd)) as pool:
        sent = [pool.submit(send, host, repository, body.file, body.digest, body.end) for body in crowd]
        for one in sent:
            one.result()
    return time.perf_counter() - began
