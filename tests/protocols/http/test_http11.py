"""Heads of HTTP/1.1, however they are cut into pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.exceptions import WebSocketHandshakeException
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import (
    HeadError,
    HeadLimits,
    HeadParser,
    Request,
    Response,
    has_body,
    parse_again,
)

RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection:Upgrade\r\n"
    b"X-Twice: a\r\n"
    b"x-twice:\t b \t\r\n"
    b"Empty:\r\n"
    b"\r\n"
)
REQUEST = b"GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nCookie: a=b\r\n\r\n"


def one_by_one(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def cut(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Yield `data` in pieces, cut at these positions (modulo its length)."""
    borders = [0, *sorted(position % (len(data) + 1) for position in cuts), len(data)]
    for start, end in pairwise(borders):
        yield data[start:end]


def read_response(data: bytes, limits: HeadLimits | None = None) -> Response:
    response = HeadParser("response", limits or HeadLimits()).feed(data)
    assert response is not None
    return response


def read_request(data: bytes) -> Request:
    request = HeadParser("request").feed(data)
    assert request is not None
    return request


def outcome_of(kind: str, pieces: Iterable[bytes], limits: HeadLimits) -> object:
    """Return what a parser makes of a head: the head and what is left, or the error's type."""
    parser = HeadParser(kind, limits)  # type: ignore[call-overload]
    rest = iter(pieces)
    for piece in rest:
        try:
            head = parser.feed(piece)
        except HeadError:
            return HeadError
        if head is not None:
            return head, parser.leftover + b"".join(rest)
    return None


class TestHeadLimits:
    def test_defaults(self):
        limits = HeadLimits()
        assert (limits.max_head_size, limits.max_header_count) == (65536, 128)
        assert limits.max_body_size == 65536

    @pytest.mark.parametrize("name", ["max_head_size", "max_header_count", "max_body_size"])
    def test_negative_limit(self, name):
        with pytest.raises(ValueError, match=f"^{name} must not be negative, but is -1$"):
            HeadLimits(**{name: -1})


class TestResponse:
    def test_head(self):
        response = read_response(RESPONSE)
        assert response == Response(
            101,
            "Switching Protocols",
            Headers(
                [
                    ("Upgrade", "websocket"),
                    ("Connection", "Upgrade"),
                    ("X-Twice", "a"),
                    ("x-twice", "b"),
                    ("Empty", ""),
                ]
            ),
        )

    @pytest.mark.parametrize(
        ("line", "status", "reason"),
        [
            (b"HTTP/1.1 200 OK", 200, "OK"),
            (b"HTTP/1.0 200 Connection established", 200, "Connection established"),
            (b"HTTP/1.1 403 ", 403, ""),
            (b"HTTP/1.1 403", 403, ""),
            (b"HTTP/1.1 999 \tna\xefve", 999, "\tna\xefve"),
        ],
    )
    def test_status_lines(self, line, status, reason):
        response = read_response(line + b"\r\n\r\n")
        assert (response.status, response.reason) == (status, reason)
        assert len(response.headers) == 0

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"HTTP",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 020 OK",
            b"HTTP/1.1 2x0 OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1\t200 OK",
            b"HTTP/1.1 200 O\x00K",
            b"HTTP/1.1 200 OK\r",
            b"HTTP/2 200 OK",
            b"http/1.1 200 OK",
            b" HTTP/1.1 200 OK",
            b"ICY 200 OK",
            b"SSH-2.0-OpenSSH_9.2",
            b"GET / HTTP/1.1",
        ],
    )
    def test_malformed_status_line(self, line):
        with pytest.raises(HeadError, match="malformed HTTP status line") as caught:
            read_response(line + b"\r\n\r\n")
        assert repr(line) in str(caught.value)

    def test_other_version(self):
        with pytest.raises(HeadError, match=r"not HTTP/1\.x: b'HTTP/2\.0 200 OK'"):
            read_response(b"HTTP/2.0 200 OK\r\n\r\n")

    def test_what_comes_after_the_head_is_left_over(self):
        parser = HeadParser()
        assert parser.feed(RESPONSE + b"\x81\x02hi\r\n\r\n") is not None
        assert parser.leftover == b"\x81\x02hi\r\n\r\n"

    def test_nothing_left_over(self):
        parser = HeadParser()
        assert parser.feed(RESPONSE) is not None
        assert parser.leftover == b""

    @pytest.mark.parametrize("garbage", [b"S", b"\x15\x03\x01", b"HTTQ", b"HTTP:", b"\rH"])
    def test_garbage_without_a_line_end_is_refused_at_once(self, garbage):
        with pytest.raises(HeadError, match="not an HTTP response") as caught:
            HeadParser().feed(garbage)
        assert repr(garbage) in str(caught.value)

    def test_garbage_is_shortened_in_the_message(self):
        with pytest.raises(HeadError) as caught:
            HeadParser().feed(b"x" * 5000)
        assert str(caught.value).endswith("x'... (5000 bytes)")
        assert len(str(caught.value)) < 120


