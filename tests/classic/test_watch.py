"""What websocket-client does beside the opening handshake: the trace, and the cookie jar."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

import reactor
from reactor.classic import cookies
from reactor.classic.cookies import CookieJar
from reactor.classic.watch import ClassicWatch, text_of
from reactor.client.url import parse_url
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Response
from reactor.transports.proxy import Proxy

URL = parse_url("wss://shop.example.com/cart?item=1")


@pytest.fixture(autouse=True)
def jar(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cookie jar of the process."""
    monkeypatch.setattr(cookies.CookieJar, "jar", {})


@pytest.fixture
def traced() -> Iterator[io.StringIO]:
    """What the trace says; it is on."""
    stream = io.StringIO()
    reactor.enableTrace(True, logging.StreamHandler(stream))
    yield stream
    reactor.enableTrace(False)


def response(*cookies_set: str) -> Response:
    headers = Headers([("Set-Cookie", value) for value in cookies_set])
    return Response(101, "Switching Protocols", headers)


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"plain", "plain"), ("é".encode(), "é"), (b"caf\xe9", "café")],
)
def test_a_head_is_utf_8_or_else_latin_1(octets: bytes, text: str) -> None:
    assert text_of(octets) == text


def test_a_request_is_traced_as_it_was_sent(traced: io.StringIO) -> None:
    ClassicWatch().request_sent("GET /ü HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    first, *head, last = traced.getvalue().splitlines()
    assert (first, last) == ("--- request header ---", "-----------------------")
    assert list(filter(None, head)) == ["GET /ü HTTP/1.1", "Host: h"]


def test_a_response_is_traced_line_by_line_without_the_empty_one(traced: io.StringIO) -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nX-Name: caf\xe9\r\n\r\n"
    ClassicWatch().response_received(URL, response(), head)
    assert traced.getvalue().splitlines() == [
        *("--- response header ---", "HTTP/1.1 101 Switching Protocols", "X-Name: café"),
        "-----------------------",
    ]


def test_without_the_trace_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "websocket"):
        ClassicWatch().request_sent(b"GET / HTTP/1.1\r\n\r\n")
        ClassicWatch().response_received(URL, response(), b"HTTP/1.1 101 OK\r\n\r\n")
    assert not caplog.records


def test_the_cookies_of_a_response_go_out_with_the_next_request() -> None:
    watch = ClassicWatch()
    assert not watch.cookie(URL)
    told = response("a=1; Domain=example.com", "b=2; Domain=example.com; Path=/other")
    watch.response_received(URL, told, b"")
    assert watch.cookie(URL) == "a=1"
    sent = watch.cookie(parse_url("ws://example.com/other/page?q=/cart"))
    assert sorted(str(sent).split("; ")) == ["a=1", "b=2"]
    assert not watch.cookie(parse_url("ws://elsewhere.example/"))


def test_no_response_sets_a_cookie_for_another_host() -> None:
    ClassicWatch().response_received(URL, response("a=1; Domain=elsewhere.example"), b"")
    assert CookieJar.jar == {}


def test_a_proxy_whose_url_says_https_is_spoken_to_in_plain_http_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy = Proxy("https", "p.example", 3128, None, None)
    assert ClassicWatch().proxy_without_tls(proxy, OSError("no TLS there"))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("websocket", "WARNING")
    assert record.message.startswith("no TLS there; plain HTTP is spoken to it")
