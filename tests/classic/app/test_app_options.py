"""WebSocketApp: what parameters of the constructor and of run_forever change on the wire.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from unittest.mock import ANY

import pytest
import websocket

import reactor

from ...support.apps import RecordedApp, code, play, said
from ...support.peers import PATIENCE, ScriptedPeer, Talk, accept_for, http
from ...support.websocket_frames import CLOSE, PING, PONG, TEXT, Frame, build_frame
from ...support.websocket_frames import KEY as MASK

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

BYE = said(build_frame(CLOSE, code(1000)))

#: The lines of a request that no option has changed, but for host and key.
PLAIN = [
    "Upgrade: websocket",
    "Host: 127.0.0.1:PORT",
    "Origin: http://127.0.0.1:PORT",
    "Sec-WebSocket-Key: KEY",
    "Sec-WebSocket-Version: 13",
    "Connection: Upgrade",
]


@pytest.fixture(autouse=True)
def no_default_timeout() -> Iterator[None]:
    """Whatever a test sets as the default time-out holds for that test."""
    yield
    for library in (reactor, websocket):
        library.setdefaulttimeout(None)


def request_of(library: Any, given: dict[str, Any], **options: Any) -> list[str]:
    """Return the lines of an app's request; *given* are parameters of the constructor."""
    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(library, f"{peer.url}/path?q=1", **given)
        recorded.run(**options)
        assert recorded.events[0] == ("open",), recorded.events
        head = peer.requests[0]
        key = head.headers["sec-websocket-key"]
        return [
            line.replace(f":{peer.port}", ":PORT").replace(key, "KEY")
            for line in [head.request_line, *head.lines]
        ]


# --- the request ----------------------------------------------------------------------------------


def test_request_without_options(library: Any) -> None:
    assert request_of(library, {}) == ["GET /path?q=1 HTTP/1.1", *PLAIN]


@pytest.mark.parametrize(
    "header",
    [
        ["X-One: 1", "X-Two: 2"],
        {"X-One": "1", "X-None": None, "X-Two": "2"},
        lambda: ["X-One: 1", "X-Two: 2"],
        lambda: {"X-One": "1", "X-Two": "2"},
    ],
    ids=["list", "dict", "function, list", "function, dict"],
)
def test_headers(library: Any, header: Any) -> None:
    lines = request_of(library, {"header": header})
    assert lines[1:] == [*PLAIN, "X-One: 1", "X-Two: 2"]


