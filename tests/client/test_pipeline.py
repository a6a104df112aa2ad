from __future__ import annotations

import base64
import errno
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reactor import (
    Backoff,
    Reactor,
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketCertificateException,
    WebSocketConnectException,
    WebSocketConnectRefusedException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from reactor.client import pipeline
from reactor.client.options import ClientOptions
from reactor.client.pipeline import ClientUpgrade, connect
from reactor.loop.tasks import Task, run_blocking
from reactor.timers import ManualClock
from reactor.transports.tls.contexts import make_context

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import Script, Serve, Talk, answer, http, silence
from ..support.recorder import Recorder
from ..support.turns import run_counted, told_singly
from ..support.websocket_frames import TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")

T = TypeVar("T")
Open = Callable[..., ClientUpgrade]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name resolves to 127.0.0.1."""

    def getaddrinfo(host: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def accepting(*lines: str, then: bytes = b"") -> Script:
    """Return a script that accepts the upgrade and waits until the client has gone."""

    def script(talk: Talk) -> None:
        talk.upgrade(*lines, then=then)
        talk.until_closed()

    return script


def redirect(location: str, status: int = 302) -> Script:
    return answer(f"HTTP/1.1 {status} Elsewhere", f"Location: {location}", "Content-Length: 0")


def after_head(data: bytes) -> Script:
    """Return a script that answers a request with *data*, and ends its side."""

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(data)
        talk.end()

    return script


# --- the request ----------------------------------------------------------------------------------


def test_the_request_that_is_sent_by_default(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    open_(f"{peer.url}/feed?symbol=X")
    head = peer.requests[0]
    assert head.request_line == "GET /feed?symbol=X HTTP/1.1"
    key = head.headers["sec-websocket-key"]
    assert len(base64.b64decode(key)) == 16
    assert head.lines == [
        "Upgrade: websocket",
        f"Host: 127.0.0.1:{peer.port}",
        f"Origin: http://127.0.0.1:{peer.port}",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade",
    ]


def test_every_attempt_has_a_key_of_its_own(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    open_(peer.url)
    open_(peer.url)
    first, second = (head.headers["sec-websocket-key"] for head in peer.requests)
    assert first != second


def test_the_request_with_all_that_can_be_added(serve: Serve, open_: Open) -> None:
    peer = serve(accepting("Sec-WebSocket-Protocol: v2"))
    open_(
        peer.url,
        header=["X-Second: 2", ("X-First", "1")],
        cookie="a=1; b=2",
        origin="https://app.example",
        host="feed.example",
        subprotocols=["v2", "v1"],
    )
    head = peer.requests[0]
    assert head.request_line == "GET / HTTP/1.1"
    assert head.lines == [
        "Upgrade: websocket",
        "Host: feed.example",
        "Origin: https://app.example",
        f"Sec-WebSocket-Key: {head.headers['sec-websocket-key']}",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade",
        "Sec-WebSocket-Protocol: v2,v1",
        "X-Second: 2",
        "X-First: 1",
        "Cookie: a=1; b=2",
    ]


def test_origin_and_host_can_be_left_out(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    open_(peer.url, suppress_origin=True, suppress_host=True)
    assert not {"origin", "host"} & peer.requests[0].headers.keys()


def test_a_name_is_sent_as_it_was_given(serve: Serve, open_: Open, names: None) -> None:
    peer = serve(accepting())
    upgraded = open_(f"ws://Feed.Example:{peer.port}")
    assert peer.requests[0].headers["host"] == f"feed.example:{peer.port}"
    assert upgraded.url.host == "feed.example"


def test_credentials_of_the_url_are_basic_authentication(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    open_(f"ws://me:p%40ss%3A@127.0.0.1:{peer.port}")
    scheme, token = peer.requests[0].headers["authorization"].split(" ")
    assert (scheme, base64.b64decode(token)) == ("Basic", b"me:p@ss:")
    assert "me" not in peer.requests[0].headers["host"]


def test_an_authorization_header_wins_over_the_url(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    open_(f"ws://me:pass@127.0.0.1:{peer.port}", header={"authorization": "Bearer T"})
    lines = [line for line in peer.requests[0].lines if line.lower().startswith("authorization")]
    assert lines == ["authorization: Bearer T"]


@pytest.mark.parametrize(
    ("url", "options", "error", "words"),
    [
        ("http://127.0.0.1:{}", {}, ValueError, "scheme http is invalid"),
        ("ws://127.0.0.1:{}", {"header": ["X: a\nb"]}, ValueError, "header X"),
        ("ws://127.0.0.1:{}", {"cookie": "a\r\nb"}, ValueError, "header Cookie"),
        ("wss://127.0.0.1:{}", {"sslopt": {"nonsense": 1}}, ValueError, "'nonsense'"),
        ("ws://127.0.0.1:{}", {"subprotocols": ["a", "a"]}, ValueError, "offered twice"),
    ],
)
def test_what_cannot_be_sent_is_an_error_before_anything_is_connected(
    serve: Serve, open_: Open, url: str, options: Any, error: type[Exception], words: str
) -> None:
    peer = serve(silence)
    with pytest.raises(error, match=words):
        open_(url.format(peer.port), **options)
    assert peer.connections == 0


# --- the response ---------------------------------------------------------------------------------


def singly(talk: Talk) -> None:
    talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    talk.send_singly(talk.head().response() + build_frame(TEXT, b"hello"))
    talk.until_closed()


def cut_in_two(position: int) -> Script:
    """Return a script that sends head and frame in two segments."""

    def script(talk: Talk) -> None:
        data = talk.head().response() + build_frame(TEXT, b"hello")
        talk.send(data[:position])
        talk.send(data[position:])
        talk.until_closed()

    return script


CUTS = [cut_in_two(position) for position in (1, 12, 34, -9, -8, -7, -6, -2)]


@pytest.mark.parametrize("script", [accepting(then=build_frame(TEXT, b"hello")), singly, *CUTS])
def test_nothing_behind_the_head_is_lost(serve: Serve, open_: Open, script: Script) -> None:
    upgraded = open_(serve(script).url)
    assert upgraded.response.status == 101
    assert upgraded.sock.getblocking() is False
    upgraded.sock.settimeout(10)
    data, frame = upgraded.leftover, build_frame(TEXT, b"hello")
    while len(data) < len(frame):
        data += upgraded.sock.recv(100)
    assert data == frame


@pytest.mark.parametrize("script", [accepting(then=build_frame(TEXT, b"hello")), singly, *CUTS])
def test_a_message_behind_the_head_is_delivered_after_on_open(
    serve: Serve, loop: Reactor, script: Script
) -> None:
    protocol = loop.connect(serve(script).url, Recorder)
    run_until(loop, lambda: protocol.messages)
    assert protocol.events == [("open",), ("message", "hello")]


def test_many_records_behind_the_head_are_delivered(
    serve: Serve, loop: Reactor, authority: Authority
) -> None:
    # More than one read takes: the rest is in OpenSSL and in the kernel.
    frames = b"".join(build_frame(TEXT, b"%05d" % i * 20) for i in range(3000))
    peer = serve(accepting(then=frames), context=authority.server_context)
    protocol = loop.connect(peer.url, Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: len(protocol.messages) == 3000)
    assert protocol.messages == [f"{i:05d}" * 20 for i in range(3000)]


@pytest.mark.parametrize(
    ("lines", "chosen"), [(["Sec-WebSocket-Protocol: v1"], "v1"), ([], None)], ids=["one", "none"]
)
def test_the_subprotocol_that_the_server_chose(
    serve: Serve, open_: Open, lines: list[str], chosen: str | None
) -> None:
    assert open_(serve(accepting(*lines)).url, subprotocols=["v2", "v1"]).subprotocol == chosen


def test_the_result_shows_the_head_of_the_server(serve: Serve, open_: Open) -> None:
    upgraded = open_(serve(accepting("Set-Cookie: a=1", "X-Node: 7")).url)
    assert upgraded.response.headers["x-node"] == "7"
    assert upgraded.response.headers["set-cookie"] == "a=1"


def upgraded_with(*lines: str, accept: str | None = None) -> Script:
    def script(talk: Talk) -> None:
        talk.send(talk.head().response(*lines, accept=accept))
        talk.end()

    return script


def without(line: str) -> Script:
    """Return a script that accepts the upgrade, without the header that *line* begins."""

    def script(talk: Talk) -> None:
        talk.send(re.sub(rb"%s:.*\r\n" % line.encode(), b"", talk.head().response()))
        talk.end()

    return script


NOT_A_WEBSOCKET = {
    "wrong accept": (upgraded_with(accept="x" * 28), "Sec-WebSocket-Accept is 'xxxx"),
    "accept in lower case": (
        lambda talk: talk.send(
            re.sub(rb"Accept: .*", lambda m: m[0].swapcase(), talk.head().response())
        ),
        "Sec-WebSocket-Accept is '",
    ),
    "no accept": (without("Sec-WebSocket-Accept"), "Sec-WebSocket-Accept is None"),
    "no upgrade": (without("Upgrade"), "Upgrade is None, without 'websocket'"),
    "no connection": (without("Connection"), "Connection is None, without 'upgrade'"),
    "subprotocol not offered": (
        upgraded_with("Sec-WebSocket-Protocol: other"),
        "Sec-WebSocket-Protocol is 'other'",
    ),
    "extension not offered": (
        upgraded_with("Sec-WebSocket-Extensions: permessage-deflate; x=1"),
        "Sec-WebSocket-Extensions has 'permessage-deflate; x=1', which was not offered",
    ),
    "another protocol": (
        after_head(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "malformed HTTP status line: b'SSH-2.0-OpenSSH_9.6'",
    ),
    "a little garbage": (after_head(b"\x00"), "this is not an HTTP response: b'\\x00'"),
    "much garbage": (after_head(b"\x00\xff" * 50_000), "this is not an HTTP response: b'\\x00"),
    "a status that is none": (after_head(b"HTTP/1.1 abc No\r\n\r\n"), "malformed HTTP status line"),
    "HTTP/2": (after_head(b"HTTP/2.0 101 Switching\r\n\r\n"), "not HTTP/1.x"),
    "a header without a colon": (
        after_head(b"HTTP/1.1 101 OK\r\nUpgrade\r\n\r\n"),
        "header line 1 has no colon",
    ),
    "a truncated head": (
        after_head(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"),
        "connection ended before the head of the response was complete: 47 bytes",
    ),
    "nothing": (after_head(b""), "connection ended before the head of the response was complete"),
}


@pytest.mark.parametrize(("script", "words"), NOT_A_WEBSOCKET.values(), ids=NOT_A_WEBSOCKET)
def test_an_answer_that_is_not_that_of_a_websocket_server(
    serve: Serve, open_: Open, script: Script, words: str
) -> None:
    peer = serve(script)
    with pytest.raises(WebSocketHandshakeException, match=re.escape(words)) as caught:
        open_(peer.url)
    assert not isinstance(caught.value, WebSocketBadStatusException)


def endless(piece: bytes) -> Script:
    """Return a script whose head never ends."""

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\n")
        while True:
            talk.send(piece)

    return script


@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        (endless(b"X" * 1000), {}, "longer than max_head_size (65536 bytes)"),
        (endless(b"X: " + b"y" * 1000 + b"\r\n"), {}, "longer than max_head_size (65536 bytes)"),
        (endless(b"X: y\r\n"), {}, "more headers than max_header_count (128)"),
        (endless(b"X: y\r\n"), {"max_header_count": 7}, "more headers than max_header_count (7)"),
        (endless(b"X: y\r\n"), {"max_head_size": 400}, "longer than max_head_size (400 bytes)"),
    ],
)
def test_an_endless_head_ends_at_a_limit(
    serve: Serve, open_: Open, script: Script, options: dict[str, int], words: str
) -> None:
    with pytest.raises(WebSocketHandshakeException, match=re.escape(words)):
        open_(serve(script).url, **options)


@pytest.mark.parametrize(("size", "options"), [(20_000, {}), (200_000, {"max_head_size": 1 << 18})])
def test_a_line_of_the_answer_may_be_as_long_as_the_head(
    serve: Serve, open_: Open, size: int, options: dict[str, int]
) -> None:
    peer = serve(accepting(f"Set-Cookie: {'x' * size}"))
    upgraded = open_(peer.url, **options)
    assert len(upgraded.response.headers["set-cookie"]) == size


def interim(count: int) -> Script:
    """Return a script that sends *count* interim responses before it accepts, in one segment."""

    def script(talk: Talk) -> None:
        hints = http("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload") * count
        talk.send(hints + talk.head().response() + build_frame(TEXT, b"hello"))
        talk.end()

    return script


def test_interim_responses_are_skipped(serve: Serve, open_: Open) -> None:
    # RFC 9110 section 15.2
    upgraded = open_(serve(interim(3)).url)
    assert upgraded.response.status == 101
    assert upgraded.leftover == build_frame(TEXT, b"hello")


def test_interim_responses_without_end_are_an_error(serve: Serve, open_: Open) -> None:
    with pytest.raises(WebSocketHandshakeException, match=r"127\.0\.0\.1 sent \d+ interim"):
        open_(serve(interim(1000)).url)


def reset_after_request(talk: Talk) -> None:
    talk.head()
    talk.reset()


def test_a_reset_in_place_of_an_answer(serve: Serve, open_: Open) -> None:
    with pytest.raises(WebSocketConnectException) as caught:
        open_(serve(reset_after_request).url)
    assert caught.value.errno == errno.ECONNRESET
    assert "connection to 127.0.0.1 was lost in the opening handshake" in str(caught.value)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "framing", "raw"),
    [
        ("401 Unauthorized", "Content-Length: 9", b"not today"),
        ("403 Forbidden", "Content-Length: 9", b"not today, and this is not of the body"),
        ("404 Not Found", "Transfer-Encoding: chunked", b"4\r\nnot \r\n5;x\r\ntoday\r\n0\r\n\r\n"),
        ("429 Too Many Requests", "Connection: close", b"not today"),
        ("200 OK", "Content-Length: 9", b"not today"),
    ],
)
def test_a_refusal_comes_with_status_headers_and_body(
    serve: Serve, open_: Open, status: str, framing: str, raw: bytes
) -> None:
    peer = serve(answer(f"HTTP/1.1 {status}", framing, "Retry-After: 7", body=raw))
    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(peer.url)
    code, _, phrase = status.partition(" ")
    assert (caught.value.status_code, caught.value.status_message) == (int(code), phrase)
    assert caught.value.resp_headers is not None
    assert caught.value.resp_headers["retry-after"] == "7"
    assert caught.value.resp_body == b"not today"
    assert str(caught.value).startswith(f"Handshake status {status} -+-+- ")


def test_a_refusal_in_http_1_0(serve: Serve, open_: Open) -> None:
    peer = serve(answer("HTTP/1.0 403 Forbidden", body=b"old, but clear"))
    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(peer.url)
    assert (caught.value.status_code, caught.value.resp_body) == (403, b"old, but clear")


def test_a_refusal_byte_by_byte(serve: Serve, open_: Open) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send_singly(http("HTTP/1.1 403 Forbidden", "Content-Length: 5", body=b"never"))
        talk.end()

    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(serve(script).url)
    assert caught.value.resp_body == b"never"


def test_an_endless_body_is_cut_off(serve: Serve, open_: Open) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http("HTTP/1.1 403 Forbidden"))
        while True:
            talk.send(b"no " * 1000)

    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(serve(script).url)
    assert caught.value.resp_body is not None
    assert len(caught.value.resp_body) == 65536


def begin_body(talk: Talk) -> None:
    talk.head()
    talk.send(http("HTTP/1.1 403 Forbidden", "Content-Length: 100", body=b"not "))


def stop_within(talk: Talk) -> None:
    begin_body(talk)
    talk.until_closed()


def end_within(talk: Talk) -> None:
    begin_body(talk)
    talk.end()


def reset_within(talk: Talk) -> None:
    begin_body(talk)
    talk.reset()


@pytest.mark.parametrize("script", [stop_within, end_within, reset_within])
def test_a_body_that_stays_incomplete_does_not_hide_the_status(
    serve: Serve, open_: Open, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BODY_PATIENCE", 0.1)
    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(serve(script).url)
    assert caught.value.status_code == 403
    # A reset may destroy what had come before it.
    assert caught.value.resp_body in ((b"not ", None) if script is reset_within else (b"not ",))


@pytest.mark.parametrize("ending", [Talk.reset, Talk.end, Talk.hold])
@pytest.mark.parametrize("secure", [False, True])
def test_a_refusal_before_the_request_is_wholly_written(
    serve: Serve, open_: Open, authority: Authority, secure: bool, ending: Script
) -> None:
    def script(talk: Talk) -> None:
        talk.exactly(10)
        # What Nagle's algorithm has held back would not survive a reset.
        talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.send(http("HTTP/1.1 431 Too Large", "Content-Length: 3", body=b"no!"))
        refused.wait(5.0)
        ending(talk)

    refused = threading.Event()
    context = authority.server_context if secure else None
    peer = serve(script, context=context)
    if ending is not Talk.hold:
        refused.set()
    with pytest.raises(WebSocketBadStatusException, match="431 Too Large"):
        open_(
            peer.url,
            {"X-Large": "x" * (1 << 20)},
            sslopt=authority.sslopt,
            sockopt=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)],
        )
    refused.set()


def test_the_alert_of_a_server_that_misses_our_certificate_is_told(
    serve: Serve, open_: Open, authority: Authority
) -> None:
    context = authority.issue("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    peer = serve(accepting(), context=context)
    with pytest.raises(WebSocketTLSException, match="certificate required"):
        open_(peer.url, sslopt=authority.sslopt)


def test_the_body_of_a_refusal_is_waited_for_two_seconds_at_most(serve: Serve) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        protocol = loop.connect(serve(stop_within).url, Recorder, connect_timeout=1000)
        run_until(loop, lambda: loop.stats().timers > 1 or loop.stats().turns > 3)
        while not protocol.errors:
            loop.run_once(0.01)
            clock.advance(0.5)
            assert clock.now() < 100
    assert isinstance(protocol.errors[0], WebSocketBadStatusException)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("framing", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
def test_a_body_in_the_smallest_pieces_leaves_the_loop_to_others(
    authority: Authority, framing: str, exact: bool
) -> None:
    body = b"x" * 2000 if "Length" in framing else b"1\r\nx\r\n" * 400
    with told_singly(authority, http("HTTP/1.1 403 No", framing, body=body)) as sock:
        options = ClientOptions(sock=sock)
        error, reads = run_counted(connect("wss://127.0.0.1/", options, exact=exact), sock)
    assert isinstance(error, WebSocketBadStatusException)
    assert error.resp_body is not None
    assert max(reads[-pipeline.MAX_BODY_READS :]) <= 1
    # Each of a thousand reads brings a byte, and there are no more reads.
    assert 150 < len(error.resp_body) <= pipeline.MAX_BODY_READS


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(serve: Serve, open_: Open, status: int) -> None:
    second = serve(accepting())
    first = serve(redirect(f"{second.url}/there?x=1", status))
    upgraded = open_(f"{first.url}/here")
    assert str(upgraded.url) == f"{second.url}/there?x=1"
    assert second.requests[0].request_line == "GET /there?x=1 HTTP/1.1"
    assert second.requests[0].headers["host"] == f"127.0.0.1:{second.port}"
    assert second.requests[0].headers["origin"] == f"http://127.0.0.1:{second.port}"


@pytest.mark.parametrize(
    ("location", "target"), [("/b?x", "/b?x"), ("b", "/a/b"), ("../b", "/b"), ("?q=1", "/a/x?q=1")]
)
def test_a_redirect_may_be_relative(serve: Serve, open_: Open, location: str, target: str) -> None:
    peer = serve(redirect(location), accepting())
    open_(f"{peer.url}/a/x")
    assert peer.requests[1].request_line == f"GET {target} HTTP/1.1"


def test_a_redirect_to_http_means_ws(serve: Serve, open_: Open) -> None:
    second = serve(accepting())
    first = serve(redirect(f"http://127.0.0.1:{second.port}/x"))
    assert str(open_(first.url).url) == f"{second.url}/x"


def test_a_redirect_from_ws_to_wss(serve: Serve, open_: Open, authority: Authority) -> None:
    second = serve(accepting(), context=authority.server_context)
    first = serve(redirect(second.url))
    upgraded = open_(first.url, sslopt=authority.sslopt)
    assert upgraded.url.secure
    assert second.requests[0].headers["origin"].startswith("https://")


@pytest.mark.parametrize("target", ["ws://127.0.0.1:{}", "http://127.0.0.1:{}"])
def test_a_redirect_from_wss_to_ws_is_refused(
    serve: Serve, open_: Open, authority: Authority, target: str
) -> None:
    plain = serve(accepting())
    first = serve(redirect(target.format(plain.port)), context=authority.server_context)
    with pytest.raises(WebSocketHandshakeException, match="from wss to ws, without TLS"):
        open_(first.url, sslopt=authority.sslopt)
    assert plain.connections == 0


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "ws://", "http://[::1", "ws://h:99999/"])
def test_a_redirect_to_nowhere(serve: Serve, open_: Open, location: str) -> None:
    with pytest.raises(WebSocketHandshakeException, match="Invalid redirect target") as caught:
        open_(serve(redirect(location)).url)
    assert location in str(caught.value)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_loop_of_redirects_ends_at_the_limit(serve: Serve, open_: Open, limit: int) -> None:
    peer = serve(redirect("/again"))
    with pytest.raises(WebSocketHandshakeException, match=f"Redirect limit .* {limit} redirects"):
        open_(peer.url, redirect_limit=limit)
    assert len(peer.requests) == limit + 1


def test_a_chain_as_long_as_the_limit_is_followed(serve: Serve, open_: Open) -> None:
    peer = serve(redirect("/1"), redirect("/2"), redirect("/3"), accepting())
    assert open_(peer.url, redirect_limit=3).url.resource == "/3"


def test_a_redirect_without_location_is_a_refusal(serve: Serve, open_: Open) -> None:
    with pytest.raises(WebSocketBadStatusException, match="Handshake status 302 Found"):
        open_(serve(answer("HTTP/1.1 302 Found", "Content-Length: 0")).url)


def test_a_redirect_to_another_origin_drops_credentials_and_nothing_else(
    serve: Serve, open_: Open
) -> None:
    third = serve(accepting())
    second = serve(redirect(third.url))
    first = serve(redirect("/same"), redirect(second.url))
    header = ["Authorization: Bearer T", "X-Client: 1", "Proxy-Authorization: P", "COOKIE: c=1"]
    open_(first.url, header=header, cookie="a=1", subprotocols=["v1"])
    credentials = {"authorization", "cookie", "proxy-authorization"}
    for request in first.requests:  # the second one is that of the redirect within the origin
        assert credentials <= request.headers.keys()
        assert request.headers["authorization"] == "Bearer T"
    for peer in (second, third):
        assert not credentials & peer.requests[0].headers.keys()
        assert peer.requests[0].headers["x-client"] == "1"
        assert peer.requests[0].headers["sec-websocket-protocol"] == "v1"


def showing(shown: list[bool], then: Script) -> Script:
    """Return a script that notes whether the client has shown a certificate."""

    def script(talk: Talk) -> None:
        assert isinstance(talk.sock, ssl.SSLSocket)
        shown.append(bool(talk.sock.getpeercert()))
        then(talk)

    return script


@pytest.mark.parametrize("way", ["files", "chain", "context"])
def test_a_redirect_to_another_origin_is_shown_no_certificate_of_ours(
    serve: Serve, open_: Open, authority: Authority, tmp_path: Path, way: str
) -> None:
    asking = authority.issue("127.0.0.1")
    asking.verify_mode = ssl.CERT_OPTIONAL
    asking.load_verify_locations(authority.ca_file)
    certfile, keyfile = authority.write(tmp_path)
    sslopt: dict[str, Any] = {
        "files": {**authority.sslopt, "certfile": certfile, "keyfile": keyfile},
        "chain": {**authority.sslopt, "cert_chain": (certfile, keyfile, None)},
        "context": {"context": authority.client_context("client.example")},
    }[way]
    shown: list[bool] = []
    second = serve(showing(shown, accepting()), context=asking)
    first = serve(
        showing(shown, redirect("/same")), showing(shown, redirect(second.url)), context=asking
    )
    open_(first.url, sslopt=sslopt)
    assert shown == [True, True, False]


def test_a_redirect_to_another_origin_gets_no_subprotocol_that_may_be_a_token(
    serve: Serve, open_: Open
) -> None:
    second = serve(accepting())
    first = serve(redirect(second.url))
    open_(first.url, subprotocols=["chat", "bearer", "eyJhbGciOiJIUzI1NiJ9.e30.4E_6"])
    assert first.requests[0].headers["sec-websocket-protocol"].startswith("chat,bearer,eyJ")
    assert second.requests[0].headers["sec-websocket-protocol"] == "chat"


def test_credentials_do_not_come_back_with_a_redirect_back(serve: Serve, open_: Open) -> None:
    urls: list[str] = []
    second = serve(lambda talk: redirect(f"{urls[0]}/back")(talk))
    first = serve(redirect(second.url), accepting())
    urls.append(first.url)
    open_(first.url, header={"Authorization": "Bearer T"}, cookie="a=1")
    assert first.requests[1].request_line == "GET /back HTTP/1.1"
    assert not {"authorization", "cookie"} & first.requests[1].headers.keys()


def test_credentials_of_the_url_stay_within_its_origin(serve: Serve, open_: Open) -> None:
    second = serve(accepting())
    first = serve(redirect("/same"), redirect(second.url))
    open_(f"ws://me:pass@127.0.0.1:{first.port}")
    assert ["authorization" in head.headers for head in first.requests] == [True, True]
    assert "authorization" not in second.requests[0].headers
    assert len(second.requests) == 1


@pytest.mark.parametrize(
    "options", [{"host": "feed.example"}, {"header": {"Host": "feed.example"}}], ids=str
)
def test_a_host_header_of_the_user_is_not_carried_to_another_origin(
    serve: Serve, open_: Open, options: Any
) -> None:
    second = serve(accepting())
    first = serve(redirect("/same"), redirect(second.url))
    open_(first.url, **options, origin="https://app.example")
    assert [head.headers["host"] for head in first.requests] == ["feed.example"] * 2
    assert second.requests[0].headers["host"] == f"127.0.0.1:{second.port}"
    assert second.requests[0].headers["origin"] == "https://app.example"


# --- the ways to a server -------------------------------------------------------------------------


def test_tls(serve: Serve, open_: Open, authority: Authority) -> None:
    peer = serve(accepting(then=b"x"), context=authority.server_context)
    upgraded = open_(peer.url, sslopt=authority.sslopt)
    assert upgraded.sock.getblocking() is False
    assert upgraded.sock.version() == "TLSv1.3"  # type: ignore[attr-defined]
    assert upgraded.leftover == b"x"
    assert peer.requests[0].headers["origin"] == f"https://127.0.0.1:{peer.port}"


def test_tls_byte_by_byte(serve: Serve, open_: Open, authority: Authority) -> None:
    peer = serve(singly, context=authority.server_context)
    assert open_(peer.url, sslopt=authority.sslopt).response.status == 101


def test_a_session_of_tls_is_resumed(serve: Serve, open_: Open, authority: Authority) -> None:
    peer = serve(accepting(), context=authority.issue("127.0.0.1"))
    sslopt = {"context": authority.client_context()}
    reused = [open_(peer.url, sslopt=sslopt).sock.session_reused for _ in range(3)]  # type: ignore[attr-defined]
    assert reused == [False, True, True]


def test_the_name_to_verify_can_be_given(serve: Serve, open_: Open, authority: Authority) -> None:
    peer = serve(accepting(), context=authority.issue("feed.example"))
    sslopt = {**authority.sslopt, "server_hostname": "feed.example"}
    assert open_(peer.url, sslopt=sslopt).response.status == 101


def weaken(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def test_what_somebody_does_to_the_context_of_a_connection_is_for_that_one_alone(
    serve: Serve, open_: Open, authority: Authority
) -> None:
    trusted = serve(accepting(), context=authority.server_context)
    stranger = serve(accepting(), context=authority.issue("elsewhere.example"))
    upgraded = open_(trusted.url, sslopt=authority.sslopt)
    weaken(upgraded.sock.context)  # type: ignore[attr-defined]
    with pytest.raises(WebSocketCertificateException):
        open_(stranger.url, sslopt=authority.sslopt)


def test_a_context_that_is_changed_while_a_host_is_dialled_is_not_used(
    serve: Serve, open_: Open, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach = pipeline.reach

    async def changing(*args: Any, **kwargs: Any) -> Any:
        weaken(make_context(authority.sslopt))
        return await reach(*args, **kwargs)

    monkeypatch.setattr(pipeline, "reach", changing)
    peer = serve(accepting(), context=authority.issue("elsewhere.example"))
    with pytest.raises(WebSocketCertificateException):
        open_(peer.url, sslopt=authority.sslopt)


def test_the_final_dot_of_a_name_is_sent_to_the_server_but_not_to_tls(
    serve: Serve, open_: Open, authority: Authority
) -> None:
    names: list[str | None] = []
    context = authority.issue("localhost")
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    peer = serve(accepting(), context=context)
    for host in ("localhost.", "localhost"):
        open_(f"wss://{host}:{peer.port}", sslopt=authority.sslopt)
    assert names == ["localhost", "localhost"]
    # As browsers do it.
    hosts = [request.headers["host"] for request in peer.requests]
    assert hosts == [f"localhost.:{peer.port}", f"localhost:{peer.port}"]


def test_a_name_that_is_not_ascii(
    serve: Serve, open_: Open, authority: Authority, names: None
) -> None:
    peer = serve(accepting(), context=authority.issue("xn--strae-oqa.example"))
    open_(f"wss://Stra\xdfe.example:{peer.port}", sslopt=authority.sslopt)
    assert peer.requests[0].headers["host"] == f"xn--strae-oqa.example:{peer.port}"


def test_ipv6(serve: Serve, open_: Open) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    peer = serve(accepting(), listening=listening)
    open_(f"ws://[::1]:{peer.port}")
    assert peer.requests[0].headers["host"] == f"[::1]:{peer.port}"


def unix_listener(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock


def test_wss_over_a_given_socket_without_tls_is_an_error(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    with socket.create_connection(("127.0.0.1", peer.port)) as sock:
        with pytest.raises(ValueError, match="sock speaks no TLS"):
            open_("wss://h/", {"Authorization": "secret"}, sock=sock)
        assert peer.requests == []


def test_wss_over_a_given_socket_without_tls_can_be_asked_for(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    sock = socket.create_connection(("127.0.0.1", peer.port))
    assert open_("wss://h/", sock=sock, plain_sock=True).sock is sock


@pytest.mark.parametrize("speaks_tls", [False, True])
def test_tls_can_be_put_on_a_given_socket(
    serve: Serve, open_: Open, authority: Authority, speaks_tls: bool
) -> None:
    peer = serve(accepting(), context=authority.server_context)
    sock = socket.create_connection(("127.0.0.1", peer.port))
    if speaks_tls:  # then it has what was asked for
        sock = authority.client_context().wrap_socket(sock, server_hostname="localhost")
    upgraded = open_("wss://localhost/", sock=sock, start_tls=True, sslopt=authority.sslopt)
    assert isinstance(upgraded.sock, ssl.SSLSocket)
    assert (upgraded.sock is sock) is speaks_tls


def test_wss_over_a_given_socket_with_tls(serve: Serve, open_: Open, authority: Authority) -> None:
    peer = serve(accepting(), context=authority.server_context)
    plain = socket.create_connection(("127.0.0.1", peer.port))
    sock = authority.client_context().wrap_socket(plain, server_hostname="localhost")
    assert open_("wss://h/", sock=sock).sock is sock


def test_a_unix_socket(serve: Serve, open_: Open, unix_path: str) -> None:
    peer = serve(accepting(), listening=unix_listener(unix_path))
    upgraded = open_("ws://feed.example/x", unix_path=unix_path)
    assert upgraded.sock.family == socket.AF_UNIX
    assert peer.requests[0].headers["host"] == "feed.example"


def test_tls_over_a_unix_socket(
    serve: Serve, open_: Open, unix_path: str, authority: Authority
) -> None:
    context = authority.issue("feed.example")
    serve(accepting(), listening=unix_listener(unix_path), context=context)
    upgraded = open_("wss://feed.example", unix_path=unix_path, sslopt=authority.sslopt)
    assert upgraded.response.status == 101


def test_a_unix_socket_that_is_not_there(open_: Open, unix_path: str) -> None:
    with pytest.raises(
        WebSocketConnectException, match=f"the Unix socket {unix_path}: No such file"
    ):
        open_("ws://feed.example", unix_path=unix_path)


def test_the_address_to_connect_from(serve: Serve, open_: Open) -> None:
    peer = serve(accepting())
    # All of 127.0.0.0/8 is this machine, on Linux.
    upgraded = open_(peer.url, source_address=("127.0.0.2", 0))
    assert upgraded.sock.getsockname()[0] == "127.0.0.2"


def test_an_address_to_connect_from_that_is_not_ours(serve: Serve, open_: Open) -> None:
    peer = serve(silence)
    with pytest.raises(WebSocketConnectException, match=r"source address \('192\.0\.2\.1', 0\)"):
        open_(peer.url, source_address=("192.0.2.1", 0))
    assert peer.connections == 0


def test_socket_options_are_set(serve: Serve, open_: Open) -> None:
    option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
    upgraded = open_(serve(accepting()).url, sockopt=[option])
    size = upgraded.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert size in (20000, 40000)  # Linux doubles it
    assert upgraded.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_socket_option_that_the_system_refuses(serve: Serve, open_: Open) -> None:
    with pytest.raises(WebSocketConnectException, match=r"socket option \(999, 999, 1\)"):
        open_(serve(silence).url, sockopt=[(999, 999, 1)])


def test_a_refused_connection(open_: Open) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(WebSocketConnectRefusedException, match=f"127.0.0.1 port {port}"):
            open_(f"ws://127.0.0.1:{port}")


def test_a_name_that_does_not_resolve(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(WebSocketAddressException) as caught:
        open_("ws://no.such.name.example")
    assert str(caught.value) == ("cannot resolve 'no.such.name.example': Name or service not known")


class SlowResolver:
    """A getaddrinfo that answers when it is told to.

    Attributes: asked (set at the first call), answer (an Event that lets it return).
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def __call__(self, host: str, port: int, *_: Any) -> list[Any]:
        self.asked.set()
        assert self.answer.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowResolver]:
    resolver = SlowResolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.answer.set()


