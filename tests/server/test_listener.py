from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reactor import (
    CloseCode,
    Listener,
    Reactor,
    State,
    WebSocketConnectionClosedException,
    WebSocketProtocol,
    WebSocketProtocolException,
)
from reactor.server import pipeline as accept
from reactor.server.options import ServerOptions
from reactor.timers import ManualClock
from reactor.transports.exchange import read_some

from ..support.certificates import Authority
from ..support.clients import REQUEST, SAMPLE_ACCEPT, RawClient, head
from ..support.descriptors import few_descriptors, many_descriptors
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.serving import Echo, Served, echoes
from ..support.websocket_frames import CLOSE, PING, PONG, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("no_leaks")

#: No time passes by itself: see conftest.py.
STILL = True

LOOPBACK = "127.0.0.1"


@pytest.fixture
def listen(loop: Reactor, served: Served) -> Callable[..., Listener]:
    def listen(**options: Any) -> Listener:
        return loop.listen(LOOPBACK, 0, served, **options)

    return listen


Client = Callable[..., RawClient]


@pytest.fixture
def client(raw_client: Client) -> Client:
    return raw_client


# --- the opening handshake ------------------------------------------------------------------------


def test_the_answer_that_accepts(
    listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    listener = listen()
    answer = client(listener).upgrade()
    assert answer == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {SAMPLE_ACCEPT}",
    ]
    assert served[0].events == [("open",)]
    assert served[0].state is State.OPEN
    assert len(listener.connections) == 1
    assert listener.protocols == [served[0]]


def test_the_protocol_object_can_see_the_request(
    listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    client(listen()).upgrade("X-Client: 7", "Origin: https://app.example")
    request = served[0].request
    assert request is not None
    assert (request.target, served[0].url) == ("/chat?x=1", "/chat?x=1")
    assert request.headers["x-client"] == "7"
    assert request.headers["origin"] == "https://app.example"


def test_a_request_byte_by_byte(
    loop: Reactor, listen: Callable[..., Listener], client: Client
) -> None:
    peer = client(listen())
    for byte in head(*REQUEST):
        peer.send(bytes([byte]))
        loop.run_once(0.05)
    assert peer.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert echoes(peer)


@pytest.mark.parametrize("position", [0, 1, 100, -17, -15, -1])
def test_frames_behind_the_request_are_not_lost(
    loop: Reactor,
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    position: int,
) -> None:
    frames = build_frame(TEXT, b"one", key=b"abcd") + build_frame(TEXT, b"two", key=b"efgh")
    data = head(*REQUEST) + frames
    peer = client(listen())
    peer.send(data[:position])
    loop.run_once(0)
    peer.send(data[position:])
    peer.head()
    assert (peer.frame().payload, peer.frame().payload) == (b"one", b"two")
    assert served[0].events == [("open",), ("message", "one"), ("message", "two")]


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (["v2", "v1"], "v1, v2", "v2"),  # the order is the server's
        (["v2", "v1"], "v1", "v1"),
        (["v2"], "v1", None),
        (["v2"], None, None),
        ([], "v1", None),
        (["v2"], "V2", None),
    ],
)
def test_the_subprotocol(
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    ours: list[str],
    theirs: str | None,
    chosen: str | None,
) -> None:
    lines = [] if theirs is None else [f"Sec-WebSocket-Protocol: {theirs}"]
    answer = client(listen(subprotocols=ours)).upgrade(*lines)
    expected = [] if chosen is None else [f"Sec-WebSocket-Protocol: {chosen}"]
    assert [line for line in answer if "Protocol:" in line] == expected
    assert served[0].subprotocol == chosen


def test_extensions_are_declined(listen: Callable[..., Listener], client: Client) -> None:
    answer = client(listen()).upgrade("Sec-WebSocket-Extensions: permessage-deflate")
    assert not [line for line in answer if "Extensions" in line]


def changed(**changes: str | None) -> bytes:
    """Return the sample request with other values (None: without) for some headers."""
    lines = [REQUEST[0]]
    for line in REQUEST[1:]:
        name, _, value = line.partition(": ")
        new = changes.get(name.replace("-", "_"), value)
        lines += [] if new is None else [f"{name}: {new}"]
    return head(*lines)


