from __future__ import annotations

import base64
from typing import Any

import pytest

from registry.signing import dsse
from registry.signing.dsse import STATEMENT, Envelope, encoding, seal
from registry.signing.keys import SignatureInvalid, new_key

KEY = new_key()
GOOD = seal(b"hello", KEY).to_json()


def test_the_encoding_of_the_specification() -> None:
    assert encoding("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert encoding("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_an_envelope_comes_back_and_holds() -> None:
    assert {
        "payload": base64.b64encode(b"hello").decode(),
        "payloadType": STATEMENT,
        "signatures": [{"sig": base64.b64encode(KEY.sign(encoding(STATEMENT, b"hello"))).decode()}],
    } == GOOD
    envelope = Envelope.from_json(GOOD)
    assert envelope == seal(b"hello", KEY)
    envelope.verify(KEY.public)


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(STATEMENT, b"hallo", seal(b"hello", KEY).signature),
        Envelope("text/plain", b"hello", seal(b"hello", KEY).signature),
        seal(b"hello", new_key()),
        Envelope(STATEMENT, b"hello", KEY.sign(b"hello")),
    ],
    ids=["another payload", "another type", "a foreign key", "over the payload alone"],
)
def test_what_does_not_hold(envelope: Envelope) -> None:
    with pytest.raises(SignatureInvalid, match="not made with this key"):
        envelope.verify(KEY.public)


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "text",
        {},
        GOOD | {"signatures": []},
        GOOD | {"signatures": GOOD["signatures"] * 2},
        GOOD | {"signatures": [{"sig": 1}]},
        GOOD | {"signatures": "s"},
        GOOD | {"payload": "?"},
        GOOD | {"payload": None},
        {key: value for key, value in GOOD.items() if key != "payloadType"},
    ],
)
def test_what_is_no_envelope(said: Any) -> None:
    with pytest.raises(SignatureInvalid, match="not one of DSSE"):
        dsse.Envelope.from_json(said)