def test_a_slow_resolver_does_not_hold_up_the_loop(
    serve: Serve, loop: Reactor, resolver: SlowResolver
) -> None:
    peer = serve(accepting(then=build_frame(TEXT, b"hello")))
    slow = loop.connect(f"ws://feed.example:{peer.port}", Recorder)
    run_until(loop, resolver.asked.is_set)
    quick = loop.connect(peer.url, Recorder)
    run_until(loop, lambda: quick.messages)
    assert slow.events == []
    resolver.answer.set()
    run_until(loop, lambda: slow.messages)
    assert slow.events == [("open",), ("message", "hello")]


# --- one deadline over all, and cancelling at each step -------------------------------------------


class Step:
    """A connection that stands still in one step of the pipeline.

    Attributes:
        url: where to connect to.
        reached: says whether the client is there, as far as can be seen from outside.
        proceed: called again and again by a test that lets time pass.
    """

    def __init__(
        self,
        url: str,
        reached: Callable[[], bool] = lambda: True,
        proceed: Callable[[], object] = lambda: None,
    ) -> None:
        self.url = url
        self.reached = reached
        self.proceed = proceed


class Stages:
    """Makes the steps. Parameters: what the fixtures give."""

    def __init__(
        self, serve: Serve, authority: Authority, resolver: SlowResolver, stack: ExitStack
    ) -> None:
        self._serve = serve
        self._authority = authority
        self._resolver = resolver
        self._stack = stack

    def resolve(self) -> Step:
        """The resolver does not answer."""
        return Step("ws://slow.example", self._resolver.asked.is_set)

    def tcp(self) -> Step:
        """The backlog is full: nobody answers the SYN."""
        listening = self._stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            filler = self._stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        return Step(f"ws://127.0.0.1:{listening.getsockname()[1]}")

    def _silent(self, scheme: str) -> Step:
        heard = threading.Event()

        def script(talk: Talk) -> None:
            if talk.recv():
                heard.set()
            talk.until_closed()

        return Step(f"{scheme}://127.0.0.1:{self._serve(script).port}", heard.is_set)

    def tls(self) -> Step:
        """Nobody answers the ClientHello."""
        return self._silent("wss")

    def upgrade(self) -> Step:
        """Nobody answers the request."""
        return self._silent("ws")

    def trickle(self, context: Any = None) -> Step:
        """The answer comes byte by byte."""
        begun = threading.Event()
        ready = threading.Semaphore(0)

        def script(talk: Talk) -> None:
            head = talk.head().response()
            for i in range(len(head)):
                talk.send(head[i : i + 1])
                begun.set()
                # A byte for each time that the test lets pass, or ten a second.
                ready.acquire(timeout=0.1)

        peer = self._serve(script, context=context)
        return Step(peer.url, begun.is_set, ready.release)

    def trickle_over_tls(self) -> Step:
        """The same within TLS."""
        return self.trickle(self._authority.server_context)

    def redirect(self) -> Step:
        """A redirect leads to somebody silent."""
        step = self.upgrade()
        step.url = self._serve(redirect(step.url)).url
        return step

    def redirects(self) -> Step:
        """Each redirect comes in time, but they are too many."""
        ready = threading.Semaphore(0)

        def script(talk: Talk) -> None:
            talk.head()
            ready.acquire(timeout=0.05)
            talk.send(http("HTTP/1.1 302 Found", "Location: /", "Content-Length: 0"))
            talk.end()

        return Step(self._serve(script).url, proceed=ready.release)


