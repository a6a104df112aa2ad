"""WebSocketApp: what callbacks can look at, and callbacks that are methods.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import reactor
from reactor.base.mistakes import check_called

from ...support.apps import (
    ALL,
    FRAGMENTS,
    code,
    play,
    said,
)
from ...support.peers import ScriptedPeer, Talk
from ...support.websocket_frames import CLOSE, PONG, TEXT, build_frame

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


def test_answer_of_the_server_at_the_socket(library: Any) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade("X-Name: value", "Sec-WebSocket-Protocol: chat", then=FRAGMENTS[-1])
        talk.frame()

    seen: list[Any] = []

    def on_open(app: Any) -> None:
        answer = app.sock.handshake_response
        seen.extend([answer.status, answer.headers["x-name"], answer.subprotocol])
        seen.extend([app.sock.close_frame, app.sock.sock_opt.timeout, app.sock.sock_opt.sslopt])

    with ScriptedPeer(script) as peer:
        library.WebSocketApp(peer.url, on_open=on_open, subprotocols=["chat"]).run_forever()
    assert seen == [101, "value", "chat", None, None, {}]


def test_close_frame_of_the_server_at_the_socket() -> None:
    seen: list[Any] = []

    def on_error(app: Any, exc: Exception) -> None:
        sockets = [app.sock]
        seen.extend([sockets[0].close_frame.data, sockets[0].close_frame.opcode])

    before: list[Any] = []

    def header() -> list[str]:
        before.extend([app.sock.handshake_response, app.sock.close_frame])
        return []

    with ScriptedPeer(said(build_frame(CLOSE, code(4001, b"bye")))) as peer:
        app = reactor.WebSocketApp(peer.url, on_error=on_error, header=header)
        app.run_forever()
    assert before == [None, None]
    assert seen == [code(4001, b"bye"), CLOSE]


def test_ready(library: Any) -> None:
    seen: list[Any] = []
    with ScriptedPeer(said(*FRAGMENTS[-1:])) as peer:
        app = library.WebSocketApp(peer.url, on_open=lambda app: seen.append(app.ready()))
        assert app.ready() is None
        assert isinstance(app.ping_interval, float)
        app.run_forever()
    assert seen == [True]


def test_close_has_three_parameters(library: Any) -> None:
    seen: list[str] = []

    def on_message(app: Any, _message: str) -> None:
        try:
            app.close(colour="red")
        except TypeError as exc:
            seen.append(str(exc))
        app.close()

    with ScriptedPeer(said(FRAGMENTS[-2])) as peer:
        library.WebSocketApp(peer.url, on_message=on_message).run_forever()
    assert seen == ["WebSocket.close() got an unexpected keyword argument 'colour'"]


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


def short(events: list[Any], count: int) -> Any:
    """Return a function of so many parameters that notes down what it is given."""
    return {
        0: lambda: events.append(()),
        1: lambda a: events.append((a,)),
        2: lambda a, b: events.append((a, b)),
        3: lambda a, b, c: events.append((a, b, c)),
    }[count]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_callback_is_given_what_it_takes(count: int) -> None:
    events: list[Any] = []
    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        app = reactor.WebSocketApp(peer.url, on_error=lambda *args: events.append(args))
        app.error_on_close = False
        app.on_close = short(events, count)
        app.run_forever()
    assert events == [(app, 1000, None)[:count]]


def test_callback_that_takes_less_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Any] = []
    signature = inspect.signature

    def counting(callback: Any, **options: Any) -> inspect.Signature:
        looked_at.append(callback)
        return signature(callback, **options)

    class Handlers:
        def on_pong(self, app: Any) -> None:
            events.append(app)

    events: list[Any] = []
    handlers = Handlers()
    frames = [build_frame(TEXT, b"x"), build_frame(PONG, b"y")] * 10
    with ScriptedPeer(said(*frames, FRAGMENTS[-1])) as peer:
        app = reactor.WebSocketApp(peer.url, on_pong=handlers.on_pong)
        app.on_message = short(events, 1)
        monkeypatch.setattr(inspect, "signature", counting)
        app.run_forever()
    assert len(events) == 20
    assert looked_at == [app.on_message, app.on_pong]


@pytest.mark.parametrize(
    "make",
    [
        lambda events: lambda *args: events.append(args),
        lambda events: (
            lambda app, code=None, reason=None, more=None: events.append((app, code, reason))
        ),
        lambda events: functools.partial(lambda events, *args: events.append(args), events),
        lambda events: Callable3(events),
    ],
    ids=["any number", "defaults", "partial", "object"],
)
def test_callback_that_takes_all_gets_all(library: Any, make: Any) -> None:
    events: list[Any] = []
    with ScriptedPeer(said(FRAGMENTS[-1])) as peer:
        app = library.WebSocketApp(peer.url, on_close=make(events))
        app.run_forever()
    assert events == [(app, 1000, None)]


class Callable3:
    """A callback that is an object, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def __eq__(self, other: object) -> bool:
        return self is other

    def __call__(self, app: Any, code: Any, reason: Any) -> None:
        self.events.append((app, code, reason))


