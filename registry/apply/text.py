"""Documents as YAML that everybody reads alike: YAML 1.1 and 1.2, Kubernetes' parser and Envoy's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

# What begins otherwise may be a number to somebody (`1e3`, `0o17`, `1_000`), or means something in YAML.
_PLAIN = re.compile(r"[A-Za-z/][ -~]*")
# Booleans of YAML 1.1 that PyYAML does not know, but others do.
_SHORT = frozenset("yYnN")
# A hash is quoted whatever it begins with.
_HASH = re.compile("[0-9a-f]{64}")


class _Dumper(yaml.SafeDumper):
    """Writes strings that nobody can take for something else, and no anchors."""

    # Without the short escapes of what lies beyond ASCII: Envoy's parser reads `\\N` as a byte of Latin-1.
    ESCAPE_REPLACEMENTS = {  # type: ignore[misc]  # noqa: RUF012
        character: escape
        for character, escape in yaml.SafeDumper.ESCAPE_REPLACEMENTS.items()
        if character.isascii()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """What is there twice is written twice."""
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and text not in _SHORT and not _HASH.fullmatch(text)
    style = None if plain else '"' if not text.isprintable() else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def document(value: Any, comments: Sequence[str] = ()) -> str:
    """A value as a YAML document, fields in their order, with lines of comment before it."""
    said = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=1 << 30
    )
    return "".join(f"# {comment}\n" for comment in comments) + said
