"""Tasks: the awaitable steps on both drivers, cancelling, and the helper threads.

One suite of coroutines runs on both drivers: on an event loop, and blocking. Time is a manual
clock, which the driver's harness advances when nothing else can happen, except where helper
threads take part.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from types import coroutine
from typing import Any, TypeVar

import pytest

import reactor.loop.tasks
from reactor.exceptions import WebSocketTimeoutException
from reactor.loop.answers import Answer, Later
from reactor.loop.event_loop import EventLoop
from reactor.loop.helper_threads import HelperThreads, helpers
from reactor.loop.poller import wait_for
from reactor.loop.share import SHARE, TurnShare
from reactor.loop.steps import (
    InThread,
    Now,
    Wait,
    Yielded,
    in_thread,
    my_turn,
    note,
    now,
    sleep,
    wait,
)
from reactor.loop.tasks import Task, run_blocking
from reactor.loop.turn import run_handlers
from reactor.timers import Clock, ManualClock, MonotonicClock

from ..support.driving import run_until
from ..support.guard import SocketGuard
from ..support.leaks import HELPER, nothing_left
from ..support.sockets import Sockets, closed_number, drain

T = TypeVar("T")
Driver = Callable[[Coroutine[Any, Any, T]], T]
Outcome = tuple[Any, Exception | None]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def loop(clock: ManualClock, _nothing_left: None) -> Iterator[EventLoop]:
    """A loop on the manual clock."""
    loop = EventLoop(clock=clock)
    yield loop
    loop.close()


@pytest.fixture
def real_loop(_nothing_left: None) -> Iterator[EventLoop]:
    """A loop on the real clock."""
    loop = EventLoop()
    yield loop
    loop.close()


def outcomes(loop: EventLoop, coroutine: Coroutine[Any, Any, Any]) -> list[Outcome]:
    """Start a task; what it delivers will be found in the list."""
    found: list[Outcome] = []
    Task(loop, coroutine, lambda result, exc: found.append((result, exc)))
    return found


def watched(loop: EventLoop) -> tuple[int, int, int]:
    """How many readers, writers and timers there are."""
    stats = loop.stats()
    return stats.readers, stats.writers, stats.timers


def run_on_manual_loop(loop: EventLoop, clock: ManualClock, coroutine: Any) -> Any:
    """Run a coroutine as a task, and advance the clock whenever there is nothing else to do."""
    found = outcomes(loop, coroutine)
    for _ in range(1000):
        loop.run_once(0)
        if found:
            break
        if not loop.poller.poll(0) and not loop.stats().calls:
            timeout = loop.next_timeout()
            assert timeout is not None, "this would wait for ever"
            clock.advance(timeout)
    return unpack(loop, found)


def run_on_real_loop(loop: EventLoop, coroutine: Any) -> Any:
    found = outcomes(loop, coroutine)
    run_until(loop, lambda: found, 20)
    return unpack(loop, found)


def unpack(loop: EventLoop, found: list[Outcome]) -> Any:
    assert len(found) == 1
    assert watched(loop) == (0, 0, 0)
    [(result, exc)] = found
    if exc is not None:
        assert result is None
        raise exc
    return result


@pytest.fixture(params=["on the loop", "blocking"])
def run(
    request: pytest.FixtureRequest, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Driver[Any]:
    """Runs a coroutine to its end on the manual clock."""
    if request.param == "on the loop":
        loop = request.getfixturevalue("loop")
        return lambda coroutine: run_on_manual_loop(loop, clock, coroutine)

    def wait_at_once(reads: Any, writes: Any, timeout: float | None) -> set[int]:
        ready = wait_for(reads, writes, 0)
        if not ready:
            assert timeout is not None, "this would wait for ever"
            clock.advance(timeout)
        return ready

    monkeypatch.setattr(reactor.loop.tasks, "wait_for", wait_at_once)
    return lambda coroutine: run_blocking(coroutine, clock)


@pytest.fixture(params=["on the loop", "blocking"])
def run_really(request: pytest.FixtureRequest) -> Driver[Any]:
    """Runs a coroutine to its end on the real clock."""
    if request.param == "blocking":
        return run_blocking
    loop = request.getfixturevalue("real_loop")
    return lambda coroutine: run_on_real_loop(loop, coroutine)


# --- results ------------------------------------------------------------------------------------


def test_the_result_is_handed_over(run: Driver[Any]) -> None:
    async def work() -> str:
        return "result"

    assert run(work()) == "result"


def test_what_the_coroutine_raises_is_handed_over_with_its_traceback(run: Driver[Any]) -> None:
    async def fail() -> None:
        await now()
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose") as caught:
        run(fail())
    assert "fail" in [entry.name for entry in caught.traceback]


def test_steps_may_be_nested_in_other_coroutines(run: Driver[Any], sockets: Sockets) -> None:
    async def inner(fd: int) -> set[int]:
        await sleep(1.0)
        return await wait([fd])

    async def outer() -> set[int]:
        return await inner(sockets.readable().fileno())

    assert len(run(outer())) == 1


def test_the_first_step_waits_for_the_loops_next_calls(loop: EventLoop) -> None:
    log: list[str] = []

    async def work() -> None:
        log.append("started")

    found = outcomes(loop, work())
    assert log == []
    loop.run_once(0)
    assert log == ["started"]
    assert found == [(None, None)]


def test_whoever_is_called_by_the_loop_may_run_the_first_step(loop: EventLoop) -> None:
    delivered: list[Any] = []

    async def work() -> str:
        await wait(until=100.0)
        return "result"

    task = Task(loop, work(), lambda *outcome: delivered.append(outcome), soon=False)
    loop.run_once(0)
    assert watched(loop) == (0, 0, 0)
    loop.call_soon(task.start)
    loop.run_once(0)
    assert watched(loop) == (0, 0, 1)
    loop.run_once(0)
    assert delivered == [("result", None)]


def test_a_task_that_was_cancelled_is_not_started(loop: EventLoop) -> None:
    async def work() -> None:
        raise AssertionError("this was cancelled")

    task = Task(loop, work(), print, soon=False)
    task.cancel()
    task.start()
    assert task.done


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_leaves_the_loop_and_ends_the_task(
    loop: EventLoop, error: type[BaseException]
) -> None:
    delivered: list[Any] = []

    async def leave() -> None:
        raise error

    task = Task(loop, leave(), lambda *outcome: delivered.append(outcome))
    with pytest.raises(error):
        loop.run_forever()
    assert task.done
    assert delivered == []
    task.cancel()
    loop.run_once(0)
    assert delivered == []


def test_an_exception_of_on_done_is_the_callbacks_own(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        """Nothing."""

    calls: list[Any] = []

    def on_done(*outcome: Any) -> None:
        calls.append(outcome)
        raise ValueError("on purpose")

    task = Task(loop, work(), on_done)
    loop.run_once(0)
    loop.run_once(0)
    assert calls == [(None, None)]
    assert task.done
    assert len(caplog.records) == 1


# --- wait ---------------------------------------------------------------------------------------


def test_wait_returns_a_descriptor_that_is_readable(run: Driver[Any], sockets: Sockets) -> None:
    silent, readable = sockets.pair()[0], sockets.readable()
    fds = [silent.fileno(), readable.fileno()]
    assert run(wait(reads=fds)) == {readable.fileno()}


def test_wait_returns_a_descriptor_that_is_writable(run: Driver[Any], sockets: Sockets) -> None:
    stuffed, writable = sockets.stuffed()[0], sockets.pair()[0]
    fds = [stuffed.fileno(), writable.fileno()]
    assert run(wait(writes=fds)) == {writable.fileno()}


def test_wait_takes_a_descriptor_for_both_directions(run: Driver[Any], sockets: Sockets) -> None:
    ours, theirs = sockets.stuffed()
    fd = ours.fileno()
    log: list[set[int]] = []

    async def work() -> None:
        log.append(await wait([fd], [fd], until=await now() + 1.0))
        theirs.send(b"x")
        log.append(await wait([fd], [fd]))
        drain(ours)
        drain(theirs)
        log.append(await wait([fd], [fd]))
        log.append(await wait([fd], until=await now() + 1.0))

    run(work())
    assert log == [set(), {fd}, {fd}, set()]


def test_wait_returns_some_of_the_descriptors_that_are_ready(
    run: Driver[Any], sockets: Sockets
) -> None:
    fds = {sockets.readable().fileno() for _ in range(3)}
    ready = run(wait(sorted(fds), sorted(fds)))
    assert ready
    assert ready <= fds


def test_wait_returns_when_the_peer_hangs_up(run: Driver[Any], sockets: Sockets) -> None:
    ours, theirs = sockets.stuffed()
    theirs.close()
    fd = ours.fileno()
    assert run(wait([fd])) == {fd}
    assert run(wait([], [fd])) == {fd}


def test_wait_comes_back_empty_handed_at_until_and_not_before(
    run: Driver[Any], sockets: Sockets, clock: ManualClock
) -> None:
    ours, theirs = sockets.stuffed()
    until = clock.now() + 1.23456
    assert run(wait([ours.fileno()], [ours.fileno()], until)) == set()
    assert until <= clock.now() < until + 0.001
    theirs.send(b"x")
    assert run(wait([ours.fileno()])) == {ours.fileno()}


def test_wait_can_just_wait(run: Driver[Any], clock: ManualClock) -> None:
    assert run(wait(until=clock.now() + 5.0)) == set()
    assert clock.now() == pytest.approx(105.0)


def test_wait_until_a_time_that_has_passed_only_looks(
    run: Driver[Any], sockets: Sockets, clock: ManualClock
) -> None:
    readable, silent = sockets.readable().fileno(), sockets.pair()[0].fileno()
    assert run(wait([silent], until=clock.now())) == set()
    assert run(wait([silent], until=0.0)) == set()
    assert run(wait([readable, silent], until=0.0)) == {readable}
    assert clock.now() == pytest.approx(100.0, abs=0.002)


@pytest.mark.parametrize(
    "deadlines", [(103.0, 103.0), (103.0, 101.0), (101.0, 103.0), (101.0, None, 103.0)]
)
def test_each_wait_has_the_deadline_that_it_was_given(
    run: Driver[Any], clock: ManualClock, sockets: Sockets, deadlines: tuple[float | None, ...]
) -> None:
    """Whatever those before it had, which ended in time."""
    readable, silent = sockets.readable().fileno(), sockets.pair()[0].fileno()

    async def work() -> set[int]:
        for until in deadlines[:-1]:
            assert await wait([readable], until=until) == {readable}
        return await wait([silent], until=deadlines[-1])

    assert run(work()) == set()
    assert deadlines[-1] is not None
    assert 0 <= clock.now() - deadlines[-1] <= 0.0011


def test_a_wait_without_a_deadline_is_not_ended_by_that_of_the_one_before(
    loop: EventLoop, clock: ManualClock, sockets: Sockets
) -> None:
    readable, (silent, peer) = sockets.readable().fileno(), sockets.pair()

    async def work() -> set[int]:
        await wait([readable], until=101.0)
        return await wait([silent.fileno()])

    found = outcomes(loop, work())
    loop.run_once(0)
    loop.run_once(0)
    assert watched(loop) == (1, 0, 0)
    clock.advance(10.0)
    loop.run_once(0)
    assert found == []
    peer.send(b"x")
    loop.run_once(0)
    assert found == [({silent.fileno()}, None)]


def test_a_deadline_that_is_no_time_does_not_cost_the_next_step_its_own(
    run: Driver[Any], clock: ManualClock, sockets: Sockets
) -> None:
    readable, silent = sockets.readable().fileno(), sockets.pair()[0].fileno()

    async def work() -> set[int]:
        await wait([readable], until=101.0)
        try:
            await wait([readable], until=float("nan"))
        except ValueError:
            """Only the loop minds."""
        return await wait([silent], until=101.0)

    assert run(work()) == set()
    assert 0 <= clock.now() - 101.0 <= 0.0011


def test_a_deadline_that_has_passed_ends_the_next_wait_for_it_too(
    run: Driver[Any], clock: ManualClock, sockets: Sockets
) -> None:
    silent = sockets.pair()[0].fileno()

    async def work() -> list[set[int]]:
        return [await wait([silent], until=101.0) for _ in range(2)]

    assert run(work()) == [set(), set()]
    assert 0 <= clock.now() - 101.0 <= 0.0021


def test_a_task_has_one_timer_for_all_that_has_the_same_deadline(
    loop: EventLoop, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *args: Any) -> Any:
        armed.append(when)
        return call_at(when, *args)

    monkeypatch.setattr(loop, "call_at", counted)
    readable = sockets.readable().fileno()

    async def work() -> None:
        for _ in range(3):
            await wait([readable], until=105.0)

    found = outcomes(loop, work())
    run_until(loop, lambda: found)
    assert armed == [105.0]
    assert watched(loop) == (0, 0, 0)


def test_wait_has_no_limit_on_the_number_of_a_descriptor(
    run: Driver[Any], sockets: Sockets
) -> None:
    fd = sockets.high(sockets.readable()).fileno()
    assert run(wait([fd])) == {fd}
    assert run(wait([], [fd])) == {fd}


@pytest.mark.parametrize("what", ["closed", "closed object", "regular file"])
@pytest.mark.parametrize("direction", ["reads", "writes"])
def test_a_descriptor_that_cannot_be_waited_for_is_an_error_inside_of_the_coroutine(
    run: Driver[Any], sockets: Sockets, what: str, direction: str, tmp_path: Path
) -> None:
    good = sockets.pair()[0].fileno()
    number = -1 if what == "closed object" else closed_number()
    if what == "regular file":
        file = sockets.enter_context((tmp_path / "file").open("wb"))
        number = file.fileno()
    log: list[int | None] = []

    async def work() -> str:
        try:
            await wait(**{direction: [good, number]}, until=await now() + 1.0)
        except OSError as exc:
            log.append(exc.errno)
        await wait([good], until=await now() + 1.0)
        return "went on"

    assert run(work()) == "went on"
    assert log == [errno.EPERM if what == "regular file" else errno.EBADF]


def test_an_error_of_a_step_that_the_coroutine_lets_pass_is_its_own_end(
    run: Driver[Any],
) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        run(wait([-1], until=500.0))


def test_a_time_that_is_no_time_does_not_keep_the_coroutine_waiting(
    run: Driver[Any], sockets: Sockets
) -> None:
    fd = sockets.pair()[0].fileno()

    async def work() -> str:
        try:
            assert await wait([fd], until=float("nan")) == set()
        except ValueError:
            pass
        return "went on"

    assert run(work()) == "went on"


# --- time ---------------------------------------------------------------------------------------


def test_now_is_the_drivers_clock(run: Driver[Any], clock: ManualClock) -> None:
    async def work() -> list[float]:
        first = await now()
        clock.advance(2.5)
        return [first, await now()]

    assert run(work()) == [100.0, 102.5]


@pytest.mark.parametrize("seconds", [0.0001, 0.5, 3600.0])
def test_sleep_takes_its_time_and_not_more_than_a_tick_longer(
    run: Driver[Any], clock: ManualClock, seconds: float
) -> None:
    run(sleep(seconds))
    assert 100.0 + seconds <= clock.now() < 100.0 + seconds + 0.002


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_sleep_for_no_time_does_not_wait(
    run: Driver[Any], clock: ManualClock, seconds: float
) -> None:
    run(sleep(seconds))
    assert clock.now() == 100.0


def test_a_wait_that_ends_early_does_not_cut_a_sleep_short(clock: ManualClock) -> None:
    coroutine = sleep(1.0)
    waits = 0
    answer: Any = None
    while clock.now() < 101.0:
        request = coroutine.send(answer)
        if isinstance(request, Now):
            answer = clock.now()
        else:
            waits += 1
            clock.advance(0.3)
            answer = set()
    assert waits == 4
    assert isinstance(coroutine.send(answer), Now)
    with pytest.raises(StopIteration):
        coroutine.send(clock.now())


def test_the_blocking_driver_waits_by_the_real_clock_if_told_nothing_else() -> None:
    start = time.monotonic()
    run_blocking(sleep(0.003))
    assert time.monotonic() - start >= 0.003
    assert abs(run_blocking(now()) - time.monotonic()) < 5.0


# --- blocking functions -------------------------------------------------------------------------


def no_limit(clock: Clock) -> None:
    return None


def far_limit(clock: Clock) -> float:
    return clock.now() + 60.0


limits = pytest.mark.parametrize("limit", [no_limit, far_limit])
REAL = MonotonicClock()


@limits
def test_in_thread_hands_over_the_result(
    run_really: Driver[Any], limit: Callable[[Clock], Any]
) -> None:
    assert run_really(in_thread(divmod, 17, 5, until=limit(REAL))) == (3, 2)


@limits
def test_in_thread_raises_what_the_function_raises(
    run_really: Driver[Any], limit: Callable[[Clock], Any]
) -> None:
    async def work() -> str:
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 1, 0, until=limit(REAL))
        return "went on"

    assert run_really(work()) == "went on"
    with pytest.raises(ZeroDivisionError):
        run_really(in_thread(divmod, 1, 0, until=limit(REAL)))


@limits
def test_in_thread_raises_even_what_would_end_the_process(
    run_really: Driver[Any], limit: Callable[[Clock], Any]
) -> None:
    with pytest.raises(SystemExit):
        run_really(in_thread(sys.exit, until=limit(REAL)))
    # The thread has not been lost by it.
    assert run_really(in_thread(divmod, 17, 5, until=far_limit(REAL))) == (3, 2)


def test_in_thread_does_not_stop_the_loop(real_loop: EventLoop) -> None:
    log: list[str] = []
    release = threading.Event()

    def function() -> int:
        assert release.wait(20)
        return threading.get_ident()

    found = outcomes(real_loop, in_thread(function))
    real_loop.call_later(0.001, log.append, "timer")
    run_until(real_loop, lambda: log)
    assert found == []
    release.set()
    run_until(real_loop, lambda: found)
    [(ident, _)] = found
    assert ident != threading.get_ident()


def test_in_thread_gives_up_at_until_and_the_function_goes_on_unheard(
    run_really: Driver[Any],
) -> None:
    began, release, ended = threading.Event(), threading.Event(), threading.Event()

    def slow_lookup() -> str:
        began.set()
        release.wait(20)
        ended.set()
        return "too late"

    async def work() -> str:
        while not began.is_set():  # on a busy machine a thread may not begin that soon
            with pytest.raises(WebSocketTimeoutException, match="slow_lookup timed out"):
                await in_thread(slow_lookup, until=await now() + 0.003)
        release.set()
        assert await in_thread(ended.wait, 20, until=await now() + 30.0)
        result: str = await in_thread(str, "in time", until=await now() + 30.0)
        return result

    try:
        assert run_really(work()) == "in time"
    finally:
        release.set()


def test_a_function_without_a_name_times_out_all_the_same(run_really: Driver[Any]) -> None:
    release = threading.Event()
    try:
        with pytest.raises(WebSocketTimeoutException, match="call timed out"):
            run_really(in_thread(functools.partial(release.wait, 20), until=0.0))
    finally:
        release.set()


class Lookup:
    """A function that blocks until it is released, and counts."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.release = threading.Event()
        self.entered = threading.Semaphore(0)
        self.calls = 0
        self.running = 0
        self.most = 0

    def __call__(self, argument: object = None) -> object:
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.entered.release()
        assert self.release.wait(20)
        with self.lock:
            self.running -= 1
        return argument


