from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import records
from storage.digest import Digest
from storage.errors import StoreUnavailable
from storage.manifest import OCI_MANIFEST, Descriptor

ONE, TWO, THREE = Digest.of(b"1"), Digest.of(b"2", "sha512"), Digest.of(b"3")
DESCRIPTOR = Descriptor(OCI_MANIFEST, Digest.of(b"x"), 1)
FULL = Descriptor(OCI_MANIFEST, Digest.of(b"x"), 0, artifact_type="a/b", annotations={"k": "ä\u2028", "": ""})


def test_a_record_is_always_the_same_bytes() -> None:
    assert records.write({"b": 1, "a": "ä"}) == records.write({"a": "ä", "b": 1}) == b'{"a":"\\u00e4","b":1}'


@given(
    st.dictionaries(
        st.text(),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4),
        max_size=3,
    )
)
@settings(max_examples=40)
def test_what_was_written_is_read(document: dict[str, Any]) -> None:
    assert records.read(records.write(document), "k") == document


@pytest.mark.parametrize("descriptor", [DESCRIPTOR, FULL], ids=["least", "full"])
def test_descriptors(descriptor: Descriptor) -> None:
    assert records.read_descriptor(records.write_descriptor(descriptor), "k") == descriptor


def test_sizes() -> None:
    assert records.read_size(records.write({"size": 0}), "k") == 0


def altered(**fields: Any) -> bytes:
    """A descriptor's record with other fields; None takes one away."""
    document = {**DESCRIPTOR.to_json(), **fields}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


DAMAGED = {
    "empty": b"",
    "cut short": records.write_descriptor(DESCRIPTOR)[:-1],
    "zeros": b"\0" * 80,
    "not UTF-8": b'{"size": "\xff"}',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "deep": b"[" * 100_000,
}
BAD_SIZES = {
    "no size": b"{}",
    "size is text": b'{"size":"7"}',
    "size is true": b'{"size":true}',
    "size is a fraction": b'{"size":1.5}',
    "size is infinite": b'{"size":Infinity}',
    "size is negative": b'{"size":-1}',
    "size is null": b'{"size":null}',
}
BAD_DESCRIPTORS = {
    "no type": altered(mediaType=None),
    "type is a number": altered(mediaType=7),
    "no digest": altered(digest=None),
    "digest is a number": altered(digest=7),
    "digest is bad": altered(digest="sha256:0"),
    "no size": altered(size=None),
    "size is text": altered(size="1"),
    "size is infinite": altered(size=float("inf")),
    "size is negative": altered(size=-1),
    "annotations are a list": altered(annotations=["k"]),
    "annotations are numbers": altered(annotations={"k": 1}),
}


READERS = (records.read, records.read_size, records.read_descriptor)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        *((read, data) for read in READERS for data in DAMAGED.values()),
        *((records.read_size, data) for data in BAD_SIZES.values()),
        *((records.read_descriptor, data) for data in BAD_DESCRIPTORS.values()),
    ],
    ids=[
        *(f"{read}: {name}" for read in ("record", "size", "descriptor") for name in DAMAGED),
        *(f"size: {name}" for name in BAD_SIZES),
        *(f"descriptor: {name}" for name in BAD_DESCRIPTORS),
    ],
)  # fmt: skip
def test_damage_is_told_with_the_key(read: Callable[[bytes, str], object], data: bytes) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        read(data, "repositories/a/_tags/v1")
    assert "repositories/a/_tags/v1" in raised.value.message
    assert "backup" in raised.value.fix


@given(st.binary(max_size=200))
@settings(max_examples=40)
def test_any_bytes_are_a_record_or_damaged(data: bytes) -> None:
    for read in (records.read_size, records.read_descriptor):
        with pytest.raises(StoreUnavailable):
            read(data, "k")


def test_what_a_record_names() -> None:
    record = {"a": str(ONE), "b": [{"c": TWO.hex}], "short": ONE.hex[1:], "long": "0" + THREE.hex}
    assert records.digests_in(json.dumps(record).encode()) == {ONE.hex, TWO.hex}
    assert records.digests_in(b"{") == set()
