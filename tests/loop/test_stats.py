"""What the loop says of itself: busy time, late timers, the longest callback and whose it was."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import pytest

from reactor import HTTPResponse, Reactor, State, WebSocketApp, WebSocketProtocol
from reactor.feeds import Feed
from reactor.loop.event_loop import EventLoop
from reactor.loop.names import describe
from reactor.loop.stats import LoopStats
from reactor.testing import ManualReactor
from reactor.timers import ManualClock

from ..support.driving import run_until
from ..support.scene import Actor, Scene, text


def test_the_longest_callback_is_named(loop: EventLoop, clock: ManualClock) -> None:
    def short() -> None:
        clock.advance(0.25)

    def long() -> None:
        clock.advance(2.0)

    for callback in (short, long, partial(short)):
        loop.call_soon(callback)
    loop.run_once(0)
    stats = loop.stats()
    assert stats.longest_callback == 2.0
    assert stats.longest_callback_of.endswith("test_the_longest_callback_is_named.<locals>.long")
    assert stats.longest_callback_at == 1002.25
    loop.call_soon(short)
    loop.run_once(0)
    assert loop.stats().longest_callback == 2.0


def test_busy_is_the_time_in_callbacks(loop: EventLoop, clock: ManualClock) -> None:
    loop.call_soon(clock.advance, 3.0)
    loop.run_once(0)
    clock.advance(1.0)
    before = loop.stats()
    assert before.busy == 3.0
    assert before.busy_share == 0.75
    loop.call_later(0.0, clock.advance, 1.0)
    loop.run_once(0)
    clock.advance(1.0)
    after = loop.stats()
    assert after.busy_share_since(before) == 0.5
    assert after.busy_share_since(after) == 0.0


def test_a_timer_is_late_by_what_has_kept_the_loop(loop: EventLoop, clock: ManualClock) -> None:
    loop.call_later(1.0, clock.advance, 0.5)
    loop.call_later(1.0, print)
    loop.call_later(1.0, print).cancel()
    clock.advance(1.25)
    loop.run_once(0)
    lag = loop.stats().timer_lag
    assert (lag.count, lag.least, lag.most) == (2, 0.25, 0.75)


def test_readers_and_writers_are_timed(loop: EventLoop, clock: ManualClock) -> None:
    near, far = socket.socketpair()
    with near, far:
        loop.add_writer(near.fileno(), clock.advance, 1.5)
        loop.run_once(0)
        loop.remove_writer(near.fileno())
        assert loop.stats().longest_callback == 1.5
        far.send(b"x")
        loop.add_reader(near.fileno(), clock.advance, 2.5)
        loop.run_once(0)
        loop.remove_reader(near.fileno())
    assert loop.stats().longest_callback == 2.5
    assert loop.stats().busy == 4.0


def test_a_callback_that_raises_is_timed_too(loop: EventLoop, clock: ManualClock) -> None:
    def fail() -> None:
        clock.advance(5.0)
        raise ValueError

    loop.report = lambda exc, source: None  # type: ignore[method-assign]
    loop.call_soon(fail)
    loop.run_once(0)
    assert loop.stats().longest_callback == 5.0


def test_a_slow_handler_is_blamed_by_its_class_and_where_it_is_connected(scene: Scene) -> None:
    class Slow(WebSocketProtocol):
        def on_message(self, message: str | bytes) -> None:
            scene.clock.advance(2.0)

    slow = Slow()
    peer = scene.open(slow, url="ws://scene/path?token=secret")
    peer.send(text("a"))
    scene.turn()
    name = scene.loop.stats().longest_callback_of
    assert name.startswith("Stream._read for ")
    assert name.endswith("Slow on ws://scene/path")
    slow.abort()


class SlowToOpen(WebSocketProtocol):
    """Takes a second to open, on the loop's manual clock."""

    def on_open(self) -> None:
        self.loop.clock.advance(1.0)  # type: ignore[attr-defined]


def test_a_slow_on_open_is_blamed_in_both_roles() -> None:
    with ManualReactor() as loop:
        listener = loop.listen("127.0.0.1", 0, WebSocketProtocol)
        url = f"ws://127.0.0.1:{listener.port}/path"
        client = loop.connect(f"{url}?token=secret", SlowToOpen, proxy=None)
        loop.run_until(lambda: client.state is State.OPEN)
        assert loop.stats().longest_callback_of.endswith(f" for SlowToOpen on {url}")
    with ManualReactor() as loop:
        listener = loop.listen("127.0.0.1", 0, SlowToOpen)
        client = loop.connect(f"ws://127.0.0.1:{listener.port}/path", WebSocketProtocol, proxy=None)
        loop.run_until(lambda: client.state is State.OPEN)
        assert loop.stats().longest_callback_of.endswith(" for SlowToOpen on /path")


