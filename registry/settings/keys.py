"""The tree of keys: which there are, what stands in a section, and how the environment calls each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from registry.settings.document import Place
from registry.settings.model import Settings

PREFIX = "SIDECARGO_"


def variable(place: Place) -> str:
    """The environment variable of a key: `SIDECARGO_SERVER__PORT`."""
    return PREFIX + "__".join(str(part).upper() for part in place)


def section(place: Place) -> type[BaseModel] | None:
    """The model of the mapping that stands at a place, or None when no mapping belongs there."""
    model: type[BaseModel] | None = Settings
    for part in place:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model else None
        model = _model_in(field.annotation) if field else None
    return model


def leaves(model: type[BaseModel] = Settings, place: Place = ()) -> Iterator[tuple[Place, FieldInfo]]:
    """Every key that holds a value, in the order of the models; what lists hold is not walked."""
    for name, field in model.model_fields.items():
        inner = (*place, name)
        below = field.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from leaves(below, inner)
        else:
            yield inner, field


def entries(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the entries of a list of mappings, such as `admission.rules`."""
    return _model_in(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
