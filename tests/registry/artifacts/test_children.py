from __future__ import annotations

import json

import pytest

from registry.artifacts import children
from registry.artifacts.children import Child
from registry.console.failure import Failure, Refusal
from storage import manifest as manifests
from storage.digest import Digest
from storage.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor
from tests.registry.artifacts.images import Layout


class Made(Layout):
    """A layout whose blobs are read by descriptor."""

    def fetch(self, descriptor: Descriptor) -> bytes:
        return self.files[f"blobs/{descriptor.digest.algorithm}/{descriptor.digest.hex}"]

    def children(self, index: Descriptor) -> tuple[Child, ...]:
        return children.children(manifests.parse(self.fetch(index), ""), self.fetch, "x")

    def platforms(self, index: Descriptor) -> list[str]:
        return [child.platform for child in self.children(index)]


@pytest.fixture
def made() -> Made:
    return Made()


def test_an_image_is_alone(made: Made) -> None:
    (child,) = made.children(made.image(b"x"))
    assert (child.descriptor, child.platform) == (None, "linux/amd64")


def test_what_agents_take_comes_first(made: Made) -> None:
    image = made.image(b"x")
    platforms = {"linux/arm64": image, "wasi/wasm": made.image(b"y"), "linux/amd64": made.image(b"z")}
    assert made.platforms(made.index(platforms)) == ["linux/amd64", "linux/arm64", "wasi/wasm"]


def test_indexes_are_looked_into(made: Made) -> None:
    inner = made.index({"linux/amd64": made.image(b"x")})
    assert made.platforms(made.index({"linux/arm64": made.image(b"y"), "linux/amd64": inner})) == [
        "linux/amd64",
        "linux/arm64",
    ]


def test_attestations_are_no_images(made: Made) -> None:
    image = made.image(b"x")
    marked = {"linux/amd64": image, "unknown/unknown": made.image(b"y")}
    assert made.platforms(made.index(marked)) == ["linux/amd64"]
    by_content = {"linux/amd64": image, "linux/arm64": made.image(b"y", "application/vnd.in-toto+json")}
    assert made.platforms(made.index(by_content)) == ["linux/amd64"]


def test_an_index_of_too_many(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "MAX_CHILDREN", 2)
    image = made.image(b"x")
    assert len(made.platforms(made.index({"a/a": image, "b/b": image}))) == 2
    with pytest.raises(Refusal, match="more than 2 images"):
        made.children(made.index({"a/a": image, "b/b": image, "c/c": image}))


def test_a_child_that_is_no_manifest(made: Made) -> None:
    index = made.index({"linux/amd64": made.blob(b"no JSON", OCI_MANIFEST)})
    with pytest.raises(Failure, match="x: the manifest is not JSON"):
        made.children(index)


def test_nesting_has_an_end(made: Made) -> None:
    index = made.image(b"x")
    for _ in range(9):
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [index.to_json()]}
        index = made.blob(json.dumps(body).encode(), OCI_INDEX)
    assert made.children(index) == ()
    assert isinstance(index.digest, Digest)
