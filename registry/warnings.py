"""What is allowed in the settings and still not what is meant: said once, when the server starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from registry.access.principal import ANONYMOUS, GROUP
from registry.settings.model import Access
from registry.settings.server import Server

_FOR_ANYBODY = (
    "token.actions.githubusercontent.com",
    "gitlab.com",
    "accounts.google.com",
    "app.terraform.io",
    "agent.buildkite.com",
    "oidc.circleci.com",
)
"""Hosts of issuers where anybody may have an account."""


def of(access: Access, server: Server) -> Iterator[str]:
    """A line for each."""
    if not access.is_used:
        return
    if not access.rules:
        yield (
            "access.rules are missing: users and robots may log in, and everybody may still pull and push. "
            "Write rules."
        )
    elif _asks_for_logins(access) and not (access.htpasswd or access.robots or access.oidc):
        yield "access.rules name users or robots, and there are none: set access.htpasswd or access.robots."
    elif not access.tokens.is_on and _asks_for_logins(access) and _gives_to_everybody(access):
        yield (
            "docker without a login cannot pull what rules give to everybody, as it is asked for a password: "
            "set access.tokens.enabled."
        )
    if access.rights.groups and not any(one.claims.group for one in access.oidc):
        yield "access.rules name groups, and nobody is in one: set access.oidc, with claims: {group: …}."
    for one in access.oidc:
        if urlsplit(one.issuer).hostname in _FOR_ANYBODY and one.audience and not one.require:
            yield (
                f"anybody can get an identity token of {one.issuer}: rules for `authenticated` are "
                "for all of them. Say who is let in, by require."
            )
    if access.rules and not _has_a_name(server.public_url):
        yield (
            f"server.public_url is {server.public_url or 'missing'}: istio-agent logs in only where "
            "that has the DNS name of a host, as in https://plugins.example.com."
        )
    if _has_a_name(server.public_url) and urlsplit(server.public_url).scheme == "http":
        yield (
            f"server.public_url is {server.public_url}: clients send passwords there for everybody to read. "
            "Set server.tls, or end TLS in a proxy, and write https."
        )
    if access.tokens.is_on and server.public_url is None:
        yield "clients are sent for tokens to this machine's own address: set server.public_url."


def _asks_for_logins(access: Access) -> bool:
    return any(
        who != ANONYMOUS and (access.oidc or not who.startswith(GROUP))
        for rule in access.rules
        for who in rule.who
    )


def _gives_to_everybody(access: Access) -> bool:
    return any(ANONYMOUS in rule.who for rule in access.rules)


def _has_a_name(url: str | None) -> bool:
    """Whether a URL has a host that agents take: no address, and not this machine."""
    host = (urlsplit(url).hostname or "") if url else ""
    if host in ("", "localhost") or host.endswith(".localhost"):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
