"""WebSocketApp: coming back after a drop, and giving up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import ANY

import pytest

import reactor

from ...support.apps import RecordedApp, Running, code, dropped, said
from ...support.peers import ScriptedPeer, Talk, answer, echo
from ...support.websocket_frames import CLOSE, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

NAMES = ("open", "reconnect", "message", "error", "close")
LOST = ("error", "WebSocketConnectionClosedException", "Connection to remote host was lost.")
HI = said(build_frame(TEXT, b"hi"))

#: Seconds between attempts: as good as none, and as good as for ever.
SOON, LATE = 0.01, 600.0


def close(app: Any, *_: object) -> None:
    app.close()


@pytest.fixture(autouse=True)
def no_default() -> Iterator[None]:
    yield
    reactor.set_reconnect(0)


def refused_url() -> str:
    """Return a URL where nobody listens."""
    with ScriptedPeer(echo) as peer:
        return peer.url


# --- as in websocket-client -----------------------------------------------------------------------


def test_connection_is_made_again(library: Any) -> None:
    headers = iter([["X-Try: 1"], ["X-Try: 2"]])
    with ScriptedPeer(dropped(), HI) as peer:
        recorded = RecordedApp(
            library, peer.url, NAMES, {"message": close}, header=lambda: next(headers)
        )
        recorded.run(reconnect=SOON)
        assert [head.lines[-1] for head in peer.requests] == ["X-Try: 1", "X-Try: 2"]
    assert recorded.events[:2] == [("open",), LOST]
    assert recorded.events[-3:] == [("reconnect",), ("message", "hi"), ("close", 1000, None)]
    assert recorded.result is True


def test_on_open_again_where_there_is_no_on_reconnect(library: Any) -> None:
    with ScriptedPeer(dropped(), HI) as peer:
        recorded = RecordedApp(library, peer.url, ("open", "message"), {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.names == ["open", "open", "message"]


def test_default_of_the_process(library: Any) -> None:
    library.set_reconnect(SOON)
    try:
        with ScriptedPeer(dropped(), HI) as peer:
            recorded = RecordedApp(library, peer.url, ("open", "message"), {"message": close})
            recorded.run()
    finally:
        library.set_reconnect(0)
    assert recorded.names == ["open", "open", "message"]


def test_server_that_closes_is_connected_to_again(library: Any) -> None:
    with ScriptedPeer(said(build_frame(CLOSE, code(1001))), HI) as peer:
        recorded = RecordedApp(library, peer.url, ("reconnect", "message"), {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.names == ["reconnect", "message"]
    assert recorded.result is False


def test_number_of_seconds_holds_whatever_the_server_asks_for(library: Any) -> None:
    busy = answer("HTTP/1.1 503 Busy", "Retry-After: 600", "Content-Length: 0")
    with ScriptedPeer(busy, HI) as peer:
        recorded = RecordedApp(library, peer.url, ("message",), {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.events == [("message", "hi")]


def test_zero_is_no_reconnect(library: Any) -> None:
    library.set_reconnect(5)
    try:
        with ScriptedPeer(dropped()) as peer:
            recorded = RecordedApp(library, peer.url, NAMES)
            recorded.run(reconnect=0)
    finally:
        library.set_reconnect(0)
    assert recorded.events == [("open",), LOST, ("close", None, None)]


# --- every drop is reported -----------------------------------------------------------------------


def test_every_drop_is_reported() -> None:
    closing = said(build_frame(CLOSE, code(4001, b"again")))
    wrong = said(build_frame(TEXT, b"\xff"))
    forbidden = answer("HTTP/1.1 503 Busy", "Content-Length: 0")
    with ScriptedPeer(dropped(), closing, forbidden, wrong, HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.events == [
        ("open",),
        LOST,
        ("close", None, None),
        ("reconnect",),
        ("error", "WebSocketConnectionClosedException", "Connection closed (code 4001): again"),
        ("close", 4001, "again"),
        ("error", "WebSocketBadStatusException", ANY),
        ("close", None, None),
        ("reconnect",),
        ("error", "WebSocketPayloadException", ANY),
        ("close", None, None),
        ("reconnect",),
        ("message", "hi"),
        ("close", 1000, None),
    ]
    assert recorded.result is True


def test_first_connection_after_failed_attempts_is_on_open() -> None:
    with ScriptedPeer(answer("HTTP/1.1 503 Busy", "Content-Length: 0"), HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.names == ["error", "close", "open", "message", "close"]


@pytest.mark.parametrize(
    "first", [dropped(), answer("HTTP/1.1 503 Busy", "Content-Length: 0")], ids=["open", "not open"]
)
def test_what_can_be_looked_at_between_two_connections(first: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(app: Any, *_: object) -> None:
        connected = bool(app.sock and app.sock.connected)
        seen.append((recorded.names[-1], app.keep_running, connected, bool(app.ready())))
        if not connected:
            with pytest.raises(reactor.WebSocketConnectionClosedException):
                app.send("nobody there")
        if recorded.names[-1] == "message":
            app.send("somebody there")
            close(app)

    with ScriptedPeer(first, HI) as peer:
        recorded = RecordedApp(
            reactor, peer.url, ("message", "error", "close"), dict.fromkeys(NAMES, look)
        )
        recorded.run(reconnect=SOON)
    assert seen == [
        ("error", True, False, False),
        ("close", True, False, False),
        ("message", True, True, True),
        ("close", False, False, False),
    ]


def test_attributes_may_change_between_two_attempts() -> None:
    def on_close(app: Any, *_: object) -> None:
        if app.keep_running:
            app.url = f"{peer.url}/second"
            app.header = ["X-Token: new"]
            app.cookie = "n=2"

    with ScriptedPeer(dropped(), HI) as peer:
        recorded = RecordedApp(
            reactor,
            f"{peer.url}/first",
            NAMES,
            {"message": close, "close": on_close},
            header=["X-Token: old"],
            cookie="n=1",
        )
        recorded.run(reconnect=SOON)
        assert [(head.request_line.split()[1], *head.lines[-2:]) for head in peer.requests] == [
            ("/first", "X-Token: old", "Cookie: n=1"),
            ("/second", "X-Token: new", "Cookie: n=2"),
        ]


def test_functions_are_called_for_every_attempt() -> None:
    numbers = iter(range(100))
    with ScriptedPeer(dropped(), HI) as peer:
        recorded = RecordedApp(
            reactor,
            lambda: f"{peer.url}/{next(numbers)}",
            NAMES,
            {"message": close},
            header=lambda: {"X-Number": f"{next(numbers)}"},
            cookie=lambda: f"n={next(numbers)}",
        )
        recorded.run(reconnect=SOON)
        assert [(head.request_line.split()[1], *head.lines[-2:]) for head in peer.requests] == [
            ("/0", "X-Number: 1", "Cookie: n=2"),
            ("/3", "X-Number: 4", "Cookie: n=5"),
        ]


def test_function_that_fails_once_is_called_again() -> None:
    urls = iter(["not a url"])
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, lambda: next(urls, peer.url), NAMES, {"message": close})
        recorded.run(reconnect=SOON)
    assert recorded.names == ["error", "close", "open", "message", "close"]


def test_times_of_pings_belong_to_one_connection() -> None:
    seen: list[Any] = []

    def pinged(talk: Talk) -> None:
        talk.upgrade()
        frame = talk.frame()
        talk.send(build_frame(10, frame.payload))

    def on_pong(app: Any, _: bytes) -> None:
        seen.append(app.last_ping_tm > 0 and app.last_pong_tm > 0)

    def look(app: Any, *_: object) -> None:
        seen.append((app.last_ping_tm, app.last_pong_tm))

    with ScriptedPeer(pinged, HI) as peer:
        recorded = RecordedApp(
            reactor,
            peer.url,
            ("pong", "error", "reconnect", "message"),
            {"pong": on_pong, "error": look, "reconnect": look, "message": close},
        )
        recorded.run(reconnect=SOON, ping_interval=0.02)
    assert seen == [True, (0.0, 0.0), (0.0, 0.0)]


# --- a Backoff ------------------------------------------------------------------------------------


def test_backoff_gives_up() -> None:
    recorded = RecordedApp(reactor, refused_url(), NAMES)
    recorded.run(reconnect=reactor.Backoff(first=SOON, max_attempts=2))
    assert recorded.names == ["error", "close"] * 3
    assert recorded.result is True
    assert recorded.app.keep_running is False


def test_backoff_as_the_default_of_the_process() -> None:
    reactor.set_reconnect(reactor.Backoff(first=SOON, max_attempts=1))
    recorded = RecordedApp(reactor, refused_url(), NAMES)
    recorded.run()
    assert recorded.names == ["error", "close"] * 2


# --- giving up ------------------------------------------------------------------------------------


def end(app: Any, how: str) -> None:
    if how == "close":
        app.close()
    else:
        app.keep_running = False


@pytest.mark.parametrize("name", ["error", "close"])
@pytest.mark.parametrize("how", ["close", "keep_running"])
@pytest.mark.parametrize("opens", [True, False])
def test_callback_that_hears_of_a_drop_can_give_up(name: str, how: str, opens: bool) -> None:
    first = dropped() if opens else answer("HTTP/1.1 503 Busy", "Content-Length: 0")
    with ScriptedPeer(first) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {name: lambda app, *_: end(app, how)})
        recorded.run(reconnect=LATE)
        assert peer.connections == 1
    assert recorded.names == [*["open"][: int(opens)], "error", "close"]
    assert recorded.result is True
    assert recorded.app.keep_running is False


@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_giving_up_between_two_attempts_from_another_thread(how: str) -> None:
    with ScriptedPeer(dropped()) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES)
        with Running(recorded, reconnect=LATE) as running:
            recorded.wait_for("close")
            end(recorded.app, how)
    assert running.seconds < 1
    assert recorded.events == [("open",), LOST, ("close", None, None)]
    assert recorded.result is True


@pytest.mark.parametrize("how", ["close", "keep_running"])
def test_giving_up_within_an_attempt_from_another_thread(how: str) -> None:
    asked = threading.Event()

    def script(talk: Talk) -> None:
        talk.head()
        asked.set()
        talk.until_closed()

    with ScriptedPeer(dropped(), script) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES)
        with Running(recorded, reconnect=SOON) as running:
            assert asked.wait(10)
            end(recorded.app, how)
    assert running.seconds < 1
    assert recorded.events == [("open",), LOST, ("close", None, None), ("close", None, None)]


def test_on_error_that_raises_ends_it() -> None:
    def on_error(app: Any, exc: Exception) -> None:
        if isinstance(exc, LookupError):
            raise exc

    def fail(*_: object) -> None:
        raise LookupError

    for name in ("open", "close"):
        with ScriptedPeer(dropped(build_frame(TEXT, b"x"))) as peer:
            recorded = RecordedApp(reactor, peer.url, NAMES, {name: fail, "error": on_error})
            recorded.run(reconnect=LATE)
            assert peer.connections == 1
        assert recorded.result is True
        assert recorded.names.count("close") == 1


# --- what is done to the socket alone -------------------------------------------------------------


def end_once(verb: str, how: str) -> Callable[..., None]:
    """Return a callback that ends the first connection by its socket, and the second by the app."""
    calls: list[str] = []

    def callback(app: Any, *_: object) -> None:
        calls.append(verb)
        if len(calls) > 1:
            app.close()
        elif how == "callback":
            getattr(app.sock, verb)()
        else:
            threading.Timer(0.01, getattr(app.sock, verb)).start()

    return callback


@pytest.mark.parametrize(
    ("verb", "how"),
    [("abort", "callback"), ("abort", "thread"), ("send_close", "callback")],
)  # theirs may hang after close() and shutdown()
def test_connection_comes_back_when_only_its_socket_was_ended(
    library: Any, verb: str, how: str
) -> None:
    with ScriptedPeer(HI, HI) as peer:
        recorded = RecordedApp(library, peer.url, NAMES, {"message": end_once(verb, how)})
        recorded.run(reconnect=0.05, ping_timeout=1)
        assert peer.connections == 2
    lost = [LOST] if verb == "abort" else []
    events = [event for event in recorded.events if event[0] != "close"]
    first = [("open",), ("message", "hi")]
    assert events == [*first, *lost, ("reconnect",), ("message", "hi")]
    assert recorded.events[-1] == ("close", 1000, None)
    assert recorded.result is bool(lost)


@pytest.mark.parametrize("how", ["callback", "thread"])
@pytest.mark.parametrize("verb", ["close", "send_close", "abort", "shutdown"])
def test_each_end_by_the_socket_is_reported(verb: str, how: str) -> None:
    with ScriptedPeer(HI, HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": end_once(verb, how)})
        recorded.run(reconnect=0.05)
        assert peer.connections == 2
    lost = verb in ("abort", "shutdown")
    reported = [LOST, ("close", None, None)] if lost else [("close", 1000, None)]
    first = [("open",), ("message", "hi")]
    last = [("reconnect",), ("message", "hi"), ("close", 1000, None)]
    assert recorded.events == [*first, *reported, *last]


@pytest.mark.parametrize("how", ["callback", "thread"])
def test_socket_that_was_shut_down_is_a_pong_that_does_not_come(how: str) -> None:
    with ScriptedPeer(HI, HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": end_once("shutdown", how)})
        recorded.run(reconnect=SOON, ping_interval=60, ping_timeout=10)
        assert peer.connections == 2
    overdue = ("error", "WebSocketTimeoutException", "ping/pong timed out")
    assert recorded.events == [
        *[("open",), ("message", "hi"), overdue, ("close", None, None)],
        *[("reconnect",), ("message", "hi"), ("close", 1000, None)],
    ]


def test_socket_that_was_closed_by_a_thread_takes_no_more() -> None:
    seen: list[str] = []

    def from_a_thread(app: Any) -> None:
        app.sock.close()
        try:
            app.sock.send("too late")
        except reactor.WebSocketConnectionClosedException:
            seen.append("refused")

    def on_message(app: Any, _message: str) -> None:
        if seen:
            app.sock.send("again")
            app.close()
        else:
            thread = threading.Thread(target=from_a_thread, args=(app,))
            thread.start()
            thread.join()

    with ScriptedPeer(HI, HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": on_message})
        recorded.run(reconnect=SOON)
    assert seen == ["refused"]
    assert recorded.names == ["open", "message", "close", "reconnect", "message", "close"]


@pytest.mark.parametrize("verb", ["close", "abort"])
def test_socket_that_has_none_cannot_be_ended(verb: str) -> None:
    def on_error(app: Any, _exc: Exception) -> None:
        assert app.sock is not None
        getattr(app.sock, verb)()
        app.close()

    recorded = RecordedApp(reactor, refused_url(), ("error", "close"), {"error": on_error})
    recorded.run(reconnect=SOON)
    assert recorded.names == ["error", "close"]


def test_socket_ended_without_reconnect(library: Any) -> None:
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(
            library, peer.url, NAMES, {"message": lambda app, _: app.sock.abort()}
        )
        recorded.run()
    assert recorded.events == [("open",), ("message", "hi"), LOST, ("close", None, None)]
    assert recorded.result is True


def test_socket_closed_without_reconnect() -> None:
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(
            reactor, peer.url, NAMES, {"message": lambda app, _: app.sock.close(status=3000)}
        )
        recorded.run()
    assert recorded.events == [("open",), ("message", "hi"), ("close", 3000, None)]
    assert recorded.result is False


def test_socket_that_is_shut_down_twice_has_one_overdue_pong() -> None:
    def on_message(app: Any, _message: str) -> None:
        app.sock.shutdown()
        app.sock.shutdown()

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": on_message})
        recorded.run(ping_interval=60, ping_timeout=10)
    overdue = ("error", "WebSocketTimeoutException", "ping/pong timed out")
    assert recorded.events == [("open",), ("message", "hi"), overdue, ("close", None, None)]


@pytest.mark.parametrize(
    ("payload", "heard"),
    [(b"", (None, None)), (b"\x0b\xb8", (3000, None)), (b"\x0f\xa0bye", (4000, "bye"))],
)
def test_a_close_frame_that_a_program_sends_closes(payload: bytes, heard: tuple[Any, Any]) -> None:
    sizes: list[int] = []

    def on_message(app: Any, _message: str) -> None:
        frame = reactor.ABNF.create_frame(payload, reactor.ABNF.OPCODE_CLOSE)
        sizes.append(app.sock.send_frame(frame))

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, NAMES, {"message": on_message})
        recorded.run()
    assert sizes == [len(payload)]
    assert recorded.events == [("open",), ("message", "hi"), ("close", *heard)]


def test_a_connection_that_has_ended_takes_no_frames() -> None:
    sockets: list[Any] = []
    with ScriptedPeer(HI) as peer:
        app = reactor.WebSocketApp(
            peer.url,
            on_open=lambda app: sockets.append(app.sock),
            on_message=lambda app, _message: app.close(),
        )
        app.run_forever()
    fragment = reactor.ABNF.create_frame("part", reactor.ABNF.OPCODE_TEXT, 0)
    for send in (lambda: sockets[0].send_frame(fragment), lambda: sockets[0].send("x")):
        with pytest.raises(
            reactor.WebSocketConnectionClosedException, match=r"^socket is already closed\.$"
        ):
            send()
    with pytest.raises(ValueError, match="Invalid OPCODE"):
        sockets[0].send_frame(reactor.ABNF(1, 0, 0, 0, 5, 1, "x"))
