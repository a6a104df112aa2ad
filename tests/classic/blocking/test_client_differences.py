"""WebSocket and create_connection where they do better than websocket-client; see migrating.md."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import reactor
from reactor import (
    ABNF,
    WebSocket,
    WebSocketConnectionClosedException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    continuous_frame,
    create_connection,
)
from reactor.classic.cookies import CookieJar

from ...support.certificates import Authority
from ...support.classic import Clients, Says, clients_of
from ...support.peers import Serve, Talk, answer, echo, http
from ...support.threads import Background
from ...support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    build_frame,
    build_header,
    close_payload,
)

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def clients() -> Iterator[Clients]:
    yield from clients_of(reactor)


# -- what the server is told --------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [b"", close_payload(1000), close_payload(4001, b"bye"), close_payload(1012)]
)
@pytest.mark.parametrize("method", ["recv", "recv_data", "recv_data_frame"])
def test_the_close_frame_of_the_server_is_echoed(
    clients: Clients, payload: bytes, method: str
) -> None:
    script = Says(build_frame(CLOSE, payload), answer_close=False)
    ws = clients.connect(script)
    getattr(ws, method)()
    assert ws.close_frame.data == payload
    ws.close()
    assert [(frame.opcode, frame.payload) for frame in script.until_left()] == [(CLOSE, payload)]


def test_what_comes_after_a_close_frame_tells_how_it_was_closed(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(CLOSE, close_payload(4001, b"bye"))))
    ws.recv()
    with pytest.raises(WebSocketConnectionClosedException) as caught:
        ws.recv()
    assert (caught.value.status_code, caught.value.reason) == (4001, "bye")


def test_text_in_fragments_that_nobody_has_checked_fails_where_it_is_wrong(
    clients: Clients,
) -> None:
    frames = [(TEXT, b"a\xc3", False), (CONT, b"(", True), (TEXT, b"b\xc3", False)]
    frames += [(CONT, b"\xbc", True)]
    script = Says(*(build_frame(opcode, data, fin=fin) for opcode, data, fin in frames))
    ws = clients.connect(script, fire_cont_frame=True, skip_utf8_validation=True)
    assert ws.recv() == "a"
    with pytest.raises(UnicodeDecodeError):
        ws.recv()
    assert [ws.recv(), ws.recv()] == ["b", "ü"]


def test_a_server_that_has_gone_need_not_hear_our_answer(clients: Clients) -> None:
    def close_and_reset(talk: Talk) -> None:
        talk.upgrade(then=build_frame(CLOSE, close_payload(1001)))
        talk.frame()
        talk.reset()

    ws = clients.connect(close_and_reset)
    assert select.select([ws.sock], [], [], 10)[0]
    ws.send("before the close frame is read")
    assert select.select([ws.sock], [], [], 10)[0]
    try:
        assert ws.recv() == ""
    except ConnectionResetError:
        pass  # the reset has destroyed the close frame
    assert not ws.connected


def test_a_server_that_has_gone_need_not_hear_our_pong(clients: Clients) -> None:
    ours, theirs = socket.socketpair()
    ws = WebSocket()
    ws.sock = ours
    clients.callback(ws.shutdown)
    with theirs:
        theirs.send(build_frame(PING, b"x") + build_frame(TEXT, b"the last word"))
    assert ws.recv() == "the last word"
    with pytest.raises(WebSocketConnectionClosedException):
        ws.recv()


@pytest.mark.parametrize(
    ("frames", "error", "code"),
    [
        ([build_frame(TEXT, b"x", key=KEY)], WebSocketProtocolException, 1002),
        ([build_frame(TEXT, b"x", rsv=2)], WebSocketProtocolException, 1002),
        ([build_frame(3, b"x")], WebSocketProtocolException, 1002),
        ([build_frame(CONT, b"x")], WebSocketProtocolException, 1002),
        ([build_frame(PONG, b"x", fin=False)], WebSocketProtocolException, 1002),
        ([build_frame(PONG, bytes(126))], WebSocketProtocolException, 1002),
        ([build_header(TEXT, 1, length_bits=64), b"x"], WebSocketProtocolException, 1002),
        ([build_frame(CLOSE, close_payload(1005))], WebSocketProtocolException, 1002),
        ([build_frame(CLOSE, b"\x03\xe8\xff")], WebSocketProtocolException, 1007),
        ([build_frame(TEXT, b"\xff")], WebSocketPayloadException, 1007),
        ([build_header(TEXT, 1001)], WebSocketMessageTooBigException, 1009),
        (
            [build_frame(TEXT, bytes(600), fin=False), build_header(CONT, 600)],
            WebSocketMessageTooBigException,
            1009,
        ),
        (
            [build_frame(TEXT, b"", fin=False), *[build_frame(CONT, b"", fin=False)] * 3],
            WebSocketMessageTooBigException,
            1009,
        ),
    ],
)
def test_the_server_is_told_what_it_did_wrong(
    clients: Clients, frames: list[bytes], error: type[Exception], code: int
) -> None:
    script = Says(*frames, answer_close=False)
    ws = clients.connect(script, max_message_size=1000, max_fragments=3, lenient=False)
    with pytest.raises(error) as caught:
        ws.recv()
    assert not ws.connected
    told = script.next()
    assert (told.opcode, told.payload) == (CLOSE, close_payload(code, str(caught.value).encode()))
    with pytest.raises(WebSocketConnectionClosedException):
        ws.recv()
    ws.close()
    assert script.until_left() == []


def test_wrong_text_is_refused_while_the_rest_is_still_to_come(clients: Clients) -> None:
    script = Says(build_header(TEXT, 1_000_000), b"fine, but \xff")
    ws = clients.connect(script)
    with pytest.raises(WebSocketPayloadException, match=r"cannot decode: b'fine, but \\xff'"):
        ws.recv()
    assert script.next().payload[:2] == close_payload(1007)


def test_a_large_message_is_fine_by_default(clients: Clients) -> None:
    size = 20 * 1024 * 1024
    ws = clients.connect(lambda talk: (talk.upgrade(), talk.send(build_frame(BINARY, bytes(size)))))
    assert len(ws.recv()) == size


def test_a_character_may_be_split_over_fragments_that_are_returned(clients: Clients) -> None:
    frames = (
        build_frame(TEXT, b"gr\xc3", fin=False),
        build_frame(CONT, b"\xbcn", fin=False),
        build_frame(CONT, b"", fin=True),
        build_frame(BINARY, b"\xff", fin=False),
        build_frame(CONT, b"\xfe", fin=True),
        build_frame(TEXT, b"end"),
    )
    ws = clients.connect(Says(*frames), fire_cont_frame=True)
    assert [ws.recv() for _ in range(6)] == ["gr", "ün", "", b"\xff", b"\xfe", "end"]


def test_text_that_was_not_looked_at_is_when_it_is_decoded(clients: Clients) -> None:
    frames = build_frame(TEXT, b"\xff") + build_frame(TEXT, b"good")
    ws = clients.connect(Says(frames), skip_utf8_validation=True)
    with pytest.raises(UnicodeDecodeError):
        ws.recv()
    assert ws.recv() == "good"


# -- sending ------------------------------------------------------------------------------------


def test_text_is_utf_8_whatever_the_opcode(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.send("Ω", BINARY)
    assert script.said() == (BINARY, "Ω".encode())


@pytest.mark.parametrize("message", [5, {"a": 1}, object()])
def test_what_is_neither_text_nor_bytes_is_refused(clients: Clients, message: Any) -> None:
    ws = clients.connect(Says())
    with pytest.raises(TypeError, match="str or bytes"):
        ws.send(message)
    ws.send("still fine")


def test_after_a_close_frame_no_data_is_sent(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.send_close(1001)
    with pytest.raises(WebSocketConnectionClosedException, match=r"^socket is already closed\.$"):
        ws.send("too late")
    ws.send_close(1002)
    ws.close()
    assert [(frame.opcode, frame.payload) for frame in script.until_left()] == [
        (CLOSE, close_payload(1001))
    ]


#: With these, a connection is full after some hundred kilobytes.
NARROW = ((socket.SOL_SOCKET, socket.SO_SNDBUF, 65536),)


def narrow() -> socket.socket:
    """A listening socket whose connections take little."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def mute(talk: Talk) -> None:
    """Accept the upgrade, and read nothing."""
    talk.upgrade()
    talk.hold()


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_send_that_takes_too_long_raises(clients: Clients, timeout: float) -> None:
    ws = clients.connect_to(clients.serve(mute, listening=narrow()).url, sockopt=NARROW)
    ws.settimeout(timeout)
    with pytest.raises(WebSocketTimeoutException) as caught:
        ws.send(bytes(10**6), BINARY)
    assert str(caught.value) == (
        "Connection timed out within a frame: the rest goes out before the next one"
    )
    with pytest.raises(WebSocketTimeoutException) as caught:
        ws.send("nothing of this goes out")
    assert str(caught.value) == "Connection timed out"
    ws.close(timeout=0)


