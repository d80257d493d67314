"""A module in a few words: small, bounded, and kept beside the verdict. `registry.wasm.survey` tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """A module in a few words; every list is of a table or capped.

    `abi` is "" where Envoy sees none; `language` and `made_by` are what the producers section says;
    `filters` are the kinds of filter that it can be (`http`, `network`); `memories` have the fewest and the
    most pages of 64 KiB (None: no limit); `others` are imports that are in no table.
    """

    sha256: str
    size: int
    abi: str
    sdk: str
    language: str
    made_by: tuple[str, ...]
    filters: tuple[str, ...]
    phases: tuple[str, ...]
    reads: tuple[str, ...]
    changes: tuple[str, ...]
    calls: tuple[str, ...]
    system: tuple[str, ...]
    others: tuple[str, ...]
    memories: tuple[tuple[int, int | None], ...]
    imports: int
    exports: int

    def to_json(self) -> dict[str, Any]:
        """The facts as a JSON document."""
        return {**asdict(self), "memories": [{"pages": low, "most": high} for low, high in self.memories]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Facts:
        """What `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
        known: dict[str, Any] = {}
        for name in cls.__slots__:
            value = said[name]
            if name == "memories":
                known[name] = tuple((int(memory["pages"]), _most(memory["most"])) for memory in value)
            elif name in ("size", "imports", "exports"):
                known[name] = int(value)
            elif name in ("sha256", "abi", "sdk", "language"):
                known[name] = str(value)
            elif isinstance(value, str):
                raise TypeError(f"{name} is no list")
            else:
                known[name] = tuple(map(str, value))
        return cls(**known)


def _most(value: Any) -> int | None:
    return None if value is None else int(value)
