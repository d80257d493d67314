from __future__ import annotations

from storage.s3.versions import LARGEST, MOST, Versions


def test_a_version_is_taken_once() -> None:
    versions = Versions()
    versions.note("a", b"one", '"1"')
    assert versions.take("a", b"one") == '"1"'
    assert versions.take("a", b"one") is None


def test_other_content_has_no_version() -> None:
    versions = Versions()
    versions.note("a", b"one", '"1"')
    assert versions.take("a", b"two") is None
    assert versions.take("b", b"one") is None


def test_the_last_one_counts() -> None:
    versions = Versions()
    versions.note("a", b"one", '"1"')
    versions.note("a", b"two", '"2"')
    assert versions.take("a", b"two") == '"2"'


def test_there_is_a_cap() -> None:
    versions = Versions()
    versions.note("large", b"x" * (LARGEST + 1), '"0"')
    for at in range(MOST + 1):
        versions.note(f"k{at}", b"", f'"{at}"')
    assert versions.take("large", b"x" * (LARGEST + 1)) is None
    assert versions.take("k0", b"") is None
    assert versions.take("k1", b"") == '"1"'
