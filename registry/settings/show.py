"""The settings in force, as YAML that is a settings file again, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ByteSize, SecretStr

from registry.settings.document import Place, dotted
from registry.settings.load import Loaded
from registry.settings.messages import masked
from registry.settings.units import spoken_duration, spoken_size

MASK = "********"


def as_yaml(loaded: Loaded) -> str:
    """Every key with its value, secrets masked, and its origin as a comment."""
    return "\n".join(_lines(loaded.settings, (), loaded)) + "\n"


def as_data(loaded: Loaded) -> dict[str, Any]:
    """The same for programs: `settings`, nested, and `origins` by dotted key."""
    return {"settings": plain(loaded.settings), "origins": dict(loaded.origins)}


def plain(value: Any) -> Any:
    """A value as it is written in a file; secrets masked, keys without a value left out in lists."""
    if isinstance(value, BaseModel):
        return {
            name: plain(inner)
            for name in type(value).model_fields
            if (inner := getattr(value, name)) is not None
        }
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, ByteSize):
        return spoken_size(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return spoken_duration(value)
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, str | Path):
        return masked(str(value))
    return value


def _lines(model: BaseModel, place: Place, loaded: Loaded) -> Iterator[str]:
    for name in type(model).model_fields:
        inner = (*place, name)
        value = getattr(model, name)
        indent = "  " * len(place)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, inner, loaded)
        else:
            yield f"{indent}{name}: {_flow(plain(value))}  # {loaded.origins[dotted(inner)]}"


def _flow(value: Any) -> str:
    written: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 20)
    return written.removesuffix("\n").removesuffix("\n...")
