"""Bad networks, bad peers, bad certificates: what their victim hears, and that nobody else does.

In every test here a second connection of the same reactor must stay open and be served, and
nothing may be left behind.
"""

from __future__ import annotations

import datetime
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from reactor import (
    Backoff,
    Reactor,
    State,
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketCertificateException,
    WebSocketConnectException,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketConnectRefusedException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketMessageTooBigException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketQueueFullException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from reactor.timers import ManualClock
from reactor.transports.stream import READ_SIZE

from .support.certificates import Authority
from .support.descriptors import few_descriptors
from .support.driving import run_until
from .support.peers import Script, ScriptedPeer, Serve, Talk, answer, echo, silence
from .support.recorder import Recorder
from .support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    TEXT,
    Frame,
    build_frame,
    build_header,
    close_payload,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

UTC = datetime.timezone.utc


class Day:
    """A reactor on a clock that only a test moves, with a bystander on it.

    Attributes: loop, clock, and bystander, a client of a good server.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.clock = ManualClock(1000.0)
        self.loop = stack.enter_context(Reactor(clock=self.clock))
        good = stack.enter_context(ScriptedPeer(echo))
        self.bystander = self.connect(good.url, ping_interval=None)
        self.until(lambda: self.bystander.names == ["open"])

    def connect(self, url: Any, **options: Any) -> Recorder:
        """Connect a client to *url*."""
        return self.loop.connect(url, Recorder, **options)

    def open(self, url: str, **options: Any) -> Recorder:
        """Connect a client to *url*, and wait until it is open."""
        protocol = self.connect(url, **options)
        self.until(lambda: protocol.events)
        assert protocol.names[0] == "open", protocol.events
        return protocol

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until *condition* is true."""
        run_until(self.loop, condition, 10.0)

    def turn(self, times: int = 5) -> None:
        """Turn the loop a few times: long enough for what happens at once."""
        for _ in range(times):
            self.loop.run_once(0.01)

    def end_of(
        self,
        protocol: Recorder,
        kind: type[WebSocketException] | tuple[type[WebSocketException], ...],
        *words: str,
        code: int = 1006,
    ) -> Exception:
        """Wait until *protocol* is closed; check what it heard, and return the error."""
        self.until(lambda: protocol.closes)
        self.turn()
        (error,) = protocol.errors
        kinds = kind if isinstance(kind, tuple) else (kind,)
        assert type(error) in kinds, repr(error)
        for word in words:
            assert word in str(error)
        assert protocol.names[-2:] == ["error", "close"]
        assert protocol.names.count("close") == 1
        assert protocol.closes[0][0] == code
        assert protocol.state is State.CLOSED
        self.check_bystander()
        return error

    def check_bystander(self) -> None:
        """Check that the other connection has heard nothing, and is served."""
        before = len(self.bystander.messages)
        self.bystander.send("still there?")
        self.until(lambda: len(self.bystander.messages) > before)
        assert set(self.bystander.names) == {"open", "message"}


def _has(protocol: Recorder, name: str, count: int) -> bool:
    return protocol.names.count(name) >= count


@pytest.fixture
def day() -> Iterator[Day]:
    with ExitStack() as stack:
        yield Day(stack)


# --- nobody there ---------------------------------------------------------------------------------


def test_a_host_that_refuses(day: Day) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        protocol = day.connect(f"ws://127.0.0.1:{port}")
        error = day.end_of(
            protocol,
            WebSocketConnectRefusedException,
            f"connection to 127.0.0.1 port {port} refused",
        )
    assert protocol.names == ["error", "close"]
    assert isinstance(error, ConnectionRefusedError)
    assert error.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_a_host_without_a_route(day: Day, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    class Socket(socket.socket):
        def connect_ex(self, address: Any) -> int:
            return number if address[0] == "192.0.2.1" else super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Socket)
    protocol = day.connect("ws://192.0.2.1:4321")
    error = day.end_of(protocol, WebSocketConnectException, "192.0.2.1:4321", os.strerror(number))
    assert isinstance(error, OSError)
    assert error.errno == number


def test_a_host_that_does_not_answer(day: Day) -> None:
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):  # the backlog is full: further SYNs are dropped
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        port = listening.getsockname()[1]
        protocol = day.connect(f"ws://127.0.0.1:{port}", connect_timeout=30)
        day.turn()
        day.clock.advance(29.9)
        day.turn()
        assert protocol.events == []
        day.clock.advance(0.2)
        day.end_of(protocol, WebSocketTimeoutException, f"timed out connecting to 127.0.0.1:{port}")


