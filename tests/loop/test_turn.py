"""One turn of the event loop: its phases, their order, and what may go wrong in them.

All of it runs over every selector that the platform offers.
"""

from __future__ import annotations

import math
import os
import random
import socket
import time
from typing import Any

import pytest

from reactor.loop.event_loop import EventLoop
from reactor.loop.turn import MAX_SLEEP, note_longest
from reactor.timers import ManualClock, Timer

from ..support.driving import replace_method, run_until
from ..support.every_selector import SELECTORS
from ..support.logged import loop_errors
from ..support.sockets import Sockets, drain, take_number
from ..support.sources import KINDS, Sources

every_selector = pytest.mark.parametrize(
    "make_selector", list(SELECTORS.values()), ids=list(SELECTORS)
)
every_kind = pytest.mark.parametrize("kind", KINDS)


class Transport:
    """What a transport is to the loop: it collects what is written, and is flushed."""

    def __init__(self, loop: EventLoop, log: list[Any], name: str = "flush") -> None:
        self.loop = loop
        self.log = log
        self.name = name
        self.output: list[str] = []
        self.error: Exception | None = None

    def write(self, data: str) -> None:
        self.output.append(data)
        if len(self.output) == 1:
            self.loop.flush_soon(self)

    def flush(self) -> None:
        data, self.output = "".join(self.output), []
        self.log.append((self.name, data))
        if self.error is not None:
            raise self.error


# --- the turn -----------------------------------------------------------------------------------


def test_a_turn_serves_descriptors_then_timers_then_calls(
    loop: EventLoop, sources: Sources
) -> None:
    log: list[str] = []
    for kind in ("call", "timer", "writer"):
        sources.arrange(kind, log.append, kind)
    loop.run_once(0)
    assert log == ["writer", "timer", "call"]


def test_what_looks_at_sockets_that_others_close_is_called_first(
    loop: EventLoop, sources: Sources
) -> None:
    """See hosting/verbs.py."""
    log: list[str] = []
    loop._before_turn = lambda: log.append("before")
    for kind in KINDS:
        sources.arrange(kind, log.append, kind)
    loop.run_once(0)
    assert log[0] == "before"
    assert sorted(log[1:]) == sorted(KINDS)


def test_an_interrupt_that_waits_leaves_at_the_end_of_the_turn(loop: EventLoop) -> None:
    log: list[str] = []
    loop.call_soon(setattr, loop, "_interrupted", True)
    loop.call_soon(log.append, "the rest of the turn")
    with pytest.raises(KeyboardInterrupt):
        loop.run_once(0)
    assert log == ["the rest of the turn"]
    loop.run_once(0)


@every_kind
def test_the_longest_callback_is_noted(
    loop: EventLoop, sources: Sources, clock: ManualClock, kind: str
) -> None:
    sources.arrange(kind, clock.advance, 2.0)
    loop.run_once(0)
    assert loop.stats().longest_callback == 2.0
    note_longest(loop, print, 0.0, 1.0)  # a twin does not know of those in turns within its own
    assert loop.stats().longest_callback == 2.0


def test_each_callback_gets_its_arguments(loop: EventLoop, sockets: Sockets) -> None:
    log: list[tuple[Any, ...]] = []

    def note(*args: Any) -> None:
        log.append(args)

    fd = sockets.readable().fileno()
    loop.add_reader(fd, note, "reader", 1)
    loop.add_writer(fd, note, "writer", 2)
    loop.call_later(0, note, "later", 3)
    loop.call_at(0, note, "at", 4)
    loop.call_soon(note, "soon", 5)
    loop.call_soon_threadsafe(note, "threadsafe", 6)
    loop.run_once(0)
    assert set(log[:2]) == {("reader", 1), ("writer", 2)}
    assert log[2:] == [("later", 3), ("at", 4), ("soon", 5), ("threadsafe", 6)]


def test_calls_that_are_queued_by_calls_wait_for_the_next_turn(loop: EventLoop) -> None:
    log: list[str] = []

    def first() -> None:
        log.append("first")
        loop.call_soon(log.append, "third")

    loop.call_soon(first)
    loop.call_soon(log.append, "second")
    loop.run_once(0)
    assert log == ["first", "second"]
    loop.run_once(0)
    assert log == ["first", "second", "third"]


