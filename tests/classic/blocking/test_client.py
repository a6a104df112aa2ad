"""WebSocket and create_connection where both libraries do the same.

Every test here runs on this package and on websocket-client; what differs is in
test_client_differences.py, threads and time-outs are in modules of their own.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from ...support.certificates import Authority
from ...support.classic import Clients, Says, clients_of
from ...support.peers import Talk, answer, echo, http
from ...support.threads import Background
from ...support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    build_frame,
    close_payload,
)
from ...support.websocket_frames import KEY as MASK

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def clients(library: Any) -> Iterator[Clients]:
    yield from clients_of(library)


# -- a first connection -------------------------------------------------------------------------


def test_the_example_of_the_documentation(clients: Clients) -> None:
    ws = clients.library.WebSocket()
    ws.connect(clients.serve(echo).url)
    assert ws.send("Hello, Server") == 19
    assert ws.recv() == "Hello, Server"
    ws.close()


def test_before_and_after_a_connection(clients: Clients) -> None:
    ws = clients.library.WebSocket()
    assert (ws.connected, ws.sock, ws.handshake_response) == (False, None, None)
    assert (ws.status, ws.headers, ws.subprotocol, ws.close_frame) == (None, None, None, None)
    assert not ws.is_ssl()
    with pytest.raises(clients.library.WebSocketException) as caught:
        ws.fileno()
    assert str(caught.value) == "Connection not established"
    ws.close()
    ws.shutdown()
    ws.abort()


def test_while_connected(clients: Clients) -> None:
    ws = clients.connect(Says(lines=("X-Name: Value",)))
    assert ws.connected is True
    assert isinstance(ws.sock, socket.socket)
    assert ws.fileno() == ws.sock.fileno()
    assert ws.status == ws.getstatus() == ws.handshake_response.status == 101
    assert ws.headers["x-name"] == ws.getheaders()["x-name"] == "Value"
    assert ws.subprotocol is ws.getsubprotocol() is ws.handshake_response.subprotocol is None
    assert not ws.is_ssl()


@pytest.mark.parametrize("tls", [False, True])
def test_a_header_of_the_answer_may_be_long(
    clients: Clients, authority: Authority, tls: bool
) -> None:
    context = authority.server_context if tls else None
    peer = clients.serve(Says(lines=(f"Set-Cookie: {'x' * 20_000}",)), context=context)
    ws = clients.connect_to(peer.url, sslopt=dict(authority.sslopt))
    assert len(ws.headers["set-cookie"]) == 20_000


# -- the request --------------------------------------------------------------------------------


def request_of(clients: Clients, **options: Any) -> list[str]:
    """The request's lines without what every request has."""
    lines = clients.request("/path?a=b#fragment", **options)
    assert lines.pop(0) == "GET /path?a=b HTTP/1.1"
    for line in ("Upgrade: websocket", "Sec-WebSocket-Version: 13"):
        lines.remove(line)
    return [line for line in lines if not line.startswith("Sec-WebSocket-Key: ")]


def test_the_request_by_default(clients: Clients) -> None:
    host, origin, connection = request_of(clients)
    assert host.startswith("Host: 127.0.0.1:")
    assert origin == host.replace("Host: ", "Origin: http://")
    assert connection == "Connection: Upgrade"


@pytest.mark.parametrize(
    "header",
    [
        ["X-One: 1", "X-Two: a: b"],
        {"X-One": "1", "X-Nothing": None, "X-Two": "a: b"},
    ],
)
def test_headers_are_added(clients: Clients, header: Any) -> None:
    assert request_of(clients, header=header)[3:] == ["X-One: 1", "X-Two: a: b"]


@pytest.mark.parametrize("text", ["é", "für €", "日本"])
def test_text_goes_out_as_utf_8(clients: Clients, text: str) -> None:
    sent = text.encode().decode("latin-1")  # as the lines of a head are read here
    for header in ({"X-Name": text}, [f"X-Name: {text}"]):
        assert f"X-Name: {sent}" in clients.request(header=header)
    lines = clients.request(cookie=text, origin=text, host=text)
    assert {f"Cookie: {sent}", f"Origin: {sent}", f"Host: {sent}"} <= set(lines)


def test_an_origin_may_be_empty(clients: Clients) -> None:
    assert "Origin: " in clients.request(origin="")
    assert any(line.startswith("Origin: http") for line in clients.request(origin=None))


