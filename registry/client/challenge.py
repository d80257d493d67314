"""What a registry asks for when it says 401: `WWW-Authenticate` (RFC 9110, section 11.6.1), read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.request import parse_http_list, parse_keqv_list

_SCHEME = re.compile(r"(?:^|,)\s*(basic|bearer)(?:\s+(?=[\w-]+\s*=)|\s*(?=,|$))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in: `scheme` in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The Basic and Bearer challenges of the headers, in their order; others and broken ones are skipped."""
    return tuple(challenge for header in headers for challenge in _of(header))


def _of(header: str) -> Iterable[Challenge]:
    found = list(_SCHEME.finditer(header))
    for at, match in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(header)
        parts = [part for part in parse_http_list(header[match.end() : end]) if part.partition("=")[2]]
        said = parse_keqv_list(parts)
        yield Challenge(match[1].lower(), {name.strip().lower(): value for name, value in said.items()})
