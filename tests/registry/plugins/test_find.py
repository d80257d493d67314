import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.sidecargo import Sidecargo
from tests.registry.consumers.build import PLUGIN, Shape, index
from tests.registry.consumers.shapes import AMD64, ATTESTATION, BAD, UNKNOWN, B
from tests.registry.talk import MISSING, Registry, fresh

BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)


@pytest.mark.parametrize("end", ["", "/plugin.wasm"])
@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
def test_by_tag_and_by_digest_the_same_is_found(registry: Registry, shape: Shape, end: str) -> None:
    registry.push(shape)
    by_tag = registry.get(f"/plugins/{registry.name}:v1{end}")
    by_digest = registry.get(f"/plugins/{registry.name}@{shape.digest}{end}")
    assert by_tag.status == by_digest.status == 200
    assert registry.get(f"/plugins/{registry.name}@{shape.digest.replace(':', '%3A')}{end}").status == 200
    if not end:
        assert by_tag.json["digest"] == by_digest.json["digest"] == shape.digest


@pytest.mark.parametrize("end", ["", "/plugin.wasm"])
def test_a_child_of_an_index_is_found_by_its_digest(registry: Registry, end: str) -> None:
    registry.push(BUILDX)
    assert registry.get(f"/plugins/{registry.name}@{B.digest}{end}").status == 200
    answer = registry.get(f"/plugins/{registry.name}@{ATTESTATION.digest}{end}")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert "no plugin" in answer.error["message"]


@pytest.mark.parametrize("reference", [":v2", f"@{MISSING}"])
def test_what_is_not_here(registry: Registry, reference: str) -> None:
    registry.push(B)
    answer = registry.get(f"/plugins/{registry.name}{reference}")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert registry.name in answer.error["message"]


@pytest.mark.parametrize("end", ["plugin.wasm", "wasmplugin.yaml", "envoy.yaml"])
def test_what_was_refused_is_told_to_ask_why(registry: Registry, end: str) -> None:
    registry.push(BAD)
    for reference in (":v1", f"@{BAD.digest}"):
        answer = registry.get(f"/plugins/{registry.name}{reference}/{end}")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
        why = f"Its last push was refused: sidecargo why {registry.host}/{registry.name}{reference}"
        assert answer.error["message"].endswith(why)
    registry.content(BAD)
    registry.put(BAD.digest, BAD.body)
    said = registry.get(f"/plugins/{registry.name}:v2/{end}").error["message"]
    assert said.endswith(f"A push by digest was refused: sidecargo why {registry.host}/{registry.name}:v2")
    registry.push(B)
    assert registry.get(f"/plugins/{registry.name}:v1/{end}").status == 200


def test_what_was_deleted(registry: Registry) -> None:
    registry.push(B)
    registry.ask("DELETE", f"{registry.base}/manifests/{B.digest}")
    for reference in (":v1", f"@{B.digest}"):
        assert registry.get(f"/plugins/{registry.name}{reference}").status == 404


@pytest.mark.parametrize("end", ["", "/plugin.wasm"])
@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
def test_what_was_found_by_other_rules_is_found_anew(
    registry: Registry, store: Path, shape: Shape, end: str
) -> None:
    """After an upgrade what is stored still answers, and a herd that asks for it is served."""
    registry.push(shape)
    path = f"/plugins/{registry.name}:v1{end}"
    before = registry.get(path)
    record = store / "repositories" / registry.name / "_derived" / "sha256" / shape.digest[7:]
    good = record.read_bytes()
    for harm in (json.dumps(json.loads(good) | {"rules": -1}).encode(), b"", b"{", b"[]", good[:-9], None):
        if harm is None:
            record.unlink()
        else:
            record.write_bytes(harm)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: registry.get(f"{path}?slow"), range(16)))
        assert [answer.timeless for answer in answers] == [before.timeless] * 16, harm
        assert record.read_bytes() == good


def test_what_is_sparse_is_found_when_its_parts_are_here(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn, sparse: true}\n")
    registry = fresh(serve(settings=settings).host)
    assert registry.put("v1", B.body).status == 201
    path = f"/plugins/{registry.name}:v1/plugin.wasm"
    assert "parts of it are not here" in registry.get(path).error["message"]
    registry.content(B)
    assert registry.get(path).body == PLUGIN