def test_what_the_server_says_is_read_as_utf_8(clients: Clients) -> None:
    ws = clients.connect(Says(lines=("X-Name: für €",)))
    assert ws.headers["x-name"] == "für €"


def test_of_a_header_that_comes_twice_the_last_one_counts(clients: Clients) -> None:
    lines = ("X-Name: one", "x-name: two", "Set-Cookie: a=1", "Set-Cookie: b=2")
    ws = clients.connect(Says(lines=lines))
    assert (ws.headers["x-name"], ws.headers["set-cookie"]) == ("two", "a=1; b=2")
    with pytest.raises(clients.library.WebSocketBadStatusException) as caught:
        clients.connect(answer("HTTP/1.1 403 No", *lines, "Content-Length: 0"))
    assert caught.value.resp_headers["x-name"] == "two"


def test_a_refusal_with_an_empty_body(clients: Clients) -> None:
    with pytest.raises(clients.library.WebSocketBadStatusException) as caught:
        clients.connect(answer("HTTP/1.1 403 No", "Content-Length: 0"))
    assert caught.value.resp_body == b""
    assert str(caught.value).endswith("-+-+- None")
    with pytest.raises(clients.library.WebSocketBadStatusException) as caught:
        clients.connect(answer("HTTP/1.1 403 No"))
    assert caught.value.resp_body is None


@pytest.mark.parametrize("key", ["ssl_context", "verify_mode", "server_side", "keyfile_password"])
def test_a_key_of_sslopt_that_there_is_not(
    clients: Clients, authority: Authority, key: str
) -> None:
    peer = clients.serve(echo, context=authority.server_context)
    sslopt = {**authority.sslopt, key: "something"}
    assert clients.connect_to(peer.url, sslopt=sslopt).connected
    assert sslopt[key] == "something"


def test_a_key_of_ones_own(clients: Clients) -> None:
    lines = clients.request(header={"Sec-WebSocket-Key": KEY})
    assert [line for line in lines if "Key" in line] == [f"Sec-WebSocket-Key: {KEY}"]


@pytest.mark.parametrize(
    ("options", "position", "line"),
    [
        ({"host": "example.org"}, 0, "Host: example.org"),
        ({"origin": "https://example.org"}, 1, "Origin: https://example.org"),
        ({"connection": "Connection: keep-alive, Upgrade"}, 2, "Connection: keep-alive, Upgrade"),
        ({"cookie": "a=b; c=d"}, 3, "Cookie: a=b; c=d"),
    ],
)
def test_headers_that_have_an_option(
    clients: Clients, options: Any, position: int, line: str
) -> None:
    assert request_of(clients, **options)[position] == line


@pytest.mark.parametrize("name", ["host", "origin"])
def test_headers_that_can_be_left_out(clients: Clients, name: str) -> None:
    lines = request_of(clients, **{f"suppress_{name}": True, name: "example.org"})
    assert not any(line.lower().startswith(f"{name}:") for line in lines)
    assert len(lines) == 2


def test_subprotocols_are_offered_and_chosen(clients: Clients) -> None:
    peer = clients.serve(Says(lines=("Sec-WebSocket-Protocol: two",)))
    ws = clients.connect_to(peer.url, subprotocols=["one", "two"])
    assert peer.requests[0].headers["sec-websocket-protocol"] == "one,two"
    assert ws.subprotocol == ws.getsubprotocol() == "two"


def test_a_subprotocol_that_was_not_offered_is_refused(clients: Clients) -> None:
    with pytest.raises(clients.library.WebSocketException, match="Invalid WebSocket Header"):
        clients.connect(Says(lines=("Sec-WebSocket-Protocol: three",)), subprotocols=["one"])


def test_cookies_of_the_server_come_back(clients: Clients) -> None:
    script = Says(lines=("Set-Cookie: a=1; Domain=localhost", "Set-Cookie: b=2"))
    peer = clients.serve(script)
    name = (
        "reactor.classic.cookies"
        if clients.library.__name__ == "reactor"
        else "websocket._handshake"
    )
    jar = import_module(name).CookieJar
    try:
        for _ in range(2):
            clients.connect_to(f"ws://localhost:{peer.port}/", cookie="mine=3")
        first, second = (request.headers["cookie"] for request in peer.requests)
        assert first == "mine=3"
        assert second.startswith("a=1; ")
        assert second.endswith("; mine=3")
    finally:
        jar.jar.clear()