REJECTIONS = {
    "POST": (head("POST / HTTP/1.1", *REQUEST[1:]), 405, "Allow: GET", "GET, not POST"),
    "a browser": (
        changed(Upgrade=None, Connection="keep-alive"),
        426,
        "Upgrade: websocket",
        "this is a WebSocket server",
    ),
    "another upgrade": (changed(Upgrade="h2c"), 426, "Upgrade: websocket", "'websocket'"),
    "version 8": (
        changed(Sec_WebSocket_Version="8"),
        426,
        "Sec-WebSocket-Version: 13",
        "must be 13, not 8",
    ),
    "no version": (
        changed(Sec_WebSocket_Version=None),
        426,
        "Sec-WebSocket-Version: 13",
        "must be 13",
    ),
    "no key": (changed(Sec_WebSocket_Key=None), 400, "", "Sec-WebSocket-Key must be 16 bytes"),
    "a short key": (changed(Sec_WebSocket_Key="abc="), 400, "", "Sec-WebSocket-Key"),
    "no Host": (changed(Host=None), 400, "", "Host must be sent once, not 0 times"),
    "a body": (head(*REQUEST, "Content-Length: 3") + b"abc", 400, "", "must not have a body"),
    "HTTP/1.0": (head("GET / HTTP/1.0", *REQUEST[1:]), 400, "", "HTTP/1.1, not HTTP/1.0"),
    "HTTP/2.0": (head("GET / HTTP/2.0", *REQUEST[1:]), 505, "", "not HTTP/1.x"),
    "garbage": (b"\x16\x03\x01\x02\x00\x01", 400, "", "not an HTTP request"),
    "no colon": (head("GET / HTTP/1.1", "Host"), 400, "", "header line 1 has no colon"),
    "a folded line": (head("GET / HTTP/1.1", "A: b", " c"), 400, "", "folded line"),
    "a long target": (head(f"GET /{'x' * 70000} HTTP/1.1"), 414, "", "max_head_size"),
    "a long header": (head("GET / HTTP/1.1", f"X: {'y' * 70000}"), 431, "", "max_head_size"),
    "many headers": (head("GET / HTTP/1.1", *["X: y"] * 129), 431, "", "max_header_count (128)"),
    "a large head": (
        head("GET / HTTP/1.1", *[f"X: {'y' * 8000}"] * 9),
        431,
        "",
        "max_head_size (65536 bytes)",
    ),
}


