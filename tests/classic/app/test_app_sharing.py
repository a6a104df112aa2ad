"""WebSocketApp: the same app again, and several apps on one thread."""

from __future__ import annotations

import sys
import threading
from typing import Any
from unittest import mock
from unittest.mock import ANY

import pytest

import reactor

from ...support.apps import RecordedApp, code, dropped, mute, raising, said
from ...support.peers import ScriptedPeer, Talk, echo
from ...support.websocket_frames import CLOSE, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks", "sockets_of_websocket_client")

HI = said(build_frame(TEXT, b"hi"))
BYE = said(build_frame(CLOSE, code(1000)))


def stack_size() -> int:
    frame, size = sys._getframe(), 0
    while frame.f_back is not None:
        frame, size = frame.f_back, size + 1
    return size


# --- the same app again ---------------------------------------------------------------------------


def test_app_can_be_run_again(library: Any) -> None:
    with ScriptedPeer(dropped(), BYE) as peer:
        recorded = RecordedApp(library, peer.url)
        results = []
        for _ in range(2):
            recorded.run()
            results.append(recorded.result)
    assert results == [True, False]
    assert recorded.names == ["open", "error", "close"] * 2
    assert recorded.app.has_errored is False


def test_on_close_can_run_the_app_again(library: Any) -> None:
    def on_close(app: Any, *_: object) -> None:
        assert app.sock is None
        if len(recorded.of("close")) < 3:
            results.append(app.run_forever())

    results: list[bool] = []
    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(library, peer.url, reactions={"close": on_close})
        recorded.run()
    assert recorded.names == ["open", "error", "close"] * 3
    assert results == [False, False]
    assert recorded.result is False


def test_on_close_can_run_the_app_again_for_ever() -> None:
    sizes: set[int] = set()

    def on_close(app: Any, *_: object) -> None:
        sizes.add(stack_size())
        if len(recorded.of("close")) <= 200:
            app.run_forever()

    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(reactor, peer.url, ("close",), {"close": on_close})
        recorded.run()
        assert peer.connections == 201
    assert len(sizes) == 1
    assert recorded.events == [("close", 1000, None)] * 201


def test_on_close_runs_the_app_again_although_nobody_listens() -> None:
    def on_close(app: Any, *_: object) -> None:
        if len(recorded.of("close")) < 3:
            app.run_forever()

    with ScriptedPeer(BYE) as peer:
        url = peer.url
    recorded = RecordedApp(reactor, url, reactions={"close": on_close})
    recorded.run()
    assert recorded.names == ["error", "close"] * 3
    assert recorded.result is True


def test_callback_can_close_and_run_the_app_again() -> None:
    def on_message(app: Any, _: str) -> None:
        app.close()
        if len(recorded.of("message")) < 3:
            assert app.run_forever() is False
            assert app.keep_running is True

    def on_close(app: Any, *_: object) -> None:
        seen.append((app.keep_running, app.sock is not None))
        ended.release()

    def after_the_end_of_the_one_before(talk: Talk) -> None:
        assert ended.acquire(timeout=10)
        HI(talk)

    ended = threading.Semaphore(0)
    seen: list[tuple[bool, bool]] = []
    with ScriptedPeer(HI, after_the_end_of_the_one_before) as peer:
        recorded = RecordedApp(
            reactor, peer.url, reactions={"message": on_message, "close": on_close}
        )
        recorded.run()
        assert peer.connections == 3
    # The end of a connection does not touch the next one, which is there already.
    assert seen == [(True, True), (True, True), (False, False)]


def test_another_thread_runs_the_app_again_while_on_close_is_called() -> None:
    again, opened, first_is_over = threading.Event(), threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def run_again() -> None:
        assert again.wait(10)
        recorded.app.run_forever()
        assert threads[-1] is thread

    def second(talk: Talk) -> None:
        talk.upgrade()
        assert first_is_over.wait(10)
        talk.send(build_frame(CLOSE, code(1000)))
        talk.frame()

    def on_open(app: Any) -> None:
        threads.append(threading.current_thread())
        if len(threads) == 2:
            opened.set()

    def on_close(app: Any, *_: object) -> None:
        if not again.is_set():
            again.set()
            assert opened.wait(10)

    thread = threading.Thread(target=run_again)
    with ScriptedPeer(BYE, second) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"open": on_open, "close": on_close})
        thread.start()
        recorded.run()  # comes to its end while the other one goes on
        assert recorded.app.keep_running is True
        first_is_over.set()
        thread.join(10)
    assert not thread.is_alive()
    assert threads == [threading.current_thread(), thread]
    assert recorded.names == ["open", "error", "close", "open", "error", "close"]


def test_app_within_a_callback_of_another_one(library: Any) -> None:
    def on_message(app: Any, _: str) -> None:
        inner.run()
        app.close()

    with ScriptedPeer(HI) as outer_peer, ScriptedPeer(BYE) as inner_peer:
        inner = RecordedApp(library, inner_peer.url)
        outer = RecordedApp(library, outer_peer.url, reactions={"message": on_message})
        outer.run()
    assert inner.names == ["open", "error", "close"]
    assert outer.names == ["open", "message", "close"]


