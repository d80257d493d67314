from __future__ import annotations

import pytest
from pydantic import ValidationError

from registry.settings import Settings
from registry.settings.messages import masked, said

# what is wrong, the message for it
TABLE = [
    pytest.param({"nothing": 1}, "unknown key; allowed: server, storage, ", id="unknown key"),
    pytest.param({"server": {"port": "x"}}, "'x' is not a whole number", id="text for a number"),
    pytest.param({"server": {"port": 1.5}}, "1.5 is not a whole number", id="a fraction"),
    pytest.param({"server": {"port": True}}, "True is not a whole number", id="a truth for a number"),
    pytest.param({"server": {"port": []}}, "a list is not a whole number", id="a list for a number"),
    pytest.param({"server": {"port": "9" * 5000}}, "'999", id="a very long number"),
    pytest.param({"server": {"port": -1}}, "-1 is too small; it is 0 at least", id="too small"),
    pytest.param({"server": {"port": 65536}}, "65536 is too large; it is 65535 at most", id="too large"),
    pytest.param({"server": {"host": 5}}, "5 is not text", id="a number for text"),
    pytest.param({"server": {"public_url": "x"}}, "'x' is not a public URL; write ", id="no URL"),
    pytest.param({"admission": {"sparse": "x"}}, "'x' is not allowed; allowed: true, false", id="no truth"),
    pytest.param({"admission": {"sparse": []}}, "a list is not allowed; allowed: true, false", id="a list"),
    pytest.param(
        {"admission": {"mode": "x"}}, "'x' is not allowed; allowed: enforce, warn, off", id="no mode"
    ),
    pytest.param({"admission": {"consumers": []}}, "is empty; write one entry at least", id="empty list"),
    pytest.param(
        {"admission": {"consumers": ["istioo"]}}, "'istioo' is not allowed; allowed: istio,", id="no consumer"
    ),
    pytest.param({"admission": {"envoy": ["0.1"]}}, "'0.1' is no Envoy release", id="no release"),
    pytest.param({"admission": {"envoy": []}}, "is empty; write one entry at least", id="no release at all"),
    pytest.param(
        {"admission": {"rules": [{"repositories": "a", "consumers": ["x"]}]}},
        "'x' is not allowed; allowed: istio,",
        id="no consumer in a rule",
    ),
    pytest.param({"admission": {"rules": {}}}, "a mapping is not a list; write it as [a, b]", id="no list"),
    pytest.param({"admission": {"rules": [{}]}}, "is missing", id="missing"),
    pytest.param({"admission": {"rules": [5]}}, "5 is not a mapping of repositories, mode", id="no mapping"),
    pytest.param({"signing": {"keys": [5]}}, "5 is not text", id="no path"),
    pytest.param({"signing": {"keys": [""]}}, "'' is no file; write the path of a key", id="no key"),
    pytest.param({"signing": {"keys": ["env://A B"]}}, "'env://A B' names no variable", id="no variable"),
    pytest.param(
        {"signing": {"keys": ["-----BEGIN PRIVATE KEY-----hunter2"]}},
        "a key itself is not",
        id="a key itself",
    ),
    pytest.param({"signing": {"passphrase": 4711}}, "what is there is not text", id="no passphrase"),
    pytest.param({"limits": {"upload": "x"}}, "'x' is not a size; write it as 256MB or 4MiB", id="no size"),
    pytest.param({"limits": {"upload": 0}}, "0 is too small; it is 1 at least", id="no room"),
    pytest.param(
        {"limits": {"quota": [{"repositories": "a", "bytes": 1}, {"repositories": "a", "bytes": 2}]}},
        "'a' is there twice; the first entry",
        id="a quota twice",
    ),
    pytest.param({"timeouts": {"head": "5"}}, "'5' is not a duration; write it with a unit", id="no unit"),
]


@pytest.mark.parametrize(("data", "message"), TABLE)
def test_every_mistake_is_said_in_plain_words(data: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(data)
    (details,) = caught.value.errors(include_url=False)
    found = said(details)
    assert found.startswith(message)
    assert "Input should" not in found
    assert len(found) < 200


@pytest.mark.parametrize("key", ["host", "public_url", "port", "workers"])
def test_credentials_in_a_url_are_not_repeated(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"server": {key: "https://me:secret@example.com"}})
    assert "secret" not in said(caught.value.errors()[0])
    assert masked("see s3://id:secret@bucket/x") == "see s3://***@bucket/x"


@pytest.mark.parametrize("signing", [{"keys": ["-----BEGIN X-----4711"]}, {"passphrase": 4711}])
def test_secrets_are_not_repeated(signing: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"signing": signing})
    assert "4711" not in said(caught.value.errors()[0])