class TestRequest:
    def test_head(self):
        request = read_request(REQUEST)
        headers = Headers([("Host", "example.com"), ("Cookie", "a=b")])
        assert request == Request("GET", "/chat?x=1", headers)
        assert request.version == "HTTP/1.1"

    @pytest.mark.parametrize(
        ("line", "method", "target", "version"),
        [
            (b"POST * HTTP/1.0", "POST", "*", "HTTP/1.0"),
            (b"M-SEARCH http://a/b HTTP/1.9", "M-SEARCH", "http://a/b", "HTTP/1.9"),
        ],
    )
    def test_request_lines(self, line, method, target, version):
        request = read_request(line + b"\r\n\r\n")
        assert (request.method, request.target, request.version) == (method, target, version)

    @pytest.mark.parametrize(
        "line",
        [
            b"GET",
            b"GET /",
            b"GET / HTTP/1",
            b"GET / HTTP/1.1 ",
            b"GET  / HTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET /\xc3\xa9 HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET / http/1.1",
            b"G(T / HTTP/1.1",
            b" GET / HTTP/1.1",
            b"\x16\x03\x01\x02\x00",
        ],
    )
    def test_malformed_request_line(self, line):
        with pytest.raises(HeadError, match="malformed HTTP request line") as caught:
            read_request(line + b"\r\n\r\n")
        assert repr(line) in str(caught.value)
        assert caught.value.status == 400

    def test_other_version(self):
        with pytest.raises(HeadError, match=r"not HTTP/1\.x: b'PRI \* HTTP/2\.0'") as caught:
            read_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert caught.value.status == 505

    def test_a_few_empty_lines_before_it_are_skipped(self):
        assert read_request(b"\r\n\n\r\n\n" + REQUEST) == read_request(REQUEST)

    def test_more_empty_lines_are_not(self):
        with pytest.raises(HeadError, match="malformed HTTP request line: b''"):
            read_request(b"\r\n" * 5 + REQUEST)

    @pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b" ", b"\rG", b"\r\n\x80"])
    def test_garbage_without_a_line_end_is_refused_at_once(self, garbage):
        with pytest.raises(HeadError, match="not an HTTP request") as caught:
            HeadParser("request").feed(garbage)
        assert caught.value.status == 400


class TestHeaderLines:
    @pytest.mark.parametrize(
        ("line", "fault"),
        [
            (b" folded", "folded"),
            (b"\tfolded: x", "folded"),
            (b"NoColon", "no colon"),
            (b"Name : x", "whitespace before the colon"),
            (b"Name\t: x", "whitespace before the colon"),
            (b": x", "invalid name"),
            (b"Na me: x", "invalid name"),
            (b"N\xe4me: x", "invalid name"),
            (b"Name(1): x", "invalid name"),
            (b"Name: a\x00b", "control character"),
            (b"Name: a\rb", "control character"),
            (b"Name: a\r", "control character"),
            (b"Name: a\x7f", "control character"),
        ],
    )
    def test_malformed(self, line, fault):
        with pytest.raises(HeadError, match=f"header line 2 has.*{fault}|2 is a {fault}") as caught:
            read_response(b"HTTP/1.1 200 OK\r\nA: b\r\n" + line + b"\r\n\r\n")
        assert str(caught.value).endswith(f": {line!r}")
        assert caught.value.status == 400

    def test_values_are_latin_1(self):
        response = read_response(b"HTTP/1.1 200 OK\r\nA: caf\xe9 \xff\tb\r\n\r\n")
        assert response.headers["A"] == "caf\xe9 \xff\tb"

    def test_every_token_character_in_a_name(self):
        name = "!#$%&'*+-.^_`|~09azAZ"
        response = read_response(f"HTTP/1.1 200 OK\r\n{name}: x\r\n\r\n".encode())
        assert response.headers.items() == [(name, "x")]

    def test_bare_line_feeds_end_lines(self):
        assert read_response(RESPONSE.replace(b"\r\n", b"\n")) == read_response(RESPONSE)