def test_a_slow_check_of_a_request_is_blamed_on_the_opening_handshake() -> None:
    with ManualReactor() as loop:

        def slow(request: object, sock: object) -> HTTPResponse:
            loop.clock.advance(1.0)
            return HTTPResponse(403)

        listener = loop.listen("127.0.0.1", 0, WebSocketProtocol, process_request=slow)
        client = loop.connect(f"ws://127.0.0.1:{listener.port}/", WebSocketProtocol, proxy=None)
        loop.run_until(lambda: client.ending)
        named = " for the opening handshake of 127.0.0.1:"
        assert named in loop.stats().longest_callback_of


class SlowFeed(Feed):
    """Takes a second for each message, on the loop's manual clock."""

    heard = False

    def parse(self, message: object, link: object) -> None:
        self.loop.clock.advance(1.0)  # type: ignore[attr-defined]
        self.heard = True


class Greets(WebSocketProtocol):
    """Says something first."""

    def on_open(self) -> None:
        self.loop.call_soon(self.send, "hello")


def test_feeds_and_apps_are_blamed_by_their_own_names() -> None:
    with ManualReactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Greets)
        url = f"ws://127.0.0.1:{listener.port}/"
        feed = SlowFeed(loop, url, proxy=None)
        feed.subscribe("topic")
        loop.run_until(lambda: feed.heard)
        assert loop.stats().longest_callback_of.endswith(f" for SlowFeed on {url}")

        def on_message(app: WebSocketApp, message: str) -> None:
            loop.clock.advance(2.0)
            app.close()

        app = WebSocketApp(url, on_message=on_message)
        app.run_forever(dispatcher=loop, http_no_proxy=["*"])
        loop.run_until(lambda: loop.stats().longest_callback >= 2.0)
        assert loop.stats().longest_callback_of.endswith(f" for WebSocketApp on {url}")


def test_what_is_called_every_now_and_then_and_after_a_thread_is_named() -> None:
    with ManualReactor() as loop:
        timer = loop.call_every(1.0, loop.clock.advance, 3.0)
        loop.clock.advance(1.0)
        loop.run_once(0)
        assert loop.stats().longest_callback_of == "RepeatingTimer.fire for ManualClock.advance"
        timer.cancel()
        done: list[object] = []

        def then(result: object, error: object) -> None:
            loop.clock.advance(4.0)
            done.append(result)

        loop.run_in_thread(int, then=then)
        loop.run_until(lambda: done)
        assert loop.stats().longest_callback_of == "Task._thread_done for int"


def test_with_the_real_clock_there_is_something_of_everything() -> None:
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, WebSocketProtocol)
        loop.connect(f"ws://127.0.0.1:{listener.port}/", WebSocketProtocol, proxy=None)
        run_until(loop, lambda: bool(listener.protocols))
        stats = loop.stats()
        assert stats.since < stats.now
        assert 0.0 < stats.busy < stats.now - stats.since
        assert 0.0 < stats.longest_callback <= stats.busy
        assert stats.longest_callback_of
        assert 0.0 < stats.busy_share < 1.0


def test_a_clock_that_jumps_ahead_leaves_shares_within_bounds(
    loop: EventLoop, clock: ManualClock
) -> None:
    before = loop.stats()
    loop.call_soon(clock.advance, 1e9)
    loop.run_once(0)
    stats = loop.stats()
    assert stats.busy_share == stats.busy_share_since(before) == 1.0


def test_a_clock_that_is_set_back_is_no_time() -> None:
    class Backwards:
        def __init__(self) -> None:
            self.time = 1000.0

        def now(self) -> float:
            self.time -= 0.001
            return self.time

    loop = EventLoop(clock=Backwards())
    loop.call_later(0.0, print)
    for _ in range(3):
        loop.call_soon(print)
        loop.run_once(0)
    stats = loop.stats()
    assert (stats.busy, stats.longest_callback, stats.busy_share) == (0.0, 0.0, 0.0)
    loop.close()


def test_snapshots_are_compared_by_what_the_loop_holds() -> None:
    assert LoopStats(1, 2, 3, 4, 5, now=6.0) == LoopStats(1, 2, 3, 4, 5, now=7.0)


class Nasty:
    """A callback that does not want to be looked at."""

    def __call__(self) -> None: ...

    def __repr__(self) -> str:
        raise AssertionError

    def whose(self) -> str:
        raise AssertionError


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (print, "print"),
        (partial(partial(print)), "print"),
        (Nasty(), "Nasty"),
        (Nasty().__call__, "Nasty.__call__"),
        ("".join, "str.join"),
    ],
)
def test_names_of_callbacks(callback: Any, name: str) -> None:
    assert describe(callback) == name


def test_a_timed_callback_keeps_its_name_in_debug_mode(clock: ManualClock) -> None:
    loop = EventLoop(clock=clock, slow_callback=100.0)
    loop.call_soon(clock.advance, 1.0)
    loop.run_once(0)
    assert loop.stats().longest_callback_of == "ManualClock.advance"
    loop.close()


def test_it_can_be_read_in_a_handler_and_after_the_end(scene: Scene) -> None:
    seen = []
    actor = Actor(open=lambda actor: seen.append(scene.loop.stats().open))
    scene.open(actor)
    assert seen == [1]
    actor.abort()
    scene.loop.close()
    assert scene.loop.stats().ended == 1