@pytest.mark.parametrize("secure", [False, True])
def test_the_rest_of_a_frame_goes_out_before_the_next_one(
    clients: Clients, authority: Authority, secure: bool
) -> None:
    go_on = threading.Event()
    received: list[tuple[int, bytes]] = []

    def late_reader(talk: Talk) -> None:
        talk.upgrade()
        go_on.wait(10)
        for _ in range(2):
            frame = talk.frame()
            received.append((frame.opcode, frame.payload))
        talk.send(build_frame(TEXT, b"thanks"))
        talk.until_closed()

    context = authority.server_context if secure else None
    peer = clients.serve(late_reader, context=context, listening=narrow())
    ws = clients.connect_to(peer.url, sslopt=authority.sslopt if secure else None, sockopt=NARROW)
    big = b"0123456789" * 100_000
    ws.settimeout(0.05)
    with pytest.raises(WebSocketTimeoutException, match="within a frame"):
        ws.send(big, BINARY)
    ws.settimeout(10)
    go_on.set()
    ws.send("small")
    assert ws.recv() == "thanks"
    assert received == [(BINARY, big), (TEXT, b"small")]


# -- time-outs ----------------------------------------------------------------------------------


def test_a_time_out_of_zero_is_no_error_of_the_system(clients: Clients) -> None:
    ws = clients.connect(echo)
    ws.settimeout(0)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        ws.recv()
    ws.send("there?")
    assert select.select([ws.sock], [], [], 10)[0]
    assert ws.recv() == "there?"