def test_header_that_replaces_one_of_ours(library: Any) -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    header = {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    lines = request_of(library, {"header": header})
    assert [line for line in lines if line.startswith("Sec-")] == [
        "Sec-WebSocket-Key: KEY",
        "Sec-WebSocket-Version: 13",
    ]


def test_header_of_ours_that_is_given_is_sent_once() -> None:
    lines = request_of(reactor, {"header": {"Host": "h.example", "origin": "http://o.example"}})
    assert [line for line in lines if line.lower().startswith(("host", "origin"))] == [
        "Host: h.example",
        "origin: http://o.example",
    ]


def test_cookie(library: Any) -> None:
    lines = request_of(library, {"cookie": "a=b; c=d", "header": ["X-One: 1"]})
    assert lines[-2:] == ["X-One: 1", "Cookie: a=b; c=d"]


def test_cookie_from_a_function() -> None:
    assert request_of(reactor, {"cookie": lambda: "a=b"})[-1] == "Cookie: a=b"


def test_subprotocols_are_offered(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade("Sec-WebSocket-Protocol: chat", then=build_frame(CLOSE, code(1000)))
        talk.frame()

    seen: list[Any] = []
    with ScriptedPeer(script) as peer:
        app = library.WebSocketApp(
            peer.url,
            subprotocols=["superchat", "chat"],
            on_open=lambda app: seen.append(app.sock.subprotocol),
        )
        app.run_forever()
        assert "Sec-WebSocket-Protocol: superchat,chat" in peer.requests[0].lines
    assert seen == ["chat"]


def test_no_subprotocol_is_chosen() -> None:
    seen: list[Any] = []

    def on_open(app: Any) -> None:
        seen.append(app.sock.subprotocol)

    with ScriptedPeer(BYE) as peer:
        reactor.WebSocketApp(peer.url, subprotocols=["chat"], on_open=on_open).run_forever()
    assert seen == [None]


@pytest.mark.parametrize("name", ["Protocol", "Extensions"])
def test_what_the_server_chooses_without_being_asked_is_ignored(library: Any, name: str) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(f"Sec-WebSocket-{name}: other", then=build_frame(CLOSE, code(1000)))
        talk.frame()

    recorded = play(library, script)
    assert recorded.names == ["open", "error", "close"]


@pytest.mark.parametrize(
    "form", [{"key": MASK}, {"length_bits": 16}, {"length_bits": 64}], ids=["mask", "16", "64"]
)
def test_frames_that_a_server_should_send_in_another_form(library: Any, form: Any) -> None:
    frames = [
        build_frame(opcode, payload, **form)
        for opcode, payload in (
            (TEXT, b"one"),
            (PING, b"ping"),
            (PONG, b"pong"),
            (CLOSE, code(4001, b"bye")),
        )
    ]
    events = play(library, said(*frames)).events
    assert events == [
        ("open",),
        ("message", "one"),
        ("ping", b"ping"),
        ("pong", b"pong"),
        ("error", "WebSocketConnectionClosedException", "Connection closed (code 4001): bye"),
        ("close", 4001, "bye"),
    ]


def test_nothing_is_let_through_on_request() -> None:
    recorded = play(reactor, said(build_frame(TEXT, b"one", key=MASK)), lenient=False)
    assert recorded.names == ["open", "error", "close"]
    recorded = play(
        reactor, lambda talk: talk.upgrade("Sec-WebSocket-Protocol: other"), lenient=False
    )
    assert recorded.names == ["error", "close"]


def test_a_subprotocol_is_chosen_that_was_not_offered(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade("Sec-WebSocket-Protocol: other")
        talk.until_closed()

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url, subprotocols=["chat"])
        recorded.run()
    assert recorded.events == [("error", "WebSocketException", ANY), ("close", None, None)]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"host": "example.org"}, {1: "Host: example.org"}),
        ({"origin": "http://o.example"}, {2: "Origin: http://o.example"}),
        ({"suppress_origin": True}, {2: None}),
        ({"suppress_host": True}, {1: None}),
        ({"suppress_origin": True, "suppress_host": True}, {1: None, 2: None}),
        ({"origin": "http://o.example", "suppress_origin": True}, {2: None}),
    ],
    ids=str,
)
def test_host_and_origin(
    library: Any, options: dict[str, Any], changed: dict[int, str | None]
) -> None:
    lines = [changed.get(index, line) for index, line in enumerate(PLAIN)]
    assert request_of(library, {}, **options)[1:] == [line for line in lines if line is not None]


def test_attributes_hold_for_the_next_run(library: Any) -> None:
    with ScriptedPeer(BYE) as peer:
        app = library.WebSocketApp("ws://127.0.0.1:1")
        app.url, app.header, app.cookie = f"{peer.url}/new", ["X-One: 1"], "a=b"
        app.subprotocols = None
        app.run_forever()
        assert peer.requests[0].request_line == "GET /new HTTP/1.1"
        assert peer.requests[0].lines[-2:] == ["X-One: 1", "Cookie: a=b"]


