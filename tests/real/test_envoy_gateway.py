"""A whole Envoy Gateway loads what the registry accepted, by the printed policy; what it refused: 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import gateway, published
from tests.real.gateway import PLACE, Gateway, broken
from tests.real.proxied import Seen, marked
from tests.real.published import Published
from tests.real.web import Answer

pytestmark = [pytest.mark.real, pytest.mark.slow]

KIND = "envoyextensionpolicy"


@pytest.fixture(scope="module")
def running(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = gateway.start(tmp_path_factory.mktemp("gateway"), upstream)
    yield started
    started.stop()


@pytest.fixture(name="envoy_gateway")
def _envoy_gateway(running: Gateway) -> Gateway:
    """The gateway, in which no plugin runs."""
    running.clear()
    return running


def failing(answer: Answer) -> bool:
    """What Envoy answers in place of a plugin that it could not load."""
    return (answer.status, answer.body) == (503, b"")


@pytest.mark.parametrize("by", ["oci", "http"])
@pytest.mark.parametrize("image", ["docker", "index"])
def test_the_printed_policy_loads_the_plugin(
    envoy_gateway: Gateway, plugins: Published, image: str, by: str
) -> None:
    envoy_gateway.apply(published.printed(KIND, plugins.good[image], *PLACE, "--by", by))
    envoy_gateway.until(marked, "answer with the plugin's header")


def test_the_digest_of_an_index_is_no_pin(envoy_gateway: Gateway, plugins: Published) -> None:
    index = plugins.good["index"]
    envoy_gateway.apply(published.with_pin(published.printed(KIND, index, *PLACE), index, index.named))
    envoy_gateway.until(broken, "refusal of the gateway")
    reason = f"which does not match: {index.named.removeprefix('sha256:')}"
    assert envoy_gateway.has_said(reason), envoy_gateway.logs()


@pytest.mark.parametrize(
    ("name", "seen", "reason"),
    [
        pytest.param("without-plugin", broken, "plugin.wasm not found in the archive", id="no plugin.wasm"),
        pytest.param("without-abi", failing, "Missing or unknown Proxy-Wasm ABI version", id="no ABI"),
    ],
)
def test_what_the_gate_refuses_is_an_outage(
    envoy_gateway: Gateway, plugins: Published, name: str, seen: Seen, reason: str
) -> None:
    good = plugins.good["docker"]
    document = published.printed(KIND, good, *PLACE, "--name", name)
    envoy_gateway.apply(published.with_plugin(document, good, plugins.refused[name]))
    envoy_gateway.until(seen, "refusal")
    assert envoy_gateway.has_said(reason), envoy_gateway.logs()
