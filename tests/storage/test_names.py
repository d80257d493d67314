from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import names
from storage.digest import Digest
from storage.errors import DigestInvalid, NameInvalid, RegistryError

# Word for word from OCI Distribution 1.1, "Pulling manifests".
REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)


@pytest.mark.parametrize(
    "name",
    [
        "a", "0", "a/b", "a.b", "a_b", "a__b", "a-b", "a---b", "library/hello-world", "a/tags",
        "blobs/uploads", "a" * 255, "/".join("a" * 128),
    ],
    ids=lambda name: name[:20],
)  # fmt: skip
def test_names_of_repositories(name: str) -> None:
    assert names.repository(name) == name


BAD_REPOSITORIES = {
    "empty": "",
    "capitals": "Team/a",
    "dots": "..",
    "up": "a/../b",
    "here": "a/./b",
    "escaped slash": "a%2fb",
    "slash first": "/a",
    "slash last": "a/",
    "two slashes": "a//b",
    "dash first": "-a",
    "dash last": "a-",
    "dot last": "a.",
    "two dots": "a..b",
    "three underscores": "a___b",
    "underscore first": "_tags",
    "folder of ours": "a/_tags/b",
    "mixed separators": "a.-b",
    "space": "a b",
    "colon": "a:b",
    "at": "a@b",
    "newline": "a\n",
    "nul": "a\0",
    "not ASCII": "ä",
    "other digits": "a٣",
    "backslash": "a\\b",
    "256 characters": "a" * 256,
    "300 characters": "a/" * 149 + "ab",
    "a megabyte": "a" * 1_000_000,
    "a megabyte of separators": "-" * 1_000_000,
}


@pytest.mark.parametrize("name", BAD_REPOSITORIES.values(), ids=BAD_REPOSITORIES)
def test_what_is_no_name_of_a_repository(name: str) -> None:
    with pytest.raises(NameInvalid) as raised:
        names.repository(name)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("tag", ["latest", "v1.0-rc_1", "_", "A", "0", "a..b", "a-", "x" * 128])
def test_tags(tag: str) -> None:
    assert names.tag(tag) == names.reference(tag) == tag


BAD_TAGS = {
    "empty": "",
    "dot first": ".a",
    "dash first": "-a",
    "dots": "..",
    "slash": "a/b",
    "escaped slash": "a%2fb",
    "plus": "1.0+b",
    "newline": "a\n",
    "nul": "a\0",
    "space": "a b",
    "not ASCII": "ä",
    "other digits": "٣",
    "129 characters": "a" * 129,
    "a megabyte": "a" * 1_000_000,
}


@pytest.mark.parametrize("tag", BAD_TAGS.values(), ids=BAD_TAGS)
def test_what_is_no_tag(tag: str) -> None:
    for read in (names.tag, names.reference):
        with pytest.raises(NameInvalid) as raised:
            read(tag)
        assert len(str(raised.value)) < 500


def test_a_reference_with_a_colon_is_a_digest() -> None:
    digest = Digest.of(b"")
    assert names.reference(str(digest)) == digest
    with pytest.raises(DigestInvalid):
        names.reference("v1:2")


NEAR = st.text("aZ09._-/:\n é", max_size=24)


@given(st.one_of(NEAR, st.from_regex(REPOSITORY, fullmatch=True), st.text()))
@settings(max_examples=40)
def test_the_grammar_of_repositories_is_the_specs(text: str) -> None:
    is_name = REPOSITORY.fullmatch(text) is not None and len(text) <= names.MAX_REPOSITORY
    try:
        assert (names.repository(text), is_name) == (text, True)
    except NameInvalid:
        assert not is_name


@given(st.one_of(NEAR, st.from_regex(TAG, fullmatch=True), st.text()))
@settings(max_examples=40)
def test_the_grammar_of_tags_is_the_specs(text: str) -> None:
    try:
        assert names.tag(text) == text
        assert TAG.fullmatch(text)
    except RegistryError:
        assert not TAG.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "'a b'"),
        ("a\nb", r"'a\nb'"),
        ("x" * 100, "'" + "x" * 61),
        ("\0" * 62, ("'" + r"\x00" * 62)[:62]),
    ],
    ids=["short", "two lines", "long", "long once it is written out"],
)
def test_what_errors_quote_has_a_limit(text: str, shown: str) -> None:
    assert names.quoted(text) == shown