@pytest.fixture
def lookup(_nothing_left: None) -> Iterator[Lookup]:
    """A blocking function, which is released at the end at the latest."""
    lookup = Lookup()
    yield lookup
    lookup.release.set()


def test_calls_with_the_same_key_share_one_result(lookup: Lookup, real_loop: EventLoop) -> None:
    shared = [outcomes(real_loop, in_thread(lookup, n, key=("host", 80))) for n in range(3)]
    other = outcomes(real_loop, in_thread(lookup, "other", key=("host", 443)))
    alone = [outcomes(real_loop, in_thread(lookup, n)) for n in range(2)]
    real_loop.run_once(0)
    for _ in range(4):
        assert lookup.entered.acquire(timeout=20)
    lookup.release.set()
    run_until(real_loop, lambda: all([*shared, other, *alone]), 20)
    assert shared == [[(0, None)]] * 3
    assert other == [("other", None)]
    assert alone == [[(0, None)], [(1, None)]]
    assert lookup.calls == 4
    # Only as long as they are in flight.
    again = outcomes(real_loop, in_thread(lookup, "again", key=("host", 80)))
    run_until(real_loop, lambda: again)
    assert again == [("again", None)]


def test_calls_with_the_same_key_share_one_exception(real_loop: EventLoop) -> None:
    release = threading.Event()
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        release.wait(20)
        raise ValueError("on purpose")

    both = [outcomes(real_loop, in_thread(fail, key="name")) for _ in range(2)]
    real_loop.run_once(0)
    release.set()
    run_until(real_loop, lambda: all(both))
    assert len(calls) == 1
    for [(result, exc)] in both:
        assert result is None
        assert isinstance(exc, ValueError)


