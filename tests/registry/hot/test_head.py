import gc
import sys
import tracemalloc
from itertools import product

import httptools
import pytest

from registry.hot.head import Head, HeadMemo, read_head

PLAIN = b"GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: here:5000\r\n"


def with_line(line: bytes) -> bytes:
    return PLAIN + line + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "head"),
    [
        pytest.param(PLAIN + b"\r\n", Head(b"/v2/a/manifests/v1", False, None, None), id="GET"),
        pytest.param(
            PLAIN + b"User-Agent: crane\r\nuser-agent: x\r\n\r\n",
            Head(b"/v2/a/manifests/v1", False, None, None, b"crane"),
            id="agent",
        ),
        pytest.param(
            b"HEAD /plugins/a@sha256:0 HTTP/1.1\r\nhost:[::1]:80\r\n\r\n",
            Head(b"/plugins/a@sha256:0", True, None, None),
            id="HEAD",
        ),
        pytest.param(
            with_line(b"AUTHORIZATION:\t Basic eA== "),
            Head(b"/v2/a/manifests/v1", False, b"Basic eA==", None),
            id="credentials",
        ),
        pytest.param(
            with_line(b'If-None-Match: W/"a", "b"'),
            Head(b"/v2/a/manifests/v1", False, None, frozenset({b'"a"', b'"b"'})),
            id="a condition",
        ),
        pytest.param(
            with_line(b"Connection: Keep-Alive\r\nAccept: a, */*\r\nAccept: b\r\nX-Empty:"),
            Head(b"/v2/a/manifests/v1", False, None, None),
            id="harmless fields",
        ),
    ],
)
def test_a_plain_head_is_read(data: bytes, head: Head) -> None:
    assert read_head(data) == head