def test_a_time_out_of_zero_leaves_no_time_to_connect(clients: Clients) -> None:
    peer = clients.serve(echo)
    with pytest.raises(WebSocketTimeoutException, match="timeout=0 leaves no time to connect"):
        create_connection(peer.url, timeout=0)
    assert peer.connections == 0


class Octets:
    """A peer that sends *raw* octet by octet, whenever it is told to, and then *rest*."""

    def __init__(self, raw: bytes, rest: bytes = b"") -> None:
        self._raw = raw
        self._rest = rest
        self._more = threading.Semaphore(0)

    def script(self, talk: Talk) -> None:
        talk.upgrade()
        for octet in self._raw:
            self._more.acquire(timeout=10)
            talk.send(bytes([octet]))
        talk.send(self._rest)
        talk.until_closed()

    def time_out_before_each(self, ws: WebSocket) -> None:
        """Have recv() time out before each octet; then let the last one come."""
        ws.settimeout(0)
        for _ in self._raw[:-1]:
            with pytest.raises(WebSocketTimeoutException):
                ws.recv()
            self._more.release()
            select.select([ws.sock], [], [], 10)
        self._more.release()
        ws.settimeout(10)


def test_a_time_out_in_mid_frame_loses_nothing(clients: Clients, authority: Authority) -> None:
    raw = build_frame(TEXT, "Grüße".encode(), fin=False) + build_frame(CONT, b"!" * 200)
    octets = Octets(raw)
    for context in (None, authority.server_context):
        peer = clients.serve(octets.script, context=context)
        ws = clients.connect_to(peer.url, sslopt=authority.sslopt)
        octets.time_out_before_each(ws)
        assert ws.recv() == "Grüße" + "!" * 200


@pytest.mark.parametrize("length", [5, 200])
def test_a_time_out_in_a_whole_message_loses_nothing(clients: Clients, length: int) -> None:
    octets = Octets(build_frame(TEXT, b"x" * length), build_frame(TEXT, b"next"))
    ws = clients.connect(octets.script)
    octets.time_out_before_each(ws)
    assert [ws.recv(), ws.recv()] == ["x" * length, "next"]


def test_what_makes_messages_can_be_replaced(clients: Clients) -> None:
    class Shouting(continuous_frame):
        def extract(self, frame: ABNF) -> tuple[int, ABNF]:
            opcode, frame = super().extract(frame)
            frame.data = frame.data.upper()
            return opcode, frame

    ws = clients.connect(Says(build_frame(TEXT, b"one"), build_frame(BINARY, b"two")))
    ws.cont_frame = Shouting(False, False)
    assert [ws.recv(), ws.recv()] == ["ONE", b"TWO"]