def assert_has_a_date(answer: list[str]) -> None:
    """As RFC 9110 section 5.6.7 has it."""
    (date,) = (line for line in answer if line.startswith("Date: "))
    assert re.fullmatch(r"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)


@pytest.mark.parametrize(
    ("request_", "status", "line", "words"), REJECTIONS.values(), ids=REJECTIONS
)
def test_what_is_no_opening_handshake_is_rejected(
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    request_: bytes,
    status: int,
    line: str,
    words: str,
) -> None:
    listener = listen()
    peer = client(listener)
    peer.send(request_)
    answer = peer.head()
    assert answer[0].startswith(f"HTTP/1.1 {status} ")
    assert any(entry.lower().startswith("connection: ") for entry in answer)
    assert "close" in next(entry for entry in answer if entry.startswith("Connection: "))
    assert "Content-Type: text/plain; charset=utf-8" in answer
    assert "X-Content-Type-Options: nosniff" in answer
    assert_has_a_date(answer)
    assert not line or line in answer
    body = peer.until_closed()
    assert words in body.decode()
    assert f"Content-Length: {len(body)}" in answer
    assert peer.ended == "EOF"
    assert served == []


@pytest.mark.parametrize(("size", "options"), [(20_000, {}), (200_000, {"max_head_size": 1 << 18})])
@pytest.mark.parametrize("where", ["target", "header"])
def test_a_line_of_the_request_may_be_as_long_as_the_head(
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    where: str,
    size: int,
    options: dict[str, int],
) -> None:
    filler = "x" * size
    lines = {"target": [f"GET /{filler} HTTP/1.1", *REQUEST[1:]]}.get(
        where, [*REQUEST, f"Cookie: {filler}"]
    )
    peer = client(listen(**options))
    peer.send(head(*lines))
    assert peer.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert served[0].request is not None
    target, cookie = served[0].request.target, served[0].request.headers.get("cookie")
    assert filler in (target[1:], cookie)
    assert echoes(peer)


def test_limits_of_the_request_can_be_set(listen: Callable[..., Listener], client: Client) -> None:
    peer = client(listen(max_header_count=3))
    peer.send(head(*REQUEST))
    assert peer.head()[0] == "HTTP/1.1 431 Request Header Fields Too Large"
    assert "max_header_count (3)" in peer.until_closed().decode()


@pytest.mark.parametrize("name", ["POST", "garbage", "a large head"])
def test_an_answer_reaches_a_client_that_goes_on_sending(
    listen: Callable[..., Listener], client: Client, name: str
) -> None:
    # Closing with unread bytes would reset the connection, and destroy the answer on its way.
    peer = client(listen())
    peer.send(REJECTIONS[name][0])
    peer.send(b"x" * 500_000)
    answer = peer.head()
    assert answer[0].startswith("HTTP/1.1 4")
    peer.send(b"x" * 500_000)
    assert peer.until_closed() != b""
    assert peer.ended == "EOF"


def test_a_rejected_client_that_goes_on_sending_is_read_once_a_turn_for_a_second(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []

    async def counting(*args: Any) -> bytes:
        reads.append(1)
        return await read_some(*args)

    monkeypatch.setattr(accept, "read_some", counting)
    peer = client(listen())
    data = memoryview(REJECTIONS["POST"][0] + b"x" * 10_000_000)

    def send_more() -> None:
        nonlocal data
        with contextlib.suppress(BlockingIOError):  # the kernel takes no more
            while True:
                data = data[peer.sock.send(data) :]

    turns = 0
    while len(reads) < 5:
        send_more()
        loop.run_once(0.05)
        turns += 1
        assert len(reads) <= turns < 20
    clock.advance(1.001)
    send_more()  # there is always something to read
    loop.run_once(0.05)
    assert loop.stats().readers == 1
    with pytest.raises(ConnectionError):
        send_more()


def test_a_client_that_never_stops_sending_holds_nobody_up(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], client: Client
) -> None:
    listener = listen()
    other = client(listener)
    other.upgrade()
    dropped = threading.Event()

    def send_for_ever() -> None:
        with socket.create_connection(listener.address) as sock:
            sock.settimeout(20)
            sock.sendall(REJECTIONS["POST"][0])
            data = b"x" * 10_000_000
            try:
                while True:
                    sock.sendall(data)
            except ConnectionError:
                dropped.set()

    sender = threading.Thread(target=send_for_ever)
    sender.start()
    while not dropped.is_set():
        assert echoes(other)
        clock.advance(0.01)
    sender.join()


# --- slow and vanishing clients -------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"GET /", head(*REQUEST)[:-2]])
def test_a_slow_client_is_dropped_at_the_handshake_timeout(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    data: bytes,
) -> None:
    peer = client(listen(handshake_timeout=3))
    peer.send(data)
    for _ in range(3):
        loop.run_once(0.01)
    clock.advance(2.99)
    loop.run_once(0.01)
    peer.pump()
    assert peer.ended == ""
    clock.advance(0.02)
    assert peer.until_closed() == b""
    assert served == []
    assert loop.stats().timers == 0


def test_a_client_that_trickles_is_dropped_at_the_handshake_timeout(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], client: Client
) -> None:
    peer = client(listen(handshake_timeout=3))
    began = clock.now()
    for byte in head(*REQUEST):
        peer.send(bytes([byte]))
        loop.run_once(0.05)
        clock.advance(0.1)
        peer.pump()
        if peer.ended:
            break
    assert peer.ended
    assert 3 <= clock.now() - began < 3.5


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01"])
def test_a_client_that_is_slow_in_tls_is_dropped(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    client: Client,
    authority: Authority,
    data: bytes,
) -> None:
    peer = client(listen(ssl=authority.server_context))
    peer.send(data)
    for _ in range(3):
        loop.run_once(0.01)
    clock.advance(10.001)
    assert peer.until_closed() == b""


