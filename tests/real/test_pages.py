"""The pages in a real browser: accessible by axe's rules, narrow, by keyboard, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import browser
from tests.real import sidecargo as servers
from tests.real.browser import TAB, Browser
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.registry.consumers.build import OCI_LAYER, image, index, layer
from tests.registry.consumers.shapes import AMD64, ATTESTATION, BAD, UNKNOWN, B
from tests.registry.talk import Registry
from tests.registry.wasm import binary

pytestmark = [pytest.mark.real, pytest.mark.slow]

LONG = image(
    "many imports",
    [
        (OCI_LAYER, layer(("readme", b"x" * 50))),
        (
            OCI_LAYER,
            layer(
                (
                    "plugin.wasm",
                    binary.plugin(
                        imported=[
                            binary.function("env", name, 0) for name in ("proxy_log", "proxy_get_property")
                        ],
                        tail=binary.producers(language=[("L" * 70, "1")], processed_by=[("p" * 70, "2")] * 8),
                    ),
                )
            ),
        ),
    ],
    None,
)
BUILDX = index("buildx", [(B, AMD64), (ATTESTATION, UNKNOWN)], None)
AXE = """
const done = arguments[arguments.length - 1];
axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
  found => done(found.violations.map(one => [one.id, one.help, one.nodes.map(node => node.html)])),
  error => done([["error", String(error), []]]));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecargo]:
    """A registry with something to show; one repository of it only warns."""
    folder = tmp_path_factory.mktemp("server")
    settings = folder / "settings.yaml"
    settings.write_text("admission: {rules: [{repositories: 'pages/warned', mode: warn}]}\n")
    running = servers.start(folder, settings=settings)
    try:
        shown = Registry(running.host, "pages/shown")
        for shape, tag in ((LONG, "v1"), (BAD, "v1"), (BUILDX, "index"), (BAD, "bad")):
            shown.push(shape, tag)
        Registry(running.host, "pages/warned").push(BAD, "v1")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.running(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(params=["/", "/plugins/", "/plugins/pages/shown", "v1", "index", "bad", "warned"])
def page(request: pytest.FixtureRequest, server: Sidecargo, chromium: Browser) -> Browser:
    """The browser with a page open."""
    name = request.param
    if name == "warned":
        name = "/plugins/pages/warned:v1"
    elif not name.startswith("/"):
        name = f"/plugins/pages/shown:{name}"
    chromium.messages()
    chromium.open(server.url + name)
    return chromium


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_accessible(page: Browser, width: int, scheme: str) -> None:
    page.resize(width, 800)
    page.scheme(scheme)
    page.run((require("axe") / "axe.min.js").read_text())
    assert page.wait_for(AXE) == []


def test_nothing_goes_over_the_edge_at_320_pixels(page: Browser) -> None:
    """WCAG 2.2, 1.4.10: nobody scrolls in two directions, but within a table or a command."""
    page.resize(320, 800)
    width = page.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1] == 320


def test_by_keyboard_everything_is_reached_and_seen(page: Browser) -> None:
    page.resize(320, 800)
    stops = page.run("return [...document.querySelectorAll('a, [tabindex]')].map(stop => stop.outerHTML)")
    for stop in stops:
        page.press(TAB)
        html, outline, width = page.run(
            "const at = document.activeElement;"
            "return [at.outerHTML, getComputedStyle(at).outlineStyle, at.getBoundingClientRect().width]"
        )
        assert html == stop
        assert outline != "none" and width > 1, html
    assert stops[0].startswith('<a class="skip"')


def test_the_browser_complains_of_nothing(page: Browser) -> None:
    complaints = [said for said in page.messages() if "favicon" not in said["message"]]
    assert complaints == []


def test_the_style_is_in_force(page: Browser) -> None:
    assert page.run("return getComputedStyle(document.body).maxWidth") == "960px"