# -- sending ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "on_the_wire"),
    [(0, 6), (13, 19), (125, 131), (126, 134), (65535, 65543), (65536, 65550)],
)
def test_send_returns_the_bytes_on_the_wire(
    clients: Clients, length: int, on_the_wire: int
) -> None:
    script = Says()
    ws = clients.connect(script)
    assert ws.send("x" * length) == on_the_wire
    assert script.said() == (TEXT, b"x" * length)


def test_each_kind_of_message(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    assert ws.send_text("Grüße") == 13
    assert ws.send_bytes(b"\xff\x00") == 8
    assert ws.send_binary(bytearray(b"\xff")) == 7
    assert ws.send(b"abc", ws_opcode := clients.library.ABNF.OPCODE_BINARY) == 9
    assert ws_opcode == BINARY
    assert [script.said() for _ in range(4)] == [
        (TEXT, "Grüße".encode()),
        (BINARY, b"\xff\x00"),
        (BINARY, b"\xff"),
        (BINARY, b"abc"),
    ]


def test_pings_and_pongs(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    assert ws.ping() is None
    assert ws.ping("ü") is None
    assert ws.pong(b"\xff") is None
    assert [script.said() for _ in range(3)] == [(PING, b""), (PING, b"\xc3\xbc"), (PONG, b"\xff")]


def test_fragments_can_be_sent(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    create = clients.library.ABNF.create_frame
    assert ws.send_frame(create("My name is ", TEXT, 0)) == 17
    assert ws.send_frame(create("Foo Bar", CONT, 1)) == 13
    first, second = script.next(), script.next()
    assert (first.fin, first.opcode, first.payload) == (False, TEXT, b"My name is ")
    assert (second.fin, second.opcode, second.payload) == (True, CONT, b"Foo Bar")


@pytest.mark.parametrize("key", ["abcd", b"abcd", "\x00\x00\x00\x00", b"\x00\x00\x00\x00"])
@pytest.mark.parametrize("how", ["constructor", "create_connection", "method"])
def test_masking_keys_can_be_chosen(clients: Clients, key: Any, how: str) -> None:
    script = Says()
    octets = key.encode() if isinstance(key, str) else key
    if how == "create_connection":
        ws = clients.connect(script, get_mask_key=lambda _size: key)
    else:
        ws = clients.library.WebSocket(**{"get_mask_key": lambda _: key} if "co" in how else {})
        if how == "method":
            ws.set_mask_key(lambda size: key[:size])
        ws.settimeout(10)
        ws.connect(clients.serve(script).url)
        clients.callback(ws.shutdown)
    ws.send("Hello")
    ws.ping("p")
    ws.close()
    frames = script.until_left()
    assert [(frame.opcode, frame.mask) for frame in frames] == [
        (TEXT, octets),
        (PING, octets),
        (CLOSE, octets),
    ]


def test_without_a_key_of_ones_own_every_frame_has_another(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    for _ in range(8):
        ws.send("Hello")
    masks = [script.next().mask for _ in range(8)]
    assert None not in masks
    assert len(set(masks)) == 8


# -- receiving ----------------------------------------------------------------------------------

CONVERSATION = (
    build_frame(TEXT, "Grüße".encode()),
    build_frame(BINARY, b"\xff\x00"),
    build_frame(PING, b"1"),
    build_frame(TEXT, b"", fin=True),
    build_frame(PONG, b"2"),
    build_frame(TEXT, b"one ", fin=False),
    build_frame(PING, b"3"),
    build_frame(CONT, b"tw\xc3", fin=False),
    build_frame(CONT, b"\xb6", fin=True),
    build_frame(BINARY, b"end"),
)


def test_messages_are_text_or_bytes(clients: Clients) -> None:
    script = Says(*CONVERSATION)
    ws = clients.connect(script)
    received = [ws.recv() for _ in range(5)]
    assert received == ["Grüße", b"\xff\x00", "", "one twö", b"end"]
    assert [script.said() for _ in range(2)] == [(PONG, b"1"), (PONG, b"3")]


def test_data_are_always_bytes_and_come_with_their_opcode(clients: Clients) -> None:
    ws = clients.connect(Says(*CONVERSATION))
    assert [ws.recv_data() for _ in range(5)] == [
        (TEXT, "Grüße".encode()),
        (BINARY, b"\xff\x00"),
        (TEXT, b""),
        (TEXT, "one twö".encode()),
        (BINARY, b"end"),
    ]


def test_control_frames_are_returned_on_request(clients: Clients) -> None:
    script = Says(*CONVERSATION, build_frame(CLOSE, close_payload(1000, b"bye")))
    ws = clients.connect(script)
    assert [ws.recv_data(control_frame=True) for _ in range(9)] == [
        (TEXT, "Grüße".encode()),
        (BINARY, b"\xff\x00"),
        (PING, b"1"),
        (TEXT, b""),
        (PONG, b"2"),
        (PING, b"3"),
        (TEXT, "one twö".encode()),
        (BINARY, b"end"),
        (CLOSE, close_payload(1000, b"bye")),
    ]
    assert [script.said() for _ in range(2)] == [(PONG, b"1"), (PONG, b"3")]


def test_whole_frames_are_returned(clients: Clients) -> None:
    ws = clients.connect(Says(*CONVERSATION))
    opcode, frame = ws.recv_data_frame()
    assert isinstance(frame, clients.library.ABNF)
    assert (opcode, frame.opcode, frame.fin, frame.data) == (TEXT, TEXT, 1, "Grüße".encode())
    for _ in range(2):
        ws.recv()
    opcode, frame = ws.recv_data_frame()
    assert (opcode, frame.data) == (TEXT, "one twö".encode())


def test_raw_frames_are_neither_answered_nor_put_together(clients: Clients) -> None:
    script = Says(*CONVERSATION, build_frame(CLOSE, close_payload(1000)))
    ws = clients.connect(script)
    frames = [ws.recv_frame() for _ in range(11)]
    assert [(frame.opcode, frame.fin) for frame in frames] == [
        (TEXT, 1),
        (BINARY, 1),
        (PING, 1),
        (TEXT, 1),
        (PONG, 1),
        (TEXT, 0),
        (PING, 1),
        (CONT, 0),
        (CONT, 1),
        (BINARY, 1),
        (CLOSE, 1),
    ]
    assert ws.connected
    ws.shutdown()
    assert script.until_left() == []


def test_fragments_are_returned_one_by_one_on_request(clients: Clients) -> None:
    ws = clients.connect(Says(*CONVERSATION), fire_cont_frame=True)
    for _ in range(3):
        ws.recv()
    assert [ws.recv_data() for _ in range(4)] == [
        (TEXT, b"one "),
        (CONT, b"tw\xc3"),
        (CONT, b"\xb6"),
        (BINARY, b"end"),
    ]


def test_text_is_not_looked_at_on_request(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(TEXT, b"\xff")), skip_utf8_validation=True)
    assert ws.recv_data() == (TEXT, b"\xff")


def test_iteration(clients: Clients) -> None:
    ws = clients.connect(Says(*CONVERSATION))
    assert next(ws) == "Grüße"
    assert ws.next() == b"\xff\x00"
    assert [message for _, message in zip(range(3), ws, strict=False)] == ["", "one twö", b"end"]


def test_without_locks(clients: Clients) -> None:
    ws = clients.connect(echo, enable_multithread=False)
    ws.send("alone")
    assert ws.recv() == "alone"
    ws.close()
    assert not ws.connected


def test_nothing_is_read_that_was_not_asked_for(clients: Clients) -> None:
    # Programs wait for the socket with select(), and then receive one message.
    ws = clients.connect(Says(build_frame(TEXT, b"one"), build_frame(TEXT, b"two")))
    for expected in ("one", "two"):
        assert select.select([ws.sock], [], [], 10)[0]
        assert ws.recv() == expected
    assert not select.select([ws.sock], [], [], 0)[0]


def test_what_tls_has_read_can_be_asked(clients: Clients, authority: Authority) -> None:
    script = Says(build_frame(TEXT, b"one"), build_frame(TEXT, b"two"))
    peer = clients.serve(script, context=authority.server_context)
    ws = clients.connect_to(peer.url, sslopt=authority.sslopt)
    assert ws.sock.pending() == 10
    assert ws.recv() == "one"
    assert ws.sock.pending() == 5
    assert ws.recv() == "two"


# -- what the server does wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "kind", "message"),
    [
        ([build_frame(TEXT, b"x", rsv=4)], "Protocol", "rsv is not implemented, yet"),
        ([build_frame(3, b"x")], "Protocol", "Invalid opcode 3"),
        ([build_frame(PING, b"x", fin=False)], "Protocol", "Invalid ping frame."),
        ([build_frame(PING, bytes(126))], "Protocol", "Ping message is too long"),
        ([build_frame(CLOSE, b"x")], "Protocol", "Invalid close frame."),
        ([build_frame(CLOSE, close_payload(1006))], "Protocol", "Invalid close opcode 1006"),
        ([build_frame(CONT, b"x")], "Protocol", "Illegal frame"),
        (
            [build_frame(TEXT, b"x", fin=False), build_frame(TEXT, b"y")],
            "Protocol",
            "Illegal frame",
        ),
        ([build_frame(TEXT, b"\xff")], "Payload", r"cannot decode: b'\xff'"),
        (
            [build_frame(TEXT, b"\xe2\x82", fin=False), build_frame(CONT, b"x")],
            "Payload",
            "cannot decode: b'",
        ),
    ],
)
@pytest.mark.parametrize("method", ["recv", "recv_data", "recv_data_frame"])
def test_a_fault_of_the_server_is_raised(
    clients: Clients, frames: list[bytes], kind: str, message: str, method: str
) -> None:
    ws = clients.connect(Says(*frames))
    with pytest.raises(getattr(clients.library, f"WebSocket{kind}Exception")) as caught:
        getattr(ws, method)()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "form", [{"key": MASK}, {"length_bits": 16}, {"length_bits": 64}], ids=["mask", "16", "64"]
)
def test_frames_that_a_server_should_send_in_another_form(clients: Clients, form: Any) -> None:
    script = Says(
        build_frame(TEXT, b"one", **form),
        build_frame(PING, b"ping", **form),
        build_frame(BINARY, b"t", fin=False, **form),
        build_frame(CONT, b"wo", **form),
        build_frame(CLOSE, close_payload(1001), **form),
    )
    ws = clients.connect(script)
    assert [ws.recv(), ws.recv(), ws.recv()] == ["one", b"two", ""]
    assert script.said() == (PONG, b"ping")


@pytest.mark.parametrize("name", ["Protocol", "Extensions"])
def test_what_the_server_chooses_without_being_asked_is_ignored(
    clients: Clients, name: str
) -> None:
    ws = clients.connect(Says(build_frame(TEXT, b"x"), lines=(f"Sec-WebSocket-{name}: other",)))
    assert ws.subprotocol is None
    assert ws.recv() == "x"


def test_the_end_of_the_connection(clients: Clients) -> None:
    ws = clients.connect(lambda talk: talk.upgrade())
    for message in ("Connection to remote host was lost.", "Connection is closed"):
        with pytest.raises(clients.library.WebSocketConnectionClosedException) as caught:
            ws.recv()
        assert str(caught.value) == message
        assert (ws.connected, ws.sock) == (False, None)


def test_a_reset_is_what_the_system_calls_it(clients: Clients) -> None:
    def reset(talk: Talk) -> None:
        talk.upgrade()
        talk.frame()
        talk.reset()

    ws = clients.connect(reset)
    ws.send("go on")
    with pytest.raises(ConnectionResetError):
        ws.recv()


def send_for_ever(ws: Any) -> None:
    while True:
        ws.send("x" * 1000)


def test_sending_into_a_broken_connection(clients: Clients) -> None:
    def reset(talk: Talk) -> None:
        talk.upgrade()
        talk.reset()

    ws = clients.connect(reset)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(ws)


# -- closing ------------------------------------------------------------------------------------


def test_a_close_frame_is_an_empty_message(clients: Clients) -> None:
    script = Says(build_frame(CLOSE, close_payload(1000, b"bye")), answer_close=False)
    ws = clients.connect(script)
    assert ws.recv() == ""
    assert not ws.connected
    assert script.next().opcode == CLOSE
    with pytest.raises(clients.library.WebSocketConnectionClosedException) as caught:
        ws.recv()
    assert str(caught.value) == "Connection to remote host was lost."
    with pytest.raises(clients.library.WebSocketConnectionClosedException) as caught:
        ws.recv()
    assert str(caught.value) == "Connection is closed"


@pytest.mark.parametrize("method", ["recv_data", "recv_data_frame"])
def test_a_close_frame_is_returned_with_its_content(clients: Clients, method: str) -> None:
    ws = clients.connect(Says(build_frame(CLOSE, close_payload(4001, b"bye"))))
    opcode, data = getattr(ws, method)()
    assert opcode == clients.library.ABNF.OPCODE_CLOSE
    assert (data if method == "recv_data" else data.data) == close_payload(4001, b"bye")


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        ({}, close_payload(1000)),
        ({"status": 3000}, close_payload(3000)),
        ({"status": 1001, "reason": b"away"}, close_payload(1001, b"away")),
        ({"reason": "tschüß"}, close_payload(1000, "tschüß".encode())),
        ({"status": 1005}, close_payload(1005)),
    ],
)
def test_closing(clients: Clients, arguments: Any, content: bytes) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.close(**arguments)
    assert (ws.connected, ws.sock) == (False, None)
    (frame,) = script.until_left()
    assert (frame.opcode, frame.payload) == (CLOSE, content)
    ws.close()


