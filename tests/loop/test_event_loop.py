"""The event loop: stop, threads, and how it is run.

The turn has its own module, test_turn.py; so have signals and Ctrl-C, test_event_loop_signals.py,
and hosts, test_event_loop_hosted.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor.loop.event_loop import EventLoop
from reactor.loop.stats import LoopStats
from reactor.timers import ManualClock

from ..support.driving import replace_method
from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.leaks import nothing_left
from ..support.logged import loop_errors
from ..support.sockets import Sockets
from ..support.sources import KINDS, Sources

every_selector = pytest.mark.parametrize(
    "make_selector", list(SELECTORS.values()), ids=list(SELECTORS)
)
every_kind = pytest.mark.parametrize("kind", KINDS)


@contextmanager
def running_in_thread(loop: EventLoop) -> Iterator[threading.Thread]:
    """Run the loop in another thread, and stop it at the end."""
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield thread
    finally:
        loop.stop()
        thread.join(10)
        assert not thread.is_alive()


# --- stop ---------------------------------------------------------------------------------------


@every_kind
def test_stop_from_any_callback_ends_the_run_after_the_turn(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    ran: list[str] = []
    sources.arrange(kind, loop.stop)
    for each in KINDS:
        sources.arrange(each, ran.append, each)
    loop.run_forever()
    assert sorted(ran) == sorted(KINDS)
    assert loop.stats().turns == 1
    # It is obeyed once.
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    assert loop.stats().turns == 3


def test_stop_before_the_run_ends_it_before_its_first_turn(loop: EventLoop) -> None:
    ran: list[str] = []
    loop.call_soon(ran.append, "call")
    loop.stop()
    loop.run_forever()
    assert ran == []
    assert loop.stats().turns == 0
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["call"]


def test_a_stop_that_waits_for_the_next_run_keeps_no_single_turn_waiting(loop: EventLoop) -> None:
    loop.stop()
    loop.run_once(None)
    loop.run_once(None)
    loop.run_forever()
    assert loop.stats().turns == 2


@every_selector
def test_stop_from_another_thread_wakes_the_loop(make_selector: SelectorFactory) -> None:
    loop = EventLoop(selector=make_selector())
    with running_in_thread(loop):
        run_through = threading.Event()
        loop.call_soon_threadsafe(run_through.set)
        assert run_through.wait(10)
    loop.close()


def test_stop_after_close_does_nothing(loop: EventLoop) -> None:
    loop.close()
    loop.stop()


# --- threads ------------------------------------------------------------------------------------


@every_selector
def test_calls_from_another_thread_wake_a_sleeping_loop(make_selector: SelectorFactory) -> None:
    loop = EventLoop(selector=make_selector())
    ran_on: list[int] = []

    def note() -> None:
        ran_on.append(threading.get_ident())

    with running_in_thread(loop) as thread:
        for _ in range(100):
            done = threading.Event()
            loop.call_soon_threadsafe(note)
            loop.call_soon_threadsafe(done.set)
            assert done.wait(10)
        assert ran_on == [thread.ident] * 100
    loop.close()


def test_calls_from_many_threads_keep_the_order_of_each_thread(real: EventLoop) -> None:
    threads, calls = 8, 500
    got: list[tuple[int, int]] = []

    def note(thread: int, number: int) -> None:
        got.append((thread, number))
        if len(got) == threads * calls:
            real.stop()

    def work(thread: int) -> None:
        for number in range(calls):
            real.call_soon_threadsafe(note, thread, number)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    real.run_forever()
    for worker in workers:
        worker.join()
    for n in range(threads):
        assert [number for thread, number in got if thread == n] == list(range(calls))


def test_a_call_that_comes_while_the_turn_prepares_to_sleep_is_not_overslept(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a signal handler or a finalizer, on the loop's own thread."""
    ran: list[str] = []
    real_poll = loop.poller.poll

    def poll(timeout: float | None) -> Any:
        if not ran:
            loop.call_soon_threadsafe(ran.append, "call")
        return real_poll(timeout)

    replace_method(loop.poller, "poll", poll)
    loop.run_once(None)
    assert ran == ["call"]


