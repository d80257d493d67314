"""The server calls nobody but its store, whatever it is sent: every call that could is seen by the kernel."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from registry.keyring import write_new
from tests.real.seaweed import Bucket
from tests.real.strace import Traced
from tests.registry import guarded as guarding
from tests.registry import issuer as issuing
from tests.registry.consumers.build import PLUGIN
from tests.registry.consumers.shapes import B
from tests.registry.guarded import ABSENT, PRIVATE, PUBLIC, SECRET, Guarded, basic, stranger
from tests.registry.issuer import IssuerServer
from tests.registry.talk import MISSING

pytestmark = pytest.mark.real


@contextmanager
def trap() -> Iterator[str]:
    """HOST:PORT where something listens that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


def everything(guarded: Guarded, elsewhere: str) -> None:
    """A day of a registry: logins, pushes, pulls, pages; and all that could lead elsewhere."""
    url, admin, pusher = f"http://{elsewhere}/x", basic("admin"), basic("pusher")
    ask = guarded.ask
    led = {
        "Host": elsewhere,
        "X-Forwarded-Host": elsewhere,
        "Forwarded": f"host={elsewhere};for={elsewhere}",
        "Referer": url,
        "Origin": url,
        "User-Agent": url,
        "X-Original-URL": url,
    }
    assert guarded.push(PRIVATE, pusher).status == 201
    # Layers that say where they are to be fetched from, an index, a referrer and annotations that do.
    layers = [{**layer, "urls": [url]} for layer in B.manifest["layers"]]
    for document in (
        {**B.manifest, "layers": layers, "annotations": {"org.opencontainers.image.source": url}},
        {**B.manifest, "layers": [{**layers[0], "digest": MISSING}]},
        {
            **B.manifest,
            "subject": {"mediaType": B.media_type, "digest": B.digest, "size": len(B.body), "urls": [url]},
        },
    ):
        fields = {"Content-Type": B.media_type, **pusher, **led}
        assert ask("PUT", f"/v2/{PRIVATE}/manifests/led", fields, json.dumps(document).encode()).status < 500
    for query in (f"?mount={MISSING}&from={elsewhere}/x", f"?mount={MISSING}&from={url}", f"?digest={url}"):
        assert ask("POST", f"/v2/{PRIVATE}/blobs/uploads/{query}", {**pusher, **led}, b"").status < 500
    # Logins
    asked = f"/token?scope=repository:{PRIVATE}:pull"
    assert ask("GET", f"{asked}&service={elsewhere}", {**basic("puller"), **led}).status == 400
    token = ask("GET", asked, {**basic("puller"), **led})
    assert token.status == 200, token
    assert ask("GET", "/v2/", basic("deploy", SECRET)).status == 200
    assert ask("GET", "/v2/", stranger()).status == 401
    # Pulls and pages
    bearer = {"Authorization": f"Bearer {token.json['token']}"}
    assert ask("GET", f"/v2/{PRIVATE}/manifests/v1", {**bearer, **led}).status == 200
    given = ask("POST", f"/plugins/{PRIVATE}:v1/urls", {**basic("puller"), **led}, b"").json
    assert ask("GET", given["path"], led).body == PLUGIN
    for path in (
        f"/plugins/{PRIVATE}:v1",
        f"/plugins/{PRIVATE}:led",
        f"/plugins/{PRIVATE}:v1/envoy.yaml",
        f"/plugins/{PRIVATE}:v1/history",
        f"/plugins/{PUBLIC}",
        f"/plugins/{ABSENT}:v1",
        f"/v2/{PRIVATE}/referrers/{B.digest}",
        "/plugins/",
        "/v2/_catalog",
        "/keys/cosign.pub",
        "/readyz",
        "/metrics",
    ):
        for accept in ("text/html", "application/json"):
            assert ask("GET", path, {**admin, **led, "Accept": accept}).status < 500, path
    assert ask("DELETE", f"/v2/{PRIVATE}/manifests/v1", {**admin, **led}).status == 202


def test_on_disk_it_calls_nobody(tmp_path: Path) -> None:
    traced = Traced(tmp_path / "trace")
    guarded = guarding.start(tmp_path, access={"tokens": {"enabled": True}}, within=traced.command)
    with trap() as elsewhere:
        everything(guarded, elsewhere)
        guarded.server.stop()
    assert traced.programs >= 2, "the server, and who looks into layers"
    assert traced.places == set()


def test_over_s3_it_calls_the_store_alone(bucket: Bucket, tmp_path: Path) -> None:
    for name in ("signing.key", "tokens.key", "urls.key"):
        write_new(tmp_path / name)
    traced = Traced(tmp_path / "trace")
    guarded = guarding.start(
        tmp_path,
        *("--storage", bucket.url, "--signing-key", str(tmp_path / "signing.key")),
        access={
            "tokens": {"enabled": True, "key": str(tmp_path / "tokens.key")},
            "urls": {"keys": [str(tmp_path / "urls.key")]},
        },
        variables=bucket.variables,
        within=traced.command,
    )
    with trap() as elsewhere:
        everything(guarded, elsewhere)
        guarded.server.stop()
    store = bucket.endpoint.rpartition("/")[2].replace("localhost", "127.0.0.1")
    assert traced.places == {store}


def lying(issuer: IssuerServer, elsewhere: str) -> Iterator[str]:
    """Identity tokens that say of themselves who gave them, and where the key is to be had."""
    url, other = f"http://{elsewhere}/keys", rsa.generate_private_key(65537, 2048)
    heads = (
        {"kid": "one", "jku": url}, {"kid": "two", "jku": url}, {"kid": url, "x5u": url, "x5c": ["AAAA"]},
        {"kid": "one", "jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB", "x5u": url}},
    )  # fmt: skip
    for head in heads:
        for giver in (issuer.url, f"http://{elsewhere}", f"{issuer.url}@{elsewhere}"):
            claims = {"iss": giver, "aud": "sidecargo", "sub": "x", "exp": int(time.time()) + 300}
            yield jwt.encode({**claims, "jku": url}, other, "RS256", head)


def test_of_issuers_it_calls_those_of_its_settings_alone(tmp_path: Path) -> None:
    traced = Traced(tmp_path / "trace")
    with issuing.running() as issuer, trap() as elsewhere:
        entry = {"name": "ci", "issuer": issuer.url, "audience": "sidecargo", "claims": {"user": "{sub}"}}
        access = {"tokens": {"enabled": True}, "oidc": [entry]}
        guarded = guarding.start(tmp_path, access=access, within=traced.command)
        everything(guarded, elsewhere)
        for one in lying(issuer, elsewhere):
            for shown in (stranger(one), {"Authorization": f"Bearer {one}"}):
                assert guarded.ask("GET", "/v2/", shown).status == 401
        assert guarded.ask("GET", "/v2/", stranger(issuer.token())).status == 200
        guarded.server.stop()
    assert traced.places == {urlsplit(issuer.url).netloc}