def test_the_close_frame_of_the_server_is_kept(clients: Clients) -> None:
    def answer_otherwise(talk: Talk) -> None:
        talk.upgrade()
        talk.frame()
        talk.send(build_frame(TEXT, b"too late") + build_frame(CLOSE, close_payload(4002, b"mine")))
        talk.until_closed()

    ws = clients.connect(answer_otherwise)
    ws.close(4001)
    assert ws.close_frame.data == close_payload(4002, b"mine")
    assert ws.close_frame.opcode == CLOSE


@pytest.mark.parametrize("name", ["send", "send_text", "send_bytes", "ping", "pong", "send_close"])
def test_after_close_nothing_can_be_sent(clients: Clients, name: str) -> None:
    ws = clients.connect(echo)
    ws.close()
    with pytest.raises(clients.library.WebSocketConnectionClosedException) as caught:
        getattr(ws, name)(*([] if name == "send_close" else [b"x" if "bytes" in name else "x"]))
    assert str(caught.value) == "socket is already closed."


def test_after_close_nothing_can_be_received(clients: Clients) -> None:
    ws = clients.connect(echo)
    ws.close()
    for name in ("recv", "recv_data", "recv_data_frame", "recv_frame"):
        with pytest.raises(clients.library.WebSocketConnectionClosedException) as caught:
            getattr(ws, name)()
        assert str(caught.value) == "Connection is closed"