# --- several apps on one thread -------------------------------------------------------------------


def test_many_apps_run_until_all_are_over() -> None:
    with ScriptedPeer(HI) as peer, ScriptedPeer(dropped()) as other:
        apps = [
            RecordedApp(reactor, peer.url, reactions={"message": lambda app, _: app.close()})
            for _ in range(5)
        ]
        assert reactor.run_forever(*[recorded.app for recorded in apps]) is False
        assert [recorded.names for recorded in apps] == [["open", "message", "close"]] * 5

        apps.append(RecordedApp(reactor, other.url))
        for recorded in apps:
            recorded.events.clear()
        assert reactor.run_forever(*[recorded.app for recorded in apps]) is True
        assert apps[-1].names == ["open", "error", "close"]
        assert [recorded.names for recorded in apps[:-1]] == [["open", "message", "close"]] * 5
    assert [recorded.app.keep_running for recorded in apps] == [False] * 6


def test_no_apps_are_over_at_once() -> None:
    assert reactor.run_forever() is False


def test_options_hold_for_all_apps() -> None:
    with ScriptedPeer(dropped(), HI) as peer, ScriptedPeer(dropped(), HI) as other:
        apps = [
            RecordedApp(reactor, each.url, reactions={"message": lambda app, _: app.close()})
            for each in (peer, other)
        ]
        reactor.run_forever(*[each.app for each in apps], origin="http://o.example", reconnect=0.01)
        for each in (peer, other):
            assert [head.headers["origin"] for head in each.requests] == ["http://o.example"] * 2
    assert [each.names[-2:] for each in apps] == [["message", "close"]] * 2


def test_one_of_many_apps_runs_again() -> None:
    def on_close(app: Any, *_: object) -> None:
        if len(first.of("close")) < 3:
            assert app.run_forever() is False

    with ScriptedPeer(BYE) as peer:
        first = RecordedApp(reactor, peer.url, reactions={"close": on_close})
        second = RecordedApp(reactor, peer.url)
        assert reactor.run_forever(first.app, second.app) is False
    assert first.names == ["open", "error", "close"] * 3
    assert second.names == ["open", "error", "close"]


def test_interrupt_is_told_to_all_apps() -> None:
    with ScriptedPeer(HI) as peer, ScriptedPeer(mute()) as other:
        second = RecordedApp(reactor, other.url)
        first = RecordedApp(reactor, peer.url, reactions={"message": raising(KeyboardInterrupt())})
        with pytest.raises(KeyboardInterrupt):
            reactor.run_forever(first.app, second.app)
    for recorded in (first, second):
        assert recorded.events[-2:] == [("error", "KeyboardInterrupt", ""), ("close", None, None)]


def test_one_of_many_apps_that_cannot_run() -> None:
    with ScriptedPeer(mute()) as peer:
        good = RecordedApp(reactor, peer.url)
        bad = RecordedApp(reactor, "http://127.0.0.1")
        with pytest.raises(ValueError):
            reactor.run_forever(good.app, bad.app)
    assert good.names == ["close"]
    assert bad.events == []
    assert good.app.keep_running is False


def test_apps_on_a_shared_reactor(loop: reactor.Reactor) -> None:
    timer_fired: list[bool] = []
    with ScriptedPeer(HI) as peer, ScriptedPeer(echo) as other:
        first = RecordedApp(reactor, peer.url, reactions={"message": lambda app, _: app.close()})
        second = RecordedApp(
            reactor,
            other.url,
            reactions={
                "open": lambda app: app.send("x"),
                "message": lambda app, _: app.close(),
            },
        )
        for recorded in (first, second):
            recorded.run(dispatcher=loop)
            assert recorded.result is False
            assert recorded.events == []
            assert recorded.app.keep_running is True
        loop.call_later(0.01, timer_fired.append, True)
        loop.dispatch()
    assert first.events == [("open",), ("message", "hi"), ("close", 1000, None)]
    assert second.events == [("open",), ("message", "x"), ("close", 1000, None)]
    assert timer_fired == [True]
    assert [first.app.keep_running, second.app.keep_running] == [False, False]


def test_shared_reactor_goes_on_when_an_app_is_over(loop: reactor.Reactor) -> None:
    def on_close(app: Any, *_: object) -> None:
        if len(recorded.of("close")) == 3:
            loop.stop()
        elif len(recorded.of("close")) == 2:
            app.run_forever(dispatcher=loop)
        else:
            loop.call_later(0.01, app.run_forever)  # on the same loop, since that calls

    with ScriptedPeer(BYE) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"close": on_close})
        recorded.run(dispatcher=loop)
        loop.run_forever()
    assert recorded.names == ["open", "error", "close"] * 3


