import pytest

from registry import warnings
from registry.settings.model import Settings

RULE = {"repositories": "**", "who": ["user:alice"], "may": ["pull"]}
PUBLIC = {"repositories": "**", "who": ["anonymous"], "may": ["pull"]}
NAMED = "https://plugins.example.com"
GROUP = {"repositories": "**", "who": ["group:ci"], "may": ["push"]}
SSO = {"issuer": "https://sso.example.com", "audience": "x", "claims": {"group": "{groups}"}}
GITHUB = {"issuer": "https://token.actions.githubusercontent.com", "audience": "x"}


@pytest.mark.parametrize(
    ("access", "url", "said"),
    [
        ({}, None, []),
        ({"rules": [RULE], "htpasswd": "users"}, NAMED, []),
        ({"rules": [PUBLIC]}, NAMED, []),
        ({"rules": [PUBLIC, RULE], "htpasswd": "users"}, NAMED, ["docker without a login"]),
        ({"rules": [PUBLIC, RULE], "htpasswd": "users", "tokens": {"enabled": True}}, NAMED, []),
        ({"htpasswd": "users"}, None, ["access.rules are missing"]),
        ({"rules": [RULE], "oidc": [SSO]}, NAMED, []),
        ({"rules": [GROUP], "oidc": [SSO]}, NAMED, []),
        ({"rules": [GROUP], "htpasswd": "users"}, NAMED, ["name groups, and nobody is in one"]),
        ({"rules": [GROUP, PUBLIC], "oidc": [SSO]}, NAMED, ["docker without a login"]),
        ({"rules": [RULE], "oidc": [GITHUB]}, NAMED, ["anybody can get an identity token of https://token."]),
        ({"rules": [RULE], "oidc": [GITHUB | {"require": {"repository_owner": "octo"}}]}, NAMED, []),
        ({"rules": [RULE]}, NAMED, ["access.rules name users or robots, and there are none"]),
        ({"rules": [RULE], "htpasswd": "u"}, "http://plugins.example.com", ["for everybody to read. Set"]),
        ({"rules": [PUBLIC]}, None, ["server.public_url is missing: istio-agent"]),
        ({"rules": [PUBLIC]}, "http://127.0.0.1:5000", ["server.public_url is http://127.0.0.1:5000"]),
        ({"rules": [PUBLIC]}, "http://[::1]:5000", ["server.public_url is http://[::1]"]),
        ({"rules": [PUBLIC]}, "http://localhost:5000", ["server.public_url is http://localhost"]),
        (
            {"rules": [PUBLIC], "tokens": {"enabled": True}},
            None,
            ["is missing", "sent for tokens"],
        ),
    ],
)
def test_what_is_said_at_the_start(access: dict[str, object], url: str | None, said: list[str]) -> None:
    settings = Settings(access=access, server={"public_url": url})  # type: ignore[arg-type]
    found = list(warnings.of(settings.access, settings.server))
    assert len(found) == len(said), found
    assert all(part in line for part, line in zip(said, found, strict=True))
