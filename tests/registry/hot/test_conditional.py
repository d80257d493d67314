import pytest

from registry.hot.conditional import ANY, matches, not_modified_headers, read_tags


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        pytest.param(b'"a"', frozenset({b'"a"'}), id="one"),
        pytest.param(b'W/"a"', frozenset({b'"a"'}), id="weak"),
        pytest.param(b'"a", W/"b" ,"c"', frozenset({b'"a"', b'"b"', b'"c"'}), id="a list"),
        pytest.param(b'"a,b"', frozenset({b'"a,b"'}), id="a comma inside"),
        pytest.param(b', "a",, ', frozenset({b'"a"'}), id="empty members"),
        pytest.param(b'""', frozenset({b'""'}), id="an empty tag"),
        pytest.param(b" * ", frozenset({ANY}), id="any"),
        pytest.param(b'"*"', frozenset({b'"*"'}), id="a star that is a tag"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"a", None, id="no quotes"),
        pytest.param(b'"a', None, id="one quote"),
        pytest.param(b'"a" "b"', None, id="no comma"),
        pytest.param(b'*, "a"', None, id="any and one"),
        pytest.param(b'w/"a"', None, id="a small w"),
        pytest.param(b'"a b"', None, id="a space inside"),
    ],
)
def test_tags_are_read(value: bytes, tags: frozenset[bytes] | None) -> None:
    assert read_tags(value) == tags


@pytest.mark.parametrize(
    ("value", "etag", "matching"),
    [
        (b'"a"', b'"a"', True),
        (b'W/"a"', b'"a"', True),
        (b'"a"', b'W/"a"', True),
        (b'"b", "a"', b'"a"', True),
        (b"*", None, True),
        (b"*", b'"a"', True),
        (b'"*"', b'"a"', False),
        (b'"b"', b'"a"', False),
        (b'"a"', None, False),
    ],
)
def test_comparison_is_weak(value: bytes, etag: bytes | None, matching: bool) -> None:
    tags = read_tags(value)
    assert tags is not None
    assert matches(tags, etag) is matching


def test_weak_tags_are_no_strong_ones() -> None:
    assert read_tags(b'W/"a", "b"', strong=True) == frozenset({b'"b"'})
    assert read_tags(b'W/"a"', strong=True) == frozenset()
    assert read_tags(b'W/"a", "a"', strong=True) == frozenset({b'"a"'})
    assert read_tags(b"*", strong=True) == frozenset({ANY})
    assert read_tags(b'W/"a', strong=True) is None


def test_a_long_list_is_read_in_linear_time() -> None:
    assert read_tags(b" ," * 30_000 + b"x") is None
    assert read_tags(b'"a",' * 15_000) == frozenset({b'"a"'})


def test_a_304_keeps_what_caches_need_in_its_order() -> None:
    given = [
        (b"Content-Length", b"3"),
        (b"ETag", b'"a"'),
        (b"content-type", b"x"),
        (b"cache-control", b"no-cache"),
    ]
    assert not_modified_headers(given) == [(b"ETag", b'"a"'), (b"cache-control", b"no-cache")]
