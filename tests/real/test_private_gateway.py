"""A whole Envoy Gateway loads what is private, over TLS by an authority of one's own, with the credentials
that count and with no others; where the registry refuses it, the route answers 500.

It knows the authority by the policy, or by its server's environment.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.real import gateway, private
from tests.real.gateway import NAMESPACE, PLACE, Gateway, broken
from tests.real.private import (
    LEAVER,
    LOGINS,
    NAMES,
    NO_LOGIN,
    PULLING,
    ROBOT,
    SECRET,
    UNTRUSTED,
    URLS,
    Private,
)
from tests.real.proxied import marked, plain
from tests.registry.certificates import Authority

pytestmark = [pytest.mark.real, pytest.mark.slow]

CA = "registry-ca"


@dataclass(frozen=True, slots=True)
class Trusting:
    """A running gateway; with `ca`, a document of the authority, only policies that name that trust it."""

    gateway: Gateway
    ca: str = ""

    def printed(self, registry: Private, reference: str, *flags: str) -> str:
        """The policy for the gateway, which names the authority where it has to."""
        named = ("--ca", f"ConfigMap/{CA}") if self.ca else ()
        return printed(registry, reference, *named, *flags)

    def apply(self, *documents: str) -> None:
        self.gateway.apply(*documents, *([self.ca] if self.ca else []))

    def loads(self) -> None:
        self.gateway.until(marked, "answer with the plugin's header")

    def refuses(self, *words: str) -> None:
        self.gateway.until_refused(broken, *words)


@pytest.fixture(scope="module", params=["policy", "environment"])
def running(
    request: pytest.FixtureRequest,
    upstream: int,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trusting]:
    folder = tmp_path_factory.mktemp("gateway")
    if request.param == "policy":
        metadata, data = {"name": CA, "namespace": NAMESPACE}, {"ca.crt": authority.root.read_text()}
        ca = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        trusting = Trusting(gateway.start(folder, upstream, names=NAMES), ca)
    else:
        started = gateway.start(folder, upstream, names=NAMES, SSL_CERT_FILE=str(authority.root))
        trusting = Trusting(started)
    yield trusting
    trusting.gateway.stop()


@pytest.fixture(scope="module")
def registry(
    running: Trusting, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Private]:
    """With one of the two gateways clients get tokens, with the other they send their secrets."""
    folder = tmp_path_factory.mktemp("registry")
    started = private.start(folder, authority, NAMESPACE, tokens=bool(running.ca))
    yield started
    started.server.stop()


@pytest.fixture
def trusting(running: Trusting) -> Trusting:
    """The gateway, in which no plugin runs."""
    running.gateway.clear()
    return running


def printed(registry: Private, reference: str, *flags: str) -> str:
    """The policy for the gateway."""
    return registry.printed("envoyextensionpolicy", reference, *PLACE, *flags)


def test_a_robot_that_may_pull(trusting: Trusting, registry: Private) -> None:
    policy = trusting.printed(registry, registry.push("team/right"), *PULLING)
    trusting.apply(policy, registry.login(ROBOT))
    trusting.loads()


@pytest.mark.parametrize("login", LOGINS)
def test_a_robot_that_is_not_let_in(trusting: Trusting, registry: Private, login: str) -> None:
    policy = trusting.printed(registry, registry.push(f"team/{login}"), *PULLING)
    trusting.apply(policy, LOGINS[login].made(registry))
    trusting.refuses(f"oci://{registry.host}/team/{login}@", LOGINS[login].told)


def test_no_login(trusting: Trusting, registry: Private) -> None:
    trusting.apply(trusting.printed(registry, registry.push("team/none")))
    trusting.refuses(f"oci://{registry.host}/team/none@", NO_LOGIN)


def test_a_secret_that_comes_later_and_is_taken_away(trusting: Trusting, registry: Private) -> None:
    policy = trusting.printed(registry, registry.push("team/absent"), *PULLING)
    trusting.apply(policy)
    trusting.refuses("team-absent", f"secret {NAMESPACE}/{SECRET} does not exist")
    trusting.apply(policy, registry.login(ROBOT))
    trusting.loads()
    trusting.apply(policy)  # what is loaded and kept is refused, too
    trusting.gateway.until(broken, "refusal of the gateway")


def test_a_secret_that_is_put_right(trusting: Trusting, registry: Private) -> None:
    policy = trusting.printed(registry, registry.push("team/mended"), *PULLING)
    trusting.apply(policy, LOGINS["wrong"].made(registry))
    trusting.refuses(f"oci://{registry.host}/team/mended@", LOGINS["wrong"].told)
    trusting.apply(policy, registry.login(ROBOT))
    trusting.loads()


def test_a_robot_that_is_dismissed_keeps_what_it_has_and_gets_nothing_new(
    trusting: Trusting, registry: Private
) -> None:
    login = registry.login(LEAVER)
    old, new = (trusting.printed(registry, registry.push("team/left", tag), *PULLING) for tag in ("v1", "v2"))
    trusting.apply(old, login)
    trusting.loads()
    registry.dismiss(login)
    trusting.gateway.clear()
    trusting.apply(old, login)
    trusting.loads()
    trusting.apply(new, login)
    trusting.refuses(f"oci://{registry.host}/team/left@", LOGINS["revoked"].told)


def test_what_it_has_is_not_for_a_policy_without_a_login(trusting: Trusting, registry: Private) -> None:
    reference = registry.push("team/shared")
    trusting.apply(trusting.printed(registry, reference, *PULLING), registry.login(ROBOT))
    trusting.loads()
    trusting.apply(trusting.printed(registry, reference))
    trusting.refuses(f"oci://{registry.host}/team/shared@", UNTRUSTED if trusting.ca else NO_LOGIN)


def test_another_secret_for_what_it_has(trusting: Trusting, registry: Private) -> None:
    """It asks whether that may have it, too, but does not trust for that whom the policy names."""
    policy = trusting.printed(registry, registry.push("team/rotated"), *PULLING)
    trusting.apply(policy, registry.login(ROBOT))
    trusting.loads()
    trusting.apply(policy, registry.login(ROBOT))
    if trusting.ca:
        trusting.refuses(f"oci://{registry.host}/team/rotated@", UNTRUSTED)
    else:
        asked = ("fetching image", "team/rotated", registry.host)
        trusting.gateway.until(
            lambda answer: trusting.gateway.times_said(*asked) == 2 and marked(answer),
            "answer with the plugin's header once it has asked",
        )


def test_a_policy_that_does_not_name_the_authority(trusting: Trusting, registry: Private) -> None:
    trusting.apply(printed(registry, registry.push("team/unnamed"), *PULLING), registry.login(ROBOT))
    if trusting.ca:
        trusting.refuses(f"oci://{registry.host}/team/unnamed@", UNTRUSTED)
    else:
        trusting.loads()


def test_an_authority_in_a_secret(trusting: Trusting, registry: Private, authority: Authority) -> None:
    policy = printed(registry, registry.push("team/secretly"), *PULLING, "--ca", "authority")
    metadata = {"name": "authority", "namespace": NAMESPACE}
    data = {"ca.crt": base64.b64encode(authority.root.read_bytes()).decode()}
    ca = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    trusting.apply(policy, registry.login(ROBOT), ca)
    trusting.loads()


def test_fail_open(trusting: Trusting, registry: Private) -> None:
    flags = (*PULLING, "--fail-strategy", "FAIL_OPEN")
    policy = trusting.printed(registry, registry.push("team/open"), *flags)
    trusting.apply(policy, LOGINS["wrong"].made(registry))
    told = (f"oci://{registry.host}/team/open@", LOGINS["wrong"].told)
    trusting.gateway.until_refused(plain, *told)
    assert not trusting.gateway.has_said("setting 500 direct response", "team-open")


def test_a_url_that_needs_no_login(trusting: Trusting, registry: Private) -> None:
    trusting.apply(trusting.printed(registry, registry.push("team/by-url"), "--by", "http"))
    trusting.loads()


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_nothing_is_had_by(trusting: Trusting, registry: Private, url: str) -> None:
    policy = trusting.printed(registry, registry.push(f"team/url-{url}"), "--by", "http")
    right = private.url_of(policy)
    bad = URLS[url](registry, right)
    trusting.apply(policy.replace(right, bad))
    trusting.refuses(bad, "status code 401")