def test_a_close_frame_can_be_sent_by_itself(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.send_close(4000, "ende")
    assert not ws.connected
    assert script.said() == (CLOSE, close_payload(4000, b"ende"))
    assert ws.recv_frame().data == close_payload(4000, b"ende")


@pytest.mark.parametrize("code", [-1, 65536])
@pytest.mark.parametrize("method", ["close", "send_close"])
def test_a_close_code_has_two_bytes(clients: Clients, code: int, method: str) -> None:
    ws = clients.connect(Says())
    with pytest.raises(ValueError, match=r"^code is invalid range$"):
        getattr(ws, method)(code)
    assert ws.connected


def test_an_object_can_be_used_again(clients: Clients) -> None:
    ws = clients.library.WebSocket()
    for text in ("one", "two"):
        ws.connect(clients.serve(echo).url)
        assert ws.connected
        ws.send(text)
        assert ws.recv() == text
        ws.close()
        assert not ws.connected


# -- what cannot be connected to ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.com", "url is invalid"),
        ("ws//example.com", "url is invalid"),
        ("2001:4860:4860::8888", ""),
        ("http://example.com", "scheme http is invalid"),
        ("ws://", "hostname is invalid"),
    ],
)
def test_a_url_that_is_none(clients: Clients, url: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        clients.library.create_connection(url)


def test_a_host_that_does_not_exist(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(clients.library.WebSocketAddressException, match="not known"):
        clients.library.create_connection("ws://nowhere.example/")


def test_a_port_on_which_nobody_listens(clients: Clients) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ConnectionRefusedError):
            clients.library.create_connection(f"ws://127.0.0.1:{sock.getsockname()[1]}")


def test_a_server_that_refuses(clients: Clients) -> None:
    script = answer("HTTP/1.1 403 Forbidden", "X-Why: so", "Content-Length: 4", body=b"no !")
    with pytest.raises(clients.library.WebSocketBadStatusException) as caught:
        clients.connect(script)
    error = caught.value
    assert str(error) == (
        "Handshake status 403 Forbidden -+-+- {'x-why': 'so', 'content-length': '4'} -+-+- no !"
    )
    assert (error.status_code, error.status_message) == (403, "Forbidden")
    assert (error.resp_headers["x-why"], error.resp_body) == ("so", b"no !")


def test_a_certificate_that_nobody_knows(clients: Clients, authority: Authority) -> None:
    peer = clients.serve(Says(), context=authority.server_context)
    with pytest.raises(ssl.SSLCertVerificationError):
        clients.connect_to(peer.url)
    ws = clients.connect_to(peer.url, sslopt={"cert_reqs": ssl.CERT_NONE})
    assert ws.connected


@pytest.mark.parametrize("lines", [(), ("Upgrade: websocket",), ("Upgrade: x", "Connection: y")])
def test_an_answer_that_is_no_upgrade(clients: Clients, lines: tuple[str, ...]) -> None:
    script = answer("HTTP/1.1 101 Switching Protocols", *lines)
    with pytest.raises(clients.library.WebSocketException, match=r"^Invalid WebSocket Header"):
        clients.connect(script)


def test_redirects_are_followed(clients: Clients) -> None:
    target = clients.serve(echo)
    for status in (301, 302, 303, 307, 308):
        ws = clients.connect(answer(f"HTTP/1.1 {status} Moved", f"Location: {target.url}/new"))
        ws.send("here?")
        assert ws.recv() == "here?"
        assert target.requests[-1].request_line == "GET /new HTTP/1.1"


@pytest.mark.parametrize("options", [{}, {"redirect_limit": 1}, {"redirect_limit": 0}])
def test_redirects_are_followed_so_far(clients: Clients, options: Any) -> None:
    def again(talk: Talk) -> None:
        talk.head()
        talk.send(http("HTTP/1.1 302 Found", f"Location: {talk.peer.url}/"))
        talk.end()

    peer = clients.serve(again)
    with pytest.raises(clients.library.WebSocketException, match="Redirect limit exhausted"):
        clients.connect_to(peer.url, **options)
    assert peer.connections == 1 + options.get("redirect_limit", 3)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "ws://"])
