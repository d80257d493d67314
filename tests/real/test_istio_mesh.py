"""A whole Istio loads what the registry accepted, by the resource that is printed; what it refused: 403."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.real import mesh, published
from tests.real.mesh import PLACE, Mesh, denied
from tests.real.proxied import Seen, marked
from tests.real.published import Published
from tests.real.web import Answer

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def start(
    plugins: Published, upstream: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Mesh]]:
    """Start meshes that take plain HTTP from the server."""
    started: list[Mesh] = []

    def start() -> Mesh:
        folder, registry = tmp_path_factory.mktemp("istio"), plugins.server.host
        started.append(mesh.start(folder, upstream, WASM_INSECURE_REGISTRIES=registry))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="module")
def running(start: Callable[[], Mesh]) -> Mesh:
    return start()


@pytest.fixture(name="istio")
def _istio(running: Mesh) -> Mesh:
    """The mesh that the tests share, in which no plugin runs."""
    running.clear()
    return running


def failing(answer: Answer) -> bool:
    """What Envoy answers in place of a plugin that it could not load."""
    return (answer.status, answer.body) == (500, b"")


@pytest.mark.parametrize("by", ["oci", "http"])
@pytest.mark.parametrize("image", ["docker", "index"])
@pytest.mark.parametrize("kind", ["wasmplugin", "trafficextension"])
def test_the_printed_resource_loads_the_plugin(
    istio: Mesh, plugins: Published, kind: str, image: str, by: str
) -> None:
    istio.apply(published.printed(kind, plugins.good[image], *PLACE, "--by", by))
    istio.until(marked, "answer with the plugin's header")


def test_the_digest_of_an_index_is_no_pin(istio: Mesh, plugins: Published) -> None:
    index = plugins.good["index"]
    istio.apply(published.with_pin(published.printed("wasmplugin", index, *PLACE), index, index.named))
    istio.until(denied, "refusal of the agent")
    assert istio.has_said(f"which does not match: {index.named.removeprefix('sha256:')}"), istio.logs()


@pytest.mark.parametrize(
    ("name", "seen", "reason"),
    [
        pytest.param("without-plugin", denied, "plugin.wasm not found in the archive", id="no plugin.wasm"),
        pytest.param("without-abi", failing, "Missing or unknown Proxy-Wasm ABI version", id="no ABI"),
    ],
)
def test_what_the_gate_refuses_is_an_outage(
    istio: Mesh, plugins: Published, name: str, seen: Seen, reason: str
) -> None:
    istio.apply(refused(plugins, name))
    istio.until(seen, "refusal")
    assert istio.has_said(reason), istio.logs()


def test_what_crashes_envoy_ends_the_whole_gateway(plugins: Published, start: Callable[[], Mesh]) -> None:
    istio = start()
    istio.apply(refused(plugins, "imported-tag"))
    istio.until_ended()
    assert istio.has_said("Envoy exited with error: signal: trace/breakpoint trap"), istio.logs()


def test_a_resource_that_istio_does_not_let_pass_changes_nothing(istio: Mesh, plugins: Published) -> None:
    document = published.printed("wasmplugin", plugins.good["docker"], *PLACE)
    with pytest.raises(AssertionError, match="unsupported scheme"):
        istio.apply(document.replace("oci:", "ftp:"))


def refused(plugins: Published, name: str) -> str:
    """A resource for a plugin that is there only because nothing checked it."""
    # Under a name of its own: Envoy keeps what it has when an update of a plugin does not load.
    good = plugins.good["docker"]
    document = published.printed("wasmplugin", good, *PLACE, "--name", name)
    return published.with_plugin(document, good, plugins.refused[name])
