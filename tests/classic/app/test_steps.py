"""An app with something of a program's in the place of a part.

Whatever gets the fixture ``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

import pytest

import reactor
from reactor.classic.app.steps import SteppedRun, is_wanted, stands_for

from ...support.apps import RecordedApp, code, said
from ...support.peers import ScriptedPeer, Serve, echo
from ...support.websocket_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, build_frame

BYE = said(build_frame(CLOSE, code(1000)))

pytestmark = pytest.mark.usefixtures("no_leaks", "sockets_of_websocket_client")


def modules_of(library: Any, name: str) -> Any:
    """Return one of the private modules."""
    package = "websocket" if library.__name__ == "websocket" else "reactor.websocket"
    return import_module(f"{package}.{name}")


@contextmanager
def connections(library: Any, *scripts: Any) -> Iterator[list[Any]]:
    """Have the app make connections that do what a script says; gives those that were made.

    Parameters:
        scripts: for each connection what ``connect`` raises, or a list of what is received: a
            frame, or what is raised.
    """
    made: list[Any] = []

    class Fake:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.script = scripts[len(made)]
            self.sock = mock.Mock(**{"fileno.return_value": 0})
            self.close_frame = None
            self.calls: list[str] = []
            made.append(self)

        def settimeout(self, timeout: float | None) -> None:
            self.calls.append("settimeout")

        def connect(self, url: str, **options: Any) -> None:
            self.url, self.options = url, options
            if isinstance(self.script, Exception):
                raise self.script
            self.script = iter(self.script)

        def recv_data_frame(self, control_frame: bool) -> tuple[int, Any]:
            found = next(self.script)
            if isinstance(found, BaseException):
                raise found
            return found.opcode, found

        def close(self, **options: Any) -> None:
            self.calls.append("close")

        def shutdown(self) -> None:
            self.calls.append("shutdown")

    class AtOnce(modules_of(library, "_dispatcher").Dispatcher):  # type: ignore[misc,name-defined]
        def read(self, sock: Any, read_callback: Any, check_callback: Any) -> None:
            while self.app.keep_running and read_callback():
                check_callback()

    with (
        mock.patch.object(modules_of(library, "_app"), "WebSocket", Fake),
        mock.patch.object(
            library.WebSocketApp, "create_dispatcher", lambda app, *args: AtOnce(app, 5)
        ),
    ):
        yield made


def frame(library: Any, opcode: int, data: bytes, fin: int = 1) -> Any:
    return library.ABNF(fin, 0, 0, 0, opcode, 0, data)


def test_a_class_of_a_test_in_the_place_of_websocket(library: Any) -> None:
    said = [(TEXT, b"hi"), (BINARY, b"\0"), (PING, b"p"), (PONG, b"q"), (CLOSE, b"\x0f\xa0bye")]
    with connections(library, [frame(library, *each) for each in said]) as made:
        recorded = RecordedApp(
            library, "ws://a.example/", cookie="c=d", subprotocols=["x"], header={"A": "1"}
        )
        events = recorded.run(origin="o.example", http_proxy_host="p.example")
    assert events == [
        ("open",),
        ("message", "hi"),
        ("message", b"\0"),
        ("ping", b"p"),
        ("pong", b"q"),
        ("error", "WebSocketConnectionClosedException", "Connection closed (code 4000): bye"),
        ("close", 4000, "bye"),
    ]
    (fake,) = made
    assert (fake.url, fake.options["cookie"], fake.options["header"]) == (
        "ws://a.example/",
        "c=d",
        {"A": "1"},
    )
    assert (fake.options["origin"], fake.options["http_proxy_host"]) == ("o.example", "p.example")
    assert fake.calls == ["settimeout", "close"]
    assert recorded.result is False


def test_fragments_and_bytes_that_nobody_decodes(library: Any) -> None:
    said = [(TEXT, b"a", 0), (CONT, b"b", 1), (CLOSE, b"")]
    with connections(library, [frame(library, *each) for each in said]):
        recorded = RecordedApp(library, "ws://a.example/", ("data", "cont_message", "message"))
        events = recorded.run(skip_utf8_validation=True)
    assert events == [
        ("data", b"a", TEXT, True),
        ("message", b"a"),
        ("data", b"b", CONT, 1),
        ("cont_message", b"b", 1),
    ]


def test_a_connection_that_cannot_be_made_or_is_lost(library: Any) -> None:
    lost = library.WebSocketConnectionClosedException("lost")
    for script in ([lost], ConnectionRefusedError(111, "refused")):
        with connections(library, script):
            recorded = RecordedApp(library, "ws://a.example/", ("error", "close"))
            events = recorded.run()
        kind = "ConnectionRefusedError" if isinstance(script, Exception) else type(lost).__name__
        assert [event[:2] for event in events] == [("error", kind), ("close", None)]
        assert recorded.result is True


def test_connections_one_after_the_other(library: Any) -> None:
    lost = library.WebSocketConnectionClosedException("lost")
    last = [frame(library, TEXT, b"second"), frame(library, CLOSE, b"\x03\xe8")]
    with connections(library, [lost], last) as made:
        recorded = RecordedApp(
            library,
            "ws://a.example/",
            ("open", "reconnect", "message", "close"),
            {"message": lambda app, text: app.close(status=1001)},
        )
        events = recorded.run(reconnect=0.001)
    assert events == [("open",), ("reconnect",), ("message", "second"), ("close", None, None)]
    assert made[0].calls == ["settimeout", "shutdown"]


def test_a_callback_that_ends_the_run(library: Any) -> None:
    with connections(library, [frame(library, TEXT, b"x"), frame(library, TEXT, b"y")]):
        recorded = RecordedApp(
            library,
            "ws://a.example/",
            reactions={"message": lambda app, text: setattr(app, "keep_running", False)},
        )
        assert recorded.run() == [("open",), ("message", "x"), ("close", None, None)]
    assert recorded.app.keep_running is False


def test_a_websocket_of_a_program_that_connects(library: Any, serve: Serve) -> None:
    made = []

    class Own(library.WebSocket):  # type: ignore[misc,name-defined]
        def connect(self, url: str, **options: Any) -> None:
            super().connect(url, **options)
            made.append(self.sock)

    with mock.patch.object(modules_of(library, "_app"), "WebSocket", Own):
        recorded = RecordedApp(
            library,
            serve(echo).url,
            reactions={
                "open": lambda app: app.send("hello"),
                "message": lambda app, text: app.close(status=4001, reason="seen"),
            },
        )
        events = recorded.run(ping_interval=30, ping_timeout=20)
    assert events[:2] == [("open",), ("message", "hello")]
    assert events[2] in [("close", 4001, "seen"), ("close", 1000, None)]
    made[0].close()


def test_an_app_on_an_address_that_a_program_chooses(library: Any, serve: Serve) -> None:
    peer, module = serve(echo), modules_of(library, "_http")
    original = module._get_addrinfo_list

    def chosen(hostname: str, port: int, is_secure: bool, proxy: Any) -> Any:
        return original("127.0.0.1", peer.port, is_secure, proxy)

    with mock.patch.object(module, "_get_addrinfo_list", chosen):
        recorded = RecordedApp(
            library,
            "ws://host.invalid/",
            reactions={"open": lambda app: app.close()},
        )
        assert recorded.run()[0] == ("open",)
    assert peer.requests[0].headers["host"] == "host.invalid"


def test_a_method_that_a_program_puts_around_another(library: Any, serve: Serve) -> None:
    sent, original = [], library.WebSocket.send

    def send(self: Any, payload: Any, opcode: int = TEXT) -> Any:
        sent.append((payload, opcode))
        return original(self, payload, opcode)

    with mock.patch.object(library.WebSocket, "send", send):
        recorded = RecordedApp(
            library,
            serve(echo).url,
            reactions={
                "open": lambda app: app.send("hello"),
                "message": lambda app, text: app.close(),
            },
        )
        events = recorded.run()
    assert events == [("open",), ("message", "hello"), ("close", 1000, None)]
    assert sent == [("hello", TEXT), (b"\x03\xe8", CLOSE)]


def test_methods_of_a_test_that_connect_to_nothing(library: Any) -> None:
    with mock.patch.object(library.WebSocket, "connect") as connect:
        recorded = RecordedApp(library, "ws://host.invalid/")
        assert recorded.run() == [("open",), ("close", None, None)]
    assert connect.call_args.args == ("ws://host.invalid/",)


def test_the_read_of_a_loop_may_be_replaced(library: Any) -> None:
    loops = modules_of(library, "_dispatcher")
    original, calls = loops.Dispatcher.read, []

    def read(loop: Any, *args: Any) -> None:
        calls.append(len(args))
        original(loop, *args)

    with ScriptedPeer(BYE) as peer, mock.patch.object(loops.Dispatcher, "read", read):
        recorded = RecordedApp(library, peer.url)
        recorded.run()
    assert calls == [3]
    assert recorded.names == ["open", "error", "close"]


def test_a_loop_may_be_replaced(library: Any) -> None:
    with (
        ScriptedPeer(BYE) as peer,
        mock.patch.object(modules_of(library, "_app"), "Dispatcher") as loop,
    ):
        loop.return_value.send = lambda sock, data: len(data)
        recorded = RecordedApp(library, peer.url)
        recorded.run()
    assert recorded.names == ["open", "close"]
    loop.assert_called_once_with(recorded.app, 10)
    assert loop.return_value.read.call_count == 1


def test_a_loop_of_a_program_writes_as_well(library: Any, serve: Serve) -> None:
    sent: list[int] = []

    class Counting(modules_of(library, "_dispatcher").Dispatcher):  # type: ignore[misc,name-defined]
        def send(self, sock: Any, data: bytes) -> int:
            sent.append(len(data))
            return int(super().send(sock, data))

    class App(library.WebSocketApp):  # type: ignore[misc]
        def create_dispatcher(self, ping_timeout: Any, *args: Any) -> Any:
            return Counting(self, ping_timeout or 10)

    app = App(
        serve(echo).url,
        on_open=lambda app: app.send("hello"),
        on_message=lambda app, _message: app.close(),
    )
    app.run_forever()
    assert sent == [11, 8]  # the message and the close frame


class ReadsAndSends:
    """A loop of a program that can do what it must, and nothing else."""

    def send(self, sock: Any, data: bytes) -> int:
        return int(sock.send(data))

    def read(self, sock: Any, read_callback: Any, check_callback: Any) -> None:
        while read_callback():
            check_callback()


def test_a_loop_of_a_program_need_only_read_and_send(library: Any, serve: Serve) -> None:
    class App(library.WebSocketApp):  # type: ignore[misc,name-defined]
        def create_dispatcher(self, *args: Any) -> Any:
            return ReadsAndSends()

    events: list[Any] = []
    App(
        serve(BYE).url,
        on_open=lambda app: events.append("open"),
        on_close=lambda app, *args: events.append(args),
    ).run_forever()
    assert events == ["open", (1000, None)]


# --- on ours only -------------------------------------------------------------------------------


def test_as_a_rule_nothing_is_run_so() -> None:
    assert not is_wanted(None, None)
    assert not is_wanted(reactor.Reactor, reactor.Reactor)
    app = reactor.WebSocketApp("ws://127.0.0.1:1")
    for given, secure in [(None, False), (None, True), (mock.Mock(), False)]:
        loop = app.create_dispatcher(5, given, secure)
        assert not is_wanted(loop, given)
        assert stands_for(loop) is given
    loop = reactor.Reactor
    assert stands_for(loop) is loop


def test_what_is_no_loop_at_all_is_refused_with_a_reason() -> None:
    nothing = object()
    app = reactor.WebSocketApp("ws://127.0.0.1:1")
    assert app.create_dispatcher(5, nothing) is nothing
    with pytest.raises(TypeError, match=r"has no read\(\)"):
        app.run_forever(dispatcher=nothing)


def test_an_app_that_chooses_no_loop_gets_the_usual_one(serve: Serve) -> None:
    class App(reactor.WebSocketApp):
        def create_dispatcher(self, *args: Any) -> None:
            return None

    class Own(reactor.WebSocket):
        """What makes a difference."""

    events: list[Any] = []
    app = App(serve(BYE).url, on_close=lambda app, *args: events.append(args))
    with mock.patch.object(modules_of(reactor, "_app"), "WebSocket", Own):
        assert app.run_forever() is False
    assert events == [(1000, None)]


def test_a_callback_may_close_twice() -> None:
    """And whatever its loop reads after that is nothing."""

    def close_twice(app: Any, _text: str) -> None:
        app.close()
        app.close()

    with connections(reactor, [frame(reactor, TEXT, b"x")]) as made:
        recorded = RecordedApp(reactor, "ws://a.example/", reactions={"message": close_twice})
        recorded.app.create_dispatcher = lambda *args: ReadsAndSends()  # type: ignore[method-assign]
        assert recorded.run() == [("open",), ("message", "x"), ("close", None, None)]
    assert made[0].calls == ["settimeout", "close"]


def test_a_loop_may_tell_that_the_connection_is_lost_without_an_exception() -> None:
    events: list[Any] = []
    app = reactor.WebSocketApp(
        "ws://a.example/",
        on_error=lambda app, exc: events.append((type(exc), str(exc))),
        on_close=lambda app, *args: events.append(args),
    )
    assert SteppedRun(app, {"reconnect": 0}, True).closed()
    lost = reactor.WebSocketConnectionClosedException
    assert events == [(lost, "closed unexpectedly"), (None, None)]


def test_an_interrupt_is_told_of_and_leaves() -> None:
    with connections(reactor, [KeyboardInterrupt()]):
        recorded = RecordedApp(reactor, "ws://a.example/", ("error", "close"))
        with pytest.raises(KeyboardInterrupt):
            recorded.run()
    assert recorded.names == ["error", "close"]


def test_an_app_of_somebody_elses_loop() -> None:
    """``signal``, ``read`` and ``timeout`` are what that one has; see _dispatcher."""
    rel = mock.Mock()
    lost = reactor.WebSocketConnectionClosedException("lost")
    with connections(reactor, [frame(reactor, TEXT, b"x"), lost], [lost]):
        with mock.patch.object(
            reactor.WebSocketApp, "create_dispatcher", lambda app, timeout, given, *_: given
        ):
            recorded = RecordedApp(reactor, "ws://a.example/", ("message", "error", "reconnect"))
            assert recorded.run(dispatcher=rel, reconnect=3) is recorded.events
        rel.signal.assert_called_once_with(2, rel.abort)
        (_, read), _ = rel.read.call_args
        assert [read(), read()] == [True, False]
        (seconds, again, flag), _ = rel.timeout.call_args
        assert (seconds, flag) == (3, True)
        again(flag)
    assert recorded.names == ["message", "error", "reconnect"]


def test_an_answer_to_a_ping_that_is_overdue() -> None:
    app = reactor.WebSocketApp("ws://a.example/")
    run = SteppedRun(app, {"ping_timeout": 5}, False)
    assert run.check()
    app.last_ping_tm = time.time() - 60
    with pytest.raises(reactor.WebSocketTimeoutException, match="ping/pong timed out"):
        run.check()
    app.last_pong_tm = app.last_ping_tm + 1
    assert run.check()


def test_apps_of_several_that_are_interrupted() -> None:
    with connections(reactor, []):
        app = reactor.WebSocketApp("ws://a.example/")
        heard: list[Any] = []
        app.on_error, app.on_close = (lambda *args: heard.append(args[1:]),) * 2
        run = SteppedRun(app, {}, True)
        error = KeyboardInterrupt()
        run.interrupt(error)
        run.interrupt(error)
    assert heard == [(error,), (None, None)]


def test_options_of_ours_hold_there_too() -> None:
    with connections(reactor, [frame(reactor, CLOSE, b"")], [frame(reactor, CLOSE, b"")]) as made:
        RecordedApp(reactor, "ws://a.example/").run()
        options = {"compression": "deflate", "lenient": False, "plain_socket": True}
        RecordedApp(reactor, "ws://a.example/", **options).run()
    usual, asked = (set(fake.options) for fake in made)
    assert asked - usual == set(options)
    assert {name: made[1].options[name] for name in options} == options
