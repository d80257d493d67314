"""A whole Istio loads what is private, over TLS by an authority of one's own, with the credentials that count
and with no others; what its agent is refused, the mesh denies to everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import mesh, private
from tests.real.mesh import NAMESPACE, PLACE, Mesh, denied
from tests.real.private import LEAVER, LOGINS, NAMES, NO_LOGIN, PULLING, ROBOT, UNTRUSTED, URLS, Private
from tests.real.proxied import marked, plain
from tests.registry.certificates import Authority

pytestmark = [pytest.mark.real, pytest.mark.slow]

LOADED = "answer with the plugin's header"


@pytest.fixture(scope="module", params=["password", "tokens"])
def registry(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Private]:
    folder = tmp_path_factory.mktemp("registry")
    started = private.start(folder, authority, NAMESPACE, tokens=request.param == "tokens")
    yield started
    started.server.stop()


@pytest.fixture(scope="module")
def running(upstream: int, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("istio")
    started = mesh.start(folder, upstream, names=NAMES, SSL_CERT_FILE=str(authority.root))
    yield started
    started.stop()


@pytest.fixture(name="istio")
def _istio(running: Mesh) -> Mesh:
    """The mesh that the tests share, whose agent trusts the authority, and in which no plugin runs."""
    running.clear()
    return running


@pytest.fixture(scope="module")
def untrusting(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh that was told nothing of the authority."""
    started = mesh.start(tmp_path_factory.mktemp("untrusting"), upstream, names=NAMES)
    yield started
    started.stop()


def printed(registry: Private, reference: str, *flags: str) -> str:
    """The resource for the gateway."""
    return registry.printed("wasmplugin", reference, *PLACE, *flags)


def test_a_robot_that_may_pull(istio: Mesh, registry: Private) -> None:
    istio.apply(printed(registry, registry.push("team/right"), *PULLING), registry.login(ROBOT))
    istio.until(marked, LOADED)


@pytest.mark.parametrize("login", LOGINS)
def test_a_robot_that_is_not_let_in(istio: Mesh, registry: Private, login: str) -> None:
    plugin = printed(registry, registry.push(f"team/{login}"), *PULLING)
    istio.apply(plugin, LOGINS[login].made(registry))
    istio.until_refused(denied, f"oci://{registry.host}/team/{login}@", LOGINS[login].told)


def test_no_login(istio: Mesh, registry: Private) -> None:
    istio.apply(printed(registry, registry.push("team/none")))
    istio.until_refused(denied, f"oci://{registry.host}/team/none@", NO_LOGIN)


def test_a_secret_that_comes_later_and_is_taken_away(istio: Mesh, registry: Private) -> None:
    plugin = printed(registry, registry.push("team/absent"), *PULLING)
    missing = (f"{NAMESPACE}.team-absent~", "missing image pulling secret")
    istio.apply(plugin)
    istio.until_refused(denied, *missing)
    istio.apply(plugin, registry.login(ROBOT))
    istio.until(marked, LOADED)
    istio.apply(plugin)  # what is loaded and kept by the agent is denied, too
    istio.until(denied, "refusal of the agent")


def test_a_secret_that_is_put_right(istio: Mesh, registry: Private) -> None:
    plugin = printed(registry, registry.push("team/mended"), *PULLING)
    istio.apply(plugin, LOGINS["wrong"].made(registry))
    istio.until_refused(denied, f"oci://{registry.host}/team/mended@", LOGINS["wrong"].told)
    istio.apply(plugin, registry.login(ROBOT))
    istio.until(marked, LOADED)


def test_a_robot_that_is_dismissed_keeps_what_it_has_and_gets_nothing_new(
    istio: Mesh, registry: Private
) -> None:
    login = registry.login(LEAVER)
    old, new = (
        printed(registry, registry.push("team/left", tag), *PULLING, "--name", tag) for tag in ("v1", "v2")
    )
    istio.apply(old, login)
    istio.until(marked, LOADED)
    registry.dismiss(login)
    istio.clear()
    istio.apply(old, login)
    istio.until(marked, LOADED)
    istio.apply(new, login)
    istio.until_refused(denied, f"oci://{registry.host}/team/left@", LOGINS["revoked"].told)


def test_what_an_agent_has_is_for_every_resource(istio: Mesh, registry: Private) -> None:
    reference = registry.push("team/shared")
    istio.apply(printed(registry, reference, *PULLING), registry.login(ROBOT))
    istio.until(marked, LOADED)
    istio.clear()
    istio.apply(printed(registry, reference))  # with no login
    istio.until(marked, LOADED)


def test_fail_open(istio: Mesh, registry: Private) -> None:
    plugin = printed(registry, registry.push("team/open"), *PULLING, "--fail-strategy", "FAIL_OPEN")
    istio.apply(plugin, LOGINS["wrong"].made(registry))
    told = (f"oci://{registry.host}/team/open@", LOGINS["wrong"].told, "applying allow RBAC filter")
    istio.until_refused(plain, *told)


def test_a_url_that_needs_no_login(istio: Mesh, registry: Private) -> None:
    istio.apply(printed(registry, registry.push("team/by-url"), "--by", "http"))
    istio.until(marked, LOADED)


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_nothing_is_had_by(istio: Mesh, registry: Private, url: str) -> None:
    plugin = printed(registry, registry.push(f"team/url-{url}"), "--by", "http")
    right = private.url_of(plugin)
    bad = URLS[url](registry, right)
    istio.apply(plugin.replace(right, bad))
    istio.until_refused(denied, f"cannot fetch Wasm module {bad}", "status code 401")


@pytest.mark.parametrize(("by", "flags"), [("oci", PULLING), ("http", ("--by", "http"))], ids=["oci", "http"])
def test_an_agent_that_does_not_know_the_authority(
    untrusting: Mesh, registry: Private, by: str, flags: tuple[str, ...]
) -> None:
    repository = f"team/untrusted-{by}"
    untrusting.clear()
    untrusting.apply(printed(registry, registry.push(repository), *flags), registry.login(ROBOT))
    untrusting.until_refused(denied, f"://{registry.host}/", f"{repository}@", UNTRUSTED)
