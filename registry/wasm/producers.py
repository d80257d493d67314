"""Who made a module: the custom section "producers" (WebAssembly tool-conventions, ProducersSection.md)."""

from __future__ import annotations

from dataclasses import dataclass

from registry.wasm.reader import Malformed, Reader

_MAX = 64
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Producers:
    """The producers section: who made the module, as (name, version)."""

    language: tuple[tuple[str, str], ...] = ()
    processed_by: tuple[tuple[str, str], ...] = ()
    sdk: tuple[tuple[str, str], ...] = ()


def read_producers(reader: Reader) -> Producers:
    """The producers section; it is a hint only, so a malformed one says nothing."""
    fields: dict[str, tuple[tuple[str, str], ...]] = {}
    try:
        for _ in range(reader.count("fields", _MAX)):
            field = reader.name()
            fields[field] = tuple(
                (reader.name()[:_SHOWN], reader.name()[:_SHOWN])
                for _ in range(reader.count("producers", _MAX))
            )
    except Malformed:
        return Producers()
    return Producers(fields.get("language", ()), fields.get("processed-by", ()), fields.get("sdk", ()))
