"""WebSocketApp: what callbacks can look at, and callbacks that are methods.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

from typing import Any

import pytest

import reactor

from ..support.apps import (
    ALL,
    FRAGMENTS,
    code,
    play,
    said,
)
from ..support.peers import ScriptedPeer, Talk
from ..support.websocket_frames import CLOSE, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

# --- what can be looked at -----------------------------------------------------------------------


def test_attributes_in_callbacks(library: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(name: str) -> Any:
        def callback(app: Any, *_: object) -> None:
            sock = app.sock
            seen.append(
                (
                    name,
                    app.keep_running,
                    sock is None,
                    bool(sock and sock.connected),
                    bool(app.ready()),
                    app.has_errored,
                )
            )

        return callback

    names = ("open", "message", "error", "close")
    frames = (build_frame(TEXT, b"x"), build_frame(CLOSE, code(1000)))
    play(library, said(*frames), names, {name: look(name) for name in names})
    assert seen == [
        ("open", True, False, True, True, False),
        ("message", True, False, True, True, False),
        ("error", True, False, False, False, False),
        ("close", False, True, False, False, False),
    ]


def test_attributes_before_and_after_a_run(library: Any) -> None:
    def look(app: Any) -> tuple[Any, ...]:
        return (
            *(app.sock, app.keep_running, bool(app.ready()), app.has_errored),
            *(app.last_ping_tm, app.last_pong_tm, app.ping_thread, app.stop_ping),
        )

    app = library.WebSocketApp("ws://127.0.0.1:1", keep_running=False, cookie="a=b")
    before = (None, False, False, False, 0.0, 0.0, None, None)
    assert look(app) == before
    assert (app.url, app.header, app.cookie, app.subprotocols) == (
        "ws://127.0.0.1:1",
        [],
        "a=b",
        None,
    )
    assert (app.ping_interval, app.ping_timeout, app.ping_payload) == (0, None, "")
    assert (app.get_mask_key, app.prepared_socket, app.last_close_frame) == (None, None, None)
    assert [getattr(app, f"on_{name}") for name in ALL] == [None] * len(ALL)
    assert [app.has_done_teardown] == [False]
    app.run_forever(ping_interval=5, ping_timeout=4, ping_payload="x")
    assert look(app) == (None, False, False, True, 0.0, 0.0, None, None)
    assert [app.has_done_teardown] == [True]
    assert (app.ping_interval, app.ping_timeout, app.ping_payload) == (5, 4, "x")


def test_the_socket_in_a_callback(library: Any) -> None:
    seen: list[Any] = []

    def on_open(app: Any) -> None:
        sock = app.sock
        seen.extend([sock.sock.getpeername()[1], sock.sock.fileno() == sock.fileno()])
        seen.extend([sock.is_ssl(), sock.status, sock.getstatus(), sock.subprotocol])
        seen.extend([sock.getsubprotocol(), sock.headers["upgrade"], sock.getheaders()["x-one"]])
        sock.settimeout(10)
        seen.extend([sock.gettimeout(), sock.timeout])
        app.close()

    def script(talk: Talk) -> None:
        talk.upgrade("X-One: 1")
        talk.send(build_frame(CLOSE, talk.frame().payload))

    with ScriptedPeer(script) as peer:
        library.WebSocketApp(peer.url, on_open=on_open).run_forever()
        assert seen == [peer.port, True, False, 101, 101, None, None, "websocket", "1", 10, 10]


def test_socket_of_a_connection_that_is_over_has_no_descriptor() -> None:
    sockets: list[Any] = []
    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        app = reactor.WebSocketApp(peer.url, on_open=lambda app: sockets.append(app.sock))
        app.run_forever()
    assert sockets[0].sock is None
    assert sockets[0].connected is False
    with pytest.raises(reactor.WebSocketException, match="Connection not established"):
        sockets[0].fileno()


def test_callbacks_can_be_assigned_after_construction(library: Any) -> None:
    events: list[Any] = []
    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        app = library.WebSocketApp(peer.url)
        app.on_message = lambda _, message: events.append(message)
        app.on_close = lambda _, *args: events.append(args)
        app.run_forever()
    assert events == ["whole", (1000, None)]


def test_bound_methods_of_other_objects_get_the_app(library: Any) -> None:
    class Handlers:
        def on_message(self, app: Any, message: str) -> None:
            events.append((app, message))

    events: list[Any] = []
    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        app = library.WebSocketApp(peer.url, on_message=Handlers().on_message)
        app.run_forever()
    assert events == [(app, "whole")]


def test_callback_that_takes_too_few_arguments(library: Any) -> None:
    errors: list[Any] = []
    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        app = library.WebSocketApp(
            peer.url,
            on_close=lambda app: None,
            on_error=lambda app, exc: errors.append(type(exc)),
        )
        app.run_forever()
    assert errors[-1] is TypeError


# --- methods of a subclass -----------------------------------------------------------------------


class Subclass(reactor.WebSocketApp):
    """Has all callbacks as methods."""

    events: list[Any]

    def on_open(self) -> None:
        self.events.append("open")

    def on_message(self, message: Any) -> None:
        self.events.append(("message", message))

    def on_data(self, data: Any, opcode: int, fin: bool) -> None:
        self.events.append(("data", data, opcode, fin))

    def on_ping(self, payload: bytes) -> None:
        self.events.append(("ping", payload))

    def on_error(self, error: Exception) -> None:
        self.events.append(("error", type(error)))

    def on_close(self, code: Any, reason: Any) -> None:
        self.events.append(("close", code, reason))


def run_subclass(kind: Any, *frames: bytes, **options: Any) -> list[Any]:
    with ScriptedPeer(said(*frames)) as peer:
        app = kind(peer.url, **options)
        app.events = []
        app.run_forever()
    return list(app.events)


def test_methods_of_a_subclass_are_called() -> None:
    assert run_subclass(Subclass, *FRAGMENTS[1:2], *FRAGMENTS[-2:]) == [
        "open",
        ("ping", b"between"),
        ("data", "whole", 1, True),
        ("message", "whole"),
        ("error", reactor.WebSocketConnectionClosedException),
        ("close", 1000, None),
    ]


def test_methods_of_a_subclass_may_take_the_app() -> None:
    class WithApp(reactor.WebSocketApp):
        events: list[Any]

        def on_open(self, app: Any) -> None:
            self.events.append(app is self)

        def on_message(self, app: Any, message: Any) -> None:
            self.events.append((app is self, message))

        def on_close(self, app: Any, code: Any, reason: Any) -> None:
            self.events.append((app is self, code, reason))

    events = run_subclass(WithApp, *FRAGMENTS[-2:])
    assert events == [True, (True, "whole"), (True, 1000, None)]


def test_what_was_given_comes_before_a_method() -> None:
    class Own(Subclass):
        def handle(self, app: Any, message: Any) -> None:
            self.events.append((app is self, message))

    given: list[Any] = []
    events = run_subclass(
        Own, *FRAGMENTS[-2:], on_message=lambda app, message: given.append((app, message))
    )
    assert [type(given[0][0]), given[0][1]] == [Own, "whole"]
    assert ("message", "whole") not in events

    class Assigning(Own):
        def __init__(self, url: str) -> None:
            super().__init__(url, on_message=self.handle)

    assert (True, "whole") in run_subclass(Assigning, *FRAGMENTS[-2:])

    class TakingAll(Subclass):
        def __init__(self, url: str) -> None:
            super().__init__(url, on_message=self.handle)

        def handle(self, *args: Any) -> None:
            self.events.append((args[0] is self, *args[1:]))

    assert (True, "whole") in run_subclass(TakingAll, *FRAGMENTS[-2:])


def test_method_under_another_name_is_a_method_all_the_same() -> None:
    def handler(self: Any, message: Any) -> None:
        self.events.append((type(self), message))

    class Other(reactor.WebSocketApp):
        on_message = handler

    assert run_subclass(Other, *FRAGMENTS[-2:]) == [(Other, "whole")]


def test_exception_in_a_method_goes_to_on_error() -> None:
    class Failing(Subclass):
        def on_message(self, message: Any) -> None:
            raise LookupError

        def on_error(self, error: Exception) -> None:
            super().on_error(error)
            raise KeyError

    events = run_subclass(Failing, *FRAGMENTS[-2:])
    assert events[2:] == [("error", LookupError), ("error", KeyError), ("close", None, None)]


def test_callback_can_be_wrapped(library: Any) -> None:
    called: list[Any] = []

    class Wrapping(library.WebSocketApp):  # type: ignore[misc]
        def _callback(self, callback: Any, *args: Any) -> None:
            if callback:
                called.append(args)
            super()._callback(callback, *args)

    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        app = Wrapping(peer.url, on_message=lambda *_: None, on_error=lambda *_: None)
        app.on_close = lambda *_: None
        app.run_forever()
    assert [len(args) for args in called] == [1, 1, 2]
    assert called[0] == ("whole",)
    assert called[2] == (1000, None)
