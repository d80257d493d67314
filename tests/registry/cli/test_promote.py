from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from registry.signing import cosign
from registry.signing.keys import new_key
from registry.verdict import PLACEHOLDER
from storage.digest import Digest
from storage.manifest import OCI_MANIFEST, Descriptor
from tests.real.sidecargo import Sidecargo
from tests.registry.client import pushing
from tests.registry.client.scripted import Said, scripted
from tests.registry.commands import Runner
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, UNKNOWN, A, B
from tests.registry.wasm.binary import custom

NAMES = (f"promote/{number}" for number in itertools.count())
OTHER = image("other", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("x"))))], None)
BUILDX = index("buildx", [(OTHER, ARM64), (B, AMD64), (ATTESTATION, UNKNOWN)], None)
NO_ABI = image("no ABI", [(OCI_LAYER, layer(("plugin.wasm", b"\0asm\x01\0\0\0")))], None)


@pytest.mark.parametrize(("shape", "pin"), [(A, A), (B, B), (BUILDX, B)], ids=str)
@pytest.mark.parametrize("way", ["out", "in", "within theirs", "within ours"])
def test_what_a_tag_names_is_what_agents_compare(
    way: str,
    shape: Shape,
    pin: Shape,
    distribution: str,
    serve: Callable[..., Sidecargo],
    sidecargo: Runner,
) -> None:
    ours = serve().host
    hosts = {
        "out": (ours, distribution),
        "in": (distribution, ours),
        "within theirs": (distribution,) * 2,
        "within ours": (ours, ours),
    }
    source, end = (pushing.at(host, next(NAMES)) for host in hosts[way])
    pushing.push(source, shape)
    for reference in (f"{source}:v1", f"{source}@{shape.digest}"):
        ran = sidecargo("promote", reference, f"{end}:prod")
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        assert lines[:2] == [f"promoted {end}:prod", f"digest {pin.digest}"]
        assert lines[-1] == f"Pin that digest: oci://{end}@{pin.digest}"
        promoted = end.remote.manifest(end.repository, "prod")
        assert (promoted.body, str(promoted.digest), promoted.media_type) == (
            pin.body,
            pin.digest,
            pin.media_type,
        )
    assert sidecargo("check", f"{end}:prod").code == 0


def test_json(distribution: str, sidecargo: Runner) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, BUILDX)
    pushing.sign(source, Digest.parse(B.digest), new_key())
    ran = sidecargo("promote", "--json", f"{source}:v1", f"{end}:prod")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "source": f"{source}@{B.digest}",
        "reference": f"{end}:prod",
        "digest": B.digest,
        "pin": f"{end}@{B.digest}",
        "module": {"sha256": Digest.of(PLUGIN).hex},
        "signatures": {"tag": 1, "bundle": 0},
    }


def test_signatures_of_both_kinds_go_along(
    distribution: str, serve: Callable[..., Sidecargo], sidecargo: Runner
) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(serve().host, next(NAMES))
    pushing.push(source, B)
    signed = Digest.parse(B.digest)
    pushing.sign(source, signed, new_key())
    ran = sidecargo("promote", f"{source}:v1", f"{end}:v1")
    assert "signatures 1 (1 under cosign's tag, 0 as bundles)" in ran.out
    layers = json.loads(end.remote.manifest(end.repository, cosign.signature_tag(signed)).body)["layers"]
    assert len(layers) >= 1
    # Back again, and a bundle with it.
    bundle = pushing.attach(end, Descriptor(OCI_MANIFEST, signed, len(B.body)), b"bundle")
    ran = sidecargo("promote", f"{end}:v1", f"{source}:v2")
    assert (
        ran.code == 0 and "2 as bundles" in ran.out
    )  # that one, and the one by which ours is found beside it
    assert source.remote.manifest(source.repository, bundle.digest)


