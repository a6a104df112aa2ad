"""The event loop: what other threads may call, and what it holds.

The turn has its own module, test_turn.py; so have signals and Ctrl-C, test_interrupts_signals.py,
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

from ..support.driving import replace_method
from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.logged import loop_errors
from ..support.sockets import Sockets

every_selector = pytest.mark.parametrize(
    "make_selector", list(SELECTORS.values()), ids=list(SELECTORS)
)


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


# --- what it holds, and what it is given ----------------------------------------------------------


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


@pytest.mark.parametrize("name", ["now", "time", "dirty"])
def test_a_subclass_does_not_hide_what_every_turn_looks_at(name: str) -> None:
    with pytest.raises(TypeError, match=f"Own.{name} would hide an attribute"):
        type("Own", (EventLoop,), {name: 0.0})


@pytest.mark.parametrize(
    ("given", "says"),
    [("1", r"not the str '1' \(did you mean 1\?\)"), ("soon", "the str 'soon'"), (None, "None")],
)
def test_a_time_that_is_no_number_is_an_error_that_names_it(given: Any, says: str) -> None:
    loop = EventLoop()
    try:
        with pytest.raises(TypeError, match=f"delay must be a number of seconds, .*{says}"):
            loop.call_later(given, print)
        with pytest.raises(TypeError, match=f"when must be a number of seconds, .*{says}"):
            loop.call_at(given, print)
    finally:
        loop.close()


def test_a_subclass_may_have_names_of_its_own() -> None:
    own = type("Own", (EventLoop,), {"owned": 5, "__doc__": "A loop."})
    loop = own()
    assert (loop.owned, loop.now) == (5, loop.now)  # type: ignore[attr-defined]
    loop.close()


@pytest.mark.parametrize("name", ["add_reader", "add_writer"])
def test_who_looks_after_sockets_that_others_close_hears_of_a_new_one_first(
    loop: EventLoop, sockets: Sockets, name: str
) -> None:
    """See hosting/verbs.py."""
    sock = sockets.pair()[0]
    told: list[tuple[int, int]] = []
    loop._before_watching = lambda fd: told.append((fd, loop.stats().readers))
    getattr(loop, name)(sock.fileno(), print)
    assert told == [(sock.fileno(), 0)]
    loop.remove_reader(sock.fileno())
    loop.remove_writer(sock.fileno())


def test_what_cannot_be_flushed_between_two_turns_is_logged_and_the_rest_is(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []

    class Transport:
        def __init__(self, *errors: Exception) -> None:
            self.errors = list(errors)

        def flush(self) -> None:
            log.append("flushed")
            if self.errors:
                raise self.errors.pop()

    loop.dirty.append(Transport())
    error = OSError("broken")
    loop.flush_soon(Transport(error))
    assert log == ["flushed", "flushed"]
    assert loop_errors(caplog) == [error]
    assert "exception in callback <" in caplog.text


def test_what_a_callback_writes_waits_until_it_has_returned(loop: EventLoop) -> None:
    log: list[str] = []

    class Transport:
        def flush(self) -> None:
            log.append("flushed")

    def work() -> None:
        loop.flush_soon(Transport())
        log.append("returned")

    loop.call_soon(work)
    loop.run_once(0)
    assert log == ["returned", "flushed"]
