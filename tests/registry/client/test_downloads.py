from __future__ import annotations

import json
from dataclasses import replace

import pytest

from registry.apply.pin import Pin
from registry.client import downloads
from registry.client.remote import Remote
from registry.client.transport import RemoteError
from registry.console.failure import Failure
from storage.digest import Digest
from tests.registry.client.scripted import Asked, Said, Scripted, scripted

MODULE = Digest.of(b"module")
PIN = Pin("", "a/b", Digest.of(b"image"), MODULE, "http", "v1")
OURS = {"Repr-Digest": "sha-256=:5TCpiBTR7qACmMbtXQEZehjLMdLQ7x8H+8LDwGqbjiM=:"}


CAPABILITY = "scu_x"


def _ours() -> dict[str, str]:
    return {"Repr-Digest": downloads._field(MODULE)}


def _served(registry: Scripted, capability: str = "") -> Pin:
    pin = replace(PIN, host=registry.host)
    with Remote(registry.host) as remote:
        found = downloads.served(pin, remote)
    assert found == replace(pin, capability=capability)
    return found


def test_what_is_served() -> None:
    with scripted(lambda asked: Said(headers=_ours())) as registry:
        _served(registry)
        asked = [one for one in registry.asked if one.path.startswith("/plugins/")]
    assert [(one.method, one.path) for one in asked] == [("HEAD", f"/plugins/a/b@{PIN.image}/plugin.wasm")]
    assert asked[0].authorization is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_not_for_everybody_has_another_url(status: int) -> None:
    private = f"/plugins/a/b@{PIN.image}/{CAPABILITY}/plugin.wasm"

    def answer(asked: Asked) -> Said:
        if asked.path == private:
            return Said(headers=_ours())
        if asked.method == "POST":
            given = {"path": private, "id": "0", "by": "user:a", "since": "", "expires": None}
            return Said(body=json.dumps(given).encode())
        return Said(status, headers={"WWW-Authenticate": "Basic"})

    with scripted(answer) as registry:
        assert _served(registry, CAPABILITY).url.endswith(private)
    assert (registry.asked[-1].method, registry.asked[-1].authorization) == ("HEAD", None)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said(404), "does not serve plugins by URL as Sidecargo does: 404 for .* Use --by oci"),
        (Said(200), "does not serve plugins by URL"),
        (Said(200, headers=OURS), "does not serve plugins by URL"),
        (
            Said(401, headers={"WWW-Authenticate": "Basic"}),
            "no URL is to be had that needs no login: .* Use --by oci with --pull-secret",
        ),
        (Said(403), "is not for everybody"),
    ],
    ids=["missing", "a page", "another module", "login", "denied"],
)
def test_what_is_not(said: Said, message: str) -> None:
    with scripted(lambda asked: said) as registry, pytest.raises(Failure, match=message):
        _served(registry)


@pytest.mark.parametrize(("status", "is_public"), [(200, True), (401, False), (403, False), (404, False)])
def test_whom_an_image_is_for(status: int, is_public: bool) -> None:
    with scripted(lambda asked: Said(status, b"image" if status == 200 else b"")) as registry:
        assert downloads.is_for_everybody(replace(PIN, host=registry.host)) is is_public
    assert {asked.authorization for asked in registry.asked} == {None}


def test_nobody_answers() -> None:
    with pytest.raises(RemoteError, match="cannot be reached"):
        downloads.is_for_everybody(replace(PIN, host="127.0.0.1:1"))


def test_a_digest_as_the_server_writes_it() -> None:
    assert downloads._field(Digest.of(b"")) == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
