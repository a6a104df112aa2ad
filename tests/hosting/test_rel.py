"""A reactor inside of somebody else's dispatcher: one of our own making, and the rel package."""

from __future__ import annotations

import gc
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import reactor
from reactor.hosting.rel import host
from reactor.protocols.receiving import MAX_FRAMES

from ..support.apps import RecordedApp, code, dropped, mute, said
from ..support.certificates import Authority
from ..support.leaks import open_descriptors
from ..support.peers import PATIENCE, ScriptedPeer, answer, echo
from ..support.servers import serve_with_reactor
from ..support.websocket_frames import CLOSE, TEXT, build_frame

HI = said(build_frame(TEXT, b"hi"))


class Watch:
    """What a dispatcher gives for a read(), as rel does."""

    def __init__(self) -> None:
        self.active = True

    def pending(self) -> bool:
        return self.active


class Dispatcher:
    """The least that a dispatcher is: readers and timers, on select().

    Attributes:
        reads: how many times read() was called.
        signals: what signal() was called with.
    """

    def __init__(self, *, tells: bool = True) -> None:
        self._tells = tells
        self._readers: list[tuple[Any, Callable[..., Any], Watch]] = []
        self._timers: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []
        self._aborted = False
        self.reads = 0
        self.signals: list[tuple[Any, ...]] = []

    def read(self, sock: Any, callback: Callable[..., Any]) -> Watch | None:
        self.reads += 1
        self._readers.append((sock, callback, Watch()))
        return self._readers[-1][2] if self._tells else None

    def timeout(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        assert seconds >= 0
        self._timers.append((time.monotonic() + seconds, callback, args))

    def signal(self, signum: int, callback: Callable[..., Any]) -> None:
        self.signals.append((signum, callback))

    def abort(self) -> None:
        """End dispatch(), and drop all readers."""
        self._aborted = True
        for _, _, watch in self._readers:
            watch.active = False
        self._readers.clear()

    def forget_timers(self) -> None:
        self._timers.clear()

    def dispatch(self, seconds: float = 10.0) -> None:
        """Run until nothing is watched, or until abort()."""
        self._aborted = False
        end = time.monotonic() + seconds
        while self._readers and not self._aborted:
            assert time.monotonic() < end, "still running"
            due = min((when for when, _, _ in self._timers), default=end)
            ready = select.select(
                [sock for sock, _, _ in self._readers], [], [], max(0, due - time.monotonic())
            )[0]
            for reader in list(self._readers):
                sock, callback, watch = reader
                if sock in ready and watch.active and not callback():
                    watch.active = False
                    self._readers.remove(reader)
            for timer in list(self._timers):
                when, callback, args = timer
                if time.monotonic() >= when:
                    self._timers.remove(timer)
                    callback(*args)


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher()
    yield made
    host(made).close()


def close(app: Any, *_: object) -> None:
    app.close()


# --- a dispatcher of our own ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read", "signal", "abort"])
def test_dispatcher_that_lacks_a_method(name: str) -> None:
    class Lacking(Dispatcher):
        pass

    setattr(Lacking, name, None)
    with pytest.raises(TypeError, match=rf"has no {name}\(\)"):
        host(Lacking())


def test_dispatcher_has_one_reactor(dispatcher: Dispatcher) -> None:
    hosted = host(dispatcher)
    assert isinstance(hosted, reactor.Reactor)
    assert host(dispatcher) is hosted
    assert dispatcher.signals == [(2, dispatcher.abort)]


def test_a_dispatcher_that_takes_no_signals_is_used_without(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rel, on a thread that Python does not take for its main one."""

    def refuse(*_: object) -> None:
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(dispatcher, "signal", refuse)
    assert host(dispatcher) is host(dispatcher)


def test_apps_on_a_dispatcher(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(HI) as peer, ScriptedPeer(echo) as other:
        first = RecordedApp(reactor, peer.url, reactions={"message": close})
        second = RecordedApp(
            reactor, other.url, reactions={"open": lambda app: app.send("x"), "message": close}
        )
        for recorded in (first, second):
            recorded.run(dispatcher=dispatcher)
            assert recorded.result is False
            assert recorded.events == []
        dispatcher.dispatch()  # which ends: nothing is watched any more
    assert first.events == [("open",), ("message", "hi"), ("close", 1000, None)]
    assert second.events == [("open",), ("message", "x"), ("close", 1000, None)]
    assert dispatcher.reads == 1


def test_what_is_more_than_one_turn_may_deliver(dispatcher: Dispatcher) -> None:
    numbers = [str(number) for number in range(3 * MAX_FRAMES)]
    frames = [build_frame(TEXT, number.encode()) for number in numbers]
    with ScriptedPeer(said(*frames, build_frame(CLOSE, code(1000)))) as peer:
        recorded = RecordedApp(reactor, peer.url)
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", *["message"] * len(numbers), "error", "close"]
    assert [event[1] for event in recorded.events if event[0] == "message"] == numbers


def test_dispatcher_can_be_run_again(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": close})
        for _ in range(3):
            recorded.run(dispatcher=dispatcher)
            dispatcher.dispatch()
    assert recorded.names == ["open", "message", "close"] * 3


@pytest.mark.parametrize("tells", [True, False])
def test_dispatcher_that_ends_by_itself_is_asked_again(tells: bool) -> None:
    dispatcher = Dispatcher(tells=tells)
    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": close})
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", "message", "close"] * 2
    host(dispatcher).close()


def test_dispatcher_that_was_aborted_is_asked_again(dispatcher: Dispatcher) -> None:
    def on_message(app: Any, _: str) -> None:
        if len(recorded.of("message")) == 1:
            dispatcher.abort()
        else:
            app.close()

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": on_message})
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
        assert recorded.names == ["open", "message"]
        recorded.app.close()  # which asks the dispatcher for its service again
        dispatcher.dispatch()
        assert recorded.names == ["open", "message", "close"]
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", "message", "close"] * 2


def test_timers_of_a_dispatcher_drive_reconnecting(dispatcher: Dispatcher) -> None:
    refused = answer("HTTP/1.1 503 Busy", "Content-Length: 0")
    with ScriptedPeer(dropped(), refused, dropped(), HI) as peer:
        recorded = RecordedApp(
            reactor, peer.url, ("open", "reconnect", "message"), {"message": close}
        )
        recorded.run(dispatcher=dispatcher, reconnect=0.01)
        dispatcher.dispatch()
        assert peer.connections == 4
    assert recorded.names == ["open", "reconnect", "reconnect", "message"]


def test_timers_of_a_dispatcher_drive_pings(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(echo) as peer:
        recorded = RecordedApp(
            reactor,
            peer.url,
            reactions={"pong": lambda app, _: len(recorded.of("pong")) < 3 or app.close()},
        )
        recorded.run(dispatcher=dispatcher, ping_interval=0.02)
        dispatcher.dispatch()
    assert recorded.names == ["open", "pong", "pong", "pong", "close"]


def test_ping_timeout_on_a_dispatcher_is_reported(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(mute()) as peer:
        recorded = RecordedApp(reactor, peer.url)
        recorded.run(dispatcher=dispatcher, ping_interval=0.03, ping_timeout=0.02)
        dispatcher.dispatch()
    assert recorded.events == [
        ("open",),
        ("error", "WebSocketTimeoutException", "ping/pong timed out"),
        ("close", None, None),
    ]


@pytest.fixture
def timeless() -> Iterator[Dispatcher]:
    """A dispatcher that has no timeout()."""

    class Timeless(Dispatcher):
        timeout = None  # type: ignore[assignment]

    made = Timeless()
    yield made
    host(made).close()


def test_dispatcher_without_timers_drives_an_app(timeless: Dispatcher) -> None:
    with ScriptedPeer(HI, HI) as peer:
        drops = iter([lambda app, _: app.sock.abort(), close])
        recorded = RecordedApp(
            reactor, peer.url, reactions={"message": lambda *args: next(drops)(*args)}
        )
        recorded.run(dispatcher=timeless, reconnect=0.01)
        timeless.dispatch()
        assert peer.connections == 2
    assert recorded.events[-1] == ("close", 1000, None)


def test_dispatcher_without_timers_finds_a_dead_server(timeless: Dispatcher) -> None:
    before = set(threading.enumerate())
    with ScriptedPeer(mute()) as peer:
        recorded = RecordedApp(reactor, peer.url)
        recorded.run(dispatcher=timeless, ping_interval=0.03, ping_timeout=0.02)
        timeless.dispatch()
    assert ("error", "WebSocketTimeoutException", "ping/pong timed out") in recorded.events
    for thread in set(threading.enumerate()) - before:  # its time has been called off
        thread.join(10)
        assert not thread.is_alive()


def test_backoff_that_gives_up_lets_the_dispatcher_end(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(echo) as peer:
        url = peer.url
    recorded = RecordedApp(reactor, url)
    recorded.run(dispatcher=dispatcher, reconnect=reactor.Backoff(first=0.01, max_attempts=2))
    dispatcher.dispatch()
    assert recorded.names == ["error", "close"] * 3


def test_dispatcher_that_has_forgotten_its_timers(dispatcher: Dispatcher) -> None:
    """rel.init() does that."""
    fired: list[str] = []
    hosted = host(dispatcher)
    hosted.call_later(0.02, fired.append, "first")
    hosted.call_soon(dispatcher.abort)
    dispatcher.dispatch()
    dispatcher.forget_timers()
    while hosted.next_timeout():
        pass  # until that timer is due
    hosted.call_later(0.02, fired.append, "second")
    dispatcher.dispatch()
    assert fired == ["first", "second"]


def test_timer_that_is_earlier_than_the_one_waited_for(dispatcher: Dispatcher) -> None:
    hosted = host(dispatcher)
    hosted.call_later(60, print)
    dispatcher.timeout(0.02, hosted.call_later, 0.02, dispatcher.abort)
    dispatcher.dispatch()


def test_message_sent_by_a_timer_of_the_dispatcher(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(echo) as peer:
        recorded = RecordedApp(
            reactor,
            peer.url,
            reactions={
                "open": lambda app: dispatcher.timeout(0.01, app.send, "x"),
                "message": close,
            },
        )
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", "message", "close"]


def test_app_closed_by_a_timer_of_the_dispatcher(dispatcher: Dispatcher) -> None:
    with ScriptedPeer(mute()) as peer:
        recorded = RecordedApp(
            reactor,
            peer.url,
            reactions={"open": lambda app: dispatcher.timeout(0.01, lambda: app.close(timeout=0))},
        )
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", "close"]


def test_on_close_can_run_the_app_again(dispatcher: Dispatcher) -> None:
    def on_close(app: Any, *_: object) -> None:
        if len(recorded.of("close")) < 3:
            app.run_forever(dispatcher=dispatcher)

    with ScriptedPeer(said(build_frame(CLOSE, code(1000)))) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"close": on_close})
        recorded.run(dispatcher=dispatcher)
        dispatcher.dispatch()
    assert recorded.names == ["open", "error", "close"] * 3


def test_interrupt_in_a_callback_leaves_the_dispatcher(dispatcher: Dispatcher) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ScriptedPeer(HI) as peer:
        recorded = RecordedApp(reactor, peer.url, reactions={"message": interrupt})
        recorded.run(dispatcher=dispatcher)
        with pytest.raises(KeyboardInterrupt):
            dispatcher.dispatch()
        dispatcher.dispatch()  # what is left to be done, and then nothing
    assert recorded.events[-2:] == [("error", "KeyboardInterrupt", ""), ("close", None, None)]
    assert recorded.names.count("close") == 1


# --- rel, each time in a process of its own -------------------------------------------------------

PRELUDE = """
import sys
import threading
import {library} as websocket
import rel

url, ca_certs = sys.argv[1:]

def say(*args):
    print(*args, flush=True)

def stop(ws, *args):
    ws.close(timeout=0)
    rel.abort()

def app(**callbacks):
    return websocket.WebSocketApp(url, **callbacks)

def run(ws, **options):
    say(ws.run_forever(dispatcher=rel, **options))

def go():
    rel.signal(2, rel.abort)
    rel.dispatch()
    say("over")
"""


@contextmanager
def rel_program(library: str, url: str, program: str, ca_certs: str = "") -> Iterator[Any]:
    """Start a program in a process of its own; give the process."""
    text = PRELUDE.format(library=library) + dedent(program)
    process = subprocess.Popen(
        [sys.executable, "-c", text, url, ca_certs],
        cwd=Path(reactor.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def output_of(library: str, url: str, program: str, ca_certs: str = "") -> list[str]:
    """Run a program to its end; return the lines of its output."""
    with rel_program(library, url, program, ca_certs) as process:
        text, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        return str(text).splitlines()


@pytest.fixture(params=["reactor", "websocket"])
def name(request: pytest.FixtureRequest) -> str:
    """The library that a program imports."""
    return str(request.param)


def test_rel_drives_an_app(name: str) -> None:
    program = """
    def on_message(ws, message):
        say(message)
        if message == "three":
            stop(ws)

    def on_open(ws):
        say("open")
        for text in ("one", "two", "three"):
            ws.send(text)

    run(app(on_open=on_open, on_message=on_message), reconnect=5)
    go()
    """
    with serve_with_reactor() as url:
        lines = output_of(name, url, program)
    lines.remove("False")  # websocket-client connects before run_forever() returns
    assert lines == ["open", "one", "two", "three", "over"]


def test_rel_drives_several_apps(name: str) -> None:
    program = """
    left = set(range(5))

    def on_message(ws, message):
        left.discard(int(message))
        if not left:
            stop(ws)

    for number in range(5):
        run(app(on_open=lambda ws, number=number: ws.send(str(number)), on_message=on_message))
    go()
    say(left)
    """
    with serve_with_reactor() as url:
        assert output_of(name, url, program) == [*["False"] * 5, "over", "set()"]


def test_rel_drives_an_app_with_large_messages_over_tls(authority: Authority) -> None:
    program = """
    def on_message(ws, message):
        say(len(message))
        stop(ws)

    run(
        app(on_open=lambda ws: ws.send(bytes(1_000_000), 2), on_message=on_message),
        sslopt={"ca_certs": ca_certs},
    )
    go()
    """
    with serve_with_reactor(ssl=authority.server_context) as url:
        lines = output_of("reactor", url, program, authority.ca_file)
    assert lines == ["False", "1000000", "over"]


def test_rel_drives_reconnecting(name: str) -> None:
    program = """
    def on_message(ws, message):
        say(message)
        stop(ws)

    run(
        app(
            on_open=lambda ws: say("open"),
            on_reconnect=lambda ws: say("reconnect"),
            on_message=on_message,
        ),
        reconnect=0.01,
    )
    go()
    """
    with ScriptedPeer(dropped(), dropped(), HI) as peer:
        lines = output_of(name, peer.url, program)
    lines.remove("False")
    assert lines == ["open", "reconnect", "reconnect", "hi", "over"]


def test_rel_drives_pings(name: str) -> None:
    program = """
    pongs = []

    def on_pong(ws, data):
        pongs.append(data)
        if len(pongs) == 3:
            say(data)
            stop(ws)

    run(app(on_pong=on_pong), ping_interval=0.05, ping_payload="x")
    go()
    """
    with ScriptedPeer(echo) as peer:
        assert output_of(name, peer.url, program) == ["False", "b'x'", "over"]


def test_rel_hears_of_the_end_of_an_app(name: str) -> None:
    program = """
    def on_close(ws, code, reason):
        say(code, reason)
        rel.abort()

    run(app(on_error=lambda ws, error: say(error), on_close=on_close))
    go()
    """
    with ScriptedPeer(said(build_frame(CLOSE, code(4001, b"bye")))) as peer:
        lines = output_of(name, peer.url, program)
    assert lines == ["False", "Connection closed (code 4001): bye", "4001 bye", "over"]


def test_rel_and_a_ping_timeout() -> None:
    program = """
    def on_close(ws, code, reason):
        say(code, reason)
        rel.abort()

    run(
        app(on_error=lambda ws, error: say(error), on_close=on_close),
        ping_interval=0.05,
        ping_timeout=0.04,
    )
    go()
    """
    with ScriptedPeer(mute()) as peer:
        lines = output_of("reactor", peer.url, program)
    assert lines == ["False", "ping/pong timed out", "None None", "over"]


def test_rel_is_used_twice() -> None:
    program = """
    def on_message(ws, message):
        say(message)
        stop(ws)

    for _ in range(2):
        run(app(on_message=on_message))
        go()
    rel.init()
    run(app(on_message=on_message))
    go()
    """
    with ScriptedPeer(HI) as peer:
        lines = output_of("reactor", peer.url, program)
    assert lines == ["False", "hi", "over"] * 3


def test_rel_and_another_thread() -> None:
    program = """
    def on_open(ws):
        threading.Thread(target=ws.send, args=("x",)).start()

    def on_message(ws, message):
        say(message)
        threading.Thread(target=ws.close).start()

    def on_close(ws, code, reason):
        say(code, reason)
        rel.abort()

    run(app(on_open=on_open, on_message=on_message, on_close=on_close))
    go()
    """
    with serve_with_reactor() as url:
        assert output_of("reactor", url, program) == ["False", "x", "1000 None", "over"]


def test_rel_and_ctrl_c(name: str) -> None:
    program = """
    run(app(on_open=lambda ws: say("open"), on_message=lambda ws, message: say(message)))
    go()
    """
    with (
        ScriptedPeer(HI) as peer,
        rel_program(name, peer.url, program) as process,
    ):
        lines = iter(process.stdout.readline, "")
        assert next(line for line in lines if line == "hi\n")
        process.send_signal(signal.SIGINT)
        assert next(lines) == "over\n"
        process.wait(PATIENCE)
        assert process.returncode == 0


def test_rel_and_an_interrupt_in_a_callback() -> None:
    program = """
    def on_message(ws, message):
        raise SystemExit(7)

    run(
        app(
            on_message=on_message,
            on_error=lambda ws, error: say(type(error).__name__),
            on_close=lambda ws, code, reason: say(code, reason),
        )
    )
    try:
        go()
    except SystemExit as exc:
        say(exc.code)
    """
    with ScriptedPeer(HI) as peer:
        lines = output_of("reactor", peer.url, program)
    assert lines == ["False", "SystemExit", "None None", "7"]


def test_dispatchers_are_freed_with_their_reactors() -> None:
    gc.collect()
    descriptors = open_descriptors()
    references: list[weakref.ref[Any]] = []
    for _ in range(20):
        made = Dispatcher()
        references += [weakref.ref(made), weakref.ref(host(made))]
        host(made).close()
    del made
    gc.collect()
    assert [reference() for reference in references] == [None] * 40
    assert open_descriptors() == descriptors
