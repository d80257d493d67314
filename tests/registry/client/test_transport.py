from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.client.transport import RemoteError, Transport
from tests.registry.client.scripted import Said, scripted


@pytest.fixture(name="certificate", scope="module")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(name="tls", scope="module")
def _tls(certificate: Path) -> Iterator[str]:
    """The host of a server that speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_tls_is_told_from_plain_http(tls: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Transport().speaks_tls(tls)
    with scripted(lambda asked: Said()) as plain:
        assert not Transport().speaks_tls(plain.host)
    assert not Transport().speaks_tls("127.0.0.1:1")


def test_a_bad_certificate_is_never_answered_by_plain_http(tls: str) -> None:
    with pytest.raises(RemoteError, match=r"certificate verify failed.* Name its CA by SSL_CERT_FILE\."):
        Transport().speaks_tls(tls)
    with pytest.raises(RemoteError, match="certificate verify failed"):
        Transport().send("GET", f"https://{tls}/v2/", {})


def test_the_answer_says_where_it_came_from() -> None:
    steps = iter([Said(307, headers={"Location": "/b"}), Said(302, headers={"Location": "c?d"}), Said()])
    with scripted(lambda asked: next(steps)) as server:
        answer = Transport().send("GET", f"http://{server.host}/a", {})
        answer.drop()
        assert answer.url == f"http://{server.host}/c?d"
    assert [asked.path for asked in server.asked] == ["/a", "/b", "/c?d"]


def test_writing_follows_no_redirect() -> None:
    with scripted(lambda asked: Said(307, headers={"Location": "/b"})) as server:
        assert Transport().send("PUT", f"http://{server.host}/a", {}, b"x").status == 307
    assert [asked.path for asked in server.asked] == ["/a"]


def test_redirects_have_an_end() -> None:
    with scripted(lambda asked: Said(307, headers={"Location": "/a"})) as server:
        with pytest.raises(RemoteError, match="redirects"):
            Transport().send("GET", f"http://{server.host}/a", {})
        assert len(server.asked) < 10


@pytest.mark.slow
def test_a_registry_that_never_gets_better_is_given_up() -> None:
    with scripted(lambda asked: Said(503, headers={"Retry-After": "0"})) as server:
        answer = Transport().send("GET", f"http://{server.host}/a", {})
        assert answer.status == 503
    assert len(server.asked) == 6


def test_connections_are_used_again() -> None:
    transport = Transport()
    with scripted(lambda asked: Said(body=b"x" * 100)) as server:
        for _ in range(3):
            assert transport.send("GET", f"http://{server.host}/", {}).body(100) == b"x" * 100
        pool = transport._pool.connection_from_url(f"http://{server.host}/")
        transport.close()
    assert getattr(pool, "num_connections") == 1  # noqa: B009 - not in every kind of pool
