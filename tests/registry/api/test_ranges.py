import pytest

from registry.api.ranges import ByteRange, parse
from storage.errors import RangeNotSatisfiable

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "part"),
    [
        pytest.param("bytes=0-499", (0, 500), id="the first half"),
        pytest.param("bytes=500-999", (500, 1000), id="the second half"),
        pytest.param("bytes=0-0", (0, 1), id="one byte"),
        pytest.param("bytes=999-999", (999, 1000), id="the last byte"),
        pytest.param("bytes=7-", (7, 1000), id="open-ended"),
        pytest.param("bytes=0-", (0, 1000), id="open-ended, all of it"),
        pytest.param("bytes=-1", (999, 1000), id="a suffix"),
        pytest.param("bytes=-5000", (0, 1000), id="a suffix that is longer than the content"),
        pytest.param("bytes=0-5000", (0, 1000), id="an end beyond the content"),
        pytest.param("bytes=0-999999999999999999", (0, 1000), id="an end of 18 digits"),
        pytest.param("bytes= 1 - 2", (1, 3), id="spaces"),
        pytest.param("Bytes=1-2", (1, 3), id="the unit in another case"),
    ],
)
def test_a_part_is_read(header: str, part: tuple[int, int]) -> None:
    assert parse(header, SIZE) == ByteRange(*part, SIZE)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("bytes=-", id="no number"),
        pytest.param("bytes=0-1,5-6", id="two ranges"),
        pytest.param("bytes=a-b", id="letters"),
        pytest.param("bytes=٣-٤", id="other digits"),
        pytest.param("bytes=--1", id="two dashes"),
        pytest.param("bytes=0--1", id="a negative end"),
        pytest.param("lines=0-1", id="another unit"),
        pytest.param("0-1", id="no unit"),
        pytest.param("bytes=0-1 junk", id="more after it"),
        pytest.param("bytes=0-" + "9" * 5000, id="5000 digits"),
    ],
)
def test_everything_is_the_answer_where_no_single_range_is_asked(header: str | None) -> None:
    assert parse(header, SIZE) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        pytest.param("bytes=1000-", SIZE, id="begins at the end"),
        pytest.param("bytes=1000-1001", SIZE, id="lies behind the end"),
        pytest.param("bytes=5-3", SIZE, id="ends before it begins"),
        pytest.param("bytes=-0", SIZE, id="a suffix of nothing"),
        pytest.param("bytes=0-0", 0, id="of empty content"),
        pytest.param("bytes=-5", 0, id="a suffix of empty content"),
    ],
)
def test_what_lies_outside_is_refused(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        parse(header, size)
    assert refused.value.size == size


def test_a_part_says_where_it_lies() -> None:
    assert ByteRange(500, 1000, SIZE).content_range == "bytes 500-999/1000"