@pytest.mark.parametrize("name", ["recv_frame", "recv_data_frame", "recv_data"])
def test_a_method_of_the_object_counts(name: str) -> None:
    ws = WebSocket()
    frame = ABNF(1, opcode=TEXT, mask_value=0, data=b"mine")
    answers = {"recv_frame": frame, "recv_data_frame": (TEXT, frame), "recv_data": (TEXT, b"mine")}
    setattr(ws, name, lambda *_: answers[name])
    assert ws.recv() == "mine"


def test_connecting_takes_no_longer_than_the_time_out(clients: Clients) -> None:
    peer = clients.serve(lambda talk: talk.hold())
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out .* 127\.0\.0\.1$"):
        create_connection(peer.url, timeout=0.05)


def test_the_default_time_out_is_that_of_connections_without_one(clients: Clients) -> None:
    peer = clients.serve(lambda talk: talk.hold())
    reactor.setdefaulttimeout(0.05)
    try:
        with pytest.raises(WebSocketTimeoutException):
            create_connection(peer.url)
    finally:
        reactor.setdefaulttimeout(None)


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), ("5", TypeError), (float("nan"), ValueError)]
)
def test_what_is_no_time_out_is_named(timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout must be None"):
        WebSocket().settimeout(timeout)
    with pytest.raises(error, match="timeout must be None"):
        WebSocket().connect("ws://localhost/", timeout=timeout)


def test_a_time_out_set_at_the_socket_itself_counts(clients: Clients, authority: Authority) -> None:
    for context in (None, authority.server_context):
        peer = clients.serve(mute, context=context)
        ws = clients.connect_to(peer.url, sslopt=authority.sslopt)
        ws.sock.settimeout(0.01)
        with pytest.raises(WebSocketTimeoutException):
            ws.recv()


@pytest.mark.parametrize("timeout", [None, 7, 0])
def test_the_time_out_can_be_asked(clients: Clients, timeout: float | None) -> None:
    ws = clients.connect(Says())
    ws.timeout = timeout
    assert (ws.timeout, ws.gettimeout(), ws.sock_opt.timeout) == (timeout,) * 3
    assert ws.sock.gettimeout() == timeout


# -- closing ------------------------------------------------------------------------------------


def test_the_end_of_a_block_closes(clients: Clients) -> None:
    script = Says()
    with clients.connect(script) as ws:
        assert isinstance(ws, WebSocket)
        ws.send("x")
    assert not ws.connected
    assert [frame.opcode for frame in script.until_left()] == [TEXT, CLOSE]
    with pytest.raises(KeyError), clients.connect(Says()) as ws:
        raise KeyError
    assert ws.sock is None


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_mute_server_does_not_keep_us_longer_than_asked(clients: Clients, timeout: float) -> None:
    ws = clients.connect(mute)
    ws.settimeout(None)
    ws.close(timeout=timeout)
    assert (ws.connected, ws.sock, ws.close_frame) == (False, None, None)


def test_a_server_that_never_stops_does_not_keep_us_longer_than_asked(clients: Clients) -> None:
    def chatter(talk: Talk) -> None:
        talk.upgrade()
        while True:
            talk.send(build_frame(TEXT, b"bla"))

    ws = clients.connect(chatter)
    ws.close(timeout=0.1)
    assert ws.sock is None


def test_a_server_that_reads_nothing_does_not_keep_us_longer_than_asked(clients: Clients) -> None:
    ws = clients.connect_to(clients.serve(mute, listening=narrow()).url, sockopt=NARROW)
    ws.settimeout(0)
    with pytest.raises(WebSocketTimeoutException):
        ws.send(bytes(10**6), BINARY)
    ws.settimeout(None)
    ws.close(timeout=0.05)
    assert ws.sock is None


def test_after_a_close_frame_closing_closes_the_socket(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(CLOSE, close_payload(1000))))
    assert ws.recv() == ""
    assert ws.sock is not None
    ws.close()
    assert ws.sock is None