def test_redirects_to_what_is_no_url(clients: Clients, location: str) -> None:
    script = answer("HTTP/1.1 302 Found", f"Location: {location}")
    with pytest.raises(clients.library.WebSocketException, match="Invalid redirect target"):
        clients.connect(script)


# -- sockets ------------------------------------------------------------------------------------


def test_a_socket_of_ones_own(clients: Clients) -> None:
    peer = clients.serve(echo)
    with socket.create_connection(("127.0.0.1", peer.port)) as sock:
        ws = clients.connect_to("ws://example.org/path", socket=sock)
        assert ws.sock is sock
        assert peer.requests[0].headers["host"] == "example.org"
        ws.send("mine")
        assert ws.recv() == "mine"


def test_a_unix_socket(clients: Clients, unix_path: str) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(unix_path)
    listening.listen()
    clients.serve(echo, listening=listening)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(unix_path)
    ws = clients.connect_to("ws://localhost/", socket=sock)
    ws.send("local")
    assert ws.recv() == "local"


def test_a_socket_that_was_bound(clients: Clients) -> None:
    peer = clients.serve(echo)
    sock = socket.create_connection(("127.0.0.1", peer.port), source_address=("127.0.0.2", 0))
    ws = clients.connect_to(peer.url, socket=sock)
    assert ws.sock.getsockname()[0] == "127.0.0.2"
    ws.send("bound")
    assert ws.recv() == "bound"