def test_a_host_that_accepts_and_says_nothing(day: Day, serve: Serve) -> None:
    peer = serve(silence)
    protocol = day.connect(peer.url, connect_timeout=30)
    day.until(lambda: peer.connections)
    day.turn()
    day.clock.advance(30.1)
    day.end_of(
        protocol, WebSocketTimeoutException, "timed out in the opening handshake with 127.0.0.1"
    )


def test_a_name_that_does_not_resolve(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    protocol = day.connect("wss://no.such.name.example")
    day.end_of(protocol, WebSocketAddressException, "'no.such.name.example'", "not known")


# --- certificates, and TLS where it should not be ------------------------------------------------


def date(days: int) -> datetime.datetime:
    return datetime.datetime.now(UTC) + datetime.timedelta(days=days)


CERTIFICATES: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "expired": (
        ["127.0.0.1"],
        {"not_before": date(-20), "not_after": date(-10)},
        "certificate has expired",
    ),
    "not yet valid": (
        ["127.0.0.1"],
        {"not_before": date(10), "not_after": date(20)},
        "certificate is not yet valid",
    ),
    "of another host": (["feed.example"], {}, "certificate is not valid for '127.0.0.1'"),
}


@pytest.mark.parametrize(("names", "options", "words"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_is_wrong(
    day: Day,
    serve: Serve,
    authority: Authority,
    names: list[str],
    options: dict[str, Any],
    words: str,
) -> None:
    peer = serve(silence, context=authority.issue(*names, **options))
    protocol = day.connect(peer.url, sslopt=authority.sslopt)
    day.end_of(
        protocol,
        WebSocketCertificateException,
        "certificate of 127.0.0.1 cannot be verified",
        words,
    )
    assert protocol.names == ["error", "close"]


def test_a_certificate_of_an_unknown_authority(
    day: Day, serve: Serve, authority: Authority
) -> None:
    protocol = day.connect(serve(silence, context=authority.server_context).url)
    day.end_of(
        protocol,
        WebSocketCertificateException,
        "certificate of 127.0.0.1 cannot be verified: ",
        "local issuer certificate",
    )


def test_a_plain_server_behind_wss(day: Day, serve: Serve) -> None:
    def talk_plainly(talk: Talk) -> None:
        talk.recv()
        talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        talk.end()

    protocol = day.connect(serve(talk_plainly).url.replace("ws:", "wss:"))
    day.end_of(
        protocol,
        WebSocketTLSException,
        "TLS handshake with 127.0.0.1 failed",
        "does the server speak TLS on this port?",
    )


def test_a_tls_server_behind_ws(day: Day, serve: Serve, authority: Authority) -> None:
    peer = serve(silence, context=authority.server_context)
    protocol = day.connect(peer.url.replace("wss:", "ws:"))
    # Python's server resets the connection, with an alert before that or without.
    day.end_of(protocol, (WebSocketConnectException, WebSocketHandshakeException), "127.0.0.1")


def test_a_tls_alert_behind_ws(day: Day, serve: Serve) -> None:
    def alert(talk: Talk) -> None:
        talk.head()
        talk.send(bytes.fromhex("15030100020246"))
        talk.end()

    protocol = day.connect(serve(alert).url)
    day.end_of(
        protocol, WebSocketHandshakeException, "not an HTTP response: b'\\x15\\x03", "127.0.0.1"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "connection ended before the head of the response was complete"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgr", "connection ended before the head"),
        (b"SSH-2.0-OpenSSH\r\n", "malformed HTTP status line"),
        (b"HTTP/1.1 101 OK\r\n\r\n", "Invalid WebSocket Header: Upgrade is None"),
        (b"HTTP/1.1 101 OK\r\n" + b"X: y\r\n" * 200, "more headers than max_header_count (128)"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://x\r\n\r\n", "Invalid redirect target 'ftp://x'"),
    ],
)
def test_an_answer_that_is_none(day: Day, serve: Serve, data: bytes, words: str) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(data)
        talk.end()

    day.end_of(day.connect(serve(script).url), WebSocketHandshakeException, words, "127.0.0.1")


# --- frames that must not come --------------------------------------------------------------------


class Sends:
    """A script: accepts, sends *data*, and notes down the close frame that it gets."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.answer: Frame | None = None

    def __call__(self, talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"valid"))
        talk.send(self._data)
        self.answer = talk.frame()
        talk.end()


BAD_FRAMES: dict[str, tuple[bytes, type[WebSocketException], int, str]] = {
    "garbage": (b"\xff" * 100, WebSocketProtocolException, 1002, "reserved bits 111 are set"),
    "another response": (
        b"HTTP/1.1 500 Oops\r\n\r\n",
        WebSocketProtocolException,
        1002,
        "reserved bits 100 are set",
    ),
    "compressed, without the extension": (
        build_frame(TEXT, b"\xaaV*I-.Q\x02\x00", rsv=4),
        WebSocketProtocolException,
        1002,
        "reserved bits 100 are set",
    ),
    "masked": (
        build_frame(TEXT, b"x", key=KEY),
        WebSocketProtocolException,
        1002,
        "frame from the server is masked",
    ),
    "an unknown opcode": (build_frame(3), WebSocketProtocolException, 1002, "Invalid opcode 3"),
    "a fragment of nothing": (
        build_frame(CONT, b"x"),
        WebSocketProtocolException,
        1002,
        "a continuation without a message",
    ),
    "a long ping": (
        build_frame(PING, b"x" * 126),
        WebSocketProtocolException,
        1002,
        "at most 125 bytes, not 126",
    ),
    "a close code that is none": (
        build_frame(CLOSE, close_payload(1006)),
        WebSocketProtocolException,
        1002,
        "Invalid close opcode 1006",
    ),
    "text that is not UTF-8": (
        build_frame(TEXT, b"\xc3\x28"),
        WebSocketPayloadException,
        1007,
        "not UTF-8",
    ),
    "a message over the limit": (
        build_header(BINARY, 1001),  # none of it has come
        WebSocketMessageTooBigException,
        1009,
        "max_message_size=1000",
    ),
    "fragments over the limit": (
        build_frame(TEXT, b"x" * 600, fin=False) + build_header(CONT, 401),
        WebSocketMessageTooBigException,
        1009,
        "max_message_size=1000",
    ),
    "an absurd length": (
        build_header(BINARY, 2**63 - 1),
        WebSocketMessageTooBigException,
        1009,
        "max_message_size=1000",
    ),
    "too many fragments": (
        build_frame(TEXT, b"", fin=False) + build_frame(CONT, b"", fin=False) * 10,
        WebSocketMessageTooBigException,
        1009,
        "max_fragments=10",
    ),
}


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(("data", "kind", "code", "words"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_frame_that_must_not_come(
    day: Day,
    serve: Serve,
    authority: Authority,
    data: bytes,
    kind: type[WebSocketException],
    code: int,
    words: str,
    secure: bool,
) -> None:
    script = Sends(data)
    peer = serve(script, context=authority.server_context if secure else None)
    protocol = day.connect(
        peer.url, max_message_size=1000, max_fragments=10, sslopt=authority.sslopt
    )
    day.end_of(protocol, kind, words, code=code)
    assert protocol.names == ["open", "message", "error", "close"]
    assert protocol.messages == ["valid"]
    day.until(lambda: script.answer)
    assert script.answer is not None
    assert script.answer.opcode == CLOSE
    assert script.answer.payload[:2] == close_payload(code)


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_frames_in_a_form_that_harms_nobody(
    day: Day, serve: Serve, authority: Authority, secure: bool
) -> None:
    frames = [
        build_frame(opcode, b"%d" % number, **form)
        for number, form in enumerate(({}, {"key": KEY}, {}, {"length_bits": 64}, {}))
        for opcode in (TEXT, PING, BINARY)
    ]

    def script(talk: Talk) -> None:
        lines = ("Sec-WebSocket-Protocol: unasked", "Sec-WebSocket-Extensions: unasked")
        talk.upgrade(*lines, then=b"".join(frames))
        pongs.extend(talk.frame().payload for _ in range(5))
        talk.send(build_frame(CLOSE, close_payload(4000), key=KEY))
        talk.end()

    pongs: list[bytes] = []
    peer = serve(script, context=authority.server_context if secure else None)
    protocol = day.connect(peer.url, lenient=True, sslopt=authority.sslopt)
    day.until(lambda: protocol.closes)
    numbers = [b"%d" % number for number in range(5)]
    assert protocol.messages == [kind for n in numbers for kind in (n.decode(), n)]
    assert [args[0] for args in protocol.of("ping")] == numbers
    assert pongs == numbers
    assert protocol.closes == [(4000, "")]
    assert protocol.subprotocol is None


def test_a_message_as_large_as_the_limit(day: Day, serve: Serve) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(BINARY, b"x" * 1000))
        talk.until_closed()

    protocol = day.open(serve(script).url, max_message_size=1000)
    day.until(lambda: protocol.messages)
    assert protocol.messages == [b"x" * 1000]


# --- peers that leave -----------------------------------------------------------------------------


LOST = "Connection to remote host was lost."
HALF_A_FRAME = build_frame(BINARY, b"x" * 1000)[:500]


def leaves(way: str, data: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"last") + data)
        assert talk.frame().payload == b"I have read it"
        if way == "FIN":
            talk.end()
        elif way == "RST":
            talk.reset()
        # else: closed by the peer object

    return script


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("data", [b"", HALF_A_FRAME], ids=["between frames", "within a frame"])
@pytest.mark.parametrize("way", ["FIN", "RST", "close"])
def test_a_peer_that_leaves_without_a_close_frame(
    day: Day, serve: Serve, authority: Authority, way: str, data: bytes, secure: bool
) -> None:
    peer = serve(leaves(way, data), context=authority.server_context if secure else None)
    protocol = day.open(peer.url, sslopt=authority.sslopt)
    day.until(lambda: protocol.messages)
    protocol.send("I have read it")
    kinds: tuple[type[WebSocketException], ...] = (WebSocketConnectionClosedException,)
    if way == "RST":
        kinds = (WebSocketConnectionLostException,)
        if secure:  # older releases of Python's ssl read a reset as an end
            kinds += (WebSocketConnectionClosedException,)
    error = day.end_of(protocol, kinds, LOST)
    if isinstance(error, WebSocketConnectionLostException):
        assert os.strerror(errno.ECONNRESET) in str(error)
    assert protocol.names == ["open", "message", "error", "close"]


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_peer_that_says_goodbye_and_leaves_at_once(
    day: Day, serve: Serve, authority: Authority, secure: bool
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(CLOSE, close_payload(1001, b"going")))

    peer = serve(script, context=authority.server_context if secure else None)
    protocol = day.connect(peer.url, sslopt=authority.sslopt)
    day.until(lambda: protocol.closes)
    day.turn()
    assert protocol.events == [("open",), ("close", 1001, "going")]
    day.check_bystander()


def mute(data: bytes) -> Script:
    """Return a script that accepts, and then neither answers nor leaves."""

    def script(talk: Talk) -> None:
        talk.upgrade(then=data)
        talk.until_closed()

    return script


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("data", [b"", HALF_A_FRAME], ids=["between frames", "within a frame"])
@pytest.mark.parametrize("idle", [False, True], ids=["periodic", "when idle"])
def test_a_peer_that_vanishes_without_a_word(
    day: Day, serve: Serve, authority: Authority, data: bytes, secure: bool, idle: bool
) -> None:
    peer = serve(mute(data), context=authority.server_context if secure else None)
    protocol = day.open(
        peer.url,
        sslopt=authority.sslopt,
        ping_interval=4,
        ping_timeout=3,
        ping_when_idle=idle,
    )
    opened = day.clock.now()
    while not protocol.closes:
        day.loop.run_once(0)
        day.loop.run_once(0)
        day.clock.advance(0.25)
        assert day.clock.now() - opened <= 8
    # Not before the ping of half an interval could have timed out.
    assert day.clock.now() - opened >= 2 + 3
    day.end_of(protocol, WebSocketTimeoutException, "ping/pong timed out")


def test_a_peer_that_answers_pings_is_left_alone(day: Day, serve: Serve) -> None:
    protocol = day.open(serve(echo).url, ping_interval=4, ping_timeout=3, ping_when_idle=False)
    for count in range(1, 11):
        day.clock.advance(4)
        day.until(partial(_has, protocol, "pong", count))
    assert set(protocol.names) == {"open", "pong"}


# --- slow peers -----------------------------------------------------------------------------------


def test_a_peer_that_trickles_is_heard_and_counts_as_alive(day: Day, serve: Serve) -> None:
    data = (
        build_frame(TEXT, "caf\u00e9 \U0001f600".encode()[:7], fin=False)
        + build_frame(PING, b"p")
        + build_frame(CONT, "caf\u00e9 \U0001f600".encode()[7:])
        + build_frame(BINARY, bytes(range(256)))
        + build_frame(CLOSE, close_payload(1000, b"done"))
    )
    ready = threading.Semaphore(0)

    def script(talk: Talk) -> None:
        talk.upgrade()
        for i in range(len(data)):
            assert ready.acquire(timeout=10)
            talk.send(data[i : i + 1])
        talk.until_closed()

    protocol = day.open(serve(script).url, ping_interval=4, ping_timeout=3)
    for _ in data:
        day.clock.advance(1)
        ready.release()
        day.loop.run_once(5)  # until the byte is there
    day.until(lambda: protocol.closes)
    assert protocol.events == [
        ("open",),
        ("ping", b"p"),
        ("message", "caf\u00e9 \U0001f600"),
        ("message", bytes(range(256))),
        ("close", 1000, "done"),
    ]
    day.check_bystander()


SMALL_BUFFER = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)]


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_peer_that_reads_slowly_gets_all(
    day: Day, serve: Serve, authority: Authority, secure: bool
) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.upgrade()
        while len(got) < 8:
            header = talk.exactly(14)  # of a frame with 64 bits of length and a mask
            payload = b"".join(talk.exactly(1024) for _ in range(128))
            got.append(header + payload)
        talk.send(build_frame(TEXT, b"thanks"))
        talk.until_closed()

    peer = serve(script, context=authority.server_context if secure else None)
    protocol = day.open(peer.url, sslopt=authority.sslopt, sockopt=SMALL_BUFFER)
    for _ in range(8):
        protocol.send(os.urandom(131072))
    assert protocol.buffered_amount > 0
    day.until(lambda: protocol.messages)
    assert protocol.names == ["open", "writable", "message"]
    assert protocol.buffered_amount == 0
    day.check_bystander()


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_peer_that_never_reads_is_an_error_of_send(
    day: Day, serve: Serve, authority: Authority, secure: bool
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        talk.hold()

    peer = serve(script, context=authority.server_context if secure else None)
    url = peer.url.replace("://", "://me:secret@")
    protocol = day.open(url, sslopt=authority.sslopt, write_limit=1_000_000, close_timeout=2)
    message = b"x" * 100_000

    def send_without_end() -> None:
        for _ in range(1000):
            protocol.send(message)
            day.loop.run_once(0)

    with pytest.raises(WebSocketQueueFullException) as caught:
        send_without_end()
    assert "write_limit is 1000000" in str(caught.value)
    assert f"127.0.0.1:{peer.port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert 1_000_000 <= protocol.buffered_amount <= 1_200_000
    assert protocol.events == [("open",)]  # who sends decides what becomes of it
    day.check_bystander()
    protocol.close()
    day.turn()
    day.clock.advance(2.1)
    day.until(lambda: protocol.closes)
    assert protocol.closes == [(1006, "")]


def test_a_peer_that_pings_and_never_reads_costs_one_read_s_worth(day: Day, serve: Serve) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade()
        pings = build_frame(PING, b"x" * 125) * 100
        while True:
            talk.send(pings)

    protocol = day.connect(serve(script).url, write_limit=100_000, sockopt=SMALL_BUFFER)
    day.until(lambda: protocol.names.count("ping") >= 5000)
    assert protocol.buffered_amount < 2 * READ_SIZE
    assert protocol.closes == []
    day.check_bystander()
    protocol.abort()
    day.until(lambda: protocol.closes)


# --- one's own fault ------------------------------------------------------------------------------


def test_without_descriptors_an_attempt_fails_and_the_next_one_succeeds(
    day: Day, serve: Serve
) -> None:
    peer = serve(echo)
    with few_descriptors(spare=0) as taken:
        protocol = day.connect(peer.url, reconnect=Backoff.fixed(5))
        day.until(lambda: protocol.closes)
        (error,) = protocol.errors
        assert type(error) is WebSocketConnectException
        assert error.errno == errno.EMFILE
        assert f"no file descriptor left to connect to 127.0.0.1:{peer.port}" in str(error)
        assert protocol.names == ["error", "close"]
        assert protocol.closes == [(1006, "")]
        day.check_bystander()
        while taken:
            os.close(taken.pop())
    day.turn()
    assert len(protocol.events) == 2  # it waits
    day.clock.advance(5.001)
    day.until(lambda: len(protocol.events) == 3)
    assert protocol.names == ["error", "close", "open"]
    day.check_bystander()


# --- one bad day after the other ------------------------------------------------------------------


def reset_at_once(talk: Talk) -> None:
    talk.reset()


def test_a_client_gets_through_all_of_them(day: Day, serve: Serve) -> None:
    days: list[tuple[Script, type[WebSocketException], int]] = [
        (leaves("RST", b""), WebSocketConnectionLostException, 1006),
        (answer("HTTP/1.1 503 Busy", "Content-Length: 0"), WebSocketBadStatusException, 1006),
        (reset_at_once, WebSocketConnectException, 1006),
        (Sends(b"\xff" * 20), WebSocketProtocolException, 1002),
        (answer("SSH-2.0"), WebSocketHandshakeException, 1006),
        (leaves("FIN", HALF_A_FRAME), WebSocketConnectionClosedException, 1006),
    ]
    peer = serve(*[script for script, _, _ in days], echo)

    class Subscriber(Recorder):
        def on_open(self) -> None:
            super().on_open()
            self.send("I have read it")

        def on_reconnect(self) -> None:
            self.on_open()

    protocol = day.loop.connect(
        peer.url, Subscriber, reconnect=Backoff(first=1, cap=4, jitter=False)
    )
    for count in range(1, len(days) + 1):
        day.until(partial(_has, protocol, "close", count))
        assert len(protocol.errors) == count
        day.turn()
        assert len(protocol.closes) == count
        assert day.loop.stats().waiting == 1
        day.clock.advance(min(2 ** (count - 1), 4) - 0.01)
        day.turn()
        assert peer.connections == count
        day.clock.advance(0.02)
    day.until(lambda: protocol.messages[-1:] == ["I have read it"])
    assert [type(error) for error in protocol.errors] == [kind for _, kind, _ in days]
    assert [code for code, _ in protocol.closes] == [code for _, _, code in days]
    assert protocol.state is State.OPEN
    day.check_bystander()
