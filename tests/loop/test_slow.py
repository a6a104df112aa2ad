"""Callbacks that hold up the loop are named in the log: in debug mode, or if asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from reactor import Reactor, WebSocketProtocol
from reactor.loop.event_loop import EventLoop
from reactor.loop.slow import SlowCallbacks
from reactor.timers import ManualClock

from ..support.sockets import Sockets
from ..support.sources import KINDS, Sources


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of the loop."""
    for record in caplog.records:
        assert (record.name, record.levelno) == ("reactor.loop", logging.WARNING)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("debug", [True, False])
def test_a_slow_handler_is_named_in_debug_mode(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    class Slow(WebSocketProtocol):
        def on_close(self, code: int, reason: str) -> None:
            clock.advance(0.25)

    with Reactor(clock=clock, debug=debug) as loop:
        slow = loop.connect("ws://127.0.0.1:9/", Slow)
        slow.close()
        loop.run_once(0)
    found = warnings(caplog)
    assert len(found) == debug
    if debug:
        assert "Slow.on_close" in found[0]
        assert "took 0.250 seconds" in found[0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop, callback: loop.call_soon(callback),
        lambda loop, callback: loop.call_soon_threadsafe(callback),
        lambda loop, callback: loop.call_later(0, callback),
        lambda loop, callback: loop.call_at(0, callback),
        lambda loop, callback: loop.call_later(delay=0, callback=callback),
    ],
)
def test_so_is_a_slow_callback(
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    ask: Callable[[Reactor, Callable[[], object]], object],
) -> None:
    def dawdle() -> None:
        clock.advance(1.5)

    with Reactor(clock=clock, slow_callback=1.0) as loop:
        ask(loop, dawdle)
        loop.run_once(0)
    (line,) = warnings(caplog)
    assert "dawdle" in line


def test_what_is_quick_enough_is_not(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    with Reactor(clock=clock, debug=True) as loop:
        loop.call_soon(clock.advance, 0.05)
        loop.run_once(0)
    assert caplog.records == []


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_calls_it_a_slow_callback_is_named_once(
    clock: ManualClock, sockets: Sockets, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    loop = EventLoop(clock=clock, slow_callback=0.1)

    def dawdle() -> None:
        clock.advance(0.2)

    Sources(loop, clock, sockets).arrange(kind, dawdle)
    loop.run_once(0)
    (line,) = warnings(caplog)
    assert line.endswith("took 0.200 seconds: nothing else could run meanwhile")
    loop.close()


def test_a_call_within_another_one_is_the_one_to_blame(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop = EventLoop(clock=clock, slow_callback=0.1)
    assert loop.slow is not None
    inner = loop.slow.timed(lambda: clock.advance(0.3), lambda: "the inner one")
    loop.call_soon(loop.slow.timed(inner, lambda: "the outer one"))
    loop.run_once(0)
    (line,) = warnings(caplog)
    assert line.startswith("the inner one took 0.300 seconds")
    loop.close()


def test_what_it_raises_is_raised_and_it_is_named(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop = EventLoop(clock=clock)
    slow = SlowCallbacks(loop, 0.1)

    def fail() -> None:
        clock.advance(0.2)
        raise LookupError

    with pytest.raises(LookupError):
        slow.timed(fail, lambda: "fail")()
    assert len(warnings(caplog)) == 1
    loop.close()


def test_a_call_without_a_callback_is_the_same_error_as_ever(clock: ManualClock) -> None:
    loop = EventLoop(clock=clock, slow_callback=0.1)
    with pytest.raises(TypeError, match="callback"):
        loop.call_later(1.0)  # type: ignore[call-arg]
    assert loop.stats().timers == 0
    loop.close()


class Handlers:
    """Has one handler."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def on_message(self) -> None:
        """Take long."""
        self._clock.advance(0.2)

    def __repr__(self) -> str:
        return "<handlers>"


def test_the_handlers_of_an_object_are_timed_once_although_it_is_used_again(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop = EventLoop(clock=clock, slow_callback=0.1)
    assert loop.slow is not None
    handlers = Handlers(clock)
    for _ in range(2):
        loop.slow.watch(handlers, ["on_message"])
    timed = handlers.on_message
    loop.slow.watch(handlers, ["on_message"])
    assert handlers.on_message is timed
    handlers.on_message()
    (line,) = warnings(caplog)
    assert line.startswith("Handlers.on_message of <handlers> took 0.200 seconds")
    loop.close()