NOT_PLAIN = {
    "nothing": b"",
    "not complete": PLAIN,
    "no empty line": PLAIN[:-2],
    "two heads": PLAIN + b"\r\n" + PLAIN + b"\r\n",
    "a byte more": PLAIN + b"\r\nG",
    "an empty line before": b"\r\n" + PLAIN + b"\r\n",
    "an empty line more": PLAIN + b"\r\n\r\n",
    "POST": PLAIN.replace(b"GET", b"POST") + b"\r\n",
    "a small method": PLAIN.replace(b"GET", b"get") + b"\r\n",
    "HTTP/1.0": PLAIN.replace(b"/1.1", b"/1.0") + b"\r\n",
    "HTTP/1.10": PLAIN.replace(b"/1.1", b"/1.10") + b"\r\n",
    "two spaces": PLAIN.replace(b"GET ", b"GET  ") + b"\r\n",
    "a query": PLAIN.replace(b"/v1", b"/v1?ns=x") + b"\r\n",
    "an escape": PLAIN.replace(b"/v1", b"/%76") + b"\r\n",
    "a fragment": PLAIN.replace(b"/v1", b"/v1#x") + b"\r\n",
    "a whole URL": PLAIN.replace(b"/v2", b"http://here/v2") + b"\r\n",
    "two slashes first": PLAIN.replace(b"/v2", b"//v2") + b"\r\n",
    "a target beyond ASCII": PLAIN.replace(b"/v1", b"/v\xc3\xa9") + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\nAccept: a\r\n\r\n",
    "no field at all": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": with_line(b"host: there"),
    "an empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "space before the colon": with_line(b"Accept : a"),
    "no colon": with_line(b"Accept"),
    "no name": with_line(b": a"),
    "a folded line": with_line(b"Accept: a\r\n b"),
    "bare LF": PLAIN.replace(b"\r\n", b"\n") + b"\n",
    "bare LF in the middle": with_line(b"A: b\nContent-Length: 3"),
    "bare CR": with_line(b"A: b\rContent-Length: 3"),
    "NUL": with_line(b"A: b\0"),
    "DEL": with_line(b"A: b\x7f"),
    "beyond ASCII": with_line(b"A: \xe9"),
    "a body": with_line(b"Content-Length: 0"),
    "a chunked body": with_line(b"Transfer-Encoding: chunked"),
    "Expect": with_line(b"Expect: 100-continue"),
    "Upgrade": with_line(b"Upgrade: h2c"),
    "TE": with_line(b"TE: trailers"),
    "Connection: close": with_line(b"Connection: close"),
    "Connection with more": with_line(b"Connection: keep-alive, upgrade"),
    "Range": with_line(b"Range: bytes=0-1"),
    "If-Range": with_line(b'If-Range: "a"'),
    "If-Match": with_line(b'If-Match: "a"'),
    "If-Modified-Since": with_line(b"If-Modified-Since: Mon, 23 Nov 2026 15:14:29 GMT"),
    "a cookie": with_line(b"Cookie: a=b"),
    "two credentials": with_line(b"Authorization: Basic a\r\nAuthorization: Basic b"),
    "two conditions": with_line(b'If-None-Match: "a"\r\nIf-None-Match: "b"'),
    "a malformed condition": with_line(b"If-None-Match: a"),
    "too many fields": with_line(b"\r\n".join([b"A: b"] * 100)),
    "too long": with_line(b"A: " + b"b" * (64 << 10)),
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_is_left_to_the_parser(data: bytes) -> None:
    assert read_head(data) is None


def test_the_limits_are_those_given() -> None:
    data = with_line(b"A: b\r\nB: c")
    assert read_head(data, len(data), 3) is not None
    assert read_head(data, len(data) - 1, 3) is None
    assert read_head(data, len(data), 2) is None


class Parsed:
    """What the full parser sees."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.names: list[bytes] = []
        self.messages: list[tuple[bytes, bool, bool]] = []
        self.body = b""
        self.begun = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.append(name.lower())

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        parser = self.parser
        self.messages.append((parser.get_method(), parser.should_keep_alive(), parser.should_upgrade()))


@pytest.mark.parametrize(
    "target", [b"/", b"/v2/a/b_c.d-e/manifests/V1", b"/v2/a//b/../c/.", b"/p/a:t@sha512:0/x+y=z,~"]
)
def test_the_full_parser_sees_the_same_message(target: bytes) -> None:
    data = b"GET " + target + b" HTTP/1.1\r\nHost: here\r\nAccept:  a\t\r\n\r\n"
    head = read_head(data)
    assert head is not None
    agree(data, head)


def agree(data: bytes, head: Head) -> None:
    """The full parser takes `data` for exactly this one request, and the connection goes on."""
    parsed = Parsed(data)
    assert parsed.messages == [(b"HEAD" if head.bodiless else b"GET", True, False)]
    assert (parsed.begun, parsed.body) == (1, b"")
    assert parsed.url == head.target == httptools.parse_url(parsed.url).path
    assert parsed.names.count(b"host") == 1


FIRST = [
    b"GET /a HTTP/1.1",
    b"HEAD /a HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"GET  /a HTTP/1.1",
    b"GET //a HTTP/1.1",
]
LINES = [
    *[
        b"A: b",
        b"A:",
        b"A : b",
        b" b",
        b"",
        b":",
        b"A",
        b"A: b\n",
        b"A: \0",
        b"A: b\rB: c",
        b"A: b\nB: c",
        b"GET /a HTTP/1.1",
    ],
    *[
        b"Host: b",
        b"Content-Length: 0",
        b"Content-Length: 1",
        b"content-length:9",
        b"Transfer-Encoding: chunked",
    ],
    *[
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
    ],
    *[b"Authorization: x", b'If-None-Match: "a"', b"Accept: \xff"],
]


ODD_ENDS = [b"\n", b"\r", b"\r\n ", b"\r\n\r\n"]
BEHIND = [b"", b"x", b"\r\n", b"\r\n\r\n"]


@pytest.mark.parametrize("behind", BEHIND, ids=repr)
@pytest.mark.parametrize("first", FIRST, ids=repr)
def test_whatever_is_read_the_full_parser_reads_the_same(first: bytes, behind: bytes) -> None:
    ends = [[b"\r\n"] * 4]
    ends += [
        [odd if place == line else b"\r\n" for line in range(4)] for place in range(4) for odd in ODD_ENDS
    ]
    for one, two, each in product(LINES, LINES, ends):
        lines = zip([first, b"Host: a", one, two], each, strict=True)
        data = b"".join(line + end for line, end in lines) + b"\r\n" + behind
        head = read_head(data)
        if head is not None:
            agree(data, head)


def test_spaces_are_read_in_linear_time() -> None:
    assert read_head(with_line(b"A: b" + b" " * 60_000 + b"\0")) is None


def test_a_memo_keeps_within_its_budget_and_forgets_the_oldest() -> None:
    memo = HeadMemo(20_000)
    heads = [b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number for number in range(100)]
    for data in heads:
        head = memo.read(data)
        assert head is not None
        memo.keep(data, head)
        assert memo.known[data] is head
        assert memo.used <= memo.budget
    assert heads[0] not in memo.known
    assert 10 < len(memo.known) < 100


def test_a_memo_does_not_keep_what_is_large_for_it() -> None:
    memo = HeadMemo(20_000)
    data = with_line(b"A: " + b"b" * 2_000)
    head = memo.read(data)
    assert head is not None
    memo.keep(data, head)
    assert memo.known == {}
    assert memo.used == 0


def test_a_memo_counts_at_least_what_it_takes() -> None:
    memo = HeadMemo(64 << 20)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(5_000):
            data = with_line(
                b'If-None-Match: "%d", "b"\r\nAuthorization: Basic %d\r\nUser-Agent: %d' % ((number,) * 3)
            )
            head = memo.read(data)
            assert head is not None
            memo.keep(data, head)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= memo.used <= 3 * taken
    assert sys.getsizeof(memo.known) < memo.used
