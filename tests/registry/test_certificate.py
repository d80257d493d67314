from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.certificate import Certificate, CertificateInvalid, read
from tests.registry.certificates import Authority, Files

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def served(authority: Authority) -> Files:
    return authority.make("served")


class Listener:
    """Opens TLS connections one after another, and says a line on each."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = context
        self.kept: list[ssl.SSLSocket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                connection = self._context.wrap_socket(plain, server_side=True)
                self.kept.append(connection)
                connection.sendall(b"hello\n")
            except OSError:
                plain.close()

    def close(self) -> None:
        # A close alone does not wake up who waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for connection in self.kept:
            connection.close()


@pytest.fixture
def listener(served: Files) -> Iterator[tuple[Certificate, Listener]]:
    certificate = Certificate(served.certificate, served.key)
    listener = Listener(certificate.context)
    yield certificate, listener
    listener.close()


def opened(listener: Listener, authority: Authority, name: str | None = "localhost") -> ssl.SSLSocket:
    context = authority.client()
    context.check_hostname = name is not None
    connection = context.wrap_socket(
        socket.create_connection(("127.0.0.1", listener.port), 10), server_hostname=name
    )
    assert connection.recv(6) == b"hello\n"
    return connection


def serial(connection: ssl.SSLSocket) -> str:
    return str((connection.getpeercert() or {})["serialNumber"])


@pytest.mark.parametrize("name", ["localhost", None], ids=["by name", "by address alone"])
def test_a_renewed_pair_is_served_and_connections_that_are_open_stay(
    listener: tuple[Certificate, Listener], authority: Authority, served: Files, name: str | None
) -> None:
    certificate, there = listener
    with opened(there, authority, name) as before:
        served.replace(authority.make("renewed"))
        with opened(there, authority, name) as not_yet:
            assert serial(not_yet) == serial(before)
        certificate.look()
        with opened(there, authority, name) as after:
            assert serial(after) != serial(before)
        there.kept[0].sendall(b"still here\n")
        assert before.recv(11) == b"still here\n"


def test_a_pair_that_is_renewed_by_a_link_is_seen(tmp_path: Path, authority: Authority) -> None:
    """As volumes of Kubernetes do it."""
    made = [authority.make("a"), authority.make("b", ends=5)]
    for at, files in enumerate(made):
        (tmp_path / f"{at}").mkdir()
        files.certificate.rename(tmp_path / f"{at}" / "tls.crt")
        files.key.rename(tmp_path / f"{at}" / "tls.key")
    data = tmp_path / "data"
    data.symlink_to("0")
    certificate = Certificate(data / "tls.crt", data / "tls.key")
    before = certificate.ending.at
    (tmp_path / "new").symlink_to("1")
    (tmp_path / "new").rename(data)
    certificate.look()
    assert certificate.ending.at < before


@pytest.mark.parametrize("broken", ["another key", "no PEM", "gone", "empty"])
def test_a_broken_pair_keeps_the_one_before(
    listener: tuple[Certificate, Listener],
    authority: Authority,
    served: Files,
    broken: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate, there = listener
    with opened(there, authority) as connection:
        before = serial(connection)
    renewed = authority.make("renewed")
    if broken == "another key":
        served.certificate.write_bytes(renewed.certificate.read_bytes())
    elif broken == "no PEM":
        served.certificate.write_text("no PEM")
    elif broken == "gone":
        served.key.unlink()
    else:
        served.key.write_text("")
    certificate.look()
    certificate.look()
    (line,) = caplog.messages  # said once
    assert line.startswith("the certificate that was there before is served on: ")
    with opened(there, authority) as connection:
        assert serial(connection) == before
    served.replace(renewed)
    certificate.look()
    with opened(there, authority) as connection:
        assert serial(connection) != before


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_versions_of_now(
    listener: tuple[Certificate, Listener], authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.client()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", listener[1].port), 10)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        cipher = connection.cipher()
        assert cipher is not None
        assert cipher[0].startswith(("ECDHE-", "TLS_"))


def test_ciphers_without_forward_secrecy_are_not_spoken(
    listener: tuple[Certificate, Listener], authority: Authority
) -> None:
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("kRSA:ECDHE+AES+SHA")
    with (
        socket.create_connection(("127.0.0.1", listener[1].port), 10) as plain,
        pytest.raises(OSError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("given", ["no file", "another key", "no PEM", "an encrypted key", "a folder"])
def test_a_pair_that_cannot_be_served(
    authority: Authority, served: Files, tmp_path: Path, given: str
) -> None:
    certificate, key = served.certificate, served.key
    words = {
        "no file": "No such file",
        "another key": "do not belong together. Name the key",
        "no PEM": "has no certificate in PEM",
        "an encrypted key": "the key is encrypted. Write the certificate and an unencrypted key",
        "a folder": "Is a directory",
    }
    if given == "no file":
        key = tmp_path / "nowhere.key"
    elif given == "another key":
        key = authority.make("other").key
    elif given == "no PEM":
        certificate = key
    elif given == "an encrypted key":
        key = authority.encrypted(served)
    else:
        certificate = tmp_path
    with pytest.raises(CertificateInvalid) as refused:
        read(certificate, key)
    assert words[given] in str(refused.value)
    assert "PRIVATE" not in str(refused.value)


def test_one_that_nobody_renews_announces_its_end(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    files, clock = authority.make("short", begins=-50, ends=40), Clock()
    certificate = Certificate(files.certificate, files.key, clock)
    certificate.look()
    assert caplog.messages == [], "40 days of 90 are left"
    for left, said in [(31, 0), (29, 1), (28, 1), (8, 1), (6, 2), (0.5, 3), (-1, 4), (-2, 4)]:
        clock.now = certificate.ending.at - left * DAY
        certificate.look()
        assert len(caplog.messages) == said, left
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert [line.startswith("the certificate short.crt expire") for line in caplog.messages] == [True] * 4
    assert caplog.messages[-1].startswith("the certificate short.crt expired on ")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        files.replace(authority.make("long", ends=90))
        certificate.look()
    (line,) = caplog.messages
    assert line.startswith("the certificate was renewed: it ends on ")
