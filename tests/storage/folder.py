"""A store in a folder, from outside: all of `driver_contract.Place` but how it is opened."""

from __future__ import annotations

from pathlib import Path


class InFolder:
    """What lies in the folder besides objects, and what a writer that dies leaves there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.root / "temp").iterdir()]

    def abandon(self) -> None:
        (self.root / "temp" / "of-a-writer-that-died").write_bytes(b"part")