def test_whoever_gives_up_does_not_take_the_shared_result_from_the_others(
    lookup: Lookup,
    real_loop: EventLoop,
) -> None:
    hasty = Task(real_loop, in_thread(lookup, 1, key="name"), print)
    timed = outcomes(real_loop, in_thread(lookup, 2, key="name", until=real_loop.time()))
    patient = outcomes(real_loop, in_thread(lookup, 3, key="name"))
    real_loop.run_once(0)
    hasty.cancel()
    run_until(real_loop, lambda: timed)
    lookup.release.set()
    run_until(real_loop, lambda: patient)
    assert isinstance(timed[0][1], WebSocketTimeoutException)
    assert patient == [(1, None)]
    assert lookup.calls == 1


def test_blocking_callers_share_a_result_too(lookup: Lookup) -> None:
    results: list[object] = []

    def work() -> None:
        results.append(run_blocking(in_thread(lookup, 7, key="name", until=REAL.now() + 30)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    shared = helpers._shared
    deadline = time.monotonic() + 20
    while "name" not in shared or len(shared["name"].answers) < 3:
        assert time.monotonic() < deadline
    lookup.release.set()
    for thread in threads:
        thread.join(20)
    assert results == [7, 7, 7]
    assert lookup.calls == 1


def helper_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == HELPER]


def test_no_more_than_the_limit_of_functions_run_at_a_time_and_all_of_them_run(
    lookup: Lookup,
    real_loop: EventLoop,
) -> None:
    limit = helpers._limit
    found = [outcomes(real_loop, in_thread(lookup, n)) for n in range(3 * limit)]
    real_loop.run_once(0)
    for _ in range(limit):
        assert lookup.entered.acquire(timeout=20)
    assert len(helper_threads()) == limit
    assert lookup.calls == limit
    lookup.release.set()
    run_until(real_loop, lambda: all(found), 20)
    assert found == [[(n, None)] for n in range(3 * limit)]
    assert lookup.most == limit


def test_the_threads_end_by_themselves_when_there_is_nothing_to_do(real_loop: EventLoop) -> None:
    found = [outcomes(real_loop, in_thread(str, n)) for n in range(20)]
    run_until(real_loop, lambda: all(found), 20)
    for thread in helper_threads():
        thread.join(20)
        assert not thread.is_alive()
    assert helper_threads() == []


def test_functions_are_called_in_the_order_of_asking() -> None:
    helpers = HelperThreads(limit=1)
    calls: list[int] = []
    done = threading.Semaphore(0)
    release = threading.Event()
    helpers.submit(InThread(release.wait, (20,), None, None), lambda *_: None)
    for number in range(20):
        request = InThread(calls.append, (number,), None, None)
        helpers.submit(request, lambda *_: done.release())
    release.set()
    for _ in range(20):
        assert done.acquire(timeout=20)
    assert calls == list(range(20))


def test_a_thread_that_cannot_be_started_is_an_error_inside_of_the_coroutine(
    run_really: Driver[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def work() -> tuple[int, int]:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for _ in range(10):  # more often than there may be threads
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    await in_thread(divmod, 1, 1, until=await now() + 30.0, key="name")
        result: tuple[int, int] = await in_thread(divmod, 17, 5, until=await now() + 30, key="name")
        return result

    assert run_really(work()) == (3, 2)


def test_an_answer_for_a_loop_that_was_closed_meanwhile_is_dropped_quietly(lookup: Lookup) -> None:
    loop = EventLoop()
    task = Task(loop, in_thread(lookup), lambda *_: pytest.fail("nobody waits any more"))
    loop.run_once(0)
    assert lookup.entered.acquire(timeout=20)
    [thread] = helper_threads()
    loop.close()
    lookup.release.set()
    thread.join(20)  # an error on this thread would fail the test
    assert not thread.is_alive()
    task.cancel()
    assert task.done


def test_a_run_until_idle_waits_for_the_answers_of_helper_threads(
    lookup: Lookup, real_loop: EventLoop
) -> None:
    found = outcomes(real_loop, in_thread(lookup, "answer"))
    real_loop.call_soon(real_loop.call_soon, lookup.release.set)
    real_loop.run_until_idle()
    assert found == [("answer", None)]


def test_a_run_until_idle_does_not_wait_for_an_answer_that_nobody_wants(
    lookup: Lookup, real_loop: EventLoop
) -> None:
    given_up = Task(real_loop, in_thread(lookup), print)
    real_loop.call_soon(real_loop.call_soon, given_up.cancel)
    real_loop.run_until_idle()
    assert given_up.done
    assert not lookup.release.is_set()


# --- cancelling ---------------------------------------------------------------------------------


class Patient:
    """A coroutine that goes through one step, and what becomes of it."""

    def __init__(self, sockets: Sockets) -> None:
        self.log: list[str] = []
        self.ours, self.theirs = sockets.stuffed()
        self.fd = self.ours.fileno()
        self.lookup = Lookup()
        sockets.callback(self.lookup.release.set)

    async def run(self, step: Coroutine[Any, Any, Any]) -> None:
        self.log.append("started")
        try:
            await step
            self.log.append("went on")
        except BaseException as exc:
            self.log.append(type(exc).__name__)
            raise
        finally:
            self.log.append("cleaned up")

    def step(self, name: str) -> Coroutine[Any, Any, Any]:
        steps: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "read": lambda: wait([self.fd]),
            "write": lambda: wait([], [self.fd]),
            "both": lambda: wait([self.fd], [self.fd], 101.0),
            "until": lambda: wait(until=101.0),
            "sleep": lambda: sleep(1.0),
            "thread": lambda: in_thread(self.lookup),
            "thread until": lambda: in_thread(self.lookup, until=101.0),
        }
        return steps[name]()

    def wake(self, clock: ManualClock) -> None:
        """Make everything happen that any of the steps waits for."""
        drain(self.theirs)
        self.theirs.send(b"x")
        clock.advance(10.0)
        self.lookup.release.set()
        for thread in helper_threads():
            thread.join(20)


STEPS = ["read", "write", "both", "until", "sleep", "thread", "thread until"]


@pytest.mark.parametrize("name", STEPS)
def test_every_step_that_is_not_cancelled_goes_on(
    loop: EventLoop, clock: ManualClock, sockets: Sockets, name: str
) -> None:
    """So that the tests that follow mean something."""
    patient = Patient(sockets)
    found = outcomes(loop, patient.run(patient.step(name)))
    loop.run_once(0)
    assert patient.log == ["started"]
    patient.wake(clock)
    loop.run_once(0)
    loop.run_once(0)
    if name == "thread until":  # a race, which the timer wins
        assert "cleaned up" in patient.log
    else:
        assert patient.log == ["started", "went on", "cleaned up"]
        assert found == [(None, None)]


@pytest.mark.parametrize("name", STEPS)
def test_cancelling_at_any_step_closes_the_coroutine_and_nothing_follows(
    loop: EventLoop, clock: ManualClock, sockets: Sockets, name: str
) -> None:
    patient = Patient(sockets)
    delivered: list[Any] = []
    task = Task(loop, patient.run(patient.step(name)), lambda *args: delivered.append(args))
    states = [task.done]
    loop.run_once(0)
    states.append(task.done)
    task.cancel()
    assert patient.log == ["started", "GeneratorExit", "cleaned up"]
    assert watched(loop) == (0, 0, 0)
    states.append(task.done)
    assert states == [False, False, True]
    task.cancel()
    patient.wake(clock)
    loop.run_once(0)
    loop.run_once(0)
    assert patient.log == ["started", "GeneratorExit", "cleaned up"]
    assert delivered == []


@pytest.mark.parametrize("name", STEPS)
def test_cancelling_when_what_it_waits_for_has_just_come_is_in_time(
    loop: EventLoop, clock: ManualClock, sockets: Sockets, name: str
) -> None:
    patient = Patient(sockets)
    delivered: list[Any] = []
    task = Task(loop, patient.run(patient.step(name)), lambda *args: delivered.append(args))
    # Before everything else in the next turn, whatever the phase.
    ours, theirs = sockets.pair()
    loop.add_reader(ours.fileno(), task.cancel)
    loop.run_once(0)
    patient.wake(clock)
    theirs.send(b"x")
    events = list(loop.poller.poll(0))
    events.sort(key=lambda event: event[0] != ours.fileno())
    run_handlers(loop, events)
    loop.run_once(0)
    loop.remove_reader(ours.fileno())
    loop.run_once(0)
    assert patient.log == ["started", "GeneratorExit", "cleaned up"]
    assert delivered == []
    assert watched(loop) == (0, 0, 0)


def test_cancelling_before_the_first_step_means_that_nothing_ran(loop: EventLoop) -> None:
    log: list[str] = []

    async def work() -> None:
        log.append("started")

    task = Task(loop, work(), print)
    task.cancel()
    assert task.done
    loop.run_once(0)
    assert log == []


def test_cancelling_after_the_end_does_nothing(loop: EventLoop) -> None:
    tasks: list[Task[None]] = []
    delivered: list[Any] = []

    async def work() -> None:
        """Nothing."""

    def on_done(*outcome: Any) -> None:
        delivered.append(outcome)
        assert tasks[0].done
        tasks[0].cancel()

    tasks.append(Task(loop, work(), on_done))
    loop.run_once(0)
    tasks[0].cancel()
    assert delivered == [(None, None)]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("raised", [ValueError, asyncio.CancelledError])
def test_what_the_clean_up_raises_does_not_reach_whoever_cancels(
    loop: EventLoop, raised: type[BaseException], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = []

    async def work() -> None:
        try:
            await sleep(1)
        finally:
            raise raised

    task = Task(loop, work(), print, on_fault=faults.append if told else None)
    loop.run_once(0)
    task.cancel()
    assert watched(loop) == (0, 0, 0)
    if told:
        assert [raised in (type(each), type(each.__cause__)) for each in faults] == [True]
    assert len(caplog.records) == (not told)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_in_the_clean_up_does_reach_whoever_cancels(
    loop: EventLoop, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = []

    async def work() -> None:
        try:
            await sleep(1)
        finally:
            raise raised

    task = Task(loop, work(), print, on_fault=faults.append)
    loop.run_once(0)
    with pytest.raises(raised):
        task.cancel()
    assert task.done
    assert watched(loop) == (0, 0, 0)
    assert (faults, caplog.records) == ([], [])


@pytest.mark.parametrize("raised", [asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_is_a_failure_and_does_not_leave_the_loop(
    loop: EventLoop, raised: type[BaseException]
) -> None:
    async def work() -> None:
        raise raised

    found = outcomes(loop, work())
    loop.run_once(0)
    ((_, error),) = found
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, raised)


@pytest.mark.parametrize("then", ["wait", "now", "thread", "return", "raise"])
def test_a_coroutine_that_cancels_itself_ends_at_its_next_step(
    lookup: Lookup, loop: EventLoop, sockets: Sockets, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    delivered: list[Any] = []
    tasks: list[Task[None]] = []
    fd = sockets.readable().fileno()

    async def work() -> None:
        try:
            await now()
            tasks[0].cancel()
            tasks[0].cancel()
            log.append("still here")
            if then == "raise":
                raise ValueError("on purpose")
            if then == "wait":
                await wait([fd])
            if then == "now":
                await now()
            if then == "thread":
                await in_thread(lookup)
            log.append("to the end")
        finally:
            log.append("cleaned up")

    tasks.append(Task(loop, work(), lambda *args: delivered.append(args)))
    loop.run_once(0)
    loop.run_once(0)
    expected = ["still here", "to the end"] if then == "return" else ["still here"]
    assert log == [*expected, "cleaned up"]
    assert delivered == []
    assert tasks[0].done
    assert watched(loop) == (0, 0, 0)
    assert lookup.calls == 0
    assert caplog.records == []


def test_what_a_coroutine_raises_that_has_cancelled_itself_is_a_fault(loop: EventLoop) -> None:
    faults: list[Exception] = []
    tasks: list[Task[None]] = []
    error = ValueError("on purpose")

    async def work() -> None:
        tasks[0].cancel()
        raise error

    tasks.append(
        Task(loop, work(), lambda *_: pytest.fail("was cancelled"), on_fault=faults.append)
    )
    loop.run_once(0)
    assert faults == [error]


def closed(sock: socket.socket) -> bool:
    return sock.fileno() == -1


def test_cancelling_releases_what_the_coroutine_holds(loop: EventLoop, sockets: Sockets) -> None:
    async def hold() -> None:
        with socket.socket() as sock:
            holders.append(sock)
            await wait([sockets.pair()[0].fileno()])

    holders: list[socket.socket] = []
    task = Task(loop, hold(), print)
    loop.run_once(0)
    [holder] = holders
    assert not closed(holder)
    task.cancel()
    assert closed(holder)


def test_the_descriptor_of_a_step_can_be_closed_as_soon_as_the_step_is_over(
    loop: EventLoop, sockets: Sockets
) -> None:
    """It is not watched any more when the coroutine goes on, so its number can be used again."""
    log: list[Any] = []

    async def work() -> None:
        with sockets.readable() as sock:
            log.append(await wait([sock.fileno()], [sock.fileno()]) == {sock.fileno()})
            log.append(watched(loop))

    found = outcomes(loop, work())
    loop.run_once(0)
    loop.run_once(0)
    assert log == [True, (0, 0, 0)]
    assert found == [(None, None)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_blocking_driver_leaves_no_coroutine_open(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    log: list[str] = []

    def interrupted(*_: object) -> set[int]:
        raise error

    async def work() -> None:
        try:
            await wait([sockets.readable().fileno()])
        except BaseException as exc:
            log.append(type(exc).__name__)
            raise

    monkeypatch.setattr(reactor.loop.tasks, "wait_for", interrupted)
    coroutine = work()
    with pytest.raises(error):
        run_blocking(coroutine)
    # An Exception is thrown into the coroutine; an interrupt closes it.
    assert log == ["ValueError" if error is ValueError else "GeneratorExit"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


def test_neither_driver_leaves_a_descriptor_behind(run: Driver[Any], sockets: Sockets) -> None:
    fd = sockets.readable().fileno()
    before = os.listdir("/dev/fd")
    for _ in range(10):
        run(wait([fd], [fd], until=1000.0))
    assert len(os.listdir("/dev/fd")) == len(before)


# --- answers ------------------------------------------------------------------------------------


@coroutine
def ask(request: Yielded) -> Generator[Yielded, Any, Any]:
    """Have the driver serve one request."""
    return (yield request)


async def ask_all(*requests: Yielded) -> list[Any]:
    """Have it serve several, one after the other."""
    return [await ask(request) for request in requests]


def test_a_task_goes_on_when_the_answer_is_given(loop: EventLoop) -> None:
    answer: Answer[int] = Answer()
    found = outcomes(loop, ask_all(Later(answer)))
    loop.run_once(0)
    assert (found, watched(loop)) == ([], (0, 0, 0))
    answer.give(5)
    assert found == [([None], None)]


def test_an_answer_that_comes_after_the_deadline_is_not_heard(
    loop: EventLoop, clock: ManualClock
) -> None:
    answer: Answer[int] = Answer()
    until = clock.now() + 3
    found = outcomes(loop, ask_all(Later(answer, until), Wait((), (), until + 3)))
    loop.run_once(0)
    clock.advance(3)
    loop.run_once(0)
    answer.give(5)
    assert found == []
    clock.advance(3)
    loop.run_once(0)
    assert found == [([set(), set()], None)]


# --- guards -------------------------------------------------------------------------------------


@pytest.fixture
def guard(_nothing_left: None) -> Iterator[SocketGuard]:
    with SocketGuard() as guard:
        yield guard


@pytest.mark.parametrize("kind", ["wait", "answer", "thread"])
def test_a_guard_that_finds_something_ends_the_wait(
    loop: EventLoop, sockets: Sockets, lookup: Lookup, guard: SocketGuard, kind: str
) -> None:
    fd = sockets.pair()[0].fileno()
    request: Yielded = {
        "wait": Wait([fd], [], loop.time() + 3, guard),
        "answer": Later(Answer(), None, guard),
        "thread": InThread(lookup, (), None, None, guard=guard),
    }[kind]
    found = outcomes(loop, ask_all(request))
    loop.run_once(0)
    assert watched(loop)[0] == 1 + (kind == "wait")
    guard.theirs.send(b"gone")
    loop.run_once(20)
    assert found == [([None], None)]
    assert str(guard.over) == "gone"
    assert (watched(loop), loop.awaited) == ((0, 0, 0), 0)


def test_a_guard_that_finds_nothing_is_asked_again(
    loop: EventLoop, clock: ManualClock, guard: SocketGuard
) -> None:
    look = guard.look

    def look_on() -> None:
        look()
        guard.over = None

    guard.look = look_on  # type: ignore[method-assign]
    found = outcomes(loop, ask_all(Wait((), (), clock.now() + 3, guard)))
    loop.run_once(0)
    for looks in (1, 2):
        guard.theirs.send(b"nothing much")
        loop.run_once(20)
        assert guard.looks == looks
    clock.advance(3)
    loop.run_once(0)
    assert found == [([set()], None)]
    assert watched(loop) == (0, 0, 0)


def test_a_guard_with_nothing_to_watch_is_not_asked(
    loop: EventLoop, clock: ManualClock, guard: SocketGuard
) -> None:
    look = guard.look

    def look_once() -> None:
        look()
        guard.over, guard.watching = None, False

    guard.look = look_once  # type: ignore[method-assign]
    until = clock.now() + 3
    outcomes(loop, ask_all(Wait((), (), until, guard), Wait((), (), until + 3, guard)))
    loop.run_once(0)
    guard.theirs.send(b"the end")
    loop.run_once(20)
    assert watched(loop) == (0, 0, 1)
    clock.advance(3)
    guard.theirs.send(b"more")
    loop.run_once(0)
    assert watched(loop) == (0, 0, 1)
    clock.advance(3)
    loop.run_once(0)
    assert guard.looks == 1


# --- what is told of a task ---------------------------------------------------------------------


async def dial() -> int:
    """Note two steps."""
    await note("name", "example.com")
    await note("dialled")
    return 5


def test_what_a_coroutine_notes_is_told_at_once(loop: EventLoop) -> None:
    log: list[Any] = []
    Task(
        loop,
        dial(),
        lambda *outcome: log.append(outcome),
        on_note=lambda *what: log.append(what),
    )
    loop.run_once(0)
    assert log == [("name", "example.com"), ("dialled", ""), (5, None)]


def test_notes_for_nobody_take_nothing(run: Driver[Any]) -> None:
    assert run(dial()) == 5


def test_a_task_says_for_whom_it_works(loop: EventLoop) -> None:
    tasks = [
        Task(loop, dial(), print, whose=lambda: "somebody"),
        Task(loop, dial(), print),
    ]
    assert [task.whose() for task in tasks] == ["somebody", "dial"]
    for task in tasks:
        task.cancel()


# --- steps that compute for long ------------------------------------------------------------------


class Busy:
    """CPU time that passes as the test says, as a loop's share sees it."""

    def __init__(self, loop: EventLoop) -> None:
        self.cpu = 0.0
        loop.share = TurnShare(lambda: self.cpu)
        self.order: list[tuple[int, int]] = []  # in which turn, and who

    async def compute(self, loop: EventLoop, who: int, until: float | None = None) -> bool:
        granted = await my_turn(until)
        self.order.append((loop.turns, who))
        self.cpu += SHARE if granted else 0.0
        return granted


def test_blocking_there_is_always_time_to_compute() -> None:
    assert run_blocking(my_turn()) is True


def test_tasks_that_compute_for_long_do_so_in_turns(loop: EventLoop) -> None:
    busy = Busy(loop)
    found = [outcomes(loop, busy.compute(loop, who)) for who in range(3)]
    timers: list[int] = []
    loop.call_soon(loop.call_later, 0, lambda: timers.append(loop.turns))
    for _ in range(4):
        loop.run_once(0)
    assert busy.order == [(1, 0), (2, 1), (3, 2)]
    assert found == [[(True, None)]] * 3
    assert timers == [2]


def test_a_task_that_waits_to_compute_can_be_cancelled(loop: EventLoop) -> None:
    busy = Busy(loop)
    outcomes(loop, busy.compute(loop, 0))
    task: Task[bool] = Task(loop, busy.compute(loop, 1), lambda *_: None)
    found = outcomes(loop, busy.compute(loop, 2))
    loop.run_once(0)
    task.cancel()
    loop.run_once(0)
    assert [who for _, who in busy.order] == [0, 2]
    assert found == [(True, None)]


def test_a_task_that_waits_to_compute_until_its_time_is_up(
    loop: EventLoop, clock: ManualClock
) -> None:
    busy = Busy(loop)
    outcomes(loop, busy.compute(loop, 0))
    found = outcomes(loop, busy.compute(loop, 1, until=105.0))
    loop.run_once(0)
    assert watched(loop)[2] == 1
    clock.advance(6.0)
    loop.run_once(0)  # the timer comes before the calls
    assert found == [(False, None)]
    loop.run_once(0)
    assert watched(loop) == (0, 0, 0)


def test_what_a_task_that_has_computed_hands_over_may_fail(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def done(*_: Any) -> None:
        raise LookupError("of the callback")

    task: Task[bool] = Task(loop, Busy(loop).compute(loop, 0), done)
    loop.run_once(0)
    assert task.done
    assert "of the callback" in caplog.text