def reach(loop: Reactor, step: Step) -> None:
    """Run *loop* until its connection has come to *step*."""
    run_until(loop, step.reached)
    for _ in range(3):  # what cannot be seen from outside takes no more turns than that
        loop.run_once(0.01)


STEPS = [name for name in vars(Stages) if not name.startswith("_")]


@pytest.fixture
def stages(serve: Serve, authority: Authority, resolver: SlowResolver) -> Iterator[Stages]:
    with ExitStack() as stack:
        yield Stages(serve, authority, resolver, stack)


@pytest.mark.parametrize("name", STEPS)
def test_one_deadline_covers_each_step(stages: Stages, authority: Authority, name: str) -> None:
    step: Step = getattr(stages, name)()
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        protocol = loop.connect(
            step.url,
            Recorder,
            connect_timeout=10,
            redirect_limit=10**6,
            sslopt=authority.sslopt,
        )
        reach(loop, step)
        while not protocol.events:
            clock.advance(1)
            assert clock.now() <= 11
            step.proceed()
            loop.run_once(0.02)
    assert clock.now() >= 10
    (error,) = protocol.errors
    assert type(error) is WebSocketTimeoutException
    assert re.search(r"127\.0\.0\.1|slow\.example", str(error))
    assert protocol.names == ["error", "close"]
    assert protocol.closes == [(1006, "")]


