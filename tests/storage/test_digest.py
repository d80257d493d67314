from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.digest import ALGORITHMS, Digest, hasher
from storage.errors import DigestInvalid

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_is_read_and_written(text: str) -> None:
    found = Digest.parse(text)
    assert (str(found), f"{found.algorithm}:{found.hex}") == (text, text)


BAD = {
    "empty": "",
    "colon": ":",
    "no algorithm": ":" + "0" * 64,
    "no hex": "sha256:",
    "no colon": "sha256" + "0" * 64,
    "short": SHA256[:-1],
    "long": SHA256 + "0",
    "upper case": SHA256.upper().replace("SHA", "sha"),
    "algorithm in upper case": SHA256.replace("sha", "SHA"),
    "not hexadecimal": SHA256[:-1] + "g",
    "other digits": SHA256[:-1] + "٣",
    "sha256 with the length of sha512": SHA512.replace("512", "256"),
    "sha512 with the length of sha256": SHA256.replace("256", "512"),
    "another algorithm": "md5:" + "0" * 32,
    "blake3": "blake3:" + "0" * 64,
    "newline after": SHA256 + "\n",
    "space before": " " + SHA256,
    "two colons": "sha256:" + SHA256,
    "path": "sha256:../../../../etc/passwd",
    "huge": "sha256:" + "0" * 1_000_000,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid) as raised:
        Digest.parse(text)
    assert raised.value.code == "DIGEST_INVALID"
    assert 0 < len(str(raised.value)) < 300


@given(st.text(max_size=200))
@settings(max_examples=40)
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    try:
        assert str(Digest.parse(text)) == text
    except DigestInvalid as error:
        assert error.message


@given(st.binary(max_size=1000), st.sampled_from(ALGORITHMS))
@settings(max_examples=40)
def test_the_digest_of_content(data: bytes, algorithm: str) -> None:
    found = Digest.of(data, algorithm)
    assert found == Digest.parse(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")
    running = hasher(algorithm)
    for at in range(0, len(data), 7):
        running.update(data[at : at + 7])
    assert running.hexdigest() == found.hex


def test_sha256_is_what_is_meant() -> None:
    assert Digest.of(b"") == Digest.parse("sha256:" + hashlib.sha256().hexdigest())


@pytest.mark.parametrize("algorithm", ["", "md5", "SHA256", "sha256:", "x" * 1000])
def test_unknown_algorithms(algorithm: str) -> None:
    for make in (lambda: hasher(algorithm), lambda: Digest.of(b"", algorithm)):
        with pytest.raises(DigestInvalid) as raised:
            make()
        assert "sha256" in raised.value.fix
        assert len(str(raised.value)) < 300


def test_digests_are_values() -> None:
    assert len({Digest.parse(SHA256), Digest.parse(SHA256), Digest.parse(SHA512)}) == 2
    assert sorted(map(Digest.parse, (SHA512, SHA256))) == [Digest.parse(SHA256), Digest.parse(SHA512)]
