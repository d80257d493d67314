"""Releases: which Envoys are judged for, and which of them each Istio brings."""

from __future__ import annotations

from collections.abc import Mapping

ENVOYS: tuple[str, ...] = ("1.36", "1.37", "1.38", "1.39", "1.40")
"""Envoy releases whose host functions are known, oldest first."""

NEWEST = ENVOYS[-1]
"""The release that is judged for when none is named."""

ENVOY_OF_ISTIO: Mapping[str, str] = {"1.31": "1.40"}
"""Istio releases, and the release of Envoy in their proxies."""
