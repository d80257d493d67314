"""The settings that the environment holds: `SIDECARGO_SERVER__PORT=5001`, lists as JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from registry.settings.document import Place
from registry.settings.errors import Wrong
from registry.settings.keys import PREFIX, variable
from registry.settings.model import Settings

# What Kubernetes puts into every pod for a Service that is named `sidecargo` or `sidecargo-…`
# ("Discovering services", Environment variables).
_SERVICE = re.compile(r"\w*_SERVICE_(HOST|PORT(_\w+)?)|\w*_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_SERVICE_PORT = re.compile(r"\w*_PORT")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


class _Source(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        # Text that is no JSON goes on as text, so that the validation says where it is wrong.
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def values() -> dict[str, Any]:
    """What the environment says, nested as in a file; empty variables say nothing."""
    source = _Source(
        Settings,
        case_sensitive=False,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )
    return source()


def unknown() -> Iterator[Wrong]:
    """Variables that are meant as settings and are none.

    Meant as settings are those with `__`, and those that begin with the name of a section, but for
    what Kubernetes sets.
    """
    allowed = ", ".join(f"{variable((key,))}__…" for key in Settings.model_fields)
    for name, value in sorted(os.environ.items()):
        if name.upper().startswith(PREFIX) and value and _is_mistaken(name, value):
            yield Wrong(name, "", f"unknown variable; allowed: {allowed}")


def name_of(place: Place) -> str:
    """The variable that brought the value at a place: its own, one around it, or one inside it."""
    names = {name.upper(): name for name, value in os.environ.items() if value}
    for end in range(len(place), 0, -1):
        if (found := names.get(variable(place[:end]))) is not None:
            return found
    inside = variable(place) + "__"
    return next((name for upper, name in sorted(names.items()) if upper.startswith(inside)), variable(place))


def _is_mistaken(name: str, value: str) -> bool:
    rest = name[len(PREFIX) :].lower()
    section, separator, _ = rest.partition("__")
    if section in Settings.model_fields:
        return False
    if separator:
        return True
    return section.partition("_")[0] in Settings.model_fields and not _is_of_a_service(name, value)


def _is_of_a_service(name: str, value: str) -> bool:
    is_address = _SERVICE_PORT.fullmatch(name) and _SERVICE_ADDRESS.fullmatch(value)
    return bool(_SERVICE.fullmatch(name) or is_address)
