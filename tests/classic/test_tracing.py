"""The logger "websocket": enableTrace and its companions, for both libraries."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

import reactor
from reactor import trace as trace_function
from reactor.classic import tracing as trace_module
from reactor.classic.tracing import info, logger

from ..support.peers import ScriptedPeer, Talk, echo
from ..support.websocket_frames import PING, TEXT, build_frame

LOGGER = logging.getLogger("websocket")


@pytest.fixture(autouse=True)
def untouched(library: Any) -> Iterator[None]:
    level, handlers = LOGGER.level, list(LOGGER.handlers)
    yield
    library.enableTrace(False)
    LOGGER.setLevel(level)
    assert LOGGER.handlers == handlers


class Lines:
    """A handler, and what it was given."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def out() -> Lines:
    return Lines()


def test_the_logger_keeps_quiet_by_default(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in LOGGER.handlers)
    with caplog.at_level(logging.DEBUG, "websocket"):
        library.trace("nobody hears this")
        library.dump("title", "nobody hears this")
    assert not caplog.records


def test_the_trace_goes_to_a_handler(library: Any, out: Lines) -> None:
    library.enableTrace(True, out.handler)
    library.trace("100% of it: %s")
    library.dump("title", "a %d\nb")
    assert out.lines == [
        "100% of it: %s",
        "--- title ---",
        "a %d",
        "b",
        "-----------------------",
    ]


def test_without_a_handler_it_goes_to_stderr(
    library: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    library.enableTrace(True)
    library.trace("seen")
    assert capsys.readouterr().err == "seen\n"


def test_switched_off_it_leaves_everything_as_it_was(library: Any, out: Lines) -> None:
    level, handlers = LOGGER.getEffectiveLevel(), list(LOGGER.handlers)
    library.enableTrace(True, out.handler)
    assert LOGGER.level == logging.DEBUG
    library.enableTrace(False)
    library.trace("not seen")
    assert out.lines == []
    assert (LOGGER.getEffectiveLevel(), LOGGER.handlers) == (level, handlers)


def test_switched_on_again_it_replaces_the_handler(library: Any, out: Lines) -> None:
    other = Lines()
    library.enableTrace(True, other.handler)
    library.enableTrace(True, out.handler)
    library.trace("once")
    assert (out.lines, other.lines) == (["once"], [])


def test_the_level_can_be_chosen(library: Any, out: Lines) -> None:
    library.enableTrace(True, out.handler, "ERROR")
    library.trace("too low")
    library.error("seen")
    assert out.lines == ["seen"]
    assert library.isEnabledForTrace()
    assert not library.isEnabledForDebug()
    assert library.isEnabledForError()


def test_it_can_be_asked_what_is_on(library: Any, out: Lines) -> None:
    assert not library.isEnabledForTrace()
    library.enableTrace(True, out.handler)
    assert library.isEnabledForTrace()
    assert library.isEnabledForDebug()


@pytest.mark.parametrize(
    ("name", "level"),
    [("error", logging.ERROR), ("warning", logging.WARNING), ("debug", logging.DEBUG)],
)
def test_each_function_has_its_level(
    library: Any, caplog: pytest.LogCaptureFixture, name: str, level: int
) -> None:
    with caplog.at_level(logging.DEBUG, "websocket"):
        getattr(library, name)("100% %s")
    assert caplog.record_tuples == [("websocket", level, "100% %s")]


def test_a_trace_of_a_conversation_is_the_same(library: Any, out: Lines) -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="

    def ping_and_echo(talk: Talk) -> None:
        talk.upgrade("X-Name: für €", then=build_frame(PING, b"hi"))
        text, pong = talk.frame(), talk.frame()
        assert pong.payload == b"hi"
        talk.send(build_frame(TEXT, text.payload))
        talk.until_closed()

    library.enableTrace(True, out.handler)
    with ScriptedPeer(ping_and_echo) as peer:
        host = f"127.0.0.1:{peer.port}"
        ws = library.create_connection(
            f"{peer.url}/path?query",
            get_mask_key=lambda _size: "abcd",
            header={"Sec-WebSocket-Key": key, "User-Agent": "für €"},
            cookie="a=b",
        )
        ws.sock.settimeout(10)
        ws.send_frame(library.ABNF.create_frame("Grüße", TEXT))
        assert ws.recv() == "Grüße"
        ws.shutdown()
    request = {
        "GET /path?query HTTP/1.1",
        "Upgrade: websocket",
        f"Host: {host}",
        f"Origin: http://{host}",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade",
        "User-Agent: für €",
        "Cookie: a=b",
        "",
    }
    start, end = (
        out.lines.index("--- request header ---"),
        out.lines.index("-----------------------"),
    )
    assert (start, set(out.lines[1:end])) == (0, request)
    assert out.lines[end + 1 :] == [
        "--- response header ---",
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "X-Name: für €",
        "-----------------------",
        f"++Sent raw: {build_frame(TEXT, 'Grüße'.encode(), key=b'abcd')!r}",
        f"++Sent decoded: fin=1 opcode=1 data={'Grüße'.encode()!r}",
        f"++Rcv raw: {build_frame(PING, b'hi')!r}",
        "++Rcv decoded: fin=1 opcode=9 data=b'hi'",
        f"++Sent raw: {build_frame(10, b'hi', key=b'abcd')!r}",
        "++Sent decoded: fin=1 opcode=10 data=b'hi'",
        f"++Rcv raw: {build_frame(TEXT, 'Grüße'.encode())!r}",
        f"++Rcv decoded: fin=1 opcode=1 data={'Grüße'.encode()!r}",
    ]


def test_a_level_that_does_not_exist_changes_nothing(out: Lines) -> None:
    level = LOGGER.level
    with pytest.raises(ValueError, match="LOUD"):
        reactor.enableTrace(True, out.handler, "LOUD")
    assert LOGGER.level == level
    assert not reactor.isEnabledForTrace()


def test_info_is_there_for_programs_that_know_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "websocket"):
        info("Websocket connected")
    assert caplog.record_tuples == [("websocket", logging.INFO, "Websocket connected")]
    assert logger is LOGGER
    assert callable(trace_function)


def test_nothing_is_formatted_while_the_trace_is_off() -> None:
    class Payload(bytes):
        def __repr__(self) -> str:
            raise AssertionError("formatted for nobody")

    class Frame(reactor.ABNF):
        def __str__(self) -> str:
            raise AssertionError("formatted for nobody")

        def format(self) -> bytes:
            return Payload(super().format())

    with ScriptedPeer(echo) as peer:
        ws = reactor.create_connection(peer.url, timeout=10)
        ws.send_frame(Frame(1, opcode=TEXT, data=b"quiet"))
        assert ws.recv() == "quiet"
        ws.close()


def test_to_switch_off_what_is_not_on_sets_the_level_of_the_import() -> None:
    """It is a common first line of programs, which then log INFO by themselves."""
    logger = logging.getLogger("websocket")
    before = logger.level
    try:
        logger.setLevel(logging.DEBUG)
        reactor.enableTrace(False)
        assert logger.level == trace_module._FIRST_LEVEL
    finally:
        logger.setLevel(before)


def test_a_fresh_start_takes_the_present_state_for_that_without_the_trace(out: Lines) -> None:
    """As when a test of a program reloads ``websocket._logging``: its handler stays its own."""
    reactor.enableTrace(True, out.handler, "INFO")
    trace_module.forget()
    assert not reactor.isEnabledForTrace()
    reactor.enableTrace(False)
    assert out.handler in LOGGER.handlers
    LOGGER.removeHandler(out.handler)
