"""The plugins that whole meshes are shown, pushed to a real server by real clients, and the YAML to apply.

What the gate refuses is pushed twice: where the gate is, and where it is off, to see what would become of it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.real import images, sidecargo
from tests.real.dockerd import Docker
from tests.real.process import Finished, environment, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import ROOT, require
from tests.registry.wasm import plugins as wasm

GOOD = "FROM scratch\nCOPY main.wasm ./plugin.wasm\n"
WITHOUT_PLUGIN = "FROM scratch\nCOPY main.wasm ./main.wasm\n"

_MARKS = """
(data (i32.const 16) "x-custom-headercustom-value")
(func (export "proxy_on_context_create") (param i32 i32))
(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
  (drop (call $add (i32.const 2) (i32.const 16) (i32.const 15) (i32.const 31) (i32.const 12)))
  (i32.const 0))
"""
_ADD = '(import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))'

_UNCHECKED = 'admission: {rules: [{repositories: "unchecked/**", mode: "off"}]}\n'


@dataclass(frozen=True, slots=True)
class Plugin:
    """A pushed image: what a person calls it, what its tag names and the manifest to pin, both sha256:…"""

    reference: str
    named: str
    pin: str

    @property
    def repository(self) -> str:
        return self.reference.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Published:
    """The server and what is on it: what loads, and by a name of its own what the gate refuses."""

    server: Sidecargo
    good: Mapping[str, Plugin]
    refused: Mapping[str, Plugin]


def publish(folder: Path, docker: Docker) -> Published:
    """Start a server in `folder` and push; the one who calls stops the server.

    `good` has an image by `docker` and an `index` as buildx pushes it; `refused` an image `without-plugin`,
    a module `without-abi`, which Envoy does not load, and one with an `imported-tag`, which it does not
    survive.
    """
    settings = folder / "settings.yaml"
    settings.write_text(_UNCHECKED)
    server = sidecargo.start(folder, settings=settings)
    try:
        pushing = _Pushing(folder, docker, server.host)
        good = {"docker": pushing.accepted("acme/by-docker", GOOD), "index": pushing.index("acme/by-buildx")}
        abi, tag = wasm.plugin(abi=""), wasm.plugin(imports='(import "env" "error" (tag (param i32)))')
        refused = {
            "without-plugin": pushing.refused("without-plugin", WITHOUT_PLUGIN),
            "without-abi": pushing.refused("without-abi", GOOD, abi),
            "imported-tag": pushing.refused("imported-tag", GOOD, tag),
        }
        return Published(server, good, refused)
    except BaseException:
        server.stop()
        raise


def marking() -> bytes:
    """A module that does what the plugin of `plugin/main.go` does, and that an Envoy compiles at once."""
    return wasm.plugin(_MARKS, imports=_ADD)


def printed(kind: str, plugin: Plugin, *flags: str) -> str:
    """What `sidecargo yaml KIND REF FLAGS` prints."""
    command = [sys.executable, "-m", "registry", "yaml", kind, plugin.reference, *flags]
    return succeed(*command, env=environment(PYTHONPATH=str(ROOT))).out


def with_pin(document: str, plugin: Plugin, pin: str) -> str:
    """What is printed for a plugin, with another digest to compare."""
    return _exchanged(document, plugin.pin.removeprefix("sha256:"), pin.removeprefix("sha256:"))


def with_plugin(document: str, plugin: Plugin, other: Plugin) -> str:
    """What is printed for a plugin, with another plugin: for one that does not load, nothing is printed."""
    return with_pin(_exchanged(document, plugin.repository, other.repository), plugin, other.pin)


def _exchanged(document: str, before: str, after: str) -> str:
    assert before in document, f"{before} is not in\n{document}"
    return document.replace(before, after)


@dataclass(frozen=True, slots=True)
class _Pushing:
    """`docker build` and `docker push`, and crane for what docker cannot make."""

    folder: Path
    docker: Docker
    host: str

    def accepted(self, repository: str, dockerfile: str, module: bytes | None = None) -> Plugin:
        done = self._push(repository, dockerfile, module)
        digest = re.search(r"digest: (sha256:[0-9a-f]{64})", done.out)
        assert done.code == 0 and digest, done.said
        return Plugin(f"{self.host}/{repository}:v1", digest.group(1), digest.group(1))

    def refused(self, name: str, dockerfile: str, module: bytes | None = None) -> Plugin:
        done = self._push(f"acme/{name}", dockerfile, module)
        assert done.code != 0, f"the gate lets {name} pass: {done.said}"
        return self.accepted(f"unchecked/{name}", dockerfile, module)

    def index(self, repository: str) -> Plugin:
        reference = f"{self.host}/{repository}:v1"
        packed = images.layer("plugin.wasm", marking())
        index, image = images.index_layout(self.folder / "index", packed)
        succeed(require("crane"), "push", self.folder / "index", reference)
        assert succeed(require("crane"), "digest", reference).out.strip() == index
        return Plugin(reference, index, image)

    def _push(self, repository: str, dockerfile: str, module: bytes | None) -> Finished:
        context = self.folder / repository.replace("/", "-")
        context.mkdir()
        if module is None:
            shutil.copy(require("plugin"), context / "main.wasm")
        else:
            (context / "main.wasm").write_bytes(module)
        (context / "Dockerfile").write_text(dockerfile)
        image = f"{self.host}/{repository}:v1"
        self.docker.succeed("build", "--tag", image, context)
        return self.docker("push", image)