class TestLimits:
    LIMITS = HeadLimits(max_head_size=100, max_header_count=2)

    @pytest.mark.parametrize("split", [lambda head: [head], one_by_one])
    def test_one_line_may_take_the_whole_head(self, split):
        start = b"HTTP/1.1 200 OK\r\nName: "
        head = start + b"x" * (65536 - len(start) - 4) + b"\r\n\r\n"
        assert len(head) == 65536
        parser = HeadParser("response")
        response = list(map(parser.feed, split(head)))[-1]
        assert response is not None
        assert len(response.headers["name"]) == 65536 - len(start) - 4

    @pytest.mark.parametrize("split", [lambda head: [head], one_by_one])
    @pytest.mark.parametrize("end", [b"", b"\r", b"\r\n\r\n"])
    def test_a_header_line_over_the_limit(self, end, split):
        parser = HeadParser("request", self.LIMITS)
        with pytest.raises(HeadError, match=r"the head .* max_head_size \(100 bytes\)") as caught:
            deque(map(parser.feed, split(b"GET / HTTP/1.1\r\nName: " + b"x" * 95 + end)), maxlen=0)
        assert caught.value.status == 431

    @pytest.mark.parametrize("split", [lambda head: [head], one_by_one])
    @pytest.mark.parametrize("end", [b"", b"\r", b" HTTP/1.1\r\n\r\n"])
    def test_a_request_line_over_the_limit(self, end, split):
        parser = HeadParser("request", self.LIMITS)
        with pytest.raises(
            HeadError, match=r"the first line of the request .* max_head_size \(100 bytes\)"
        ) as caught:
            deque(map(parser.feed, split(b"GET /" + b"x" * 96 + end)), maxlen=0)
        assert caught.value.status == 414

    def test_a_head_at_the_limit(self):
        head = b"HTTP/1.1 200 OK\r\nA: " + b"x" * 35 + b"\r\nB: " + b"x" * 37 + b"\r\n\r\n"
        assert len(head) == 101
        head = head.replace(b"xxx", b"xx", 1)
        for pieces in ([head], one_by_one(head)):
            assert outcome_of("response", pieces, self.LIMITS) == (read_response(head), b"")

    @pytest.mark.parametrize("split", [lambda head: [head], one_by_one])
    def test_a_head_over_the_limit(self, split):
        head = b"HTTP/1.1 200 OK\r\nA: " + b"x" * 35 + b"\r\nB: " + b"x" * 37 + b"\r\n\r\n"
        parser = HeadParser("response", self.LIMITS)
        with pytest.raises(HeadError, match=r"the head .* max_head_size \(100 bytes\)") as caught:
            deque(map(parser.feed, split(head)), maxlen=0)
        assert caught.value.status == 431

    def test_too_many_headers(self):
        head = b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n"
        assert outcome_of("response", [head, b"\r\n"], self.LIMITS) not in (None, HeadError)
        with pytest.raises(HeadError, match=r"max_header_count \(2\)") as caught:
            HeadParser("response", self.LIMITS).feed(head + b"C: 3\r\n")
        assert caught.value.status == 431

    def test_an_endless_head_ends_at_the_limit(self):
        parser = HeadParser("response", HeadLimits(max_header_count=10**9))
        parser.feed(b"HTTP/1.1 200 OK\r\n")
        room = 65536 - len(b"HTTP/1.1 200 OK\r\n")
        for _ in range(room // 6):
            parser.feed(b"X: y\r\n")
        with pytest.raises(HeadError, match=r"max_head_size \(65536 bytes\)"):
            parser.feed(b"X: y\r\n")

    def test_a_large_leftover_is_not_part_of_the_head(self):
        rest = b"x" * 1000
        assert outcome_of("response", [RESPONSE + rest], HeadLimits(max_head_size=200)) == (
            read_response(RESPONSE),
            rest,
        )


class TestEnd:
    def test_truncated_head(self):
        parser = HeadParser()
        parser.feed(b"HTTP/1.1 101 Swi")
        with pytest.raises(WebSocketHandshakeException) as caught:
            parser.feed_eof()
        assert str(caught.value) == (
            "the connection ended before the head of the response was complete: "
            "16 bytes were received: b'HTTP/1.1 101 Swi'"
        )

    def test_nothing_came(self):
        with pytest.raises(
            HeadError, match="head of the request was complete: 0 bytes were received"
        ):
            HeadParser("request").feed_eof()

    def test_takes_no_more_after_the_head(self):
        parser = HeadParser()
        parser.feed(RESPONSE)
        with pytest.raises(RuntimeError, match="COMPLETE"):
            parser.feed(b"x")
        with pytest.raises(RuntimeError, match="COMPLETE"):
            parser.feed_eof()

    def test_takes_no_more_after_an_error(self):
        parser = HeadParser()
        with pytest.raises(HeadError):
            parser.feed(b"garbage")
        with pytest.raises(RuntimeError, match="FAILED"):
            parser.feed(RESPONSE)

    def test_takes_no_more_after_the_end(self):
        parser = HeadParser()
        with pytest.raises(HeadError):
            parser.feed_eof()
        with pytest.raises(RuntimeError, match="FAILED"):
            parser.feed_eof()


class TestPieces:
    @pytest.mark.parametrize(
        ("kind", "head"), [("response", RESPONSE), ("request", b"\r\n" + REQUEST)]
    )
    def test_one_byte_at_a_time(self, kind, head):
        whole = outcome_of(kind, [head + b"rest"], HeadLimits())
        assert outcome_of(kind, one_by_one(head + b"rest"), HeadLimits()) == whole
        assert whole not in (None, HeadError)

    def test_an_empty_piece_changes_nothing(self):
        assert HeadParser().feed(b"") is None

    def test_not_complete_before_the_last_byte(self):
        parser = HeadParser()
        assert [parser.feed(byte) for byte in one_by_one(RESPONSE[:-1])] == [None] * (
            len(RESPONSE) - 1
        )

    @given(st.lists(st.integers(0, 500)))
    def test_random_splits(self, cuts):
        whole = outcome_of("response", [RESPONSE + b"rest"], HeadLimits())
        assert outcome_of("response", cut(RESPONSE + b"rest", cuts), HeadLimits()) == whole

    @given(
        st.sampled_from(["response", "request"]),
        st.lists(
            st.sampled_from(
                [
                    *(b"HTTP/1.1 200 OK", b"GET / HTTP/1.1", b"A: b", b"HTT", b"x" * 30),
                    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b":", b"\x00", b"\xff"),
                ]
            )
        ),
        st.lists(st.integers(0, 500)),
    )
    def test_random_heads_end_the_same_in_any_pieces(self, kind, parts, cuts):
        data = b"".join(parts)
        limits = HeadLimits(max_head_size=80, max_header_count=3)
        whole = outcome_of(kind, [data], limits)
        assert outcome_of(kind, cut(data, cuts), limits) == whole
        assert outcome_of(kind, one_by_one(data), limits) == whole

    @given(st.binary(max_size=200))
    def test_any_bytes_give_a_head_or_a_head_error(self, data):
        outcome_of("response", [b"HTTP/1.1 200 OK\r\n" + data], HeadLimits())
        outcome_of("request", [data], HeadLimits())


