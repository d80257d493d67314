import base64

import pytest

from registry.access.credentials import MAX, Bearer, CredentialUnreadable, Password, read


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        (basic(b"alice:open sesame"), Password("alice", b"open sesame")),
        (basic(b"alice:a:b"), Password("alice", b"a:b")),
        (basic(b"alice:"), Password("alice", b"")),
        (basic("zoë:ü".encode()), Password("zoë", "ü".encode())),
        (basic(b"alice:\xff"), Password("alice", b"\xff")),
        (basic(b":x"), Password("", b"x")),
        (basic(b"a:b").replace(b"Basic", b"bAsIc"), Password("a", b"b")),
        (b"  " + basic(b"a:b").replace(b" ", b"   ") + b" ", Password("a", b"b")),
        (b"Bearer a.b-c_d", Bearer("a.b-c_d")),
        (b"bearer x", Bearer("x")),
        (basic(b":"), None),
    ],
)
def test_what_is_shown(header: bytes, credential: object) -> None:
    assert read(header) == credential


@pytest.mark.parametrize(
    "header",
    [
        b"", b"Basic", b"Bearer", b"Bearer ", b"Basic !", b"Basic YWxpY2U", b"Digest a=b", b"YWxpY2U6eA==",
        basic(b"alice"), basic(b"\xff:x"), b"Bearer \xc3\xa9", b"Bearer " + b"a" * MAX, b"Negotiate x",
    ],
)  # fmt: skip
def test_what_cannot_be_read(header: bytes) -> None:
    with pytest.raises(CredentialUnreadable):
        read(header)


def test_secrets_are_not_shown() -> None:
    assert "sesame" not in repr([Password("alice", b"sesame"), Bearer("sesame")])
