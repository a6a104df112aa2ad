"""What peers, proxies and redirects say: tame wherever it enters a text that people read."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from reactor import (
    ABNF,
    Reactor,
    WebSocketBadStatusException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketProxyException,
)
from reactor.base.printable import named, printable, quoted
from reactor.classic.app.app import WebSocketApp
from reactor.cli.board import LineBoard
from reactor.cli.monitor import Monitor
from reactor.client.options import ClientOptions
from reactor.client.pipeline import connect
from reactor.loop.tasks import run_blocking

from ..support.clients import REQUEST, RawClient, head
from ..support.driving import run_until
from ..support.peers import Script, Serve, Talk, answer, http
from ..support.recorder import Recorder
from ..support.serving import Served
from ..support.socks import read_request
from ..support.websocket_frames import CLOSE, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")

CLEAR_SCREEN = "\x1b[2J"
#: What must not reach a terminal: escape sequences of both kinds, a line of its own, U+202E and
#: U+2066, which turn the direction of writing, a separator of lines.
WILD = (CLEAR_SCREEN, "\x9b2J", "\r\nfake", "\x07", "\x7f", "\u202e", "\u2066", "\u2028")
#: What a header, or a status line, may hold of it (RFC 9110 section 5.5), in latin-1.
WILD_HEADER = "\x9b2J\x85!"
LONG = "x" * 50_000

Client = Callable[..., RawClient]


def assert_tame(text: str, most: int = 6000) -> None:
    """Fail for a text that could do more to a terminal than show itself."""
    assert len(text) <= most
    wild = [char for char in text if not char.isprintable()]
    assert wild == []


# --- the helper -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain, ünïcödé, 世界 🙂", "plain, ünïcödé, 世界 🙂"),
        (CLEAR_SCREEN, r"\x1b[2J"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x9b\x85\xad", r"\x9b\x85\xad"),
        ("\u202eevil\u2066\u200b\ufeff", r"\u202eevil\u2066\u200b\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800\U000e0041", r"\ud800\U000e0041"),
        ("a\\b", "a\\b"),
        ("全角\u3000空白", "全角\u3000空白"),
    ],
)
def test_only_what_shows_itself_is_left_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_texts_are_cut() -> None:
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 200 + "... (201 characters)"
    assert printable("\x1b" * 9, 2) == r"\x1b\x1b... (9 characters)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b", r"'a\x1b'"),
        (b"a\x1b", r"b'a\x1b'"),
        ("abcdefg", "'abcde'... (7 characters)"),
        (b"abcdefg", "b'abcde'... (7 bytes)"),
        (None, "None"),
        (["a", "b"], "['a',... (10 characters)"),
        (["\u202e"], r"['\u2... (10 characters)"),
    ],
)
def test_values_are_quoted_and_cut(value: Any, shown: str) -> None:
    assert quoted(value, 5) == shown


@given(st.text() | st.binary())
def test_nothing_wild_passes(value: str | bytes) -> None:
    assert_tame(quoted(value))
    shown = printable(value if isinstance(value, str) else value.decode("latin-1"))
    assert all(char.isprintable() or char.isspace() for char in shown)
    assert not re.search(r"[\n\r\t\x0b\x0c\x1c-\x1f\x85\u2028\u2029]", shown)


# --- exceptions of a client -----------------------------------------------------------------------


def failed(url: str, **options: Any) -> WebSocketException:
    """Return the exception with which connecting fails."""
    with pytest.raises(WebSocketException) as caught:
        run_blocking(connect(url, ClientOptions(**options)))
    return caught.value


def refused(status_line: str, *lines: str, body: bytes = b"") -> Script:
    """Return a script that answers with this; its text is sent as latin-1."""

    def script(talk: Talk) -> None:
        talk.head()
        talk.send("".join(f"{line}\r\n" for line in [status_line, *lines]).encode("latin-1"))
        talk.send(b"\r\n" + body)
        talk.end()

    return script


@pytest.mark.parametrize("wild", [*WILD, LONG], ids=ascii)
def test_the_body_of_a_refusal(serve: Serve, wild: str) -> None:
    body = f"no {wild}".encode()
    peer = serve(answer("HTTP/1.1 403 No", f"Content-Length: {len(body)}", body=body))
    error = failed(peer.url)
    assert isinstance(error, WebSocketBadStatusException)
    assert_tame(str(error))
    assert " -+-+- no " in str(error)
    assert error.resp_body == body


@pytest.mark.parametrize("wild", [WILD_HEADER, LONG], ids=["wild", "long"])
def test_status_line_and_headers_of_a_refusal(serve: Serve, wild: str) -> None:
    error = failed(serve(refused(f"HTTP/1.1 403 {wild}", "A: b")).url)
    assert isinstance(error, WebSocketBadStatusException)
    assert_tame(str(error))
    assert error.status_message == wild
    error = failed(serve(refused("HTTP/1.1 403 No", f"A: b{wild}c", f"{'n' * 300}: b")).url)
    assert isinstance(error, WebSocketBadStatusException)
    assert_tame(str(error))
    assert error.resp_headers is not None
    assert error.resp_headers["a"] == f"b{wild}c"


@pytest.mark.parametrize("wild", [WILD_HEADER, LONG], ids=["wild", "long"])
@pytest.mark.parametrize(
    "header",
    [
        "Upgrade: {}",
        "Connection: {}",
        "Sec-WebSocket-Accept: {}",
        "Sec-WebSocket-Protocol: {}",
        "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: {}",
        "Sec-WebSocket-Extensions: {}",
        "Sec-WebSocket-Extensions: permessage-deflate; {}",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits={}",
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover={}",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={}",
    ],
)
def test_headers_of_an_upgrade_that_is_none(serve: Serve, header: str, wild: str) -> None:
    def script(talk: Talk) -> None:
        request = talk.head()
        named, _, value = header.format(f"a{wild}b").partition(":")
        lines = [f"{named}:{value}"]
        accepted = request.response().decode("latin-1").split("\r\n")[:-2]
        lines = [line for line in accepted if not line.startswith(named)] + lines
        talk.send("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n")
        talk.until_closed()

    error = failed(serve(script).url, subprotocols=["chat"], compression="deflate")
    assert isinstance(error, WebSocketHandshakeException)
    assert_tame(str(error))
    assert header.partition(":")[0] in str(error)


@pytest.mark.parametrize(
    "location",
    [
        "http://{}/",
        "http://a:{}/",
        "{}://a/",
        "http://[{}]/",
        "http://[::1%25{}]/",
        "http://u@{}@:x/",
        "http://127.0.0.1:1/{}",
        "http://a{}:1/".format(".a" * 20_000),
        "/{}",
    ],
)
@pytest.mark.parametrize("wild", [WILD_HEADER, LONG], ids=["wild", "long"])
def test_where_a_redirect_leads(serve: Serve, location: str, wild: str) -> None:
    lines = ("HTTP/1.1 302 Found", f"Location: {location.format(f'a{wild}b')}")
    error = failed(serve(refused(*lines)).url)
    chain: BaseException | None = error
    while chain is not None:  # a traceback shows them all
        assert_tame(str(chain))
        chain = chain.__cause__


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "HTTP/1.1 {}",
        "HTTP/2.0 200 {}",
        "HTTP/1.1 200 {}\x1b",
        "HTTP/1.1 200 OK\r\n{}",
        "HTTP/1.1 200 OK\r\n{}: x",
        "HTTP/1.1 200 OK\r\nA: {}\x1b",
        "HTTP/1.1 200 OK\r\n {}",
    ],
)
@pytest.mark.parametrize("wild", [CLEAR_SCREEN + WILD_HEADER, LONG], ids=["wild", "long"])
def test_what_is_no_head(serve: Serve, line: str, wild: str) -> None:
    error = failed(serve(refused(line.format(f"a{wild}b"))).url)
    assert_tame(str(error))


@pytest.mark.parametrize("wild", [WILD_HEADER, LONG], ids=["wild", "long"])
@pytest.mark.parametrize("line", ["HTTP/1.1 403 {}", "HTTP/1.1 {}", "{}", "HTTP/1.1 200 OK\r\n{}"])
def test_what_a_proxy_answers_to_connect(serve: Serve, line: str, wild: str) -> None:
    peer = serve(refused(line.format(f"a{wild}b")))
    error = failed("ws://192.0.2.1/", proxy=f"http://127.0.0.1:{peer.port}")
    assert isinstance(error, WebSocketProxyException)
    assert_tame(str(error))


@pytest.mark.parametrize("kind", ["socks4a", "socks5h"])
@pytest.mark.parametrize("data", [b"\x1b[2J" * 100, b"\x05\x00\x05\x1b\x00\x03\x04\x1b[2J"])
def test_what_a_socks_proxy_answers(serve: Serve, kind: str, data: bytes) -> None:
    def script(talk: Talk) -> None:
        read_request(talk, kind) if kind == "socks4a" else talk.exactly(3)
        talk.send(data)
        talk.end()

    peer = serve(script)
    error = failed("ws://192.0.2.1/", proxy=f"{kind}://127.0.0.1:{peer.port}")
    assert_tame(str(error))


def test_what_comes_before_tls_through_a_proxy(serve: Serve) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http("HTTP/1.1 200 OK", body=b"\x1b[2J" * 1000))
        talk.until_closed()

    peer = serve(script)
    assert_tame(str(failed("wss://192.0.2.1/", proxy=f"http://127.0.0.1:{peer.port}")))


# --- what comes over an open connection -----------------------------------------------------------


def saying(*frames: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(frames))
        talk.until_closed()

    return script


@pytest.mark.parametrize("wild", WILD, ids=ascii)
def test_a_close_reason_stays_as_it_came_but_in_texts(
    serve: Serve, caplog: pytest.LogCaptureFixture, wild: str
) -> None:
    caplog.set_level(logging.DEBUG)
    payload = close_payload(4000, f"a{wild}b".encode())
    told: list[Any] = []
    app = WebSocketApp(
        serve(saying(build_frame(CLOSE, payload))).url,
        on_error=lambda _, error: told.append(str(error)),
        on_close=lambda _, code, reason: told.append((code, reason)),
    )
    app.run_forever()
    assert_tame(told[0])
    assert told[1] == (4000, f"a{wild}b")
    for record in caplog.records:
        assert_tame(record.getMessage())


@pytest.mark.parametrize("wild", [b"\x1b[2J\xff", b"\x1b" * 50_000 + b"\xff"], ids=["wild", "long"])
def test_a_text_that_is_not_utf_8(serve: Serve, loop: Reactor, wild: bytes) -> None:
    peer = serve(saying(build_frame(TEXT, wild)))
    protocol = loop.connect(peer.url, Recorder)
    run_until(loop, lambda: protocol.errors)
    assert_tame(str(protocol.errors[0]))
    for options in ({}, {"skip_utf8_validation": True}):
        ws = reactor.create_connection(peer.url, timeout=10, **options)
        with pytest.raises((WebSocketException, UnicodeDecodeError)) as caught:
            ws.recv()
        ws.shutdown()
        assert_tame(str(caught.value))


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def traced() -> Iterator[list[str]]:
    """The lines of the trace, which is on."""
    handler = Lines()
    reactor.enableTrace(True, handler)
    yield handler.lines
    reactor.enableTrace(False)


@pytest.mark.parametrize("face", ["app", "blocking"])
def test_the_trace(serve: Serve, traced: list[str], face: str) -> None:
    def script(talk: Talk) -> None:
        request = talk.head()
        wild = request.response().removesuffix(b"\r\n") + b"A: \x9b2J\x85--- fake ---\r\n\r\n"
        talk.send(wild + build_frame(TEXT, CLEAR_SCREEN.encode()))
        talk.send(build_frame(TEXT, b"\x1b" * (1 << 20)))
        talk.send(build_frame(CLOSE, close_payload(4000, b"\x1b")))
        talk.until_closed()

    peer = serve(script)
    if face == "app":
        WebSocketApp(peer.url).run_forever()
    else:
        ws = reactor.create_connection(peer.url, timeout=10)
        while ws.recv():
            pass
        ws.shutdown()
    assert "A: \\x9b2J\\x85--- fake ---" in traced
    request = next(line for line in traced if line.startswith("GET "))
    for line in [*traced, *request.split("\r\n")]:
        if line is not request:
            assert_tame(line, (1 << 20) + 100)


def test_a_frame_is_traced_on_one_line(traced: list[str]) -> None:
    reactor.trace(str(ABNF(data="a\nb\x1b")))
    assert traced == [r"fin=0 opcode=1 data=a\nb\x1b"]


# --- a server -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wild", [WILD_HEADER, LONG], ids=["wild", "long"])
@pytest.mark.parametrize(
    "request_",
    [
        ("{long} / HTTP/1.1", *REQUEST[1:]),
        ("GET /{long} HTTP/1.0", *REQUEST[1:]),
        ("GET /{wild} HTTP/1.1", *REQUEST[1:]),
        ("GET / HTTP/{wild}", *REQUEST[1:]),
        ("GET / HTTP/1.1", "{wild}"),
        ("GET / HTTP/1.1", "A: {wild}\x1b"),
        (*REQUEST[:4], "Sec-WebSocket-Key: {wild}", REQUEST[5]),
        (*REQUEST[:5], "Sec-WebSocket-Version: {wild}"),
        (*REQUEST, "Origin: {wild}"),
        (*REQUEST, "Origin: {wild}", "Origin: {wild}"),
        ("{wild}",),
    ],
)
def test_what_a_server_answers_and_logs(
    loop: Reactor,
    raw_client: Client,
    caplog: pytest.LogCaptureFixture,
    request_: tuple[str, ...],
    wild: str,
) -> None:
    caplog.set_level(logging.DEBUG, "reactor")
    listener = loop.listen("127.0.0.1", 0, Served(), origins=["https://app.example"])
    client = raw_client(listener)
    client.send(head(*(line.format(wild=f"a{wild}b", long=f"a{LONG}") for line in request_)))
    assert 400 <= int(client.head()[0].split()[1]) < 600
    body = client.until_closed().decode()
    assert body.endswith("\n")
    assert_tame(body.removesuffix("\n"), 1000)
    run_until(loop, lambda: caplog.records)
    for record in caplog.records:
        assert_tame(record.getMessage(), 1000)


@pytest.mark.parametrize("answers", ["error", "answer", "subprotocol", "factory", "full"])
def test_what_a_server_logs_of_a_request_that_it_takes(
    loop: Reactor, raw_client: Client, caplog: pytest.LogCaptureFixture, answers: str
) -> None:
    caplog.set_level(logging.DEBUG, "reactor")

    def look(request: Any, sock: Any) -> Any:
        if answers == "error":
            raise LookupError
        return reactor.HTTPResponse(200) if answers == "answer" else None

    def fill() -> Recorder:
        if answers == "factory":
            raise LookupError
        return Full()

    class Full(Recorder):
        def on_open(self) -> None:
            while True:
                self.send("x" * 100)

    listener = loop.listen(
        "127.0.0.1",
        0,
        fill,
        process_request=look,
        subprotocols=(lambda _request, _offered: "none") if answers == "subprotocol" else (),
        write_limit=100,
    )
    client = raw_client(listener)
    offered = "Sec-WebSocket-Protocol: " + ",".join(f"p{number}" for number in range(5000))
    client.send(head(f"GET /{'x' * 20_000} HTTP/1.1", *REQUEST[1:], offered))
    run_until(loop, lambda: caplog.records)
    for record in caplog.records:
        assert_tame(record.getMessage(), 1000)
        if record.exc_info:
            assert_tame(str(record.exc_info[1]), 1000)


# --- the demo -------------------------------------------------------------------------------------


def test_the_demo_shows_causes_tamely(loop: Reactor, capsys: Any) -> None:
    monitor = Monitor(loop, 1)
    monitor.ended(f"ValueError: {CLEAR_SCREEN}{LONG}")
    board = LineBoard()
    board.show(monitor.second())
    board.end(monitor.summary())
    shown = capsys.readouterr().out
    assert "ValueError" in shown
    for line in shown.splitlines():
        assert_tame(line, 400)


def test_the_feed_takes_no_symbol_that_is_too_long(loop: Reactor) -> None:
    from reactor.cli.feed import Feed, Subscriber

    feed = Feed(loop, 1.0, 0.0)
    listener = loop.listen("127.0.0.1", 0, lambda: Subscriber(feed))
    client = loop.connect(f"ws://127.0.0.1:{listener.port}/", Recorder)
    run_until(loop, lambda: "open" in client.names)
    client.send(json.dumps({"op": "subscribe", "symbol": LONG}))
    client.send(json.dumps({"op": f"{CLEAR_SCREEN}{LONG}", "symbol": "X"}))
    run_until(loop, lambda: len(client.messages) == 2)
    for message in client.messages:
        assert_tame(message, 500)
        assert "error" in json.loads(message)


class Nameless:
    """Something of a user's whose text cannot be had."""

    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("BTC\x1b[31m", r"BTC\x1b[31m"), (5, "5"), (("a", 1), "('a', 1)"), (Nameless(), "<Nameless>")],
)
def test_a_topic_is_shown_by_its_text_or_else_by_its_class(value: object, shown: str) -> None:
    assert named(value) == shown