@pytest.mark.parametrize("kind", ["reader", "writer", "timer"])
def test_calls_that_are_queued_before_the_calls_phase_run_in_it(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    log: list[str] = []
    sources.arrange(kind, loop.call_soon, log.append, "call")
    loop.run_once(0)
    assert log == ["call"]


def test_a_chain_of_calls_does_not_starve_descriptors_and_timers(
    loop: EventLoop, sources: Sources
) -> None:
    log: list[str] = []

    def chain() -> None:
        log.append("chain")
        loop.call_soon(chain)

    chain()
    sources.arrange("reader", log.append, "reader")
    sources.arrange("timer", log.append, "timer")
    loop.run_once(0)
    assert log == ["chain", "reader", "timer", "chain"]


def test_the_time_of_a_turn_is_read_once_after_the_poll(
    loop: EventLoop, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []

    def slow() -> None:
        clock.advance(0.25)
        seen.append((loop.now, loop.time()))

    real_poll = loop.poller.poll

    def poll(timeout: float | None) -> Any:
        clock.advance(3.0)
        return real_poll(0)

    replace_method(loop.poller, "poll", poll)
    loop.call_soon(slow)
    loop.call_soon(slow)
    loop.run_once(0)
    assert seen == [(1003.0, 1003.25), (1003.0, 1003.5)]


def test_a_descriptors_callback_may_take_itself_and_others_away(
    loop: EventLoop, sockets: Sockets
) -> None:
    called: list[socket.socket] = []
    both = [sockets.readable(), sockets.readable()]

    def remove_all(sock: socket.socket) -> None:
        called.append(sock)
        for each in both:
            assert loop.remove_reader(each.fileno())
            assert loop.remove_writer(each.fileno())

    for sock in both:
        loop.add_reader(sock.fileno(), remove_all, sock)
        loop.add_writer(sock.fileno(), remove_all, sock)
    loop.run_once(0)
    loop.run_once(0)
    assert len(called) == 1
    assert loop.stats().readers == loop.stats().writers == 0


def test_a_reader_may_take_the_writer_of_its_descriptor_away_and_remain(
    loop: EventLoop, sockets: Sockets
) -> None:
    log: list[str] = []
    fd = sockets.readable().fileno()

    def read() -> None:
        log.append("reader")
        loop.remove_writer(fd)

    loop.add_reader(fd, read)
    loop.add_writer(fd, log.append, "writer")
    loop.run_once(0)
    loop.run_once(0)
    assert log == ["reader", "reader"]


def test_a_handler_that_is_replaced_within_the_batch_is_not_called_any_more(
    loop: EventLoop, sockets: Sockets
) -> None:
    log: list[str] = []
    fds = [sockets.readable().fileno(), sockets.readable().fileno()]

    def replace_all() -> None:
        log.append("old")
        for fd in fds:
            loop.add_reader(fd, log.append, "new")

    for fd in fds:
        loop.add_reader(fd, replace_all)
    loop.run_once(0)
    assert log == ["old", "new"]


def test_a_hang_up_wakes_reader_and_writer(loop: EventLoop, sockets: Sockets) -> None:
    log: list[str] = []
    ours, theirs = sockets.stuffed()
    loop.add_reader(ours.fileno(), log.append, "reader")
    loop.add_writer(ours.fileno(), log.append, "writer")
    loop.run_once(0)
    assert log == []
    theirs.close()
    loop.run_once(0)
    assert log == ["reader", "writer"]


# --- descriptors that are used again ------------------------------------------------------------


@pytest.mark.parametrize("new", ["reader", "writer", "both"])
@pytest.mark.parametrize("old", ["reader", "writer", "both"])
@pytest.mark.parametrize("ours_by", ["the loop's methods", "the poller"])
def test_events_of_a_closed_descriptor_do_not_reach_the_next_owner_of_its_number(
    loop: EventLoop, sockets: Sockets, old: str, new: str, ours_by: str
) -> None:
    """Two sockets are ready; whichever is served first closes the other one, whose number goes
    to a third that is not ready: nothing must call its handlers, as if it were connected.
    """
    calls: list[str] = []
    doomed = [sockets.readable(), sockets.readable()]
    reborn, peer = sockets.stuffed()
    successors: list[socket.socket] = []

    def close_the_other(me: int) -> None:
        calls.append("old")
        for sock in doomed:
            fd = sock.fileno()
            if fd == me:
                remove(fd)
                continue
            remove(fd)
            sock.close()
            successors.append(sockets.enter_context(take_number(reborn, fd)))
            if new != "writer":
                loop.add_reader(fd, calls.append, "new reader")
            if new != "reader":
                loop.add_writer(fd, calls.append, "new writer")

    def remove(fd: int) -> None:
        if ours_by == "the poller":
            loop.poller.remove(fd)
        else:
            loop.remove_reader(fd)
            loop.remove_writer(fd)

    for sock in doomed:
        if old != "writer":
            loop.add_reader(sock.fileno(), close_the_other, sock.fileno())
        if old != "reader":
            loop.add_writer(sock.fileno(), close_the_other, sock.fileno())
    loop.run_once(0)
    assert calls == ["old"]
    loop.run_once(0)
    assert calls == ["old"]
    peer.send(b"x")
    drain(peer)
    loop.run_once(0)
    expected = {
        "reader": ["new reader"],
        "writer": ["new writer"],
        "both": ["new reader", "new writer"],
    }[new]
    assert calls == ["old", *expected]
    loop.poller.remove(successors[0].fileno())


def test_a_reader_that_closes_its_own_descriptor_hands_no_event_to_the_next_owner(
    loop: EventLoop, sockets: Sockets
) -> None:
    calls: list[str] = []
    sock = sockets.readable()
    reborn, peer = sockets.stuffed()
    fd = sock.fileno()

    def read() -> None:
        calls.append("old reader")
        loop.poller.remove(fd)
        sock.close()
        sockets.enter_context(take_number(reborn, fd))
        loop.add_writer(fd, calls.append, "new writer")

    loop.add_reader(fd, read)
    loop.add_writer(fd, calls.append, "old writer")
    loop.run_once(0)
    loop.run_once(0)
    assert calls == ["old reader"]
    drain(peer)
    loop.run_once(0)
    assert calls == ["old reader", "new writer"]
    loop.remove_writer(fd)


@pytest.mark.parametrize("what", ["a regular file", "a closed descriptor"])
def test_what_cannot_be_watched_is_refused_and_does_not_end_the_loop(
    loop: EventLoop, sockets: Sockets, what: str, tmp_path: Any
) -> None:
    log: list[str] = []
    other = sockets.readable()
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    if what == "a closed descriptor":
        os.close(number)
    for add in (loop.add_reader, loop.add_writer):
        with pytest.raises(OSError):
            add(number, log.append, "refused")
    if what == "a regular file":
        os.close(number)
    loop.add_reader(other.fileno(), log.append, "other")
    loop.run_once(0)
    assert log == ["other"]
    with take_number(other, number):
        loop.add_writer(number, log.append, "successor")
        loop.run_once(0)
        assert sorted(log) == ["other", "other", "successor"]
        assert loop.remove_writer(number)


# --- timers -------------------------------------------------------------------------------------


def test_a_timer_is_never_early_and_late_by_less_than_a_tick(
    loop: EventLoop, clock: ManualClock
) -> None:
    rng = random.Random(7)
    due: list[float] = []
    fired: list[float] = []

    def fire(when: float) -> None:
        assert clock.now() >= when
        fired.append(when)

    for _ in range(300):
        delay = rng.choice([0.0, rng.random() / 100, rng.random(), rng.randrange(300) / 1000])
        when = clock.now() + delay
        due.append(when)
        if rng.random() < 0.5:
            loop.call_later(delay, fire, when)
        else:
            loop.call_at(when, fire, when)
    while len(fired) < len(due):
        clock.advance(rng.choice([1e-7, 0.0003, 0.001, 0.0171]))
        loop.run_once(0)
        late = {when for when in due if when <= clock.now() - 0.001}
        assert late <= set(fired)
    assert sorted(fired) == sorted(due)


def test_timers_run_in_the_order_in_which_they_are_due(loop: EventLoop, clock: ManualClock) -> None:
    log: list[str] = []
    loop.call_later(0.3, log.append, "third")
    loop.call_later(0.1, log.append, "first")
    loop.call_later(0.2, log.append, "second")
    loop.call_later(0.3, log.append, "fourth")
    clock.advance(1.0)
    loop.run_once(0)
    assert log == ["first", "second", "third", "fourth"]


def test_all_timers_that_are_due_are_collected_before_any_of_them_runs(
    loop: EventLoop, clock: ManualClock
) -> None:
    log: list[str] = []

    def first() -> None:
        log.append("first")
        clock.advance(10.0)
        loop.call_at(0, log.append, "armed for the past")
        loop.call_later(0, log.append, "armed for now")

    loop.call_later(1.0, first)
    loop.call_later(1.0, log.append, "second")
    loop.call_later(5.0, log.append, "due while the first one runs")
    clock.advance(1.0)
    loop.run_once(0)
    assert log == ["first", "second"]
    loop.run_once(0)
    assert log[2:] == ["armed for the past", "due while the first one runs", "armed for now"]


def test_a_chain_of_zero_delays_starves_neither_descriptors_nor_calls(
    loop: EventLoop, sockets: Sockets
) -> None:
    log: list[str] = []

    def chain() -> None:
        log.append("timer")
        loop.call_later(0, chain)
        loop.call_soon(log.append, "call")

    loop.call_later(0, chain)
    loop.add_reader(sockets.readable().fileno(), log.append, "reader")
    for _ in range(3):
        loop.run_once(None)
    assert log == ["reader", "timer", "call"] * 3


def test_a_timer_that_an_earlier_one_of_its_batch_cancels_does_not_run(
    loop: EventLoop, clock: ManualClock
) -> None:
    log: list[str] = []
    timers: list[Timer] = []
    loop.call_later(1.0, lambda: timers[0].cancel())
    timers.append(loop.call_later(1.0, log.append, "cancelled"))
    loop.call_later(1.0, log.append, "third")
    clock.advance(1.0)
    loop.run_once(0)
    assert log == ["third"]


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_a_timer_that_a_descriptors_callback_cancels_does_not_run(
    loop: EventLoop, sources: Sources, clock: ManualClock, kind: str
) -> None:
    log: list[str] = []
    timer = loop.call_later(0.001, log.append, "timer")
    clock.advance(1.0)
    sources.arrange(kind, timer.cancel)
    loop.run_once(0)
    assert log == []
    assert not timer.active


def test_on_the_real_clock_too_no_timer_is_early(real: EventLoop) -> None:
    lateness: list[float] = []

    def fire(due: float) -> None:
        lateness.append(time.monotonic() - due)

    for delay in (0.004, 0.0015, 0.0):
        real.call_later(delay, fire, time.monotonic() + delay)
    run_until(real, lambda: len(lateness) == 3)
    assert min(lateness) >= 0


# --- how long a turn waits ----------------------------------------------------------------------


@pytest.fixture
def asked(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """What the poller was asked to wait. It does not wait."""
    timeouts: list[float | None] = []

    def poll(timeout: float | None) -> list[tuple[int, int]]:
        timeouts.append(timeout)
        return []

    replace_method(loop.poller, "poll", poll)
    return timeouts


@pytest.mark.parametrize(
    ("limit", "timer", "expected"),
    [
        (None, None, None),
        (0, None, 0),
        (2.5, None, 2.5),
        (None, 1.0, 1.0),
        (2.5, 1.0, 1.0),
        (0.5, 1.0, 0.5),
        (0.0, 1.0, 0.0),
        (None, 0.0, 0.0),
        (None, -5.0, 0.0),
        (2.5, -5.0, 0.0),
        (-1.0, None, 0.0),
        (-1.0, 1.0, 0.0),
        (None, 10 * MAX_SLEEP, MAX_SLEEP),
        (10 * MAX_SLEEP, None, MAX_SLEEP),
        (math.inf, None, MAX_SLEEP),
        (math.inf, 1.0, 1.0),
    ],
)
def test_a_turn_waits_for_the_first_timer_at_most_and_not_beyond_its_limit(
    loop: EventLoop,
    asked: list[float | None],
    limit: float | None,
    timer: float | None,
    expected: float | None,
) -> None:
    if timer is not None:
        loop.call_later(timer, print)
    loop.run_once(limit)
    assert asked == [expected]


def test_a_turn_does_not_wait_while_calls_are_queued(
    loop: EventLoop, asked: list[float | None]
) -> None:
    loop.call_soon(loop.call_soon, lambda: None)
    loop.run_once(None)
    loop.run_once(5.0)
    loop.run_once(None)
    assert asked == [0.0, 0.0, None]


def test_the_next_timeout_says_when_the_loop_has_something_to_do_by_itself(
    loop: EventLoop, clock: ManualClock
) -> None:
    assert loop.next_timeout() is None
    timer = loop.call_later(1.5, print)
    assert loop.next_timeout() == pytest.approx(1.5)
    clock.advance(1.0)
    assert loop.next_timeout() == pytest.approx(0.5)
    clock.advance(1.0)
    assert loop.next_timeout() == 0.0
    timer.cancel()
    loop.run_once(0)
    assert loop.next_timeout() is None
    loop.call_soon(str)
    assert loop.next_timeout() == 0.0
    loop.run_once(0)
    assert loop.next_timeout() is None
    loop.stop()  # is for run_forever(): a host would spin if it were told to hurry until then
    assert loop.next_timeout() is None


def test_a_limited_turn_on_the_real_clock_waits_as_long_as_it_was_told(real: EventLoop) -> None:
    start = time.monotonic()
    real.run_once(0.0012)
    assert time.monotonic() - start >= 0.0012
    assert real.stats().turns == 1


def test_a_turn_ends_as_soon_as_something_happens(loop: EventLoop, sockets: Sockets) -> None:
    log: list[str] = []
    loop.add_reader(sockets.readable().fileno(), log.append, "reader")
    loop.run_once(None)
    loop.run_once(1e9)
    assert log == ["reader", "reader"]


# --- callbacks that raise -----------------------------------------------------------------------


@every_kind
def test_an_exception_is_logged_once_and_the_rest_of_the_batch_still_runs(
    loop: EventLoop, sources: Sources, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    error = ValueError("on purpose")

    def fail() -> None:
        ran.append("failing")
        raise error

    sources.arrange(kind, ran.append, "first")
    sources.arrange(kind, fail)
    sources.arrange(kind, ran.append, "last")
    loop.run_once(0)
    assert sorted(ran) == ["failing", "first", "last"]
    assert loop_errors(caplog) == [error]
    assert error.__traceback__ is not None
    loop.run_once(0)
    assert len(caplog.records) == 1


def test_a_reader_that_always_fails_does_not_starve_the_writer_of_its_descriptor(
    loop: EventLoop, sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    fd = sockets.readable().fileno()

    def fail() -> None:
        raise ValueError("on purpose")

    loop.add_reader(fd, fail)
    loop.add_writer(fd, log.append, "writer")
    loop.run_once(0)
    loop.run_once(0)
    assert log == ["writer", "writer"]
    assert len(loop_errors(caplog)) == 2


@every_kind
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_leaves_the_loop_which_goes_on_with_nothing_lost(
    loop: EventLoop,
    sources: Sources,
    kind: str,
    error: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[str] = []

    def fail() -> None:
        ran.append("failing")
        raise error

    for each in KINDS:
        sources.arrange(each, ran.append, f"{each} before")
    sources.arrange(kind, fail)
    for each in KINDS:
        sources.arrange(each, ran.append, f"{each} after")
    with pytest.raises(error):
        loop.run_forever()
    assert not loop.running
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.run_once(0)
    expected = [f"{each} {when}" for each in KINDS for when in ("before", "after")]
    assert sorted(ran) == sorted([*expected, "failing"])
    assert caplog.records == []


def test_timers_that_an_interrupt_has_left_over_run_first_and_can_still_be_cancelled(
    loop: EventLoop, clock: ManualClock
) -> None:
    log: list[str] = []

    def fail() -> None:
        raise KeyboardInterrupt

    loop.call_later(0.001, fail)
    loop.call_later(0.002, log.append, "left over")
    doomed = loop.call_later(0.003, log.append, "cancelled")
    clock.advance(1.0)
    with pytest.raises(KeyboardInterrupt):
        loop.run_once(0)
    assert loop.next_timeout() == 0.0
    assert loop.stats().timers == 2
    loop.call_at(0, log.append, "armed since")
    doomed.cancel()
    loop.run_once(None)
    assert log == ["left over", "armed since"]


@every_kind
def test_a_stop_that_an_interrupt_overtakes_does_not_end_the_next_run(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    ran: list[str] = []

    def leave() -> None:
        loop.stop()
        raise SystemExit

    sources.arrange(kind, leave)
    with pytest.raises(SystemExit):
        loop.run_forever()
    loop.call_soon(ran.append, "call")
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["call"]


# --- writes that leave together -----------------------------------------------------------------


@every_kind
def test_what_one_callback_writes_is_flushed_together_after_it(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    log: list[Any] = []
    transport = Transport(loop, log)

    def write() -> None:
        transport.write("a")
        transport.write("b")
        log.append("written")

    sources.arrange(kind, write)
    sources.arrange(kind, write)
    loop.run_once(0)
    assert log == ["written", ("flush", "ab")] * 2
    assert loop.dirty == []


@every_kind
def test_what_a_callback_writes_before_it_fails_is_flushed_after_it(
    loop: EventLoop, sources: Sources, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []
    transport = Transport(loop, log)

    def write_and_fail() -> None:
        transport.write("a")
        log.append("written")
        raise ValueError("on purpose")

    sources.arrange(kind, write_and_fail)
    sources.arrange(kind, write_and_fail)
    loop.run_once(0)
    assert log == ["written", ("flush", "a")] * 2
    assert len(loop_errors(caplog)) == 2


@every_kind
def test_a_flush_that_fails_is_logged_once_and_stays_with_its_transport(
    loop: EventLoop, sources: Sources, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []
    healthy, broken = Transport(loop, log, "healthy"), Transport(loop, log, "broken")
    broken.error = ValueError("on purpose")

    def write() -> None:
        broken.write("x")
        healthy.write("y")
        broken.loop.flush_soon(broken)

    sources.arrange(kind, write)
    sources.arrange(kind, log.append, "next")
    loop.run_once(0)
    assert log.count(("healthy", "y")) == 1
    assert log.count("next") == 1
    assert [entry for entry in log if entry[0] == "broken"] == [("broken", "x"), ("broken", "")]
    assert loop_errors(caplog) == [broken.error] * 2
    assert loop.dirty == []


def test_what_a_flush_makes_others_write_is_flushed_too(loop: EventLoop) -> None:
    log: list[Any] = []
    second = Transport(loop, log, "second")

    class Chained(Transport):
        def flush(self) -> None:
            super().flush()
            second.write("b")

    first = Chained(loop, log, "first")
    loop.call_soon(first.write, "a")
    loop.run_once(0)
    assert log == [("first", "a"), ("second", "b")]


def test_outside_of_a_turn_a_write_is_flushed_at_once(loop: EventLoop) -> None:
    log: list[Any] = []
    Transport(loop, log).write("a")
    assert log == [("flush", "a")]
    assert loop.dirty == []


@pytest.mark.parametrize("broken", [False, True])
def test_what_an_interrupted_callback_has_written_is_flushed_before_the_next_poll(
    loop: EventLoop, caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    log: list[Any] = []
    transport = Transport(loop, log)
    transport.error = ValueError("on purpose") if broken else None

    def write() -> None:
        transport.write("a")
        raise KeyboardInterrupt

    loop.call_soon(write)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert log == []
    assert loop.next_timeout() == 0.0
    loop.call_soon(log.append, "call")
    loop.run_once(0)
    assert log == [("flush", "a"), "call"]
    assert loop_errors(caplog) == ([transport.error] if broken else [])