def test_interrupt_on_a_shared_reactor_concerns_one_app(loop: reactor.Reactor) -> None:
    with ScriptedPeer(HI) as peer, ScriptedPeer(echo) as other:
        first = RecordedApp(reactor, peer.url, reactions={"message": raising(SystemExit())})
        second = RecordedApp(
            reactor,
            other.url,
            reactions={"open": lambda app: app.send("x"), "message": lambda app, _: app.close()},
        )
        first.run(dispatcher=loop)
        second.run(dispatcher=loop)
        with pytest.raises(SystemExit):
            loop.dispatch()
        loop.dispatch()
    assert first.events[-2:] == [("error", "SystemExit", ANY), ("close", None, None)]
    assert second.events[-1] == ("close", 1000, None)


def test_reactor_that_is_closed_takes_its_apps_along(loop: reactor.Reactor) -> None:
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": lambda *_: loop.stop()})
        recorded.run(dispatcher=loop)
        loop.run_forever()
        loop.close()
    assert recorded.events == [("open",), ("message", "hi"), ("close", None, None)]
    assert recorded.app.keep_running is False
    recorded.app.close()
    with pytest.raises(reactor.WebSocketConnectionClosedException):
        recorded.app.send("x")


def test_reactor_that_is_closed_takes_no_apps(loop: reactor.Reactor) -> None:
    loop.close()
    recorded = RecordedApp(reactor, "ws://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="closed"):
        recorded.run(dispatcher=loop)
    assert recorded.app.keep_running is False


def test_create_dispatcher_may_be_overridden(loop: reactor.Reactor) -> None:
    class Sharing(reactor.WebSocketApp):
        def create_dispatcher(
            self, ping_timeout: Any, dispatcher: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            return loop

    with ScriptedPeer(BYE) as peer:
        closed: list[int] = []
        app = Sharing(peer.url, on_close=lambda _app, code, _reason: closed.append(code))
        assert app.run_forever() is False
        assert closed == []
        loop.dispatch()
    assert closed == [1000]


def test_create_dispatcher_is_told_all(library: Any) -> None:
    told: list[Any] = []

    class Telling(library.WebSocketApp):  # type: ignore[misc]
        def create_dispatcher(
            self, ping_timeout: Any, dispatcher: Any, is_ssl: Any, handleDisconnect: Any
        ) -> Any:
            told.extend([ping_timeout, dispatcher, is_ssl, callable(handleDisconnect)])
            return super().create_dispatcher(ping_timeout, dispatcher, is_ssl, handleDisconnect)

    with ScriptedPeer(BYE) as peer:
        Telling(peer.url).run_forever(ping_timeout=5)
    assert told == [5, None, False, True]


def test_create_dispatcher_returns_the_loop_that_theirs_returns(library: Any) -> None:
    app, given = library.WebSocketApp("ws://127.0.0.1:1"), mock.Mock()
    lost = print
    for arguments, kind, timeout in [
        ((5,), "Dispatcher", 5),
        ((None,), "Dispatcher", 10),
        ((None, None, True), "SSLDispatcher", 10),
        ((3, given, True, lost), "WrappedDispatcher", 3),
    ]:
        loop = app.create_dispatcher(*arguments)
        assert (type(loop).__name__, loop.app, loop.ping_timeout) == (kind, app, timeout)
    assert (loop.dispatcher, loop.handleDisconnect) == (given, lost)
    given.signal.assert_called_once_with(2, given.abort)


def test_a_reactor_as_dispatcher_is_returned_as_it_is(loop: reactor.Reactor) -> None:
    assert reactor.WebSocketApp("ws://127.0.0.1:1").create_dispatcher(None, loop) is loop


def test_the_loop_of_create_dispatcher_may_be_wrapped(library: Any) -> None:
    """Its ``read`` is called then, whatever there is around it."""
    reads: list[Any] = []

    class Around:
        def __init__(self, loop: Any) -> None:
            self.loop = loop

        def read(self, sock: Any, read: Any, check: Any) -> None:
            reads.append(sock)
            self.loop.read(sock, read, check)

        def send(self, sock: Any, data: bytes) -> int:
            return int(self.loop.send(sock, data))

    class Wrapping(library.WebSocketApp):  # type: ignore[misc]
        def create_dispatcher(self, *args: Any) -> Any:
            return Around(super().create_dispatcher(*args))

    closed: list[int] = []
    with ScriptedPeer(BYE) as peer:
        Wrapping(peer.url, on_close=lambda _app, code, _reason: closed.append(code)).run_forever()
    assert (len(reads), closed) == (1, [1000])


def test_dispatcher_can_say_that_the_connection_is_lost() -> None:
    class Losing(reactor.WebSocketApp):
        def create_dispatcher(self, *args: Any) -> Any:
            self.lose = args[3]
            return None

    seen: list[Any] = []
    with ScriptedPeer(mute()) as peer:
        app = Losing(
            peer.url,
            on_open=lambda app: app.lose(OSError("gone")),
            on_error=lambda _app, exc: seen.append(str(exc)),
            on_close=lambda _app, *args: seen.append(args),
        )
        assert app.run_forever() is True
    assert seen == ["Connection to remote host was lost.", (None, None)]
