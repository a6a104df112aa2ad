"""Pings of an app: wrong arguments, methods that programs override; on both libraries."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

import reactor

from ...support.apps import RecordedApp
from ...support.peers import PATIENCE, Serve, Talk
from ...support.websocket_frames import CLOSE, PING, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ping_timeout": 0}, "Ensure ping_timeout > 0"),
        ({"ping_timeout": -1}, "Ensure ping_timeout > 0"),
        ({"ping_interval": -1}, "Ensure ping_interval >= 0"),
        ({"ping_interval": 5, "ping_timeout": 5}, "Ensure ping_interval > ping_timeout"),
        ({"ping_interval": 5, "ping_timeout": 6}, "Ensure ping_interval > ping_timeout"),
    ],
)
def test_pings_that_cannot_be(library: Any, options: dict[str, Any], message: str) -> None:
    recorded = RecordedApp(library, "ws://127.0.0.1:1")
    with pytest.raises(library.WebSocketException) as caught:
        recorded.run(**options)
    assert str(caught.value) == message
    assert recorded.events == []
    assert recorded.app.sock is None


def closes_after(count: int, heard: list[tuple[int, bytes]]) -> Any:
    """A script that takes so many frames, and closes then."""

    def script(talk: Talk) -> None:
        talk.upgrade()
        while len(heard) < count:
            frame = talk.frame()
            heard.append((frame.opcode, frame.payload))
        talk.send(build_frame(CLOSE, close_payload(4000, b"enough")))
        talk.until_closed()

    return script


def test_a_subclass_sends_something_else_than_pings(library: Any, serve: Serve) -> None:
    """As the clients of exchanges do, whose pings are messages."""
    threads = []

    class Own(library.WebSocketApp):  # type: ignore[misc,name-defined]
        def _send_ping(self) -> None:
            threads.append(threading.current_thread())
            while not self.stop_ping.wait(self.ping_interval) and self.keep_running:
                self.sock.send('{"op": "ping"}')

    heard: list[tuple[int, bytes]] = []
    Own(serve(closes_after(3, heard)).url).run_forever(ping_interval=0.01)
    assert heard == [(TEXT, b'{"op": "ping"}')] * 3
    (thread,) = threads
    assert thread is not threading.current_thread()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_without_an_interval_or_a_method_of_its_own_there_is_no_thread(serve: Serve) -> None:
    class Own(reactor.WebSocketApp):
        def _send_ping(self) -> None:
            pytest.fail("nobody asked for it")

    heard: list[tuple[int, bytes]] = []
    Own(serve(closes_after(0, heard)).url).run_forever()
    app = reactor.WebSocketApp(serve(closes_after(1, heard)).url)
    app.run_forever(ping_interval=0.01)
    assert app.ping_thread is None
    assert heard == [(PING, b"")]


def test_the_method_itself_pings_until_it_is_told_to_stop(library: Any) -> None:
    sent, stop = [], threading.Event()

    def ping(payload: str) -> None:
        sent.append(payload)
        if len(sent) == 2:
            stop.set()
        raise OSError("swallowed: the connection will tell")

    class Running(library.WebSocketApp):  # type: ignore[misc,name-defined]
        keep_running = property(lambda app: True, lambda app, value: None)

    app = Running("ws://a.example")
    app._send_ping()  # not running: returns at once
    app.stop_ping, app.ping_interval, app.ping_payload = stop, 0, "x"
    app.sock = SimpleNamespace(ping=ping)
    app._send_ping()
    assert sent == ["x", "x"]


def test_between_two_connections_nothing_is_pinged(library: Any) -> None:
    waits: list[float] = []

    class Stop:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return len(waits) == 3

    class Running(library.WebSocketApp):  # type: ignore[misc,name-defined]
        keep_running = property(lambda app: True, lambda app, value: None)

    app = Running("ws://a.example")
    app.stop_ping, app.ping_interval = Stop(), 7
    app._send_ping()
    assert (waits, app.last_ping_tm) == ([7, 7, 7], 0)


def test_a_subclass_says_what_on_close_gets(library: Any, serve: Serve) -> None:
    closed = []

    class Own(library.WebSocketApp):  # type: ignore[misc,name-defined]
        def _get_close_args(self, close_frame: Any) -> list[Any]:
            code, reason = super()._get_close_args(close_frame)
            return [code - 4000, f"{reason}!"]

    Own(serve(closes_after(0, [])).url, on_close=lambda _, *args: closed.append(args)).run_forever()
    assert closed == [(0, "enough!")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x03\xe8bye", (1000, "bye")),
        (b"\x03\xe8\xff\xfe", (1000, "\ufffd\ufffd")),
        ("ABtext", (0x4142, "text")),
        (b"\x03\xe8", (1000, None)),
        (b"", (None, None)),
        (b"\x03", (None, None)),
    ],
)
def test_code_and_reason_of_a_close_frame(library: Any, data: Any, expected: object) -> None:
    app = library.WebSocketApp("ws://a.example")
    frame = library.ABNF(opcode=library.ABNF.OPCODE_CLOSE, data=data)
    assert app._parse_close_frame(frame) == expected
    assert app._get_close_args(frame) == [None, None]  # nobody listens
    app.on_close = print
    assert app._get_close_args(frame) == list(expected)  # type: ignore[call-overload]
    assert app._get_close_args(None) == [None, None]