def test_a_signature_of_the_index_says_nothing_of_its_image(distribution: str, sidecargo: Runner) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, BUILDX)
    pushing.sign(source, Digest.parse(BUILDX.digest), new_key())
    ran = sidecargo("promote", f"{source}:v1", f"{end}:v1")
    assert ran.code == 0
    assert ran.err.startswith(
        f"warning: 1 signatures of {source}:v1 are for its index, not for its image. Sign "
    )


def test_what_does_not_load_is_not_copied(distribution: str, sidecargo: Runner) -> None:
    source, end = pushing.at(distribution, next(NAMES)), pushing.at(distribution, next(NAMES))
    pushing.push(source, NO_ABI)
    ran = sidecargo("promote", f"{source}:v1", f"{end}:v1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {source}:v1 does not load: ")
    assert PLACEHOLDER not in ran.err
    assert "404" in sidecargo("check", f"{end}:v1").err


def test_what_the_destination_does_not_take(distribution: str, sidecargo: Runner) -> None:
    source = pushing.at(distribution, next(NAMES))
    pushing.push(source, B)
    body = json.dumps({"errors": [{"code": "DENIED", "message": "tags are immutable here."}]}).encode()
    with scripted(lambda asked: Said(200 if asked.method == "HEAD" else 403, body)) as registry:
        ran = sidecargo("promote", f"{source}:v1", f"{registry.host}/a:v1")
    assert (ran.code, ran.out) == (1, "")
    name = f"{registry.host}/a@{B.digest}"
    assert ran.err == f"error: {name} is refused: 403 DENIED: tags are immutable here.\n"


@pytest.mark.parametrize(
    ("source", "destination", "said"),
    [
        ("acme/plugin:v1", "localhost:1/a:v1", "names no registry"),
        ("localhost:1/a", "localhost:1/a:v1", "has neither a tag nor a digest"),
        ("localhost:1/a:v1", f"localhost:1/a@sha256:{'0' * 64}", "Give HOST/REPO:TAG."),
        ("localhost:1/a:v1", "localhost:1/a:v1", "cannot be reached"),
    ],
)
def test_wrong_usage(source: str, destination: str, said: str, sidecargo: Runner) -> None:
    ran = sidecargo("promote", source, destination)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and ran.err.count("\n") == 1
    assert said in ran.err


def test_it_must_load_in_the_envoys_that_are_named(distribution: str, sidecargo: Runner) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, image("new", [(OCI_LAYER, layer(("plugin.wasm", pushing.FROM_1_39)))], None))
    note = f"note: {place}:v2 loads, but not in Envoy 1.36, 1.37, 1.38: see --envoy 1.36\n"
    for words in ((), ("--envoy", "1.39"), ("--istio", "1.31"), ("--istio", "1.31", "--envoy", "1.40")):
        ran = sidecargo("promote", f"{place}:v1", f"{place}:v2", *words)
        assert (ran.code, ran.err) == (0, note)
    assert sidecargo("promote", f"{place}:v1", f"{place}:v2", "--istio", "1.30").code == 1
    ran = sidecargo("promote", f"{place}:v1", f"{place}:v2", "--envoy", "1.40", "--envoy", "1.38")
    assert (ran.code, ran.out) == (1, "")
    assert "clock_res_get" in ran.err


def test_what_the_registry_warns_of_is_mended_first(distribution: str, sidecargo: Runner) -> None:
    source = pushing.at(distribution, next(NAMES))
    pushing.push(source, B)
    taken = Said(201, headers={"Warning": '299 - "Envoy 1.36: it does not load."'})
    with scripted(lambda asked: Said(200) if asked.method == "HEAD" else taken) as registry:
        ran = sidecargo("promote", f"{source}:v1", f"{registry.host}/a:v1")
    last = ran.out.splitlines()[-1]
    assert last.startswith("Pin that digest, once what the registry warns of is mended: oci://")


def test_help_has_an_example(sidecargo: Runner) -> None:
    assert "sidecargo promote registry.example.com/dev" in sidecargo("promote", "--help").out
