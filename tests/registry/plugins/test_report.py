from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from registry.publish.inspect import CONSUMERS
from registry.releases import ENVOYS, NEWEST
from storage.manifest import OCI_INDEX
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, index, layer, sha256
from tests.registry.consumers.shapes import AMD64, ARM64, ATTESTATION, BAD, HOSTILE, UNKNOWN, A, B
from tests.registry.talk import MISSING, Registry, fresh
from tests.registry.wasm import binary
from tests.registry.wasm.binary import custom

OTHER = image("other", [(OCI_LAYER, layer(("plugin.wasm", PLUGIN + custom("x"))))], None)
BUILDX = index("buildx", [(OTHER, ARM64), (B, AMD64), (ATTESTATION, UNKNOWN)], None)
SHA256 = hashlib.sha256(PLUGIN).hexdigest()
HTML = {"Accept": "text/html"}


def warning(serve: Callable[..., Sidecargo], tmp_path: Path) -> Registry:
    """A registry that only warns."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn}\n")
    return fresh(serve(settings=settings).host)


def report(registry: Registry, reference: str = ":v1") -> Any:
    answer = registry.get(f"/plugins/{registry.name}{reference}")
    assert answer.status == 200, answer
    return answer.json


def aged(store: Path, registry: Registry, seconds: float) -> None:
    """Make all refusals of the repository older than they are."""
    for path in (store / "refusals" / registry.name.replace("/", ".")).iterdir():
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


@pytest.mark.parametrize(
    ("shape", "pin"),
    [pytest.param(shape, pin, id=shape.name) for shape, pin in ((A, A), (B, B), (BUILDX, B))],
)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_what_loads(registry: Registry, shape: Shape, pin: Shape, by: str) -> None:
    registry.push(shape)
    reference = ":v1" if by == "tag" else f"@{shape.digest}"
    answer = registry.get(f"/plugins/{registry.name}{reference}")
    assert (answer.status, answer["content-type"], answer["vary"]) == (200, "application/json", "Accept")
    found = answer.json
    assert (found["repository"], found["reference"]) == (registry.name, reference[1:])
    assert (found["state"], found["digest"], found["ok"]) == ("accepted", shape.digest, True)
    assert found["media_type"] == shape.media_type
    assert found["policy"] == {"mode": "enforce", "consumers": [*CONSUMERS], "envoys": [NEWEST]}
    assert list(found["consumers"]) == [*CONSUMERS]
    for verdict in found["consumers"].values():
        assert verdict == {"ok": True, "envoys": dict.fromkeys(ENVOYS, True), "problems": []}
    module = found["module"]
    assert (module["sha256"], module["size"], module["abi"]) == (SHA256, len(PLUGIN), "0_2_1")
    # Of an index, agents compare the child's digest: that is what to pin.
    never = shape.digest if shape is BUILDX else None
    assert found["pin"] == {"oci": pin.digest, "http": SHA256, "never": never}
    got = registry.get(module["path"])
    assert hashlib.sha256(got.body).hexdigest() == SHA256
    assert "immutable" in got["cache-control"]
    packed = pin.manifest["layers"][0]
    assert found["image"] == {
        "digest": pin.digest,
        "layers": [
            {
                "media_type": packed["mediaType"],
                "size": packed["size"],
                "digest": packed["digest"],
                "plugin": True,
            }
        ],
    }
    assert found["last_refused"] is None


def test_which_layer_holds_the_plugin(registry: Registry) -> None:
    shape = image(
        "two", [(OCI_LAYER, layer(("readme", b"x"))), (OCI_LAYER, layer(("plugin.wasm", PLUGIN)))], None
    )
    registry.push(shape)
    assert [row["plugin"] for row in report(registry)["image"]["layers"]] == [False, True]


def test_what_to_apply_is_linked_and_pinned(registry: Registry) -> None:
    registry.push(BUILDX)
    links = report(registry)["links"]
    assert list(links) == ["wasmplugin", "trafficextension", "envoyextensionpolicy", "envoy"]
    for path in links.values():
        answer = registry.get(path)
        assert answer.status == 200, answer
        assert BUILDX.digest not in answer.body.decode()


@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
def test_what_loads_is_signed(registry: Registry, shape: Shape) -> None:
    registry.push(shape)
    signature = report(registry)["signature"]
    assert (signature["signed"], signature["others"], signature["why_not"]) == (True, 0, None)
    assert re.fullmatch("[0-9a-f]{64}", signature["key"])
    assert signature["tag"] == f"{shape.digest.replace(':', '-')}.sig"


def test_what_does_not_load_says_why(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = warning(serve, tmp_path)
    registry.push(BAD)
    found = report(registry)
    assert (found["state"], found["ok"], found["module"], found["pin"]["http"]) == (
        "accepted",
        False,
        None,
        None,
    )
    assert found["policy"]["mode"] == "warn"
    assert found["links"] == {}
    verdict = found["consumers"]["istio"]
    assert (verdict["ok"], verdict["envoys"]) == (False, dict.fromkeys(ENVOYS, False))
    (problem,) = verdict["problems"]
    assert set(problem) == {"code", "message", "fix"}
    assert problem["code"] == "no-plugin-wasm"
    assert [row["plugin"] for row in found["image"]["layers"]] == [False]
    answer = registry.get(f"/plugins/{registry.name}:v1/plugin.wasm")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert problem["message"] in answer.error["message"] and problem["fix"] in answer.error["message"]
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
    assert "Does not load." in page
    no_abi = image("no ABI", [(OCI_LAYER, layer(("plugin.wasm", b"\0asm\x01\0\0\0")))], None)
    registry.push(no_abi)
    found = report(registry)
    assert not found["ok"]
    assert found["module"]["abi"] == ""
    assert found["signature"]["signed"] is False
    assert "does not load" in found["signature"]["why_not"]
    # Nothing is signed that does not load.
    assert not [tag for tag in registry.get(f"{registry.base}/tags/list").json["tags"] if tag != "v1"]


def test_what_was_refused_is_told_where_nothing_is_stored(registry: Registry) -> None:
    refused = registry.push(BAD)
    assert refused.status == 400
    for reference in (":v1", f"@{BAD.digest}"):
        found = report(registry, reference)
        assert (found["state"], found["ok"], found["digest"]) == ("refused", False, BAD.digest)
        assert found["reference"] == reference[1:]
        last = found["last_refused"]
        assert (last["reference"], last["digest"]) == ("v1", BAD.digest)
        assert (last["is_last"], last["direct"], last["warned"]) == (True, True, False)
        assert (last["code"], last["message"]) == (refused.code, refused.error["message"])
        assert last["problems"] == refused.error["detail"]
        age = datetime.now(UTC) - datetime.fromisoformat(last["at"].replace("Z", "+00:00"))
        assert -5 < age.total_seconds() < 60
        page = registry.get(f"/plugins/{registry.name}{reference}", HTML)
        assert page.status == 200
        assert "refused" in page.body.decode()
    # It is nowhere else.
    assert registry.get(f"{registry.base}/tags/list").status == 404
    assert registry.get(f"{registry.base}/manifests/v1").status == 404
    assert registry.get(f"/plugins/{registry.name}").status == 404
    assert registry.name not in registry.get("/v2/_catalog").json["repositories"]
    assert registry.get(f"/plugins/{registry.name}:v1/plugin.wasm").status == 404


def test_both_kinds_of_report_have_the_same_names(registry: Registry) -> None:
    registry.push(BAD, "bad")
    registry.push(B)
    good, bad = report(registry), report(registry, ":bad")
    assert list(good) and set(good) == set(bad)
    page = (ROOT / "docs" / "report.md").read_text()
    for name in set(good) | set(good["module"]) | set(bad["last_refused"]) | set(good["signature"]):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no JSON", "MANIFEST_INVALID"),
        (B.body, "MANIFEST_BLOB_UNKNOWN"),
        (json.dumps({"schemaVersion": 2, "layers": 7}).encode(), "MANIFEST_INVALID"),
    ],
    ids=["no JSON", "missing blobs", "no manifest"],
)
def test_what_is_no_manifest_is_told_too(registry: Registry, body: bytes, code: str) -> None:
    refused = registry.put("v1", body)
    assert refused.code == code
    for reference in (":v1", f"@{sha256(body)}"):
        last = report(registry, reference)["last_refused"]
        assert (last["code"], last["message"]) == (code, refused.error["message"])


def test_beside_what_is_stored_the_refusal_is_told(registry: Registry, store: Path) -> None:
    registry.push(B)
    assert report(registry)["last_refused"] is None
    registry.push(BAD)
    found = report(registry)
    assert (found["state"], found["digest"], found["ok"]) == ("accepted", B.digest, True)
    assert (found["last_refused"]["digest"], found["last_refused"]["is_last"]) == (BAD.digest, True)
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
    assert "The last push was refused" in page
    registry.put("v1", B.body)
    aged(store, registry, 5)
    assert report(registry)["last_refused"]["is_last"] is False
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
    assert "An earlier push was refused" in page


def test_an_image_of_an_index_is_the_reason_where_the_tag_never_came(registry: Registry, store: Path) -> None:
    """As containerd and BuildKit push: children by digest; when one is refused, no tag is tried."""
    registry.push(B)
    registry.content(BAD)
    assert registry.put(BAD.digest, BAD.body).status == 400
    for tag, state in (("v2", "refused"), ("v1", "accepted")):
        found = report(registry, f":{tag}")
        last = found["last_refused"]
        assert (found["state"], last["reference"]) == (state, BAD.digest)
        assert (last["is_last"], last["direct"]) == (True, False)
        assert last["problems"][0]["code"] == "no-plugin-wasm"
    # What came before the tag belongs to another push.
    aged(store, registry, 3600)
    assert report(registry)["last_refused"] is None
    # A client that goes on with its index is told the reason, too.
    broken = index("broken", [(BAD, AMD64)], None)
    answer = registry.put("v3", broken.body, OCI_INDEX)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert answer.error["message"] == last["message"]
    assert answer.error["detail"] == [{"digest": BAD.digest}]
    last = report(registry, ":v3")["last_refused"]
    assert [problem["code"] for problem in last["problems"]] == ["no-plugin-wasm", "manifest-blob-unknown"]


def test_what_was_warned_of_is_told(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = warning(serve, tmp_path)
    taken = registry.push(BAD)
    assert taken.status == 201
    last = report(registry)["last_refused"]
    assert (last["warned"], last["is_last"], last["code"]) == (True, True, None)
    assert last["message"] in taken["warning"]
    (problem,) = last["problems"]
    assert problem["code"] == "no-plugin-wasm" and problem["fix"]
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
    assert "taken with a warning" in page
    assert page.partition('id="refused"')[2].count("Fix: <code>") == 1


def test_all_that_was_warned_of_is_told_with_its_releases(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    """More problems than one, each with its own fix, and the releases that have it."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn, envoy: ['1.36', '1.40']}\n")
    registry = fresh(serve(settings=settings).host)
    imported = [
        binary.function("wasi_snapshot_preview1", "fd_sync", 1),
        binary.function("env", "no_such", 0),
    ]
    data = binary.plugin(imported=imported)
    registry.push(image("two", [(OCI_LAYER, layer(("plugin.wasm", data)))], None))
    problems = report(registry)["last_refused"]["problems"]
    assert len(problems) == 2 and all(problem["fix"] and problem["code"] for problem in problems)
    assert ["1.36", "1.37", "1.38"] in [problem.get("envoys") for problem in problems]
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode().partition('id="refused"')[2]
    assert page.count("Fix: <code>") == 2
    assert page.count("In Envoy 1.36, 1.37, 1.38 only.") == 1