def test_cookies_of_the_server_are_sent_back(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade("Set-Cookie: k=v; Domain=127.0.0.1", then=build_frame(CLOSE, code(1000)))
        talk.frame()

    jar = _jar_of(library)
    try:
        with ScriptedPeer(script) as peer:
            for _ in range(2):
                library.WebSocketApp(peer.url, cookie="own=1").run_forever()
            cookies = [head.headers.get("cookie") for head in peer.requests]
    finally:
        jar.clear()
    assert cookies == ["own=1", "k=v; own=1"]


def _jar_of(library: Any) -> dict[str, Any]:
    name = "reactor.classic.cookies" if library is reactor else "websocket._handshake"
    jar: dict[str, Any] = import_module(name).CookieJar.jar
    return jar


def test_function_that_fails_is_an_error_of_the_attempt(library: Any) -> None:
    def header() -> list[str]:
        raise LookupError("no token")

    recorded = RecordedApp(library, "ws://127.0.0.1:1", header=header)
    recorded.run()
    assert recorded.events == [("error", "LookupError", "no token"), ("close", None, None)]
    assert recorded.result is True


# --- what goes out on the wire --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "key"),
    [
        (lambda _: "\x00\x00\x00\x00", bytes(4)),
        (lambda _: b"abcd", b"abcd"),
        (lambda count: b"\xff" * count, b"\xff" * 4),
    ],
)
def test_masking_keys(library: Any, function: Any, key: bytes) -> None:
    frames: list[Frame] = []

    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(PING, b"p"))
        frames.extend(talk.frame() for _ in range(2))
        talk.send(build_frame(CLOSE, code(1000)))
        frames.append(talk.frame())

    play(library, script, ("ping",), {"ping": lambda app, _: app.send("x")}, get_mask_key=function)
    assert [(frame.mask, frame.opcode) for frame in frames] == [
        (key, PONG),
        (key, TEXT),
        (key, CLOSE),
    ]


@pytest.mark.parametrize("payload", ["päyload", b"\xff\x00", ""])
def test_pings(library: Any, payload: Any) -> None:
    seen: list[Any] = []
    times: list[float] = []

    def script(talk: Talk) -> None:
        start = time.monotonic()  # before it is open
        talk.upgrade()
        frame = talk.frame()
        times.append(time.monotonic() - start)
        seen.append((frame.opcode, frame.payload))
        talk.send(build_frame(PONG, frame.payload))
        talk.frame()
        talk.send(build_frame(CLOSE, code(1000)))
        talk.until_closed()

    def on_pong(app: Any, data: bytes) -> None:
        seen.append(data)
        seen.append(0 <= app.last_pong_tm - app.last_ping_tm < 5)
        seen.append(abs(time.time() - app.last_pong_tm) < 5)
        app.close()

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"pong": on_pong})
        recorded.run(ping_interval=0.1, ping_payload=payload)
    octets = payload.encode() if isinstance(payload, str) else payload
    assert seen == [(PING, octets), octets, True, True]
    assert times[0] >= 0.05


