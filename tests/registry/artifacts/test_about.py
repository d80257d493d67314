from __future__ import annotations

import json
from typing import Any

import pytest

from registry.artifacts.about import About, read_about
from storage.manifest import DOCKER_MANIFEST, OCI_MANIFEST, Manifest

OCI = "org.opencontainers.image."


@pytest.mark.parametrize(
    ("media_type", "annotations", "kept"),
    [
        pytest.param(OCI_MANIFEST, {}, [], id="none"),
        pytest.param(
            OCI_MANIFEST, {f"{OCI}version": "1", f"{OCI}source": "s"}, ["source", "version"], id="oci"
        ),
        pytest.param(OCI_MANIFEST, {f"{OCI}created": "2026"}, [], id="oras: when it was packed"),
        pytest.param(OCI_MANIFEST, {f"{OCI}base.name": "x", f"{OCI}ref.name": "y"}, [], id="where it was"),
        pytest.param(OCI_MANIFEST, {"com.example.team": "edge"}, ["com.example.team"], id="one's own"),
        pytest.param(OCI_MANIFEST, {"io.containerd.image.name": "x"}, [], id="a tool's"),
        pytest.param(DOCKER_MANIFEST, {f"{OCI}version": "1"}, [], id="docker's have none"),
    ],
)
def test_annotations(media_type: str, annotations: dict[str, str], kept: list[str]) -> None:
    about = read_about(Manifest(media_type, annotations=annotations), b"")
    assert [key.removeprefix(OCI) for key in about.annotations] == kept
    assert about.labels == {}


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        pytest.param({"config": {"Labels": {"b": "2", "a": "1"}}}, {"a": "1", "b": "2"}, id="labels"),
        pytest.param({"config": {"Labels": {"a": "1", "b": 2}}}, {"a": "1"}, id="no string"),
        pytest.param({"config": {"Labels": None}}, {}, id="docker's null"),
        pytest.param({"config": {"Labels": {"a": "x" * 70_000}}}, {}, id="too long to be a label"),
        pytest.param({"config": []}, {}, id="another config"),
        pytest.param([], {}, id="a list"),
    ],
)
def test_labels(config: Any, labels: dict[str, str]) -> None:
    assert read_about(Manifest(OCI_MANIFEST), json.dumps(config).encode()) == About({}, labels)


@pytest.mark.parametrize("config", [b"", b"\xff", b"[" * 100_000], ids=["none", "no text", "nested"])
def test_a_config_that_is_none(config: bytes) -> None:
    assert read_about(Manifest(OCI_MANIFEST), config) == About()
