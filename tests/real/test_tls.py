"""Over TLS with an authority of one's own, as meshes run it, and with a certificate that is renewed."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.real import images, istio, sidecargo
from tests.real.process import Word, free_port, run, succeed
from tests.real.sidecargo import Sidecargo
from tests.real.tools import require
from tests.real.web import get
from tests.registry.certificates import Authority, Files
from tests.registry.talk import eventually

pytestmark = [pytest.mark.real, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Secured:
    """A server of two processes with TLS, whom its clients trust, and its certificate's files."""

    server: Sidecargo
    authority: Authority
    files: Files

    def connect(self) -> ssl.SSLSocket:
        name, _, port = self.server.host.partition(":")
        plain = socket.create_connection((name, int(port)), 10)
        return self.authority.client().wrap_socket(plain, server_hostname=name)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    authority = Authority(tmp_path)
    files = authority.make("served")
    settings = tmp_path / "settings.yaml"
    tls = {"certificate": str(files.certificate), "key": str(files.key)}
    settings.write_text(json.dumps({"server": {"workers": 2, "tls": tls}}))
    server = sidecargo.start(tmp_path, settings=settings, trust=authority.root)
    yield Secured(server, authority, files)
    server.stop()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    images.layout(tmp_path / "layout", images.layer("plugin.wasm", require("plugin").read_bytes()))
    return tmp_path / "layout"


def ask(connection: ssl.SSLSocket) -> int:
    """The status of an answer, which is read to its end."""
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
    answer = HTTPResponse(connection)
    answer.begin()
    assert answer.read() == b'{"status":"ok"}'
    return answer.status


def serial(connection: ssl.SSLSocket) -> object:
    return (connection.getpeercert() or {})["serialNumber"]


def test_a_renewed_certificate_is_served_by_all_and_drops_no_connection(secured: Secured) -> None:
    with secured.connect() as one, secured.connect() as other:
        before = serial(one)
        assert (ask(one), ask(other)) == (200, 200)
        secured.files.replace(secured.authority.make("renewed"))

        def renewed() -> bool:
            connections = [secured.connect() for _ in range(20)]  # by chance none is with one of the two
            found = {serial(connection) for connection in connections}
            for connection in connections:
                connection.close()
            return before not in found

        eventually(renewed)
        assert (ask(one), ask(other)) == (200, 200)
    said = get(f"{secured.server.url}/metrics", trust=secured.server.trust).body.decode()
    (line,) = [line for line in said.splitlines() if 'kind="certificate"' in line]
    assert float(line.rpartition(" ")[2]) > 1.7e9


def test_a_push_and_a_pull_by_clients_that_trust_the_authority(
    secured: Secured, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"{secured.server.host}/team/wasm:v1"
    crane = require("crane")
    refused = run(crane, "push", layout, image)
    assert refused.code != 0 and "certificate" in refused.said
    # As the agent of Istio gets it in its container.
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.authority.root))
    digest = succeed(crane, "push", layout, image).out.strip().rpartition("@")[2]
    assert succeed(crane, "digest", image).out.strip() == digest
    module = require("plugin").read_bytes()
    fetched = istio.fetch(f"oci://{image}", tmp_path / "fetched", checksum=digest.removeprefix("sha256:"))
    assert fetched.error == "", fetched
    assert Path(fetched.path).read_bytes() == module
    plain = istio.fetch(f"{secured.server.url}/plugins/team/wasm:v1/plugin.wasm", tmp_path / "plain")
    assert (plain.error, plain.sha256) == ("", hashlib.sha256(module).hexdigest()), plain


def test_skopeo_with_a_folder_of_authorities(secured: Secured, layout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(secured.authority.root.read_bytes())
    image: Word = f"docker://{secured.server.host}/team/wasm:v1"
    succeed(
        require("skopeo"), "--insecure-policy", "copy", "--dest-cert-dir", folder, f"oci:{layout}:v1", image
    )
    there = f"{secured.server.url}/plugins/team/wasm:v1/plugin.wasm"
    assert get(there, trust=secured.server.trust).body == require("plugin").read_bytes()


def test_curl_and_large_bodies(secured: Secured, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not here")
    data = tmp_path / "blob"
    data.write_bytes(bytes(range(256)) * (40 << 12))
    digest = "sha256:" + hashlib.sha256(data.read_bytes()).hexdigest()
    base = f"{secured.server.url}/v2/team/wasm/blobs"
    common: list[Word] = [curl, "-sSf", "--cacert", secured.authority.root]
    succeed(*common, "-X", "POST", "--data-binary", f"@{data}", f"{base}/uploads/?digest={digest}")
    for at in range(3):
        succeed(*common, "-o", tmp_path / f"got-{at}", f"{base}/{digest}")
        assert (tmp_path / f"got-{at}").read_bytes() == data.read_bytes()
    assert run(*common, "--tls-max", "1.1", f"{secured.server.url}/healthz").code != 0
    plain = run(curl, "-sS", f"http://{secured.server.host}/healthz")
    assert plain.code != 0, "nothing but TLS is spoken here"


def test_a_certificate_that_cannot_be_served_is_no_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.make("one"), authority.make("other")
    settings = tmp_path / "settings.yaml"
    tls = {"certificate": str(one.certificate), "key": str(other.key)}
    settings.write_text(json.dumps({"server": {"port": free_port(), "tls": tls}}))
    with pytest.raises(AssertionError, match="do not belong together"):
        sidecargo.start(tmp_path, settings=settings)