def test_callback_whose_own_call_fails_is_not_called_again(library: Any) -> None:
    events: list[Any] = []

    def on_message(app: Any, message: str) -> None:
        events.append(message)
        (lambda: None)(message)  # type: ignore[call-arg]

    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        library.WebSocketApp(
            peer.url,
            on_message=on_message,
            on_error=lambda _app, exc: events.append(type(exc)),
        ).run_forever()
    assert events[:2] == ["whole", TypeError]
    assert events.count("whole") == 1


def test_callback_that_takes_more_than_there_is(library: Any) -> None:
    events: list[Any] = []
    with ScriptedPeer(said(*FRAGMENTS[-2:])) as peer:
        library.WebSocketApp(
            peer.url,
            on_message=lambda app, message, more: None,
            on_error=lambda _app, exc: events.append(type(exc)),
        ).run_forever()
    assert events[0] is TypeError


def test_a_socket_that_a_test_puts_there(library: Any) -> None:
    app = library.WebSocketApp("ws://a.example")
    closed: list[dict[str, Any]] = []
    frame = library.ABNF(opcode=library.ABNF.OPCODE_CLOSE, data=b"\x03\xe8")
    app.sock = SimpleNamespace(
        send=lambda data, opcode: 0, close=lambda **given: closed.append(given), close_frame=frame
    )
    with pytest.raises(library.WebSocketException, match="socket is already opened"):
        app.run_forever()
    with pytest.raises(library.WebSocketConnectionClosedException, match="already closed"):
        app.send("x")
    app.close(status=1001)
    assert (closed, app.sock, app.last_close_frame) == ([{"status": 1001}], None, frame)


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


def test_method_that_takes_less_gets_what_it_takes() -> None:
    class Short(Subclass):
        def on_close(self) -> None:  # type: ignore[override]
            self.events.append("close")

    assert run_subclass(Short, *FRAGMENTS[-2:])[-1] == "close"


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


@pytest.mark.parametrize("library", ["reactor", "websocket"])
def test_a_decorator_around_a_callback_is_what_is_called(library: str) -> None:
    """Whatever the function inside takes."""
    seen: list[object] = []

    def without_app(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(app: object, message: str) -> None:
            function(message)

        return wrapper

    app = importlib.import_module(library).WebSocketApp(
        "ws://localhost/", on_message=without_app(seen.append)
    )
    app._callback(app.on_message, "hi")
    assert seen == ["hi"]


@pytest.mark.parametrize("library", ["reactor", "websocket"])
@pytest.mark.parametrize("kind", [mock.Mock, mock.MagicMock])
def test_a_mock_of_a_function_is_a_callback(library: str, kind: type[mock.Mock]) -> None:
    def on_message(app: object, message: str) -> None:
        """What the mock is like."""

    callback = kind(spec=on_message)
    app = importlib.import_module(library).WebSocketApp("ws://localhost/", on_message=callback)
    app._callback(app.on_message, "hi")
    callback.assert_called_once_with(app, "hi")
    check_called("on_message", callback)
