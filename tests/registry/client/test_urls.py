from __future__ import annotations

import json

import pytest

from registry.client import urls
from registry.client.remote import Remote
from registry.client.transport import RemoteError
from registry.client.urls import Listed
from storage.digest import Digest
from tests.registry.client.scripted import Asked, Said, scripted

DIGEST = Digest.of(b"image")
ONE = {"id": "0" * 16, "by": "user:a", "since": "2026-01-01T00:00:00Z", "expires": None}
PATH = "/plugins/a/b:v1/scu_x/plugin.wasm"


def said(document: object) -> Said:
    return Said(body=json.dumps(document).encode())


def test_one_is_given() -> None:
    def answer(asked: Asked) -> Said:
        return said({"url": "http://elsewhere/", "path": PATH, **ONE})

    with scripted(answer) as registry, Remote(registry.host) as remote:
        given = urls.give(remote, "a/b", "v1", "90d")
    assert (given.path, given.capability) == (PATH, "scu_x")
    assert given.listed == Listed("0" * 16, "user:a", "2026-01-01T00:00:00Z", "")
    assert "scu_x" not in repr(given)
    asked = registry.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/plugins/a/b:v1/urls?expires=90d")


def test_what_is_for_everybody() -> None:
    path = f"/plugins/a/b@{DIGEST}/plugin.wasm"
    with scripted(lambda _: said({"path": path, "id": None})) as registry, Remote(registry.host) as remote:
        given = urls.give(remote, "a/b", DIGEST)
    assert (given.path, given.capability, given.listed) == (path, "", None)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"path": "/plugins/a/b:v1/plugin.wasm"},
        {"path": "/plugins/a/c:v1/plugin.wasm", "id": None},
        {"path": "http://elsewhere/plugin.wasm", "id": None},
        {"path": "/plugins/a/b:v1/\x1b[1m/plugin.wasm", **ONE},
        {"path": "/plugins/a/b:v1/../../c/plugin.wasm", **ONE},
        {"path": "/plugins/a/b:v1/plugin.wasm", **ONE},
        {"path": PATH, "id": None},
        {"path": PATH, "id": "x"},
    ],
    ids=str,
)
def test_another_answer_is_no_url(document: object) -> None:
    with (
        scripted(lambda _: said(document)) as registry,
        Remote(registry.host) as remote,
        pytest.raises(RemoteError, match="it is no Sidecargo"),
    ):
        urls.give(remote, "a/b", "v1")


def test_a_refusal_is_in_the_words_of_the_registry() -> None:
    error = {"errors": [{"code": "DENIED", "message": "no.\x1b"}]}
    with (
        scripted(lambda _: Said(403, json.dumps(error).encode())) as registry,
        Remote(registry.host) as remote,
        pytest.raises(RemoteError, match=r"a/b:v1: 403 DENIED: no\.") as raised,
    ):
        urls.give(remote, "a/b", "v1")
    assert raised.value.status == 403


def test_they_are_listed_and_revoked() -> None:
    with scripted(lambda _: said({"urls": [ONE]})) as registry, Remote(registry.host) as remote:
        (one,) = urls.listed(remote, "a/b", "v1")
        assert urls.revoke(remote, "a/b", DIGEST) == urls.revoke(remote, "a/b", "v1", "a/../b") == [one]
    assert [(asked.method, asked.path) for asked in registry.asked if "/urls" in asked.path] == [
        ("GET", "/plugins/a/b:v1/urls"),
        ("DELETE", f"/plugins/a/b@{DIGEST}/urls"),
        ("DELETE", "/plugins/a/b:v1/urls/a%2F..%2Fb"),
    ]