@pytest.mark.parametrize("reason", ["ü" * 100, ("ü" * 100).encode()])
@pytest.mark.parametrize("method", ["close", "send_close"])
def test_a_reason_is_cut_to_what_fits(clients: Clients, reason: Any, method: str) -> None:
    script = Says(answer_close=False)
    ws = clients.connect(script)
    getattr(ws, method)(1000, reason)
    assert script.next().payload == close_payload(1000, ("ü" * 61).encode())


def test_none_is_no_reason(clients: Clients) -> None:
    script = Says()
    clients.connect(script).close(reason=None)
    assert script.next().payload == close_payload(1000)


def test_tls_is_ended_with_a_goodbye(clients: Clients, authority: Authority) -> None:
    ended: list[bytes] = []

    def until_the_end(talk: Talk) -> None:
        assert isinstance(talk.sock, ssl.SSLSocket)
        talk.sock.suppress_ragged_eofs = False
        talk.upgrade()
        talk.send(build_frame(CLOSE, talk.frame().payload))
        ended.append(talk.until_closed())  # raises without close_notify

    peer = clients.serve(until_the_end, context=authority.server_context)
    clients.connect_to(peer.url, sslopt=authority.sslopt).close()
    clients.close()
    assert ended == [b""]


def test_a_connection_that_nobody_closes_is_closed_when_it_is_used_again(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.connect(clients.serve(echo).url)
    assert script.until_left() == []
    ws.send("new")
    assert ws.recv() == "new"


def test_half_a_message_is_forgotten_with_its_connection(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(TEXT, b"old \xc3", fin=False), b"\x00"))
    ws.settimeout(0.01)
    with pytest.raises(WebSocketTimeoutException):
        ws.recv()
    ws.settimeout(10)
    ws.connect(clients.serve(echo).url)
    ws.send("new")
    assert ws.recv() == "new"


# -- connecting ---------------------------------------------------------------------------------


def test_a_server_may_choose_no_subprotocol(clients: Clients) -> None:
    ws = clients.connect(echo, subprotocols=["one"])
    assert (ws.connected, ws.subprotocol) == (True, None)


def test_the_header_may_be_a_function(clients: Clients) -> None:
    assert "X-Name: value" in clients.request(header=lambda: ["X-Name: value"])
    assert "X-Name: value" in clients.request(header=lambda: {"X-Name": "value"})


@pytest.mark.parametrize("names", [("colour",), ("colour", "flavour")])
def test_an_option_that_does_not_exist_is_mentioned_in_the_log(
    clients: Clients, caplog: pytest.LogCaptureFixture, names: tuple[str, ...]
) -> None:
    options = dict.fromkeys(names, "red")
    shown = ", ".join(map(repr, names))
    peer = clients.serve(echo)
    with caplog.at_level("DEBUG", "websocket"):
        WebSocket(**options)
        assert caplog.messages == [f"WebSocket has no option {shown}: ignored"]
        ws = WebSocket()
        clients.callback(ws.shutdown)
        ws.connect(peer.url, **options)
        assert caplog.messages[1:] == [f"WebSocket.connect() has no option {shown}: ignored"]
        clients.connect_to(peer.url, **options)
    assert caplog.messages[2:] == [f"WebSocket has no option {shown}: ignored"]


def test_a_key_of_sslopt_that_does_not_exist_is_mentioned_in_the_log(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    peer = clients.serve(echo)
    options = {"sslopt": {"verify_mode": 1, "ssl_context": 2, "keyfile": "of no certificate"}}
    shown = "sslopt: these keys are not used: 'ssl_context', 'verify_mode', 'keyfile'"
    with caplog.at_level("DEBUG", "websocket"):
        clients.connect_to(peer.url, **options)
        assert caplog.messages == [shown]
        app = reactor.WebSocketApp(peer.url, on_open=lambda app: app.close())
        app.run_forever(**options)
    assert caplog.messages[1] == shown


def test_options_that_exist_are_not_mentioned(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "websocket"):
        clients.connect(echo, header=["a: b"], max_message_size=5, get_mask_key=None, cookie=None)
    assert caplog.messages == []


def test_bytes_behind_the_head_are_left_in_the_socket(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(TEXT, b"glued")))
    assert ws.sock.recv(100) == build_frame(TEXT, b"glued")