def test_ping_timeout(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        while talk.frame().opcode != CLOSE:
            pass

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run(ping_interval=0.1, ping_timeout=0.05)
    assert recorded.events == [
        ("open",),
        ("error", "WebSocketTimeoutException", "ping/pong timed out"),
        ("close", None, None),
    ]
    assert recorded.result is True


def test_slow_callback_is_no_ping_timeout() -> None:
    in_callback, answered = threading.Event(), threading.Event()

    def script(talk: Talk) -> None:
        talk.upgrade()
        ping = talk.frame()
        talk.send(build_frame(TEXT, b"x"))
        assert in_callback.wait(PATIENCE)
        talk.send(build_frame(PONG, ping.payload))
        answered.set()
        while talk.frame().opcode != CLOSE:
            pass

    def on_message(app: Any, _: str) -> None:
        in_callback.set()
        assert answered.wait(PATIENCE)
        while time.time() < app.last_ping_tm + 0.5:
            pass  # until the time for the answer is over

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(
            reactor,
            peer.url,
            reactions={"message": on_message, "pong": lambda app, _: app.close()},
        )
        recorded.run(ping_interval=0.5, ping_timeout=0.49)
    assert recorded.names == ["open", "message", "pong", "close"]


def test_ping_timeout_without_interval_does_nothing(library: Any) -> None:
    frames: list[int] = []

    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.sock.settimeout(0.3)
        try:
            talk.frame()
        except TimeoutError:
            frames.append(0)
        talk.sock.settimeout(PATIENCE)
        talk.send(build_frame(CLOSE, code(1000)))
        talk.frame()

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run(ping_timeout=0.1)
    assert recorded.events[-1] == ("close", 1000, None)
    assert frames == [0]


# --- sockets, time-outs, TLS ----------------------------------------------------------------------


def test_prepared_socket(library: Any) -> None:
    ours, theirs = socket.socketpair()
    # The request fits into the socket's buffer: the answer can be there before it is read.
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    with theirs:
        head = http(
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_for(key)}",
        )
        theirs.sendall(head + build_frame(TEXT, b"hi") + build_frame(CLOSE, code(1000)))
        recorded = RecordedApp(
            library, "ws://a.example/x", socket=ours, header={"Sec-WebSocket-Key": key}
        )
        recorded.run()
        assert theirs.recv(65536).startswith(b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nHost: a.ex")
    assert recorded.names == ["open", "message", "error", "close"]
    ours.close()


def test_socket_options(library: Any) -> None:
    seen: list[int] = []

    def on_open(app: Any) -> None:
        sock = app.sock.sock
        seen.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 100_000)

    with ScriptedPeer(BYE) as peer:
        app = library.WebSocketApp(peer.url, on_open=on_open)
        app.run_forever(sockopt=((socket.SOL_SOCKET, socket.SO_RCVBUF, 60_000),))
    assert seen[:2] == [1, 1]
    assert seen[2] is True


def test_tls(library: Any, authority: Any) -> None:
    seen: list[Any] = []

    def on_open(app: Any) -> None:
        seen.append(app.sock.is_ssl())
        seen.append(app.sock.sock.version()[:3])

    with ScriptedPeer(BYE, context=authority.server_context) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"open": on_open})
        recorded.run(None, {"ca_certs": authority.ca_file})
    assert recorded.events[-1] == ("close", 1000, None)
    assert seen == [True, "TLS"]


def test_certificate_that_is_not_trusted(library: Any, authority: Any) -> None:
    with ScriptedPeer(BYE, context=authority.server_context) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run()
        assert recorded.events == [("error", "SSLError", ANY), ("close", None, None)]
        assert recorded.result is True
        recorded = RecordedApp(library, peer.url)
        recorded.run(sslopt={"cert_reqs": 0, "check_hostname": False})
        assert recorded.names == ["open", "error", "close"]


@pytest.mark.parametrize("as_string", [True, False])
def test_http_proxy_without_a_type(as_string: bool) -> None:
    def proxy(talk: Talk) -> None:
        talk.head()
        talk.send(http("HTTP/1.1 200 OK"))
        talk.upgrade(then=build_frame(CLOSE, code(1000)))
        talk.frame()

    with ScriptedPeer(proxy) as peer:
        recorded = RecordedApp(reactor, "ws://h.example/x")
        recorded.run(
            http_proxy_host="127.0.0.1",
            http_proxy_port=str(peer.port) if as_string else peer.port,
            http_proxy_auth=("user", "password"),
        )
        connect, upgrade = peer.requests
    assert recorded.events[-1] == ("close", 1000, None)
    assert connect.request_line == "CONNECT h.example:80 HTTP/1.1"
    assert connect.headers["proxy-authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
    assert upgrade.request_line == "GET /x HTTP/1.1"


def test_default_timeout_limits_the_opening_handshake(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.until_closed()

    library.setdefaulttimeout(0.1)
    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run()
    assert recorded.events == [("error", "WebSocketTimeoutException", ANY), ("close", None, None)]
    assert recorded.result is True


def test_default_timeout_does_not_limit_the_connection(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.peer.ending.wait(0.3)
        talk.send(build_frame(CLOSE, code(1000)))
        talk.frame()

    library.setdefaulttimeout(0.1)
    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url)
        recorded.run()
    assert recorded.events[-1] == ("close", 1000, None)
    assert recorded.result is False
