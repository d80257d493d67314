"""Releases: which Envoys are judged for, and which of them each Istio brings. docs/envoy-releases.md says how
each is known."""

from __future__ import annotations

from collections.abc import Mapping

ENVOYS: tuple[str, ...] = ("1.36", "1.37", "1.38", "1.39", "1.40")
"""Envoy releases that are judged for, oldest first; the tests run the binary of each."""

NEWEST = ENVOYS[-1]
"""The release that is judged for when none is named."""

ENVOY_OF_ISTIO: Mapping[str, str] = {"1.28": "1.36", "1.29": "1.37", "1.30": "1.38", "1.31": "1.39"}
"""Istio releases, and the release of Envoy in their proxies: the branch that istio/proxy follows."""

OLDER_ISTIO: Mapping[str, str] = {"1.24": "1.32", "1.25": "1.33", "1.26": "1.34", "1.27": "1.35"}
"""Istio releases whose Envoy is known by name only: it is older than those that are judged for."""


class UnknownRelease(Exception):
    """A release that is not judged for; `fix` lists those that are."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(f"{message} {fix}")
        self.message = message
        self.fix = fix


def envoy_of(istio: str) -> str:
    """The Envoy release (`1.39`) in the proxies of an Istio release (`1.31`, `v1.31`, `1.31.2`).

    Raises UnknownRelease for one that is not known, or whose Envoy is older than all that are judged for.
    """
    release = minor(istio)
    known = f"Known: {', '.join(ENVOY_OF_ISTIO)}."
    if release in OLDER_ISTIO:
        older = OLDER_ISTIO[release]
        raise UnknownRelease(f"Istio {release} brings Envoy {older}; {ENVOYS[0]} is the oldest known.", known)
    if release not in ENVOY_OF_ISTIO:
        raise UnknownRelease(f"{istio!r} is no Istio release that is judged for.", known)
    return ENVOY_OF_ISTIO[release]


def minor(release: str) -> str:
    """`1.40` of `1.40`, `v1.40` and `1.40.1`: a patch changes no rule. Anything else is left as it is."""
    parts = release.removeprefix("v").split(".")
    return ".".join(parts[:2]) if len(parts) <= 3 and all(part.isdecimal() for part in parts) else release


def at_least(release: str, first: str) -> bool:
    """Whether a release such as `1.40` is `first` or one after it."""
    return _numbers(release) >= _numbers(first)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
