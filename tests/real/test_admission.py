"""Whatever the server accepts loads: every shape pushed to it, and what it took fetched by both agents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from registry.consumers.attachments import is_attachment
from registry.publish.inspect import CONSUMERS
from storage.errors import ManifestInvalid
from storage.manifest import OCI_INDEX, parse
from tests.real.istio import ENVOY_GATEWAY, ISTIO, fetch_all
from tests.real.sidecargo import Sidecargo
from tests.real.test_image_verdicts import every, ours
from tests.registry.consumers.build import Shape, index
from tests.registry.consumers.lies import LIES, STRICTER, with_child, with_layer
from tests.registry.consumers.shapes import AMD64, GOOD, HOSTILE, SHAPES, UNKNOWN, B

pytestmark = [pytest.mark.real, pytest.mark.slow]

_NESTED = index("attestations", [(shape, UNKNOWN) for shape in SHAPES if shape.name == "attestation"], None)
ABOUT_CONTENT = [
    with_layer("a layer's size, too small", "", size=len(GOOD[1]) - 1),
    with_layer("a layer's size, too large", "", size=len(GOOD[1]) + 1),
    with_child("a child's size, too small", "", size=len(B.body) - 1),
    dataclasses.replace(B, name="another layer", blobs=dict.fromkeys(B.blobs, b"other")),
    dataclasses.replace(B, name="no layer", blobs={}),
    index("an index of attestations in an index", [(_NESTED, AMD64)], None),
    index("attestations before the image", [(_NESTED, None), (B, AMD64)], "no-linux-amd64"),
]
ALL = [*SHAPES, *LIES, *STRICTER, *HOSTILE, *ABOUT_CONTENT]


@pytest.fixture(scope="module")
def statuses(sidecargo: Sidecargo) -> dict[str, int]:
    """The status of each shape's push to the server, by its name."""
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        return {shape.name: push(pool, sidecargo.url, repository(shape), shape) for shape in ALL}


def repository(shape: Shape) -> str:
    return f"shapes/{ALL.index(shape)}"


def push(pool: urllib3.PoolManager, url: str, repository: str, shape: Shape, reference: str = "v1") -> int:
    """Push a shape with all that belongs to it, as far as that is taken; gives its own status."""
    for child in shape.children:
        push(pool, url, repository, child, child.digest)
    for digest, content in shape.blobs.items():
        begun = pool.request("POST", f"{url}/v2/{repository}/blobs/uploads/")
        pool.request("PUT", f"{url}{begun.headers['Location']}?digest={digest}", body=content)
    kind = {"Content-Type": shape.media_type}
    return pool.request(
        "PUT", f"{url}/v2/{repository}/manifests/{reference}", body=shape.body, headers=kind
    ).status


def attached(shape: Shape) -> bool:
    """Whether it is exempt by its content, an index by that of all its children."""
    try:
        manifest = parse(shape.body, shape.media_type)
    except ManifestInvalid:
        return False
    exempt = {child.digest for child in shape.children if attached(child)}
    return is_attachment(manifest, lambda child: str(child.digest) in exempt)


def stored(shape: Shape) -> Iterator[Shape]:
    """What has to be there before it: its children and theirs."""
    return (inner for inner in every(shape) if inner is not shape)


def loads(shape: Shape) -> bool:
    return ours(shape).takers == set(CONSUMERS)


@pytest.mark.parametrize("shape", [shape for shape in ALL if shape not in ABOUT_CONTENT], ids=str)
def test_accepted_is_what_loads_and_what_is_no_image(shape: Shape, statuses: dict[str, int]) -> None:
    there = all(loads(child) or attached(child) for child in stored(shape))
    accepted = there and (attached(shape) or loads(shape))
    assert statuses[shape.name] in ((201,) if accepted else (400, 404))


@pytest.mark.parametrize(
    ("shape", "status"),
    list(zip(ABOUT_CONTENT, [400, 400, 400, 404, 404, 201, 400], strict=True)),
    ids=str,
)
def test_what_a_manifest_says_of_content_must_be_so(
    shape: Shape, status: int, statuses: dict[str, int]
) -> None:
    assert statuses[shape.name] == status


@pytest.mark.parametrize("agent", [ISTIO, ENVOY_GATEWAY])
def test_what_is_accepted_loads(
    agent: str, sidecargo: Sidecargo, statuses: dict[str, int], tmp_path: Path
) -> None:
    accepted = [shape for shape in ALL if statuses[shape.name] == 201 and not attached(shape)]
    assert len(accepted) >= 60
    urls = [(f"oci://{sidecargo.host}/{repository(shape)}:v1", "") for shape in accepted]
    fetched = fetch_all(urls, tmp_path, by=agent)
    assert [found.url + found.error for found in fetched if found.error] == []
    expected = [(ours(shape).sha256, ours(shape).digest) for shape in accepted]
    assert [(found.sha256, found.digest) for found in fetched] == expected


def test_no_index_is_taken_for_an_attachment_that_an_agent_could_resolve(statuses: dict[str, int]) -> None:
    exempt = [shape for shape in ALL if statuses[shape.name] == 201 and attached(shape)]
    assert any(shape.media_type == OCI_INDEX for shape in exempt)
    assert not any(ours(shape).takers for shape in exempt)