def test_a_client_that_speaks_no_tls(
    listen: Callable[..., Listener],
    client: Client,
    authority: Authority,
    served: Served,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reactor")
    peer = client(listen(ssl=authority.server_context))
    peer.send(head(*REQUEST))
    peer.until_closed()
    assert served == []
    assert "opening handshake failed: the TLS handshake with the client failed" in caplog.text


@pytest.mark.parametrize("data", [b"", b"GET", head(*REQUEST)])
@pytest.mark.parametrize("way", ["end", "reset", "close"])
@pytest.mark.parametrize("turns", [0, 3])
def test_a_client_that_leaves_early_is_forgotten(
    loop: Reactor,
    listen: Callable[..., Listener],
    client: Client,
    data: bytes,
    way: str,
    turns: int,
) -> None:
    listener = listen()
    staying, leaving = client(listener), client(listener)
    staying.upgrade()
    leaving.send(data)
    for _ in range(turns):
        loop.run_once(0.01)
    getattr(leaving, way)()
    run_until(loop, lambda: loop.stats().readers == 2)  # the listener and who stays
    assert len(listener.connections) == 1
    assert echoes(staying)


@pytest.mark.parametrize(("way", "words"), [("end", ""), ("close", ""), ("reset", "reset")])
def test_an_open_client_that_vanishes(
    loop: Reactor,
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    way: str,
    words: str,
) -> None:
    listener = listen()
    staying, leaving = client(listener), client(listener)
    staying.upgrade()
    leaving.upgrade()
    leaving.send_frame(TEXT, b"last")
    run_until(loop, lambda: served[1].messages)
    getattr(leaving, way)()
    run_until(loop, lambda: served[1].closes)
    assert served[1].names == ["open", "message", "error", "close"]
    assert served[1].closes == [(1006, "")]
    (error,) = served[1].errors
    assert isinstance(error, WebSocketConnectionClosedException)
    assert words in str(error)
    assert len(listener.connections) == 1
    assert echoes(staying)


def test_a_client_that_half_closes_has_its_last_message_served(
    listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    peer = client(listen())
    peer.upgrade()
    peer.send_frame(TEXT, b"last")
    peer.end()
    assert peer.frame().payload == b"last"
    assert peer.until_closed() == b""
    assert served[0].names == ["open", "message", "error", "close"]


# --- frames of clients ----------------------------------------------------------------------------


def test_ping_and_close_are_answered(
    loop: Reactor, listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    listener = listen()
    peer = client(listener)
    peer.upgrade()
    peer.send_frame(PING, b"p")
    assert peer.frame()[2:] == (PONG, None, b"p")
    peer.send_frame(CLOSE, close_payload(4000, b"enough"))
    assert peer.frame()[2:] == (CLOSE, None, close_payload(4000, b"enough"))
    peer.end()
    peer.until_closed()
    assert peer.ended == "EOF"
    assert served[0].events == [("open",), ("ping", b"p"), ("close", 4000, "enough")]
    assert listener.connections == set()
    run_until(loop, lambda: loop.stats().readers == 1)
    assert loop.stats().timers == 0


def test_a_frame_that_is_not_masked_ends_the_connection_with_1002(
    listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    # RFC 6455 section 5.1
    listener = listen()
    peer, other = client(listener), client(listener)
    peer.upgrade()
    other.upgrade()
    peer.send_frame(TEXT, b"masked")
    peer.send_frame(TEXT, b"not masked", key=None)
    assert peer.frame().payload == b"masked"
    last = peer.frame()
    assert (last.opcode, last.payload[:2]) == (CLOSE, close_payload(1002))
    peer.end()
    peer.until_closed()
    assert served[0].names == ["open", "message", "error", "close"]
    assert type(served[0].errors[0]) is WebSocketProtocolException
    assert "not masked" in str(served[0].errors[0])
    assert served[0].closes[0][0] == CloseCode.PROTOCOL_ERROR
    assert echoes(other)


# --- how many -------------------------------------------------------------------------------------


def test_connections_beyond_the_limit_wait_for_a_place(
    loop: Reactor, listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    listener = listen(max_connections=2)
    first, second = client(listener), client(listener)
    first.upgrade()
    second.upgrade()
    third = client(listener)  # in the kernel's backlog
    third.send(head(*REQUEST))
    for _ in range(5):
        loop.run_once(0.01)
    third.pump()
    assert (third.data, third.ended, len(served)) == (b"", "", 2)
    assert loop.stats().readers == 2  # nobody asks the kernel for more

    first.send_frame(CLOSE, close_payload(1000))
    assert first.frame().opcode == CLOSE
    first.close()
    assert third.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert echoes(third)
    assert len(listener.connections) == 2


def test_opening_handshakes_count_and_make_place_when_they_fail(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], client: Client
) -> None:
    listener = listen(max_connections=1, handshake_timeout=3)
    silent, waiting = client(listener), client(listener)
    waiting.send(head(*REQUEST))
    for _ in range(5):
        loop.run_once(0.01)
    waiting.pump()
    assert waiting.data == b""
    clock.advance(3.001)
    assert waiting.head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert silent.until_closed() == b""


def test_without_descriptors_clients_wait_and_are_served_afterwards(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = listen()
    first = client(listener)
    first.upgrade()
    waiting = [client(listener) for _ in range(5)]
    for peer in waiting:
        peer.send(head(*REQUEST))
    with few_descriptors(spare=2) as taken:
        run_until(loop, lambda: "cannot accept" in caplog.text)
        for _ in range(5):
            loop.run_once(0.01)
        assert len(served) == 3
        assert echoes(first)
        # The backlog does not make the loop spin, nor fill the log.
        assert list(loop.loop.poller.poll(0)) == []
        assert caplog.text.count("cannot accept a connection: [Errno 24]") == 1
        clock.advance(0.501)
        for _ in range(3):
            loop.run_once(0.01)
        assert caplog.text.count("cannot accept a connection: [Errno 24]") == 2
        while taken:
            os.close(taken.pop())
    clock.advance(0.501)
    for peer in waiting:
        assert peer.head()[0] == "HTTP/1.1 101 Switching Protocols"
        assert echoes(peer)
    assert len(served) == 6


def test_a_thousand_connections_at_once(loop: Reactor, served: Served) -> None:
    count = 1000
    with many_descriptors(4096):
        listener = loop.listen(LOOPBACK, 0, served)
        url = f"ws://{LOOPBACK}:{listener.port}"
        clients = [loop.connect(url, Recorder) for _ in range(count)]
        run_until(loop, lambda: loop.stats().open == 2 * count, timeout=20)
        for index, peer in enumerate(clients):
            peer.send(str(index))
        run_until(loop, lambda: all(peer.messages for peer in clients), timeout=20)
        assert [peer.messages for peer in clients] == [[str(i)] for i in range(count)]
        listener.close()
        run_until(loop, lambda: not loop.connections, timeout=20)
        assert {tuple(peer.closes) for peer in clients} == {((1001, ""),)}
        assert {tuple(peer.closes) for peer in served} == {((1001, ""),)}


# --- factories ------------------------------------------------------------------------------------


def raises() -> WebSocketProtocol:
    raise LookupError("no protocol for you")


FACTORIES: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (raises, "no protocol for you"),
    "returns None": (lambda: None, "must be a WebSocketProtocol, not None"),
    "returns a class": (lambda: Recorder, "must be a WebSocketProtocol, not <class"),
}


@pytest.mark.parametrize(("factory", "words"), FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_fails_costs_one_connection(
    loop: Reactor,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    factory: Callable[[], Any],
    words: str,
) -> None:
    results: list[Any] = [factory, Echo, factory]
    listener = loop.listen(LOOPBACK, 0, lambda: results.pop(0)(), max_connections=1)
    for good in (False, True, False):
        peer = client(listener)
        peer.send(head(*REQUEST))
        if good:
            peer.head()
            assert echoes(peer)
            peer.reset()
            run_until(loop, lambda: not listener.connections)
        else:
            peer.until_closed()
    assert words in caplog.text
    assert loop.connections == set()


def test_a_factory_that_returns_an_object_in_use_costs_one_connection(
    loop: Reactor, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    shared = Echo()
    listener = loop.listen(LOOPBACK, 0, lambda: shared)
    first, second = client(listener), client(listener)
    first.upgrade()
    second.send(head(*REQUEST))
    second.until_closed()
    assert "has a connection already" in caplog.text
    assert echoes(first)
    assert shared.names == ["open", "message"]


# --- ending ---------------------------------------------------------------------------------------


def refused(listener_address: Any) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(listener_address) == errno.ECONNREFUSED


def test_a_graceful_close_says_1001_to_all_and_waits_for_their_answers(
    loop: Reactor, listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    listener = listen()
    address = listener.address
    peers = [client(listener) for _ in range(3)]
    for peer in peers:
        peer.upgrade()
    half_done = client(listener)
    half_done.send(b"GET ")
    for _ in range(3):
        loop.run_once(0.01)
    listener.close(reason="restart")
    assert refused(address)
    assert half_done.until_closed() == b""
    for peer in peers:
        frame = peer.frame()
        assert (frame.opcode, frame.payload) == (CLOSE, close_payload(1001, b"restart"))
        peer.send_frame(CLOSE, close_payload(1001, b"restart"))
        peer.close()
    run_until(loop, lambda: not loop.connections)
    assert [protocol.events for protocol in served] == [[("open",), ("close", 1001, "restart")]] * 3
    run_until(loop, lambda: loop.stats().readers == 0)
    assert loop.stats().timers == 0


def test_a_client_that_ignores_the_end_is_dropped_at_the_close_timeout(
    loop: Reactor,
    clock: ManualClock,
    listen: Callable[..., Listener],
    client: Client,
    served: Served,
) -> None:
    listener = listen(close_timeout=2)
    peer = client(listener)
    peer.upgrade()
    listener.close()
    peer.frame()
    clock.advance(1.99)
    loop.run_once(0.01)
    assert served[0].closes == []
    clock.advance(0.02)
    peer.until_closed()
    assert served[0].events == [("open",), ("close", 1006, "")]


def test_stop_accepting_leaves_open_connections_alone(
    loop: Reactor, listen: Callable[..., Listener], client: Client, served: Served
) -> None:
    listener = listen()
    address = listener.address
    peer, half_done = client(listener), client(listener)
    peer.upgrade()
    half_done.send(b"GET ")
    loop.run_once(0.01)
    assert loop.stats().listeners == 1
    listener.stop_accepting()
    listener.stop_accepting()
    assert refused(address)
    assert half_done.until_closed() == b""
    assert echoes(peer)
    assert loop.stats().listeners == 0
    peer.send_frame(CLOSE, close_payload(1000))
    assert peer.frame().opcode == CLOSE


def test_stop_accepting_while_without_descriptors(
    loop: Reactor, clock: ManualClock, listen: Callable[..., Listener], client: Client
) -> None:
    listener = listen()
    client(listener)
    with few_descriptors(spare=0):
        loop.run_once(0.01)
        loop.run_once(0.01)
        listener.stop_accepting()
    clock.advance(1)
    loop.run_once(0)
    assert (loop.stats().readers, loop.stats().timers) == (0, 0)


def test_close_from_within_a_handler(
    loop: Reactor, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    class Last(Recorder):
        def on_open(self) -> None:
            super().on_open()
            listener.close()

    served: list[Last] = []

    def factory() -> Last:
        served.append(Last())
        return served[-1]

    listener = loop.listen(LOOPBACK, 0, factory)
    peers = [client(listener) for _ in range(5)]
    for peer in peers:
        peer.send(head(*REQUEST))
    assert peers[0].head()[0] == "HTTP/1.1 101 Switching Protocols"
    assert peers[0].frame().payload == close_payload(1001)
    assert [peer.until_closed() for peer in peers[1:]] == [b""] * 4
    assert len(served) == 1
    assert caplog.text == ""


def test_shutdown_of_the_reactor_ends_clients_and_servers(served: Served) -> None:
    with Reactor() as loop:
        listener = loop.listen(LOOPBACK, 0, served)
        peer = loop.connect(f"ws://{LOOPBACK}:{listener.port}", Recorder)
        run_until(loop, lambda: peer.events)
        loop.shutdown()
        assert loop.connections == set()
        assert peer.closes == [(1001, "")]
        assert served[0].closes == [(1001, "")]


# --- where to listen ------------------------------------------------------------------------------


def works(loop: Reactor, url: str, **options: Any) -> bool:
    """Say whether a client of ours is served at *url*."""
    peer = loop.connect(url, Recorder, **options)
    run_until(loop, lambda: peer.events)
    assert peer.names == ["open"], peer.events
    peer.send("hello?")
    run_until(loop, lambda: peer.messages)
    peer.close()
    run_until(loop, lambda: peer.closes)
    return peer.closes == [(1000, "")]


def test_tls(loop: Reactor, served: Served, authority: Authority) -> None:
    listener = loop.listen(LOOPBACK, 0, served, ssl=authority.server_context)
    assert works(loop, f"wss://{LOOPBACK}:{listener.port}", sslopt=authority.sslopt)
    assert served[0].closes == [(1000, "")]


def test_large_messages_over_tls(loop: Reactor, authority: Authority, served: Served) -> None:
    listener = loop.listen(LOOPBACK, 0, served, ssl=authority.server_context)
    peer = loop.connect(f"wss://{LOOPBACK}:{listener.port}", Recorder, sslopt=authority.sslopt)
    run_until(loop, lambda: peer.events)
    messages = [os.urandom(size) for size in (0, 1, 16383, 16384, 16385, 65536, 3_000_000)]
    for message in messages:
        peer.send(message)
    run_until(loop, lambda: len(peer.messages) == len(messages), timeout=20)
    assert peer.messages == messages


def test_ipv6(loop: Reactor, served: Served) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    listener = loop.listen("::1", 0, served)
    assert works(loop, f"ws://[::1]:{listener.port}")


def test_without_a_host_all_interfaces_are_listened_on(loop: Reactor, served: Served) -> None:
    listener = loop.listen(None, 0, served)
    assert works(loop, f"ws://{LOOPBACK}:{listener.port}")
    if socket.has_dualstack_ipv6():
        assert works(loop, f"ws://[::1]:{listener.port}")


def test_a_unix_socket(loop: Reactor, served: Served, unix_path: str) -> None:
    listener = loop.listen(protocol=served, unix_path=unix_path)
    assert listener.address == unix_path
    assert works(loop, "ws://server.example/x", unix_path=unix_path)
    assert served[0].url == "/x"
    listener.close()
    assert not os.path.exists(unix_path)


def test_a_unix_socket_that_is_there_already(loop: Reactor, served: Served, unix_path: str) -> None:
    listener = loop.listen(protocol=served, unix_path=unix_path)
    with pytest.raises(OSError) as caught:
        loop.listen(protocol=served, unix_path=unix_path)
    assert caught.value.errno == errno.EADDRINUSE
    assert works(loop, "ws://server.example", unix_path=unix_path)
    listener.close()


def test_a_socket_of_the_caller(loop: Reactor, served: Served) -> None:
    sock = socket.socket()
    sock.bind((LOOPBACK, 0))
    listener = loop.listen(protocol=served, sock=sock)
    assert works(loop, f"ws://{LOOPBACK}:{listener.port}")


def test_a_port_that_is_taken(loop: Reactor, served: Served) -> None:
    listener = loop.listen(LOOPBACK, 0, served)
    with pytest.raises(OSError) as caught:
        loop.listen(LOOPBACK, listener.port, served)
    assert caught.value.errno == errno.EADDRINUSE
    assert loop.stats().listeners == 1


def test_several_listeners_are_independent(
    loop: Reactor, authority: Authority, unix_path: str
) -> None:
    factories = [Served(), Served(), Served()]
    plain = loop.listen(LOOPBACK, 0, factories[0], subprotocols=["v1"])
    secure = loop.listen(LOOPBACK, 0, factories[1], ssl=authority.server_context)
    loop.listen(protocol=factories[2], unix_path=unix_path)
    assert loop.stats().listeners == 3
    assert works(loop, f"ws://{LOOPBACK}:{plain.port}")
    assert works(loop, f"wss://{LOOPBACK}:{secure.port}", sslopt=authority.sslopt)
    assert works(loop, "ws://server.example", unix_path=unix_path)
    assert [len(factory) for factory in factories] == [1, 1, 1]
    address = plain.address
    plain.close()
    assert refused(address)
    assert works(loop, f"wss://{LOOPBACK}:{secure.port}", sslopt=authority.sslopt)
    assert works(loop, "ws://server.example", unix_path=unix_path)


def test_a_listener_does_nothing_before_it_is_started(loop: Reactor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        made = Listener(
            loop.loop, loop.connections, loop.listeners, sock, Recorder, ServerOptions()
        )
        assert (loop.listeners, loop.stats().readers) == (set(), 0)
        made.start()
        assert (loop.listeners, loop.stats().readers) == ({made}, 1)
        made.close()