ARM_ONLY = index("arm only", [(OTHER, ARM64)], None)


def test_an_index_is_never_what_to_pin(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = warning(serve, tmp_path)
    assert registry.push(ARM_ONLY).status == 201
    found = report(registry)
    assert (found["ok"], found["digest"], found["image"]) == (False, ARM_ONLY.digest, None)
    assert found["pin"] == {"oci": None, "http": None, "never": ARM_ONLY.digest}
    assert found["links"] == {}
    page = registry.get(f"/plugins/{registry.name}:v1", HTML)
    assert page.status == 200
    assert "What to pin" not in page.body.decode()
    assert f"oci://{registry.host}" not in page.body.decode()


def test_only_what_loads_is_to_be_pinned(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = warning(serve, tmp_path)
    (some,) = (shape for shape in HOSTILE if shape.name == "a link of less than nothing")
    for shape, rows in (
        (B, ("WasmPlugin <code>", "<code>image.sha256", "By URL")),
        (some, ("<code>image.sha256", "By URL")),  # Istio alone does not load it
        (BAD, ()),
    ):
        registry.push(shape)
        page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
        assert ("What to pin" in page) is bool(rows), shape
        for row in ("WasmPlugin <code>", "<code>image.sha256", "By URL"):
            assert (row in page) is (row in rows), (shape, row)


@pytest.mark.parametrize(
    ("admission", "options"),
    [
        ("{}", ""),
        ("{envoy: ['1.36', '1.40']}", " --envoy 1.36 --envoy 1.40"),
        ("{consumers: [envoy, istio]}", " --consumer envoy --consumer istio"),
        ("{envoy: ['1.39'], consumers: [istio]}", " --envoy 1.39 --consumer istio"),
        ("{consumers: [envoy-gateway, envoy, istio], envoy: ['1.40']}", ""),
    ],
)
def test_to_look_at_it_asks_as_the_repository_does(
    serve: Callable[..., Sidecargo], tmp_path: Path, admission: str, options: str
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"admission: {admission}\n")
    registry = fresh(serve(settings=settings).host)
    assert registry.push(BAD).status == 400
    page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
    assert f"docker save IMAGE | sidecargo check{options} -<" in page
    assert report(registry)["policy"]["mode"] == "enforce"


def test_a_warning_is_no_report_where_nothing_is_stored(
    serve: Callable[..., Sidecargo], tmp_path: Path
) -> None:
    registry = warning(serve, tmp_path)
    registry.push(BAD)
    assert registry.ask("DELETE", f"{registry.base}/manifests/v1").status == 202
    assert registry.get(f"/plugins/{registry.name}:v1").code == "MANIFEST_UNKNOWN"


def test_what_some_releases_load(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    """A function that Envoy has since 1.39: fine where 1.40 is asked for, nowhere to be applied for 1.36."""
    data = binary.plugin(imported=[binary.function("wasi_snapshot_preview1", "fd_sync", 1)])
    shape = image("fd_sync", [(OCI_LAYER, layer(("plugin.wasm", data)))], None)
    settings = tmp_path / "settings.yaml"
    settings.write_text("admission: {mode: warn, rules: [{repositories: 't/*', envoy: ['1.36', '1.40']}]}\n")
    host = serve(settings=settings).host
    for registry, ok in ((Registry(host, "new/plugin"), True), (Registry(host, "t/plugin"), False)):
        registry.push(shape)
        found = report(registry)
        assert found["ok"] is ok
        assert found["signature"]["signed"] is ok
        assert bool(found["links"]) is ok
        for verdict in found["consumers"].values():
            assert verdict["ok"] is ok
            assert [release for release, loads in verdict["envoys"].items() if not loads] == [
                "1.36",
                "1.37",
                "1.38",
            ]
            assert verdict["problems"][0]["envoys"] == ["1.36", "1.37", "1.38"]
        page = registry.get(f"/plugins/{registry.name}:v1", HTML).body.decode()
        assert "In Envoy 1.36, 1.37, 1.38 only." in page
        assert page.count(">fails<") == 3 * len(CONSUMERS)


def test_a_fix_names_the_image(serve: Callable[..., Sidecargo], tmp_path: Path) -> None:
    registry = warning(serve, tmp_path)
    lying = image("raw", [(OCI_LAYER, PLUGIN)], "-")
    taken = registry.push(lying)
    named = f"{registry.host}/{registry.name}"
    for reference, tag in ((":v1", "v1"), (f"@{lying.digest}", "TAG")):
        (problem,) = report(registry, reference)["consumers"]["istio"]["problems"]
        assert problem["fix"].endswith(f" {named}:{tag}"), problem
    assert f" {named}:v1" in taken["warning"]


def test_another_repository_shows_nothing_of_it(registry: Registry) -> None:
    registry.push(BAD)
    registry.content(BAD)
    registry.put(BAD.digest, BAD.body)
    for name in (registry.other().name, "t", f"{registry.name}/x", registry.name.replace("/", "-")):
        for reference in (":v1", f"@{BAD.digest}"):
            assert registry.get(f"/plugins/{name}{reference}").status == 404


@pytest.mark.parametrize("reference", [":v2", f"@{MISSING}"])
def test_nothing_is_known(registry: Registry, reference: str) -> None:
    registry.push(B)
    registry.push(BAD)
    assert registry.get(f"/plugins/{registry.name}{reference}").code == "MANIFEST_UNKNOWN"


def test_a_store_that_cannot_keep_refusals_refuses_all_the_same(registry: Registry, store: Path) -> None:
    folder = store / "refusals"
    held = folder.with_name("held")
    there = folder.exists()
    if there:
        folder.rename(held)
    folder.write_bytes(b"no folder")
    try:
        refused = registry.push(BAD)
        assert (refused.status, refused.code) == (400, "MANIFEST_INVALID")
        assert registry.get(f"/plugins/{registry.name}:v1").status in (404, 503)
        assert registry.push(B).status == 201
        assert registry.get(f"/plugins/{registry.name}:v1").status == 200
    finally:
        folder.unlink()
        if there:
            held.rename(folder)