def test_one_of_a_pair(clients: Clients) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        peer = clients.serve(echo)
        talk = Talk(peer, theirs)
        script = Background(echo, talk)
        ws = clients.connect_to("ws://localhost/", socket=ours)
        ws.send("pair")
        assert ws.recv() == "pair"
        ws.close()
        script.result()


def test_socket_options(clients: Clients) -> None:
    ws = clients.connect(
        Says(), sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 0), (6, socket.TCP_MAXSEG, 600))
    )
    assert ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    assert ws.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ws.sock_opt.sockopt
    ws = clients.connect(Says())
    assert ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# -- classes of one's own -----------------------------------------------------------------------


def test_an_overridden_recv_frame_sees_every_frame(clients: Clients) -> None:
    seen = []

    class Watching(clients.library.WebSocket):  # type: ignore[name-defined]
        def recv_frame(self) -> Any:
            frame = super().recv_frame()
            seen.append(frame.opcode)
            return frame

    ws = clients.connect(Says(*CONVERSATION), class_=Watching)
    assert [ws.recv() for _ in range(5)] == ["Grüße", b"\xff\x00", "", "one twö", b"end"]
    assert seen == [TEXT, BINARY, PING, TEXT, PONG, TEXT, PING, CONT, CONT, BINARY]


def test_recv_goes_through_every_method(clients: Clients) -> None:
    calls = []

    class Tracing(clients.library.WebSocket):  # type: ignore[name-defined]
        def recv_data(self, control_frame: bool = False) -> Any:
            calls.append("recv_data")
            return super().recv_data(control_frame)

        def recv_data_frame(self, control_frame: bool = False) -> Any:
            calls.append("recv_data_frame")
            return super().recv_data_frame(control_frame)

        def recv_frame(self) -> Any:
            calls.append("recv_frame")
            return super().recv_frame()

    ws = clients.connect(Says(build_frame(TEXT, b"x")), class_=Tracing)
    assert ws.recv() == "x"
    assert calls == ["recv_data", "recv_data_frame", "recv_frame"]


