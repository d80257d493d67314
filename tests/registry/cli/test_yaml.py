from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from registry.apply import reading, resources
from registry.apply.options import KINDS, OPTIONS
from registry.apply.pin import Pin
from registry.client.copying import Place
from registry.client.remote import Remote
from storage.digest import Digest
from tests.real import sidecargo as servers
from tests.real.web import get
from tests.registry.apply import cases
from tests.registry.apply.cases import Asked
from tests.registry.cli.test_promote import BUILDX, NO_ABI
from tests.registry.client import pushing
from tests.registry.commands import Runner, log_in
from tests.registry.consumers.build import OCI_LAYER, PLUGIN, Shape, image, layer
from tests.registry.consumers.shapes import B

NAMES = (f"yaml/{number}" for number in itertools.count())
KUBERNETES = [kind for kind in KINDS if kind != "envoy"]


@pytest.fixture(name="ours", scope="module")
def _ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of a server of ours."""
    server = servers.start(tmp_path_factory.mktemp("ours"))
    yield server.host
    server.stop()


@pytest.mark.parametrize("shape", [B, BUILDX], ids=str)
@pytest.mark.parametrize("kind", KUBERNETES)
def test_a_plugin_in_any_registry(kind: str, shape: Shape, distribution: str, sidecargo: Runner) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, shape)
    for reference, tag in ((f"{place}:v1", "v1"), (f"{place}@{shape.digest}", "")):
        ran = sidecargo("yaml", kind, reference)
        pin = Pin(distribution, place.repository, Digest.parse(B.digest), Digest.of(PLUGIN), "http", tag)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == resources.render(kind, pin, reading.read(kind, {}))


@pytest.mark.parametrize(("kind", "asked"), cases.params())
def test_every_option(kind: str, asked: Asked, ours: str, sidecargo: Runner, tmp_path: Path) -> None:
    place = pushing.at(ours, "yaml/options")
    pushing.push(place, B)
    words: list[str] = []
    for name, texts in asked.items():
        for text in texts:
            value = text
            if name == "plugin-config":
                value = str(tmp_path / "config")
                Path(value).write_text(text)
                if kind == "envoy" and text.startswith('"'):
                    Path(value).write_bytes(json.loads(text).encode())
            words.append(f"--{name}={value}")
    ran = sidecargo("yaml", kind, f"{place}:v1", *words)
    pin = Pin(ours, place.repository, Digest.parse(B.digest), Digest.of(PLUGIN), "http", "v1")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == resources.render(kind, pin, reading.read(kind, asked))


def test_envoy(ours: str, sidecargo: Runner) -> None:
    place = pushing.at(ours, next(NAMES))
    pushing.push(place, B)
    printed = sidecargo("yaml", "envoy", f"{place}:v1").out
    assert sidecargo("yaml", "envoy", f"{place}:v1", "--remote").out == printed
    local = sidecargo("yaml", "envoy", f"{place}:v1", "--local", "/etc/plugin.wasm")
    assert (local.code, "clusters" in yaml.safe_load(local.out)) == (0, False)


def test_a_configuration_from_standard_input(
    ours: str, sidecargo: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pushing.at(ours, next(NAMES))
    pushing.push(place, B)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 2026-01-02")))
    ran = sidecargo("yaml", "wasmplugin", f"{place}:v1", "--plugin-config", "-")
    assert yaml.safe_load(ran.out)["spec"]["pluginConfig"] == {"a": "2026-01-02"}


@pytest.mark.parametrize("kind", KINDS)
def test_another_registry_serves_no_downloads(kind: str, distribution: str, sidecargo: Runner) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, B)
    ran = sidecargo("yaml", kind, f"{place}:v1", "--by", "http")
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {distribution} does not serve plugins by URL as Sidecargo does" in ran.err


def test_what_is_not_for_everybody(guarded: str, sidecargo: Runner, tmp_path: Path) -> None:
    log_in(tmp_path / "docker", guarded)
    place = Place(Remote(guarded), next(NAMES))
    pushing.push(place, B)
    ran = sidecargo("yaml", "wasmplugin", f"{place}:v1")
    assert ran.code == 0 and ran.out
    assert ran.err == f"warning: {place} is not for everybody: agents need --pull-secret to pull it.\n"
    ran = sidecargo("yaml", "wasmplugin", f"{place}:v1", "--pull-secret", "regcred")
    assert (ran.code, ran.err) == (0, "")
    local = sidecargo("yaml", "envoy", f"{place}:v1", "--local", "/plugin.wasm")
    assert (local.code, local.err) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_load_is_refused(kind: str, distribution: str, sidecargo: Runner) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, NO_ABI)
    ran = sidecargo("yaml", kind, f"{place}:v1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {place}:v1 does not load: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deployment", "localhost:1/a:v1"), "'deployment' is not one of"),
        (("wasmplugin",), "Missing argument 'REF'"),
        (("wasmplugin", "acme/a:v1"), "names no registry"),
        (("wasmplugin", "localhost:1/a:v1"), "cannot be reached"),
        (("wasmplugin", "localhost:1/a:v1", "--name", "A"), "--name 'A' is not a name for Kubernetes"),
        (("wasmplugin", "localhost:1/a:v1", "--name", "a", "--name", "b"), "--name is given too often"),
        (
            ("wasmplugin", "localhost:1/a:v1", "--root-id", "a"),
            "--root-id is not for WasmPlugin. Istio calls",
        ),
        (("wasmplugin", "localhost:1/a:v1", "--remote"), "--remote is for envoy, not for WasmPlugin"),
        (("envoy", "localhost:1/a:v1", "--remote", "--local", "/a"), "exclude each other"),
        (("envoy", "localhost:1/a:v1", "--by", "oci"), "--by is http for Envoy"),
        (
            ("wasmplugin", "localhost:1/a:v1", "--target", "Gateway/a", "--selector", "a=b"),
            "--target and --selector exclude each other. Give one of them.",
        ),
        (
            ("wasmplugin", "localhost:1/a:v1", "--by", "http", "--pull-secret", "a"),
            "--pull-secret is for --by oci: what is fetched by URL",
        ),
        (("envoy", "localhost:1/a:v1", "--local", "/a", "--cluster", "b"), "Leave out --local."),
        (("wasmplugin", "localhost:1/a:v1", "--istio", "1.2"), "'1.2' is no Istio release"),
        (
            ("envoy", "localhost:1/a:v1", "--istio", "1.31"),
            "--istio is for Istio's resources, not for Envoy's",
        ),
        (("envoy", "localhost:1/a:v1", "--nothing"), "No such option"),
        (("wasmplugin", "localhost:1/a:v1", "--plugin-config", "/none"), "/none: No such file"),
        (("wasmplugin", "localhost:1/a:v1", "--envoy", "0.1"), "'0.1' is no Envoy release"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_wrong_usage(words: tuple[str, ...], said: str, sidecargo: Runner) -> None:
    ran = sidecargo("yaml", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and ran.err.count("\n") == 1
    assert said in ran.err


def test_it_must_load_in_the_envoys_that_are_named(distribution: str, sidecargo: Runner) -> None:
    place = pushing.at(distribution, next(NAMES))
    pushing.push(place, image("new", [(OCI_LAYER, layer(("plugin.wasm", pushing.FROM_1_39)))], None))
    note = f"note: {place}:v1 loads, but not in Envoy 1.36, 1.37, 1.38: see --envoy 1.36\n"
    for words in ((), ("--envoy", "1.39"), ("--istio", "1.31")):
        ran = sidecargo("yaml", "wasmplugin", f"{place}:v1", *words)
        assert (ran.code, ran.err) == (0, note)
    for words in (("--istio", "1.30"), ("--istio", "1.30", "--envoy", "1.40")):
        assert sidecargo("yaml", "wasmplugin", f"{place}:v1", *words).code == 1
    ran = sidecargo("yaml", "wasmplugin", f"{place}:v1", "--envoy", "1.40", "--envoy", "1.38")
    assert (ran.code, ran.out) == (1, "")
    assert "clock_res_get" in ran.err


def test_help_has_examples_and_every_option(sidecargo: Runner) -> None:
    said = sidecargo("yaml", "--help").out
    assert "sidecargo yaml wasmplugin registry.example.com" in said
    for name in OPTIONS:
        assert f"--{name} " in said


def test_the_server_prints_the_same(ours: str, sidecargo: Runner) -> None:
    place = pushing.at(ours, next(NAMES))
    pushing.push(place, BUILDX)
    for kind in KINDS:
        answer = get(f"http://{ours}/plugins/{place.repository}:v1/{kind}.yaml?name=a")
        assert answer.body.decode() == sidecargo("yaml", kind, f"{place}:v1", "--name", "a").out