@pytest.mark.parametrize(
    ("status", "expected"),
    [(100, False), (101, False), (200, True), (204, False), (304, False), (403, True)],
)
def test_has_body(status, expected):
    assert has_body(status) is expected


@pytest.mark.parametrize(("kind", "raw"), [("request", REQUEST), ("response", RESPONSE)])
def test_a_head_can_be_parsed_again_from_its_bytes(kind, raw):
    parser = HeadParser(kind)
    head = parser.feed(b"\r\n" * (kind == "request") + raw + b"and more")
    assert parse_again(kind, parser.raw) == head


# --- what a request says --------------------------------------------------------------------------


def test_the_path_and_the_query_of_a_request() -> None:
    request = Request("GET", "/a%20b/%C3%A9?id=1&id=2&name=a+b&empty=&bare")
    assert request.path == "/a b/é"
    assert request.query == {"id": ["1", "2"], "name": ["a b"], "empty": [""], "bare": [""]}


def test_a_request_without_a_query() -> None:
    assert (Request("GET", "/").path, Request("GET", "/").query) == ("/", {})


def test_a_query_of_too_many_pairs() -> None:
    request = Request("GET", "/?" + "&".join(f"a{i}=" for i in range(1001)))
    with pytest.raises(ValueError, match="Max number of fields exceeded"):
        _ = request.query


def test_the_cookies_of_a_request() -> None:
    headers = Headers([("Cookie", 'a=1; b="two"; a=3; ; =nameless; bare'), ("cookie", "c=x=y")])
    request = Request("GET", "/", headers)
    assert request.cookies == {"a": "1", "b": "two", "c": "x=y"}
