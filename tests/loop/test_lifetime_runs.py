"""How a loop is run, stopped and closed. Its last moment is in test_lifetime_exit.py."""

from __future__ import annotations

import signal
import threading
from typing import ClassVar

import pytest

from reactor.loop.event_loop import EventLoop
from reactor.timers import ManualClock

from ..support.driving import as_library_code
from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.leaks import nothing_left
from ..support.logged import loop_errors
from ..support.sockets import Sockets
from ..support.sources import KINDS, Sources
from ..support.threads import Background

every_selector = pytest.mark.parametrize(
    "make_selector", list(SELECTORS.values()), ids=list(SELECTORS)
)
every_kind = pytest.mark.parametrize("kind", KINDS)


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
    running = Background(loop.run_forever)
    begun = threading.Event()
    loop.call_soon_threadsafe(begun.set)
    assert begun.wait(10)
    loop.stop()
    running.result()
    loop.close()


def test_stop_after_close_does_nothing(loop: EventLoop) -> None:
    loop.close()
    loop.stop()


# --- running ------------------------------------------------------------------------------------


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


def test_a_run_until_idle_does_not_wait_for_sockets_that_were_closed_without_notice(
    loop: EventLoop, sockets: Sockets
) -> None:
    """What looks after those says so: see hosting/verbs.py."""
    fd = sockets.pair()[0].fileno()
    loop.add_reader(fd, print)
    loop._before_turn = lambda: loop.remove_reader(fd)
    loop.run_until_idle()
    assert loop.stats().turns == 0


# --- between two turns --------------------------------------------------------------------------


def test_a_loop_with_naps_may_take_one_before_each_turn_of_a_run() -> None:
    class Naps:
        taken: ClassVar[list[int]] = []

        def take(self) -> None:
            self.taken.append(loop.stats().turns)

    loop = EventLoop(clock=ManualClock(1000.0))
    loop.nap = Naps()  # type: ignore[assignment]
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    loop.run_once(0)
    assert Naps.taken == [0, 1]
    loop.close()


def test_ctrl_c_after_the_last_turn_is_not_lost(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    turn = loop._turn

    def last_turn(limit: float | None) -> None:
        turn(limit)
        # By name: a function of this module would count as the user's code.
        signal.raise_signal(signal.SIGINT)
        log.append("the loop's own code is not torn apart")

    monkeypatch.setattr(loop, "_turn", as_library_code(last_turn, "loop"))
    loop.call_soon(loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert log == ["the loop's own code is not torn apart"]
    monkeypatch.undo()
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("debug", [True, False])
def test_while_a_loop_runs_debug_mode_tells_other_threads_that_it_is_not_theirs(
    debug: bool,
) -> None:
    loop = EventLoop(debug=debug)
    found: list[str] = []

    def ask() -> None:
        try:
            loop._check_thread()
        except RuntimeError as exc:
            found.append(str(exc))

    Background(ask).result()  # nobody's, as long as it does not run
    loop.call_soon(ask)
    loop.call_soon(lambda: Background(ask).result())
    loop.run_once(0)
    reason = "called from a thread that does not run the event loop; use call_soon_threadsafe()"
    assert found == [reason] * debug
    loop.close()