def test_bytes_that_the_proxy_has_glued_to_its_answer_are_not_lost(clients: Clients) -> None:
    def proxy(talk: Talk) -> None:
        assert talk.head().request_line == "CONNECT example.org:80 HTTP/1.1"
        talk.send(http("HTTP/1.1 200 OK"))
        talk.upgrade(then=build_frame(TEXT, b"through"))
        talk.until_closed()

    peer = clients.serve(proxy)
    for port in (peer.port, str(peer.port)):
        ws = clients.connect_to(
            "ws://example.org/", http_proxy_host="127.0.0.1", http_proxy_port=port
        )
        assert ws.recv() == "through"


def test_a_proxy_is_told_who_we_are(clients: Clients) -> None:
    peer = clients.serve(answer("HTTP/1.1 407 Proxy Authentication Required"))
    with pytest.raises(WebSocketProxyException, match="407"):
        clients.connect_to(
            "ws://example.org/",
            http_proxy_host="127.0.0.1",
            http_proxy_port=peer.port,
            http_proxy_auth=("user", "secret"),
        )
    assert peer.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxy_type": "carrier"}, "Only http, socks4, socks5 proxy protocols are supported"),
        ({"http_proxy_port": "0"}, "Cannot use port 0 when proxy_host specified"),
    ],
)
def test_a_proxy_that_cannot_be(options: Any, message: str) -> None:
    with pytest.raises(WebSocketProxyException, match=f"^{message}"):
        create_connection("ws://example.org/", http_proxy_host="127.0.0.1", **options)


