"""The body of a refusal: RFC 9112 sections 6 and 7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.protocols.http.body import BodyParser
from reactor.protocols.http.http11 import HeadLimits, Response

from .test_http11 import cut, one_by_one, read_response


def body_of(head: bytes, *pieces: bytes, limits: HeadLimits | None = None) -> tuple[bytes, bool]:
    """Return the body that a parser finds, and whether it then was done."""
    response = read_response(b"HTTP/1.1 " + head + b"\r\n\r\n")
    parser = BodyParser(response, limits or HeadLimits())
    for piece in pieces:
        assert parser.feed(piece) is parser.done
    return parser.body, parser.done


CHUNKED = b"403 No\r\nTransfer-Encoding: chunked"


class TestBody:
    def test_content_length(self):
        head = b"403 No\r\nContent-Length: 5"
        assert body_of(head) == (b"", False)
        assert body_of(head, b"he") == (b"he", False)
        assert body_of(head, b"he", b"llo") == (b"hello", True)
        assert body_of(head, b"hello, next") == (b"hello", True)

    def test_nothing_is_taken_after_it(self):
        assert body_of(b"403 No\r\nContent-Length: 2", b"ab", b"cd") == (b"ab", True)

    def test_no_length_is_until_the_end(self):
        parser = BodyParser(Response(403, "No"))
        assert parser.feed(b"some") is False
        assert parser.feed(b"thing") is False
        parser.feed_eof()
        assert (parser.body, parser.done) == (b"something", True)
        assert parser.feed(b"more") is True
        assert parser.body == b"something"

    def test_the_end_comes_early(self):
        parser = BodyParser(read_response(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n"))
        parser.feed(b"some")
        parser.feed_eof()
        assert (parser.body, parser.done) == (b"some", True)

    @pytest.mark.parametrize(
        "head",
        [
            b"403 No\r\nContent-Length: 0",
            b"101 Switching Protocols",
            b"204 No Content\r\nContent-Length: 5",
            b"304 Not Modified\r\nTransfer-Encoding: chunked",
        ],
    )
    def test_no_body_is_done_at_once(self, head):
        assert body_of(head) == (b"", True)
        assert body_of(head, b"frames") == (b"", True)

    @pytest.mark.parametrize(
        "length", [b"x", b"-1", b"+5", b"0x5", b"5 5", b"\xb2", b"9" * 5000, b"5, 6"]
    )
    def test_malformed_length(self, length):
        assert body_of(b"403 No\r\nContent-Length: " + length, b"hello") == (b"", True)

    def test_the_same_length_twice(self):
        head = b"403 No\r\nContent-Length: 5\r\nContent-Length: 5, 5"
        assert body_of(head, b"hello world") == (b"hello", True)

    def test_a_length_over_the_limit(self):
        head = b"403 No\r\nContent-Length: 999999999999999999"
        limits = HeadLimits(max_body_size=8)
        assert body_of(head, b"12345", b"67890", limits=limits) == (b"12345678", True)

    def test_a_body_without_length_over_the_limit(self):
        limits = HeadLimits(max_body_size=8)
        assert body_of(b"403 No", b"1234567", limits=limits) == (b"1234567", False)
        assert body_of(b"403 No", b"1234567", b"890", limits=limits) == (b"12345678", True)

    @pytest.mark.parametrize("head", [b"403 No", b"403 No\r\nContent-Length: 5", CHUNKED])
    def test_a_limit_of_zero(self, head):
        assert body_of(head, limits=HeadLimits(max_body_size=0)) == (b"", True)


class TestChunkedBody:
    BODY = b'5\r\nhello\r\nA ;x="y"\r\n, worldly.\r\n0\r\nTrailer: x\r\n\r\n'

    def test_whole(self):
        assert body_of(CHUNKED, self.BODY) == (b"hello, worldly.", True)

    def test_one_byte_at_a_time(self):
        assert body_of(CHUNKED, *one_by_one(self.BODY)) == (b"hello, worldly.", True)

    @given(st.lists(st.integers(0, 100)))
    def test_random_splits(self, cuts):
        assert body_of(CHUNKED, *cut(self.BODY, cuts)) == (b"hello, worldly.", True)

    def test_bare_line_feeds(self):
        assert body_of(CHUNKED, b"2\nab\n0\n\n") == (b"ab", True)

    def test_wins_over_content_length(self):
        head = CHUNKED + b"\r\nContent-Length: 1"
        assert body_of(head, self.BODY) == (b"hello, worldly.", True)

    def test_after_another_coding(self):
        head = b"403 No\r\nTransfer-Encoding: gzip, Chunked"
        assert body_of(head, b"2\r\nab\r\n0\r\n\r\n") == (b"ab", True)

    def test_another_coding_last_is_until_the_end(self):
        head = b"403 No\r\nTransfer-Encoding: chunked, gzip\r\nContent-Length: 1"
        assert body_of(head, b"2\r\nab\r\n") == (b"2\r\nab\r\n", False)

    @pytest.mark.parametrize(
        "malformed",
        [
            b"\r\n",
            b"x\r\n",
            b"-1\r\nz",
            b"0x2\r\nzz\r\n",
            b"5 5\r\nhello\r\n",
            b"F" * 16 + b"\r\nzz",
            b"1;" + b"x" * 300,
            b"1" + b" " * 300,
            b"1" + b" " * 300 + b"\r\nz\r\n",
            b"1;" + b"x" * 300 + b"\r\nz\r\n",
            b"2\r\ncdX\r\n2\r\nzz\r\n",
        ],
    )
    def test_malformed_coding_ends_the_body(self, malformed):
        expected = b"abcd" if b"cd" in malformed else b"ab"
        data = b"2\r\nab\r\n" + malformed
        assert body_of(CHUNKED, data) == (expected, True)
        assert body_of(CHUNKED, *one_by_one(data)) == (expected, True)

    @pytest.mark.parametrize(
        ("limit", "body"),
        [(2, b""), (7, b"hell"), (10, b"hello"), (20, b"hello"), (22, b"hello, ")],
    )
    def test_what_is_around_the_chunks_counts_towards_the_limit(self, limit, body):
        limits = HeadLimits(max_body_size=limit)
        assert body_of(CHUNKED, self.BODY, limits=limits) == (body, True)
        assert body_of(CHUNKED, *one_by_one(self.BODY), limits=limits) == (body, True)

    @pytest.mark.parametrize(
        "chunk", [b"1\r\nx\r\n", b"1\nx\n", b"0001 \r\nx\r\n", b"1;" + b"y" * 200 + b"\r\nx\r\n"]
    )
    @pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
    def test_the_smallest_chunks_are_read_no_further_than_the_limit(self, chunk, piece):
        limits = HeadLimits(max_body_size=1000)
        data = chunk * 1000
        parser = BodyParser(read_response(b"HTTP/1.1 " + CHUNKED + b"\r\n\r\n"), limits)
        taken = 0
        while not parser.feed(data[taken : taken + piece]):
            taken += piece
        assert taken < 1000
        assert parser.body in (b"x" * (1000 // len(chunk)), b"x" * (1000 // len(chunk) + 1))

    @given(st.binary(max_size=100), st.lists(st.integers(0, 100)))
    def test_any_bytes_give_the_same_body_in_any_pieces(self, data, cuts):
        assert body_of(CHUNKED, *cut(data, cuts)) == body_of(CHUNKED, data)
