from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from registry.publish.inspect import CONSUMERS
from registry.releases import NEWEST
from registry.verdict import PLACEHOLDER
from tests.real.process import succeed
from tests.real.tools import require
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout
from tests.registry.commands import PASSWORD, Runner, log_in
from tests.registry.wasm import binary


def test_a_module_that_loads(plugin: Path, sidecargo: Runner) -> None:
    ran = sidecargo("check", plugin)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[0] == [str(plugin)]
    assert [line for line in lines if line[-1] == "loads"] == [
        [consumer, "Envoy", NEWEST, "loads"] for consumer in CONSUMERS
    ]


def test_a_module_that_does_not_load(sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(binary.HEADER)
    ran = sidecargo("check", path)
    assert (ran.code, ran.err) == (1, "")
    assert "problem: " in ran.out
    assert "fix:     " in ran.out
    assert "does not load" in ran.out


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\0asm", b"\0asm\x0d\0\1\0"])
def test_a_file_that_is_no_module_does_not_load(data: bytes, sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    ran = sidecargo("check", path)
    assert (ran.code, ran.err) == (1, "")
    assert "does not load" in ran.out


def test_json_has_what_the_contract_says(plugin: Path, sidecargo: Runner) -> None:
    ran = sidecargo("check", "--json", plugin)
    found = json.loads(ran.out)
    assert (ran.code, found["target"], found["digest"], found["ok"]) == (0, str(plugin), None, True)
    assert found["consumers"]["istio"] == {"ok": True, "envoys": {NEWEST: True}, "problems": []}
    assert found["module"] == {
        "sha256": found["module"]["sha256"],
        "size": plugin.stat().st_size,
        "abi": "0_2_1",
        "sdk": "unknown",
        "imports": [],
        "exports": ["proxy_abi_version_0_2_1", "malloc"],
    }
    assert found["layer"] is None


def test_json_of_what_does_not_load(sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"not wasm")
    ran = sidecargo("check", "--json", path)
    found = json.loads(ran.out)
    assert (ran.code, found["ok"], found["module"]) == (1, False, None)
    (problem, *_) = found["consumers"]["istio"]["problems"]
    assert set(problem) == {"code", "message", "fix"}
    assert all(problem.values())


def test_one_consumer_alone(plugin: Path, sidecargo: Runner, tmp_path: Path) -> None:
    found = json.loads(sidecargo("check", "--json", "--consumer", "envoy", plugin).out)
    assert list(found["consumers"]) == ["envoy"]
    bad = tmp_path / "x.wasm"
    bad.write_bytes(b"not wasm")
    ran = sidecargo("check", "--json", "--consumer", "envoy-gateway", "--consumer", "envoy", bad)
    found = json.loads(ran.out)["consumers"]
    assert (ran.code, list(found)) == (1, ["envoy-gateway", "envoy"])
    assert [one["ok"] for one in found.values()] == [False, False]


def test_releases_that_were_asked_for(plugin: Path, sidecargo: Runner) -> None:
    found = json.loads(sidecargo("check", "--json", plugin, "--envoy", "1.40", "--envoy", "1.36.4").out)
    assert found["consumers"]["envoy"]["envoys"] == {"1.36": True, "1.40": True}
    found = json.loads(sidecargo("check", "--json", plugin, "--istio", "1.31").out)
    assert list(found["consumers"]) == ["istio"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([""], "there is no TARGET to check."),
        (["localhost:99999/a/b:v1"], "there is no file 'localhost:99999/a/b:v1', and as a reference: "),
        ([], "there is no TARGET to check. Name a file, a folder or HOST/REPO:TAG; see --help."),
        (["x.wasm", "--header", "a: b"], "--header says how to run a plugin. Add --run."),
        (["x.wasm", "--timeout", "3"], "--timeout says how to run a plugin. Add --run."),
        (["x.wasm", "--anyway"], "--anyway says how to run a plugin. Add --run."),
        (
            ["x.wasm", "--config", "{}"],
            "--config goes with --run or --stored. Add one of them, or leave it out.",
        ),
        (
            ["x.wasm", "--storage", "."],
            "--storage says where what is stored lies. Add --stored, or leave it out.",
        ),
        (["x.wasm", "--envoy", "2.0"], "'2.0' is no Envoy release that is judged for. Known: 1.36, "),
        (["x.wasm", "--istio", "2.0"], "'2.0' is no Istio release that is judged for. Known: "),
    ],
)
def test_what_makes_no_sense(words: list[str], said: str, sidecargo: Runner) -> None:
    ran = sidecargo("check", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said}")


def test_an_image_in_a_layout(sidecargo: Runner, tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(binary.plugin()))
    index = made.index({"linux/arm64": made.image(images.layer(b"x")), "linux/amd64": image})
    folder = made.names(index).to(tmp_path / "layout")
    ran = sidecargo("check", "--json", folder)
    found = json.loads(ran.out)
    # The child is what is compared, and so what is to be pinned.
    assert (ran.code, found["digest"]) == (0, str(image.digest))
    assert found["layer"]["mediaType"] == images.OCI_LAYER
    assert str(image.digest) in sidecargo("check", folder).out


def test_an_image_that_does_not_load(sidecargo: Runner, tmp_path: Path) -> None:
    made = Layout()
    folder = made.names(made.image(images.layer(b"no module"))).to(tmp_path / "layout")
    ran = sidecargo("check", folder)
    assert (ran.code, ran.err) == (1, "")
    assert "does not load" in ran.out


def test_a_layout_that_lacks_a_layer_cannot_be_read(sidecargo: Runner, tmp_path: Path) -> None:
    made = Layout()
    packed = images.layer(binary.plugin())
    folder = made.names(made.image(packed)).to(tmp_path / "layout")
    (folder / "blobs" / "sha256" / made.blob(packed, "").digest.hex).unlink()
    ran = sidecargo("check", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "No such file" in ran.err


def test_standard_input(plugin: Path, sidecargo: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(plugin.read_bytes())))
    assert sidecargo("check", "-").code == 0


def test_a_saved_image(sidecargo: Runner, tmp_path: Path) -> None:
    entry = [{"Config": "c", "RepoTags": ["a:v1"], "Layers": ["one/layer.tar"]}]
    files = {"manifest.json": json.dumps(entry).encode(), "c": b"{}"}
    path = tmp_path / "save.tar"
    path.write_bytes(images.tar(files | {"one/layer.tar": images.tar({"plugin.wasm": binary.plugin()})}))
    found = json.loads(sidecargo("check", "--json", path).out)
    # The push packs the layer and names it; until then nobody knows its digest.
    assert (found["ok"], found["digest"], found["layer"]) == (True, None, None)


def test_a_fix_can_be_typed(sidecargo: Runner, tmp_path: Path) -> None:
    made = Layout()
    image = made.image(images.layer(binary.plugin()), "application/vnd.oci.image.layer.v1.tar+zstd")
    folder = made.names(image).to(tmp_path / "the layout")
    ran = sidecargo("check", folder)
    assert ran.code == 1
    assert f"sidecargo push '{folder}' {PLACEHOLDER}" in ran.out
    assert "docker save" not in ran.out


def test_what_is_not_there(sidecargo: Runner, tmp_path: Path) -> None:
    ran = sidecargo("check", tmp_path / "none.wasm")
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {tmp_path}/none.wasm: no such file or folder.\n")
    ran = sidecargo("check", "127.0.0.1:1/a:v1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: 127.0.0.1:1 cannot be reached: ")


def test_a_reference_is_read_with_dockers_credentials(
    guarded: str, plugin: Path, sidecargo: Runner, tmp_path: Path
) -> None:
    ran = sidecargo("check", f"{guarded}/acme/plugin:v1")
    assert ran.code == 2
    assert "Log in with docker login." in ran.err
    log_in(tmp_path / "docker", guarded)
    assert sidecargo("push", plugin, f"{guarded}/acme/plugin:v1").code == 0
    ran = sidecargo("check", f"{guarded}/acme/plugin:v1")
    assert (ran.code, ran.err) == (0, "")
    assert PASSWORD not in ran.out


def test_a_fix_names_the_tag_that_was_asked_about(
    distribution: str, sidecargo: Runner, tmp_path: Path
) -> None:
    made = Layout()
    child = made.image(images.layer(binary.plugin()))
    folder = made.names(made.index({"linux/arm64": child})).to(tmp_path / "layout")
    reference = f"{distribution}/acme/plugin:arm"
    succeed(require("crane"), "push", "--insecure", folder, reference)
    ran = sidecargo("check", reference)
    assert (ran.code, ran.err) == (1, "")
    fixes = [line for line in ran.out.splitlines() if line.startswith("    fix: ")]
    assert any(reference in fix for fix in fixes), fixes
    assert PLACEHOLDER not in ran.out
