from __future__ import annotations

import pytest

from registry.releases import (
    ENVOY_OF_ISTIO,
    ENVOYS,
    NEWEST,
    OLDER_ISTIO,
    UnknownRelease,
    at_least,
    envoy_of,
    minor,
)
from tests.documents import table


@pytest.mark.parametrize(
    ("istio", "envoy"),
    [("1.28", "1.36"), ("1.29", "1.37"), ("1.30.2", "1.38"), ("v1.31", "1.39"), ("1.31", "1.39")],
)
def test_envoy_of(istio: str, envoy: str) -> None:
    assert envoy_of(istio) == envoy


@pytest.mark.parametrize(
    ("istio", "says"),
    [
        pytest.param("1.27", "Istio 1.27 brings Envoy 1.35; 1.36 is the oldest known.", id="older"),
        pytest.param("1.23", "'1.23' is no Istio release", id="unknown"),
        pytest.param("1.310", "'1.310' is no Istio release", id="not a prefix"),
        pytest.param("master", "'master' is no Istio release", id="no release"),
        pytest.param("", "'' is no Istio release", id="nothing"),
    ],
)
def test_envoy_of_refuses(istio: str, says: str) -> None:
    with pytest.raises(UnknownRelease) as caught:
        envoy_of(istio)
    assert caught.value.message.startswith(says)
    assert caught.value.fix == f"Known: {', '.join(ENVOY_OF_ISTIO)}."


def test_what_is_known() -> None:
    assert sorted(ENVOYS, key=lambda release: int(release.split(".")[1])) == list(ENVOYS)
    assert ENVOYS[-1] == NEWEST
    assert set(ENVOY_OF_ISTIO.values()) <= set(ENVOYS)
    assert not set(OLDER_ISTIO.values()) & set(ENVOYS)


@pytest.mark.parametrize(
    ("release", "expected"), [("1.40", "1.40"), ("v1.40.1", "1.40"), ("1.40.1.1", "1.40.1.1"), ("x", "x")]
)
def test_minor(release: str, expected: str) -> None:
    assert minor(release) == expected


def test_releases_compare_by_number() -> None:
    assert at_least("1.40", "1.39")
    assert at_least("1.100", "1.39")
    assert not at_least("1.9", "1.39")


def test_the_document_has_the_same_releases() -> None:
    assert [row[0] for row in table("envoy-releases.md", "Envoy")] == list(ENVOYS)
    istio = {row[0]: row[1] for row in table("envoy-releases.md", "Istio")}
    assert istio == {**OLDER_ISTIO, **ENVOY_OF_ISTIO}
