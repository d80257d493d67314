"""What is held back until it is signed, freed by real cosigns, and what is pushed before that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.real import cosign as real
from tests.registry.consumers.build import Shape, index
from tests.registry.consumers.shapes import AMD64, ATTESTATION, UNKNOWN, A, B
from tests.registry.guarded import SECRET
from tests.registry.talk import Registry
from tests.registry.verifying import NAME, puller, pusher, verifying

pytestmark = [pytest.mark.real, pytest.mark.slow]

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real.new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[str]:
    with verifying(tmp_path_factory.mktemp("verifying"), [key]) as host:
        yield host


@pytest.fixture
def registry(host: str) -> Registry:
    return pusher(host, f"prod/{uuid4().hex}")


def pulled(registry: Registry, reference: str = "v1") -> int:
    return puller(registry).get(f"{registry.base}/manifests/{reference}").status


@pytest.mark.parametrize("generation", [2, 3])
@pytest.mark.parametrize("shape", [A, B, BUILDX], ids=str)
def test_cosign_frees_it(
    registry: Registry, key: Path, tmp_path: Path, shape: Shape, generation: int
) -> None:
    registry.push(shape)
    reference = f"{registry.host}/{registry.name}:v1"
    assert pulled(registry) == 404
    real.new_key(tmp_path)
    for folder in (tmp_path, key.parent):
        real.log_in(folder, registry.host, NAME, SECRET)
    assert real.sign(reference, tmp_path / "cosign.key", generation=generation).code == 0
    assert pulled(registry) == 404, "it is not any key"
    done = real.sign(reference, key.with_name("cosign.key"), generation=generation)
    assert done.code == 0, done.said
    for one in ("v1", shape.digest, *(child.digest for child in shape.children)):
        assert pulled(registry, one) == 200
    assert real.verify(reference, key, generation=generation).code == 0