def test_hosts_that_are_reached_without_the_proxy(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    ws = clients.connect(echo, http_no_proxy=["127.0.0.1"])
    assert ws.connected


def test_a_redirect_leads_away_from_a_socket_of_ones_own(clients: Clients) -> None:
    target = clients.serve(echo)
    moved = clients.serve(answer("HTTP/1.1 302 Found", f"Location: {target.url}/"))
    ours = socket.create_connection(("127.0.0.1", moved.port))
    ws = clients.connect_to(moved.url, socket=ours)
    assert ws.sock is not ours
    assert ours.fileno() == -1
    ws.send("there")
    assert ws.recv() == "there"


def test_another_host_hears_no_secrets_in_a_redirect(clients: Clients) -> None:
    target = clients.serve(echo)
    script = answer("HTTP/1.1 302 Found", f"Location: {target.url}/")
    clients.connect(script, header={"Authorization": "secret", "X-Name": "v"}, cookie="a=b")
    headers = target.requests[0].headers
    assert headers["x-name"] == "v"
    assert not {"authorization", "cookie"} & set(headers)


def test_cookies_set_by_a_redirect_count(clients: Clients) -> None:
    target = clients.serve(echo)
    url = target.url.replace("127.0.0.1", "localhost")
    script = answer(
        "HTTP/1.1 302 Found",
        f"Location: {url}/",
        "Set-Cookie: session=1; Domain=localhost",
        "Set-Cookie: bad=1; Domain=example.org",
    )
    try:
        moved = clients.serve(script)
        clients.connect_to(moved.url.replace("127.0.0.1", "localhost"))
        assert target.requests[0].headers["cookie"] == "session=1"
        assert CookieJar.get("example.org") == ""
    finally:
        CookieJar.jar.clear()


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_socket_of_ones_own_keeps_its_time_out(clients: Clients, timeout: float | None) -> None:
    peer = clients.serve(echo)
    sock = socket.create_connection(("127.0.0.1", peer.port), timeout=timeout)
    ws = clients.connect_to(peer.url, timeout=None, socket=sock)
    assert sock.gettimeout() == timeout
    ws.send("x")
    assert ws.recv() == "x"
    sock = socket.create_connection(("127.0.0.1", peer.port), timeout=timeout)
    ws = clients.connect_to(peer.url, timeout=7, socket=sock)
    assert sock.gettimeout() == 7


def test_a_tls_socket_of_ones_own(clients: Clients, authority: Authority) -> None:
    peer = clients.serve(echo, context=authority.server_context)
    sock = socket.create_connection(("127.0.0.1", peer.port))
    tls = authority.client_context().wrap_socket(sock, server_hostname="localhost")
    ws = clients.connect_to(peer.url, timeout=None, socket=tls)
    assert ws.sock is tls
    assert ws.is_ssl()
    ws.send("x" * 100_000)
    assert ws.recv() == "x" * 100_000


def test_wss_over_a_socket_without_tls_is_an_error_unless_it_is_asked_for(
    clients: Clients,
) -> None:
    peer = clients.serve(echo)
    with (
        socket.create_connection(("127.0.0.1", peer.port)) as sock,
        pytest.raises(ValueError, match="sock speaks no TLS"),
    ):
        clients.connect_to("wss://localhost/", socket=sock)
    sock = socket.create_connection(("127.0.0.1", peer.port))
    ws = clients.connect_to("wss://localhost/", socket=sock, plain_socket=True)
    ws.send("x")
    assert ws.recv() == "x"


def test_wss_over_a_socket_without_tls_is_an_error_of_an_app(serve: Serve) -> None:
    peer = serve(echo)
    errors: list[Exception] = []

    def run(**options: Any) -> None:
        sock = socket.create_connection(("127.0.0.1", peer.port))
        with sock:
            reactor.WebSocketApp(
                "wss://localhost/",
                socket=sock,
                on_open=lambda app: app.close(),
                on_error=lambda _, exc: errors.append(exc),
                **options,
            ).run_forever()

    run()
    assert [type(exc) for exc in errors] == [ValueError]
    assert peer.requests == []
    run(plain_socket=True)
    assert len(peer.requests) == 1


def test_a_tls_socket_put_in_by_hand_keeps_its_time_out(
    clients: Clients, authority: Authority
) -> None:
    peer = clients.serve(lambda talk: talk.hold(), context=authority.server_context)
    sock = socket.create_connection(("127.0.0.1", peer.port), timeout=0.01)
    sock.settimeout(5)
    tls = authority.client_context().wrap_socket(sock, server_hostname="localhost")
    tls.settimeout(0.01)
    ws = WebSocket()
    ws.sock = tls
    clients.callback(ws.shutdown)
    with pytest.raises(WebSocketTimeoutException):
        ws.recv()


def test_a_failed_connection_leaves_nothing(clients: Clients) -> None:
    ws = WebSocket()
    with pytest.raises(reactor.WebSocketBadStatusException):
        ws.connect(clients.serve(answer("HTTP/1.1 500 No")).url)
    assert (ws.sock, ws.connected, ws.handshake_response) == (None, False, None)


def test_no_thread_is_started(clients: Clients) -> None:
    peer = clients.serve(mute)
    before = set(threading.enumerate())
    ws = clients.connect_to(peer.url)
    ws.ping()
    new = [thread.name for thread in set(threading.enumerate()) - before]
    assert len(new) == 1, new  # the one that plays the script


def test_a_dispatcher_writes_in_our_place(clients: Clients) -> None:
    sent: list[tuple[Any, bytes]] = []

    class Dispatcher:
        def send(self, sock: Any, data: bytes) -> int:
            sent.append((sock, data))
            return len(data)

    ws = clients.connect(Says(), dispatcher=Dispatcher(), get_mask_key=lambda _size: "abcd")
    ws.send("Hello")
    assert sent == [(ws.sock, build_frame(TEXT, b"Hello", key=b"abcd"))]


def test_the_reserved_bits_of_a_frame_go_out(clients: Clients) -> None:
    script = Says()
    ws = clients.connect(script)
    ws.send_frame(ABNF(1, 1, 0, 0, TEXT, 1, b"x"))
    assert script.next().rsv == 4


def test_a_close_code_reads_as_the_documentation_reads_it(clients: Clients) -> None:
    ws = clients.connect(Says(build_frame(CLOSE, close_payload(1001, b"bye"))))
    opcode, frame = ws.recv_data_frame(True)
    assert opcode == ABNF.OPCODE_CLOSE
    assert struct.unpack("!H", frame.data[:2])[0] == reactor.STATUS_GOING_AWAY


def test_programs_that_answer_a_close_frame_themselves_do_no_harm(clients: Clients) -> None:
    script = Says(build_frame(CLOSE, close_payload(1001)), answer_close=False)
    ws = clients.connect(script)
    opcode, _ = ws.recv_data()
    assert opcode == ABNF.OPCODE_CLOSE
    ws.send_close()
    ws.close()
    assert [frame.payload for frame in script.until_left()] == [close_payload(1001)]


def test_a_fault_after_our_close_frame_ends_the_closing_handshake(clients: Clients) -> None:
    def bad_answer(talk: Talk) -> None:
        talk.upgrade()
        talk.frame()
        talk.send(build_frame(3, b"x"))
        talk.until_closed()

    ws = clients.connect(bad_answer)
    closing = Background(ws.close)
    closing.result()
    assert ws.sock is None