@pytest.mark.parametrize("name", STEPS)
def test_one_deadline_covers_each_step_of_a_blocking_call(
    stages: Stages, authority: Authority, name: str
) -> None:
    step: Step = getattr(stages, name)()
    options = ClientOptions(connect_timeout=0.15, redirect_limit=10**6, sslopt=authority.sslopt)
    with pytest.raises(WebSocketTimeoutException, match=r"127\.0\.0\.1|slow\.example"):
        run_blocking(connect(step.url, options))


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("way", ["close", "abort", "reactor"])
def test_giving_up_in_each_step_leaves_nothing_behind(
    stages: Stages, loop: Reactor, authority: Authority, name: str, way: str
) -> None:
    step: Step = getattr(stages, name)()
    protocol = loop.connect(step.url, Recorder, sslopt=authority.sslopt, reconnect=1.0)
    reach(loop, step)
    assert protocol.events == []
    if way == "reactor":
        loop.close()
    else:
        getattr(protocol, way)()
        assert protocol.events == []  # not from within the call
        run_until(loop, lambda: protocol.events)
        stats = loop.stats()
        assert (stats.readers, stats.writers, stats.timers, stats.connecting) == (0, 0, 0, 0)
    assert protocol.events == [("close", 1006, "")]


@pytest.mark.parametrize("name", STEPS)
def test_a_cancelled_task_leaves_nothing_behind(
    stages: Stages, loop: Reactor, authority: Authority, name: str
) -> None:
    step: Step = getattr(stages, name)()
    ends: list[object] = []
    options = ClientOptions(sslopt=authority.sslopt)
    task = Task(loop.loop, connect(step.url, options), lambda *end: ends.append(end))
    reach(loop, step)
    task.cancel()
    assert (loop.stats().readers, loop.stats().writers, loop.stats().timers) == (0, 0, 0)
    loop.run_once(0)
    assert ends == []


@pytest.mark.parametrize("name", ["url", "header", "cookie"])
def test_giving_up_in_a_function_that_is_called_for_the_attempt(
    serve: Serve, loop: Reactor, name: str
) -> None:
    peer = serve(accepting())
    protocol = Recorder()

    def function() -> str | None:
        protocol.close()
        return peer.url if name == "url" else None

    options: dict[str, Any] = {} if name == "url" else {name: function}
    url: Any = function if name == "url" else peer.url
    loop.connect(url, protocol, **options)
    run_until(loop, lambda: protocol.events)
    for _ in range(5):
        loop.run_once(0.02)
    assert protocol.events == [("close", 1006, "")]
    assert peer.connections == 0


@pytest.mark.parametrize("nonsense", [None, 5, b"ws://localhost/"])
def test_a_url_function_that_returns_no_str_fails_the_attempt(loop: Reactor, nonsense: Any) -> None:
    protocol = Recorder()
    loop.connect(lambda: nonsense, protocol, reconnect=Backoff(first=0.001))
    run_until(loop, lambda: len(protocol.events) >= 4)
    error, close = protocol.events[:2]
    assert "must return a str, not" in str(error[1])
    assert close == ("close", 1006, "")
