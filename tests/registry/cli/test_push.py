from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.artifacts.packed import zstd
from storage.digest import Digest
from tests.real.process import environment, succeed
from tests.real.tools import require
from tests.real.web import get
from tests.registry.artifacts import images
from tests.registry.artifacts.images import Layout
from tests.registry.client.scripted import Asked, Said, scripted
from tests.registry.commands import Runner
from tests.registry.wasm import binary


def _digest(out: str) -> str:
    (line,) = [line for line in out.splitlines() if line.startswith("digest ")]
    return line.removeprefix("digest ")


def test_a_module_becomes_an_image_that_others_read(
    distribution: str, plugin: Path, sidecargo: Runner, tmp_path: Path
) -> None:
    reference = f"{distribution}/acme/one:v1"
    ran = sidecargo("push", plugin, reference)
    assert (ran.code, ran.err) == (0, "")
    digest = _digest(ran.out)
    assert f"oci://{distribution}/acme/one@{digest}" in ran.out
    crane = require("crane")
    env = environment(DOCKER_CONFIG=str(tmp_path))
    assert succeed(crane, "digest", "--insecure", reference, env=env).out.strip() == digest
    succeed(crane, "export", "--insecure", reference, tmp_path / "image.tar", env=env)
    succeed("tar", "-xf", tmp_path / "image.tar", "-C", tmp_path, "plugin.wasm", "--transform", "s/^/got-/")
    assert (tmp_path / "got-plugin.wasm").read_bytes() == plugin.read_bytes()
    succeed(crane, "validate", "--insecure", "--remote", reference, env=env)


def test_the_same_plugin_has_the_same_digest_whatever_it_came_in(
    distribution: str, plugin: Path, sidecargo: Runner, tmp_path: Path
) -> None:
    made = Layout()
    module = plugin.read_bytes()
    made.names(made.index({"linux/arm64": made.image(images.layer(module))})).to(tmp_path / "layout")
    entry = [{"Config": "c", "RepoTags": ["a:v1"], "Layers": ["l"]}]
    saved = {"manifest.json": json.dumps(entry).encode(), "c": b"{}"}
    saved["l"] = images.tar({"plugin.wasm": module})
    (tmp_path / "save.tar").write_bytes(images.tar(saved))
    (tmp_path / "plugin.wasm.zst").write_bytes(zstd.compress(module))
    first = f"{distribution}/acme/two:first"
    targets = [plugin, tmp_path / "layout", tmp_path / "save.tar", tmp_path / "plugin.wasm.zst", first]
    found = {}
    for number, target in enumerate(targets):
        to = first if number == 0 else f"{distribution}/acme/two:v{number}"
        ran = sidecargo("push", "--json", target, to)
        assert ran.code == 0, ran.err
        found[to] = json.loads(ran.out)["digest"]
    assert len(set(found.values())) == 1, found
    assert len(found) == len(targets)


@pytest.mark.parametrize("index", [False, True], ids=["image", "index"])
def test_what_loads_as_it_is_keeps_its_digest(
    index: bool, distribution: str, plugin: Path, sidecargo: Runner, tmp_path: Path
) -> None:
    made = Layout()
    image = made.image(images.layer(plugin.read_bytes()))
    other = made.image(images.layer(b"another"))
    made.names(made.index({"linux/arm64": other, "linux/amd64": image}) if index else image)
    ran = sidecargo("push", made.to(tmp_path / "layout"), f"{distribution}/acme/kept-{index}:v1".lower())
    assert (ran.code, ran.err) == (0, "")
    assert _digest(ran.out) == str(image.digest)
    what = "the image for linux/amd64" if index else "the image"
    assert ran.out.startswith(f"copied {what}: it loads as it is\npushed ")
    again = sidecargo("push", f"{distribution}/acme/kept-{index}:v1".lower(), f"{distribution}/acme/on:v1")
    assert _digest(again.out) == str(image.digest)
    anew = sidecargo("push", "--file=plugin.wasm", tmp_path / "layout", f"{distribution}/acme/anew:v1")
    assert anew.out.startswith("took plugin.wasm from layer 1 of 1 (gzip)")
    assert _digest(anew.out) != str(image.digest)


