from __future__ import annotations

import pytest

from registry.client.reference import Reference, is_loopback
from storage.digest import Digest
from storage.errors import RegistryError

HEX = "a" * 64
DIGEST = Digest("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "host", "repository", "target"),
    [
        ("localhost:5000/acme/plugin:v1", "localhost:5000", "acme/plugin", "v1"),
        ("localhost/a:v1", "localhost", "a", "v1"),
        ("registry.example.com/a/b/c:1.0", "registry.example.com", "a/b/c", "1.0"),
        (f"127.0.0.1:5000/a@sha256:{HEX}", "127.0.0.1:5000", "a", DIGEST),
        (f"[::1]:5000/a:v1@sha256:{HEX}", "[::1]:5000", "a", DIGEST),
        ("oci://host.example:443/a:v1", "host.example:443", "a", "v1"),
    ],
)
def test_references(text: str, host: str, repository: str, target: str | Digest) -> None:
    assert Reference.parse(text) == Reference(host, repository, target)


def test_a_reference_is_written_as_it_is_read() -> None:
    reference = Reference.parse("localhost:5000/a/b:v1")
    assert str(reference) == "localhost:5000/a/b:v1"
    assert str(reference.at(DIGEST)) == f"localhost:5000/a/b@sha256:{HEX}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plugin.wasm",
        "acme/plugin:v1",
        "localhost:5000",
        "localhost:5000/",
        "localhost:5000/a",
        "localhost:5000/A:v1",
        "localhost:5000/a/../b:v1",
        "localhost:5000/a:",
        "localhost:5000/a:-x",
        "localhost:5000/a@",
        "localhost:5000/a@sha256:12",
        "localhost:5000/a:b:c",
        "https://localhost:5000/a:v1",
        "me:secret@host.example/a:v1",
        "host.example\\x/a:v1",
        "host.example:port/a:v1",
        "[::1/a:v1",
        "localhost:99999/a:v1",
        "localhost:65536/a:v1",
        "[::1]:0/a:v1",
        "-host.example/a:v1",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(RegistryError):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
