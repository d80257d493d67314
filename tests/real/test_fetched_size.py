"""How large a module may be that Envoys fetch: by themselves, and from Envoy Gateway."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.consumers.envoy import KEY, LIMIT
from registry.publish.bare import inspect_module
from tests.real import anything, envoy, gateway
from tests.real.anything import Anything
from tests.real.gateway import GATEWAY, NAMESPACE, Gateway
from tests.real.process import Process, Word, free_port
from tests.real.proxied import marked
from tests.real.tools import require
from tests.registry.consumers.build import sized

pytestmark = [pytest.mark.real, pytest.mark.slow]

ENVOYS = ("envoy", "envoy-1.39", "envoy-1.38", "envoy-1.37", "envoy-1.36")
SIZES = {"as large as it may be": LIMIT, "a byte more": LIMIT + 1}
POLICY = """\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{name: sized, namespace: {namespace}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]
  wasm: [{{name: sized, rootID: sized, code: {{type: HTTP, http: {{url: "{url}", sha256: {sha256}}}}}}}]
"""


@dataclass(frozen=True, slots=True)
class Module:
    """A plugin of some size that is served, and whose verdicts are good."""

    url: str
    sha256: str
    takers: frozenset[str]


@pytest.fixture(scope="module")
def registry() -> Iterator[Anything]:
    with anything.running() as served:
        yield served


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def module(request: pytest.FixtureRequest, registry: Anything) -> Module:
    content = sized(request.param, require("plugin").read_bytes())
    verdicts = inspect_module(content).verdicts
    return Module(
        registry.file(f"{request.param}.wasm", content),
        hashlib.sha256(content).hexdigest(),
        frozenset(verdict.consumer for verdict in verdicts if verdict.ok),
    )


@pytest.mark.parametrize("part", ENVOYS)
def test_envoy(part: str, module: Module, registry: Anything, tmp_path: Path, upstream: int) -> None:
    assert "istio" in module.takers
    assert loads(part, module, registry, tmp_path, upstream) == ("envoy" in module.takers)
    if "envoy" not in module.takers and part == ENVOYS[0]:  # what the fix says
        assert loads(part, module, registry, tmp_path, upstream, {KEY: LIMIT + 1})


def loads(
    part: str,
    module: Module,
    registry: Anything,
    folder: Path,
    upstream: int,
    runtime: Mapping[str, int] | None = None,
) -> bool:
    """Whether a request goes through the plugin, in an Envoy with these values in its runtime."""
    port, admin = free_port(), free_port()
    code = envoy.remote(module.url, module.sha256)
    config = envoy.bootstrap(code, port, admin, upstream, registry.host)
    config["layered_runtime"] = {"layers": [{"name": "static", "static_layer": dict(runtime or {})}]}
    file = folder / f"envoy-{port}.json"
    file.write_text(json.dumps(config))
    command: list[Word] = [require(part), "-c", file, "--use-dynamic-base-id", "--concurrency", "1"]
    running = envoy.await_live(Process(command, log=file.with_suffix(".log")), port, admin)
    try:
        return marked(running.get())
    finally:
        running.stop()


@pytest.fixture(scope="module")
def envoy_gateway(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = gateway.start(tmp_path_factory.mktemp("gateway"), upstream)
    yield started
    started.stop()


def test_envoy_gateway(module: Module, envoy_gateway: Gateway) -> None:
    envoy_gateway.clear()
    policy = POLICY.format(namespace=NAMESPACE, gateway=GATEWAY, url=module.url, sha256=module.sha256)
    envoy_gateway.apply(policy)
    if "envoy-gateway" in module.takers:
        envoy_gateway.until(marked, "answer with the plugin's header")
    else:
        said = "the buffer size limit for async client response body has been exceeded"
        envoy_gateway.until(lambda _: envoy_gateway.has_said(said), "refusal")
        assert not marked(envoy_gateway.get())