def test_everything_goes_out_through_send_and_send_frame(clients: Clients) -> None:
    calls = []

    class Tracing(clients.library.WebSocket):  # type: ignore[name-defined]
        def send(self, payload: Any, opcode: int = 1) -> int:
            calls.append(("send", opcode))
            return int(super().send(payload, opcode))

        def send_frame(self, frame: Any) -> int:
            calls.append(("send_frame", frame.opcode))
            return int(super().send_frame(frame))

    ws = clients.connect(Says(build_frame(PING), build_frame(TEXT, b"x")), class_=Tracing)
    assert ws.recv() == "x"
    ws.send("y")
    ws.ping()
    ws.close()
    expected = (PONG, TEXT, PING, CLOSE)
    assert calls == [(name, op) for op in expected for name in ("send", "send_frame")]


def test_a_class_gets_its_own_options(clients: Clients) -> None:
    class Named(clients.library.WebSocket):  # type: ignore[name-defined]
        def __init__(self, name: str, **options: Any) -> None:
            super().__init__(**options)
            self.name = name

    ws = clients.connect(echo, class_=Named, name="mine")
    assert ws.name == "mine"


def test_a_class_that_is_none_of_ours(clients: Clients) -> None:
    class Dummy:
        def __init__(self, **options: Any) -> None:
            self.given = options

        def settimeout(self, timeout: float) -> None:
            self.timeout = timeout

        def connect(self, url: str, **options: Any) -> None:
            self.url, self.options = url, options

    made = clients.library.create_connection(
        "ws://example.com", timeout=5, class_=Dummy, header={"a": "b"}, sslopt={"x": 1}
    )
    assert (made.url, made.timeout, made.options) == ("ws://example.com", 5, {"header": {"a": "b"}})
    assert made.given == {
        "sockopt": [],
        "sslopt": {"x": 1},
        "fire_cont_frame": False,
        "enable_multithread": True,
        "skip_utf8_validation": False,
        "header": {"a": "b"},
    }


def test_a_socket_can_be_put_in_by_hand(clients: Clients) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ws = clients.library.WebSocket()
        ws.sock = ours
        ws.settimeout(10)
        assert ours.gettimeout() == 10
        theirs.send(build_frame(TEXT, b"hi") + build_frame(CLOSE, close_payload(1000)))
        assert ws.recv() == "hi"
        assert ws.send("ho") == 8
        ws.connected = True
        assert ws.connected
        assert ws.recv() == ""
        assert not ws.connected


def test_connecting_calls_no_method_that_ends_a_connection(clients: Clients) -> None:
    called: list[str] = []

    class Watched(clients.library.WebSocket):  # type: ignore[misc,name-defined]
        def shutdown(self) -> None:
            called.append("shutdown")
            super().shutdown()

    ws = clients.connect(echo, class_=Watched)
    assert called == []
    ws.close()
    assert called == ["shutdown"]