def test_more_wake_ups_than_the_pair_can_hold_do_not_block(loop: EventLoop) -> None:
    ran: list[int] = []
    for number in range(5000):
        loop.call_soon_threadsafe(ran.append, number)
    loop.run_once(None)
    assert ran == list(range(5000))
    for _ in range(5000 // 4096 + 1):
        loop.run_once(0)
    assert not loop.poller.poll(0), "wake-ups are left over"


def test_a_wake_up_that_finds_nothing_does_no_harm(loop: EventLoop) -> None:
    loop.wakeup.drain()


def test_after_close_a_call_from_a_thread_raises_at_once(loop: EventLoop) -> None:
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon_threadsafe(print)


def test_a_wake_up_that_fails_is_not_swallowed(loop: EventLoop) -> None:
    loop.wakeup._sender.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        loop.stop()


@every_selector
def test_the_loop_runs_in_any_thread_and_in_another_one_the_next_time(
    make_selector: SelectorFactory,
) -> None:
    loop = EventLoop(selector=make_selector(), debug=True)
    ran_on: list[int | None] = []

    def note() -> None:
        ran_on.append(threading.get_ident())
        loop.call_soon(loop.stop)  # checked in debug mode

    loop.call_soon(note)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    thread.join(10)
    assert loop.thread_id == thread.ident
    loop.call_soon(note)
    loop.run_forever()
    assert ran_on == [thread.ident, threading.get_ident()]
    assert loop.thread_id == threading.get_ident()
    loop.close()


METHODS: dict[str, Callable[[EventLoop], object]] = {
    "add_reader": lambda loop: loop.add_reader(0, print),
    "add_writer": lambda loop: loop.add_writer(0, print),
    "remove_reader": lambda loop: loop.remove_reader(0),
    "remove_writer": lambda loop: loop.remove_writer(0),
    "call_soon": lambda loop: loop.call_soon(str),
    "call_later": lambda loop: loop.call_later(1, print),
    "call_at": lambda loop: loop.call_at(1, print),
}


def error_in_a_thread(function: Callable[[EventLoop], object], loop: EventLoop) -> str:
    """What the function raises when another thread calls it while the loop runs."""
    found: list[str] = []

    def work() -> None:
        try:
            function(loop)
        except RuntimeError as exc:
            found.append(str(exc))

    def start_and_wait() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    loop.call_soon(start_and_wait)
    loop.run_once(0)
    return "".join(found)


@pytest.mark.parametrize("name", METHODS)
def test_debug_mode_refuses_calls_from_foreign_threads_while_the_loop_runs(name: str) -> None:
    loop = EventLoop(debug=True)
    assert "call_soon_threadsafe" in error_in_a_thread(METHODS[name], loop)
    assert loop.stats() == LoopStats(turns=1, readers=0, writers=0, timers=0, calls=0)
    loop.close()


@pytest.mark.parametrize("name", METHODS)
def test_debug_mode_allows_everything_on_the_loops_thread(name: str, sockets: Sockets) -> None:
    loop = EventLoop(debug=True)
    sockets.callback(loop.close)
    ran: list[str] = []

    def work() -> None:
        if name.startswith("add"):
            getattr(loop, name)(sockets.pair()[0].fileno(), print)
        else:
            METHODS[name](loop)
        ran.append(name)

    loop.call_soon(work)
    loop.run_once(0)
    assert ran == [name]


def test_debug_mode_allows_call_soon_threadsafe_from_everywhere() -> None:
    loop = EventLoop(debug=True)
    assert error_in_a_thread(lambda loop: loop.call_soon_threadsafe(str), loop) == ""
    assert loop.stats().calls == 1
    loop.close()


def test_without_debug_mode_nothing_is_checked() -> None:
    loop = EventLoop(debug=False)
    assert error_in_a_thread(METHODS["call_later"], loop) == ""
    assert loop.stats().timers == 1
    loop.close()


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("", False), (None, False)])
def test_the_environment_switches_debug_mode_on(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool
) -> None:
    if value is None:
        monkeypatch.delenv("REACTOR_DEBUG", raising=False)
    else:
        monkeypatch.setenv("REACTOR_DEBUG", value)
    loop = EventLoop()
    assert loop.debug is expected
    loop.close()


