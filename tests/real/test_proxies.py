"""Behind nginx, which ends TLS, keeps connections alive and says whose request it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real import sidecargo
from tests.real.process import Process, free_port
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import Answer, answers, get, request
from tests.registry.certificates import Authority
from tests.registry.consumers.build import sha256
from tests.registry.consumers.shapes import B

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONF = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  client_max_body_size 0;
  upstream sidecargo {{ server {server}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://sidecargo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
      proxy_request_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxied:
    """A server and the URL of the proxy in front of it."""

    server: Sidecargo
    url: str
    trust: Path
    audit: Path

    def records(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@pytest.fixture(params=[True, False], ids=["trusted", "not trusted"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxied]:
    nginx = require("nginx")
    authority, port, audit = Authority(tmp_path), free_port(), tmp_path / "audit.jsonl"
    files = authority.make("proxy")
    settings = tmp_path / "settings.yaml"
    proxies = ["127.0.0.1"] if request.param else []
    settings.write_text(json.dumps({"server": {"trusted_proxies": proxies}, "audit": {"file": str(audit)}}))
    server = sidecargo.start(tmp_path, settings=settings)
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        CONF.format(
            user="user root;" if os.getuid() == 0 else "",
            folder=tmp_path,
            server=server.host,
            port=port,
            certificate=files.certificate,
            key=files.key,
        )
    )
    front = Process([nginx, "-e", tmp_path / "error.log", "-c", conf], log=tmp_path / "nginx.log")
    try:
        url = f"https://127.0.0.1:{port}"
        front.wait_until(lambda: answers(f"{url}/healthz", trust=authority.root))
        yield Proxied(server, url, authority.root, audit)
    finally:
        front.stop()
        server.stop()


def test_whose_request_it_is(proxied: Proxied, request: pytest.FixtureRequest) -> None:
    is_trusted = "not trusted" not in request.node.name
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "mine"}
    answer = _request(proxied, "PUT", "/v2/team/wasm/manifests/v1", b"{}", lies)
    assert answer.status == 400
    record = proxied.records()[-1]
    # The proxy has added 127.0.0.1, which is trusted: before it stands what the client has written.
    assert record["address"] == ("203.0.113.9" if is_trusted else "127.0.0.1")
    assert record["request"] == answer.headers["x-request-id"] != "mine"
    page = _request(proxied, "GET", "/", None, {"Accept": "text/html"})
    assert ("https://127.0.0.1" in page.body.decode()) is is_trusted
    # Whoever is behind a proxy is not on this machine, whatever it says.
    assert _request(proxied, "GET", "/metrics", None, {"X-Forwarded-For": "127.0.0.1"}).status == 403


def test_a_push_and_many_pulls_on_connections_that_are_kept(proxied: Proxied) -> None:
    for digest, data in B.blobs.items():
        path = f"/v2/team/wasm/blobs/uploads/?digest={digest}"
        assert _request(proxied, "POST", path, data).status == 201
    begun = _request(proxied, "POST", "/v2/team/wasm/blobs/uploads/", b"")
    assert begun.headers["location"].startswith("/v2/team/wasm/blobs/uploads/")
    put = _request(proxied, "PUT", "/v2/team/wasm/manifests/v1", B.body, {"Content-Type": B.media_type})
    assert put.status == 201, put
    for _ in range(20):
        assert _request(proxied, "GET", "/v2/team/wasm/manifests/v1").body == B.body
        for digest in B.blobs:
            assert sha256(_request(proxied, "GET", f"/v2/team/wasm/blobs/{digest}").body) == digest
    counts = get(f"{proxied.server.url}/metrics").body.decode()
    (hits,) = [line for line in counts.splitlines() if line.startswith('sidecargo_hot_total{outcome="hits"}')]
    assert float(hits.rpartition(" ")[2]) > 30, "what the proxy adds does not keep answers from memory"


def _request(
    proxied: Proxied, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    return request(method, f"{proxied.url}{path}", body=body, headers=headers, trust=proxied.trust)
