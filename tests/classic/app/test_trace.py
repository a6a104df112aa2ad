"""WebSocketApp: what enableTrace() shows, and what is logged without it.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reactor
from reactor.classic.app.trace import TracingSession
from reactor.protocols.messages import MessageLimits
from reactor.protocols.session import Failure, Ping, Role, WebSocketSession

from ...support.apps import RecordedApp, code, dropped, fail, play, said
from ...support.peers import ScriptedPeer, Talk, echo
from ...support.session_end import receive
from ...support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, build_frame
from ...support.zlib_peer import MEGABYTE, RSV1, agreements

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

LOGGER = logging.getLogger("websocket")

RULE = "-----------------------"

REQUEST = (
    "GET / HTTP/1.1\r\nUpgrade: websocket\r\nHost: HOST\r\nOrigin: http://HOST\r\n"
    "Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n\r\n"
)


class Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def trace(library: Any) -> Iterator[list[str]]:
    """The lines of the trace, which is on."""
    handler, level = Lines(), LOGGER.level
    library.enableTrace(True, handler)
    yield handler.lines
    library.enableTrace(False)
    LOGGER.setLevel(level)  # websocket-client sets what it found when it was imported


def normal(lines: list[str], peer: ScriptedPeer) -> list[str]:
    """Replace what differs from run to run; leave out how the run ended."""
    key = peer.requests[0].headers["sec-websocket-key"]
    host = peer.requests[0].headers["host"]
    accept = next(
        line.partition(": ")[2] for line in lines if line.startswith("Sec-WebSocket-Accept")
    )
    return [
        line.replace(host, "HOST").replace(key, "KEY").replace(accept, "ACCEPT")
        for line in lines
        if not line.endswith((" - goodbye", "[1 frames in stack]"))
    ]


def test_trace_of_a_connection(library: Any, trace: list[str]) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"hello"))
        talk.frame()
        talk.send(build_frame(PING, b"p"))
        talk.frame()
        talk.send(build_frame(BINARY, b"\xff\x00", fin=False))
        talk.send(build_frame(CONT, bytes(200)))
        talk.frame()
        talk.send(build_frame(PONG) + build_frame(CLOSE, code(1000)))
        talk.frame()

    def on_message(app: Any, message: Any) -> None:
        app.send("tést" if message == "hello" else b"\x01", 1 if message == "hello" else 2)

    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(
            library, peer.url, reactions={"message": on_message}, get_mask_key=lambda _: b"abcd"
        )
        recorded.run()
    assert normal(trace, peer) == [
        "--- request header ---",
        REQUEST,
        RULE,
        "--- response header ---",
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: ACCEPT",
        RULE,
        "Websocket connected",
        "++Rcv raw: b'\\x81\\x05hello'",
        "++Rcv decoded: fin=1 opcode=1 data=b'hello'",
        "++Sent raw: b'\\x81\\x85abcd\\x15\\xa1\\xca\\x17\\x15'",
        "++Sent decoded: fin=1 opcode=1 data=b't\\xc3\\xa9st'",
        "++Rcv raw: b'\\x89\\x01p'",
        "++Rcv decoded: fin=1 opcode=9 data=b'p'",
        "++Sent raw: b'\\x8a\\x81abcd\\x11'",
        "++Sent decoded: fin=1 opcode=10 data=b'p'",
        "++Rcv raw: b'\\x02\\x02\\xff\\x00'",
        "++Rcv decoded: fin=0 opcode=2 data=b'\\xff\\x00'",
        f"++Rcv raw: {build_frame(CONT, bytes(200))!r}",
        f"++Rcv decoded: fin=1 opcode=0 data={bytes(200)!r}",
        "++Sent raw: b'\\x82\\x81abcd`'",
        "++Sent decoded: fin=1 opcode=2 data=b'\\x01'",
        "++Rcv raw: b'\\x8a\\x00'",
        "++Rcv decoded: fin=1 opcode=10 data=b''",
        "++Rcv raw: b'\\x88\\x02\\x03\\xe8'",
        "++Rcv decoded: fin=1 opcode=8 data=b'\\x03\\xe8'",
        "++Sent raw: b'\\x88\\x82abcdb\\x8a'",
        "++Sent decoded: fin=1 opcode=8 data=b'\\x03\\xe8'",
    ]


def test_trace_of_pings_and_of_closing(library: Any, trace: list[str]) -> None:
    with ScriptedPeer(echo) as peer:
        recorded = RecordedApp(
            library,
            peer.url,
            reactions={"pong": lambda app, _: app.close(reason="bye")},
            get_mask_key=lambda _: bytes(4),
        )
        recorded.run(ping_interval=0.05, ping_payload="x")
    lines = normal(trace, peer)
    assert lines[lines.index("Websocket connected") + 1 :][:7] == [
        "Sending ping",
        "++Sent raw: b'\\x89\\x81\\x00\\x00\\x00\\x00x'",
        "++Sent decoded: fin=1 opcode=9 data=b'x'",
        "++Rcv raw: b'\\x8a\\x01x'",
        "++Rcv decoded: fin=1 opcode=10 data=b'x'",
        "++Sent raw: b'\\x88\\x85\\x00\\x00\\x00\\x00\\x03\\xe8bye'",
        "++Sent decoded: fin=1 opcode=8 data=b'\\x03\\xe8bye'",
    ]


@pytest.mark.parametrize("library", [reactor], ids=["reactor"])
def test_trace_that_is_off_again(library: Any, trace: list[str]) -> None:
    library.enableTrace(False)
    play(library, said(build_frame(TEXT, b"x"), build_frame(CLOSE, code(1000))))
    assert trace == []


# --- without the trace ----------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "websocket"]


def test_log_of_a_drop(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "websocket")
    play(library, dropped())
    assert logged(caplog)[:2] == [
        ("INFO", "Websocket connected"),
        ("ERROR", "Connection to remote host was lost. - goodbye"),
    ]


def test_log_of_a_drop_before_another_attempt(
    library: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "websocket")
    with ScriptedPeer(dropped(), said(build_frame(TEXT, b"x"))) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"message": lambda app, _: app.close()})
        recorded.run(reconnect=0.01)
    lines = [line for line in logged(caplog) if not line[1].startswith("reconnect() - ")]
    assert lines == [
        ("INFO", "Websocket connected"),
        ("INFO", "Connection to remote host was lost. - reconnect"),
        ("INFO", "Websocket connected"),
    ]


def test_log_of_a_server_that_closes_has_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "websocket")
    play(reactor, said(build_frame(CLOSE, code(1000))))
    assert logged(caplog) == [
        ("INFO", "Websocket connected"),
        ("INFO", "Connection closed normally (code 1000) - goodbye"),
    ]


def test_log_of_a_callback_that_fails(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    play(
        library,
        said(build_frame(TEXT, b"x"), build_frame(CLOSE, code(1000))),
        reactions={"message": fail},
    )
    level, text = logged(caplog)[0]
    assert level == "ERROR"
    assert text.startswith("error from callback <function RecordedApp._handler.<locals>.handler at")
    assert text.endswith(">: of the user")


# --- the session that traces ----------------------------------------------------------------------


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    reactor.enableTrace(True, handler)
    yield handler.lines
    reactor.enableTrace(False)


def opened(kind: type[WebSocketSession], **options: Any) -> WebSocketSession:
    session = kind(Role.CLIENT, new_mask=lambda: bytes(4), **options)
    session.opened()
    return session


FRAMES = [
    build_frame(TEXT, "é".encode()),
    build_frame(PING, b"p"),
    build_frame(TEXT, b"a", fin=False),
    build_frame(PONG),
    build_frame(CONT, bytes(300)),
    build_frame(BINARY, bytes(70_000)),
    build_frame(CLOSE, code(1000)),
]


@given(st.lists(st.integers(1, 400), max_size=30))
def test_pieces_make_no_difference(sizes: list[int]) -> None:
    data = b"".join(FRAMES)
    plain, tracing = opened(WebSocketSession), opened(TracingSession)
    handler = Lines()
    reactor.enableTrace(True, handler)
    try:
        got: list[Any] = []
        rest = data
        for size in sizes:
            got += receive(tracing, rest[:size])
            rest = rest[size:]
        got += receive(tracing, rest)
    finally:
        reactor.enableTrace(False)
    assert got == plain.receive(data)
    assert tracing.output == plain.output
    raw = [line for line in handler.lines if line.startswith("++Rcv raw: ")]
    assert raw == [f"++Rcv raw: {frame!r}" for frame in FRAMES]


def test_what_is_inflated_in_steps(lines: list[str]) -> None:
    session = opened(TracingSession, agreement=agreements()[0])
    frames = [
        build_frame(BINARY, MEGABYTE * 3 + b"\x00", rsv=RSV1),
        build_frame(PING),
        build_frame(TEXT, b"behind"),
    ]
    assert session.receive(b"".join(frames)) == []
    assert list(receive(session, b"")) == [bytes(3 << 20), Ping(b""), "behind"]
    raw = [line for line in lines if line.startswith("++Rcv raw: ")]
    assert raw == [f"++Rcv raw: {frame!r}" for frame in frames]


def test_answer_stands_behind_its_question(lines: list[str]) -> None:
    session = opened(TracingSession)
    assert len(list(receive(session, build_frame(PING, b"1") + build_frame(PING, b"2")))) == 2
    assert [line[:10] for line in lines if " raw: " in line] == [
        "++Rcv raw:",
        "++Sent raw",
        "++Rcv raw:",
        "++Sent raw",
    ]


def test_masked_frame_is_shown_unmasked(lines: list[str]) -> None:
    frame = build_frame(TEXT, b"hello", key=b"abcd")
    events = opened(TracingSession).receive(frame)
    assert isinstance(events[0], Failure)
    assert lines[:2] == [f"++Rcv raw: {frame!r}", "++Rcv decoded: fin=1 opcode=1 data=b'hello'"]


def test_frame_that_is_too_large_is_refused_at_once(lines: list[str]) -> None:
    session = opened(TracingSession, limits=MessageLimits(max_message_size=10))
    events = session.receive(build_frame(TEXT, bytes(11))[:5])
    assert isinstance(events[0], Failure)
    assert session.receive(bytes(100)) == []
    assert lines == []


def test_messages_that_are_sent(lines: list[str]) -> None:
    session = opened(TracingSession)
    session.send("é")
    session.send(bytearray(b"\xff"))
    session.send_frame(TEXT, b"part", False)
    assert [line for line in lines if "decoded" in line] == [
        "++Sent decoded: fin=1 opcode=1 data=b'\\xc3\\xa9'",
        "++Sent decoded: fin=1 opcode=2 data=b'\\xff'",
        "++Sent decoded: fin=0 opcode=1 data=b'part'",
    ]
    assert [line for line in lines if "raw" in line] == [
        f"++Sent raw: {frame!r}" for frame in session.output
    ]