def test_a_component_is_refused_with_what_to_do(distribution: str, sidecargo: Runner, tmp_path: Path) -> None:
    made = Layout()
    component = b"\0asm\x0d\0\x01\0"
    folder = made.names(made.image(component, "application/wasm")).to(tmp_path / "layout")
    ran = sidecargo("push", folder, f"{distribution}/acme/component:v1")
    assert (ran.code, ran.out) == (1, "")
    assert "it is a Wasm component" in ran.err
    assert "Build a core module" in ran.err


def test_what_does_not_load_is_not_pushed(distribution: str, sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(binary.HEADER)
    ran = sidecargo("push", path, f"{distribution}/acme/three:v1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {path} does not load: ")
    assert get(f"http://{distribution}/v2/acme/three/manifests/v1").status == 404


@pytest.mark.parametrize(
    ("target", "destination", "said"),
    [
        ("none.wasm", "localhost:1/a:v1", "none.wasm: no such file or folder"),
        ("plugin.wasm", "acme/plugin:v1", "names no registry"),
        ("plugin.wasm", f"localhost:1/a@sha256:{'0' * 64}", "Push to HOST/REPO:TAG"),
    ],
)
def test_wrong_usage(
    target: str, destination: str, said: str, plugin: Path, sidecargo: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plugin.parent)
    ran = sidecargo("push", target, destination)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("target", ["plugin", "reference"])
def test_a_registry_that_says_no(target: str, plugin: Path, sidecargo: Runner) -> None:
    def script(asked: Asked) -> Said:
        if asked.method == "HEAD":
            return Said(200)
        message = "does not load.\x1b[2J Do this." if asked.method == "PUT" else "not here"
        return Said(400, json.dumps({"errors": [{"code": "MANIFEST_INVALID", "message": message}]}).encode())

    with scripted(script) as registry:
        source = plugin if target == "plugin" else f"{registry.host}/b:v1"
        ran = sidecargo("push", source, f"{registry.host}/a:v1")
    if target == "plugin":
        said = f"error: {registry.host}/a:v1 is refused: 400 MANIFEST_INVALID: does not load.?[2J Do this.\n"
        assert (ran.code, ran.out, ran.err) == (1, "", said)
    else:
        said = f"error: {registry.host}/b:v1: 400 MANIFEST_INVALID: not here\n"
        assert (ran.code, ran.out, ran.err) == (2, "", said)


def test_warnings_of_the_registry_are_shown(plugin: Path, sidecargo: Runner) -> None:
    def script(asked: Asked) -> Said:
        return Said(200) if asked.method == "HEAD" else Said(201, headers={"Warning": '299 - "not signed"'})

    with scripted(script) as registry:
        ran = sidecargo("push", plugin, f"{registry.host}/a:v1")
        document = json.loads(sidecargo("push", "--json", plugin, f"{registry.host}/a:v1").out)
    assert (ran.code, ran.err) == (0, 'warning: 299 - "not signed"\n')
    assert "Pin that digest, once what the registry warns of is mended:\n" in ran.out
    digest = _digest(ran.out)
    assert document == {
        "reference": f"{registry.host}/a:v1",
        "digest": digest,
        "pin": f"{registry.host}/a@{digest}",
        "module": {"sha256": Digest.of(plugin.read_bytes()).hex},
        "did": document["did"],
        "warnings": ['299 - "not signed"'],
    }


def test_a_copy_names_its_module_too(
    distribution: str, plugin: Path, sidecargo: Runner, tmp_path: Path
) -> None:
    made = Layout()
    folder = made.names(made.image(images.layer(plugin.read_bytes()))).to(tmp_path / "layout")
    found = json.loads(sidecargo("push", "--json", folder, f"{distribution}/acme/module:v1").out)
    assert found["did"].startswith("copied ")
    assert found["module"] == {"sha256": Digest.of(plugin.read_bytes()).hex}
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"hello, world", "it is no Wasm module: it does not begin with \\0asm, it is something that begins"),
        (b"<html>", "it is no Wasm module: it does not begin with \\0asm, it is an HTML page."),
        (b"", "the module is empty: 0 bytes."),
        (b"\0as", "the module is cut short: 3 bytes."),
    ],
    ids=["text", "a page", "nothing", "cut"],
)
def test_a_file_that_is_no_module(data: bytes, said: str, sidecargo: Runner, tmp_path: Path) -> None:
    path = tmp_path / "text.wasm"
    path.write_bytes(data)
    ran = sidecargo("push", path, "localhost:1/a:v1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {path}: {said}")
    assert said in sidecargo("check", path).out