# --- running ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["run_forever", "run_once"])
def test_the_loop_cannot_run_within_itself_and_survives_the_attempt(
    loop: EventLoop, run: str, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[bool] = [loop.running]
    loop.call_soon(getattr(loop, run))
    loop.call_soon(lambda: states.append(loop.running))
    loop.call_soon(loop.stop)
    loop.run_forever()
    states.append(loop.running)
    assert states == [False, True, False]
    [error] = loop_errors(caplog)
    assert isinstance(error, RuntimeError)
    assert "running already" in str(error)


@pytest.mark.parametrize("run", ["run_forever", "run_once"])
def test_a_closed_loop_does_not_run(loop: EventLoop, run: str) -> None:
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        getattr(loop, run)()


def test_a_running_loop_cannot_be_closed(loop: EventLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop.call_soon(loop.close)
    loop.run_once(0)
    [error] = loop_errors(caplog)
    assert isinstance(error, RuntimeError)
    loop.run_once(0)


@every_selector
def test_close_releases_every_descriptor_and_may_be_called_again(
    make_selector: SelectorFactory, sockets: Sockets
) -> None:
    sock = sockets.readable()
    with nothing_left():
        loop = EventLoop(selector=make_selector())
        loop.add_reader(sock.fileno(), print)
        loop.run_once(0)
        loop.close()
        loop.close()


def test_a_closed_loop_holds_nothing(loop: EventLoop, sockets: Sockets) -> None:
    sock = sockets.readable()
    loop.add_reader(sock.fileno(), print)
    loop.add_writer(sock.fileno(), print)
    loop.call_soon(print)
    loop.close()
    stats = loop.stats()
    assert (stats.readers, stats.writers, stats.calls) == (0, 0, 0)
    # Whoever cleans up later than the loop is not punished for it.
    assert loop.remove_reader(sock.fileno()) is False
    assert loop.remove_writer(sock.fileno()) is False


def test_stats_count_what_the_loop_holds(loop: EventLoop, sockets: Sockets) -> None:
    assert loop.stats() == LoopStats(turns=0, readers=0, writers=0, timers=0, calls=0)
    fd = sockets.pair()[0].fileno()
    loop.add_reader(fd, print)
    loop.add_writer(sockets.pair()[0].fileno(), print)
    loop.add_writer(fd, lambda: None)
    loop.call_later(1.0, print)
    loop.call_later(2.0, print).cancel()
    loop.call_soon(print)
    loop.call_soon_threadsafe(print)
    assert loop.stats() == LoopStats(turns=0, readers=1, writers=2, timers=1, calls=2)


def test_the_loops_own_wake_up_is_not_counted_as_anybodys_reader(loop: EventLoop) -> None:
    loop.stop()
    loop.run_once(None)
    assert loop.stats() == LoopStats(turns=1, readers=0, writers=0, timers=0, calls=0)


def test_close_aborts_what_lingers(loop: EventLoop) -> None:
    log: list[str] = []

    class Lingering:
        def __init__(self, name: str) -> None:
            self.name = name

        def abort(self) -> None:
            log.append(self.name)
            loop.lingering.discard(self)

    loop.lingering.update([Lingering("first"), Lingering("second")])
    loop.close()
    assert sorted(log) == ["first", "second"]


# --- until idle ---------------------------------------------------------------------------------


def test_a_run_until_idle_ends_at_once_when_there_is_nothing_to_wait_for(loop: EventLoop) -> None:
    loop.run_until_idle()
    assert loop.stats().turns == 0


def test_a_run_until_idle_sees_calls_timers_and_descriptors_through(
    loop: EventLoop, clock: ManualClock, sockets: Sockets
) -> None:
    log: list[str] = []
    ours, theirs = sockets.pair()

    def call() -> None:
        log.append("call")
        loop.call_later(0.5, timer)
        clock.advance(1.0)

    def timer() -> None:
        log.append("timer")
        loop.add_writer(ours.fileno(), writer)

    def writer() -> None:
        log.append("writer")
        loop.remove_writer(ours.fileno())
        loop.add_reader(ours.fileno(), reader)
        theirs.send(b"x")

    def reader() -> None:
        log.append("reader")
        loop.remove_reader(ours.fileno())

    loop.call_soon(call)
    loop.run_until_idle()
    assert log == ["call", "timer", "writer", "reader"]


def test_a_run_until_idle_does_not_wait_for_a_timer_that_was_cancelled(loop: EventLoop) -> None:
    timer = loop.call_later(3600.0, print)
    loop.call_soon(timer.cancel)
    loop.run_until_idle()
    assert loop.stats().turns == 1


def test_a_run_until_idle_runs_timers_that_an_interrupt_has_left_over(
    loop: EventLoop, clock: ManualClock
) -> None:
    log: list[str] = []

    def fail() -> None:
        raise KeyboardInterrupt

    loop.call_later(0.001, fail)
    loop.call_later(0.001, log.append, "left over")
    clock.advance(1.0)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_idle()
    loop.run_until_idle()
    assert log == ["left over"]


def test_stop_ends_a_run_until_idle_too(loop: EventLoop, sockets: Sockets) -> None:
    loop.add_reader(sockets.pair()[0].fileno(), print)
    loop.call_soon(loop.stop)
    loop.run_until_idle()
    assert loop.stats().turns == 1


@pytest.mark.parametrize("name", ["now", "time", "dirty"])
def test_a_subclass_does_not_hide_what_every_turn_looks_at(name: str) -> None:
    with pytest.raises(TypeError, match=f"Own.{name} would hide an attribute"):
        type("Own", (EventLoop,), {name: 0.0})
