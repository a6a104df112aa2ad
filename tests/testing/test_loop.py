"""The loop of the test kit: time moves by advance(), and nothing waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from reactor import Reactor
from reactor.testing import ManualReactor, Recorder, connect_pair, run_until
from reactor.testing import loop as loop_module


@pytest.fixture
def loop() -> Iterator[ManualReactor]:
    with ManualReactor(start=0.0) as manual:
        yield manual


def test_no_time_passes_by_itself(loop: ManualReactor) -> None:
    called: list[str] = []
    loop.call_later(0.001, called.append, "x")
    loop.settle()
    loop.run_once(100.0)
    assert (called, loop.time()) == ([], 0.0)


def test_timers_run_in_order_each_at_its_own_time(loop: ManualReactor) -> None:
    called: list[tuple[str, float]] = []
    for name, delay in (("late", 3600.0), ("b", 2.5), ("a", 0.1)):
        loop.call_later(delay, lambda name=name: called.append((name, loop.time())))
    loop.advance(10.0)
    assert called == [("a", 0.1), ("b", 2.5)]
    assert loop.time() == 10.0
    loop.advance(3590.0)
    assert called[2:] == [("late", 3600.0)]


def test_what_a_timer_arms_runs_on_the_way(loop: ManualReactor) -> None:
    called: list[float] = []

    def again() -> None:
        called.append(loop.time())
        loop.call_later(1.0, again)

    again()
    loop.advance(3.5)
    assert called == [0.0, 1.0, 2.0, 3.0]


def test_a_day_passes_at_once(loop: ManualReactor) -> None:
    called: list[int] = []
    loop.call_every(60.0, called.append, 1)
    began = time.monotonic()
    loop.advance(86400.0)
    assert len(called) == 1440
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_time_does_not_go_back_or_end(loop: ManualReactor, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be 0 or more"):
        loop.advance(seconds)


@pytest.mark.parametrize("way", ["settle", "advance", "run_once"])
def test_what_a_callback_raises_is_raised(loop: ManualReactor, way: str) -> None:
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.advance(0) if way == "advance" else getattr(loop, way)()
    loop.settle()  # and only once


def test_what_goes_round_in_circles_is_an_error(loop: ManualReactor) -> None:
    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(RuntimeError, match="10000 turns"):
        loop.settle()


def test_run_until_waits_for_another_thread_while_the_clock_stands_still(
    loop: ManualReactor,
) -> None:
    came: list[int] = []
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(came.append, 1))
    thread.start()
    loop.run_until(lambda: came)
    thread.join()
    assert loop.time() == 0.0


@pytest.mark.parametrize("way", ["settle", "advance"])
def test_calls_on_helper_threads_are_waited_for_while_the_clock_stands_still(
    loop: ManualReactor, way: str
) -> None:
    came: list[tuple[str, float]] = []

    def blocks() -> str:
        blocked.wait(0.02)  # until its end: nobody sets it
        return "result"

    def note(result: str | None, error: Exception | None) -> None:
        came.append((str(result), loop.time()))
        if len(came) == 1:
            loop.run_in_thread(blocks, then=note)  # each one is waited for

    blocked = threading.Event()
    loop.call_later(5.0, lambda: came.append(("timer", loop.time())))
    loop.run_in_thread(blocks, then=note)
    loop.settle() if way == "settle" else loop.advance(10.0)
    assert came[:2] == [("result", 0.0), ("result", 0.0)]
    assert came[2:] == ([] if way == "settle" else [("timer", 5.0)])


def test_a_call_on_a_helper_thread_that_hangs_is_not_waited_for_forever(
    loop: ManualReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "PATIENCE", 0.02)
    hanging = threading.Event()
    loop.run_in_thread(hanging.wait)
    try:
        with pytest.raises(AssertionError, match=r"a call on a helper thread has not ended"):
            loop.settle()
    finally:
        hanging.set()


def test_run_until_has_an_end(loop: ManualReactor) -> None:
    with pytest.raises(AssertionError, match=r"did not come true within 0\.05 s"):
        loop.run_until(lambda: False, timeout=0.05)


def test_run_until_raises_what_a_callback_raises(loop: ManualReactor) -> None:
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run_until(lambda: False)


def test_any_reactor_can_be_run_until_something(loop: ManualReactor) -> None:
    with Reactor() as real:
        called: list[int] = []
        real.call_later(0.001, called.append, 1)
        run_until(real, lambda: called)


def test_run_forever_ends_with_stop(loop: ManualReactor) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.stop()
    loop.run_forever()
    assert loop.time() == 0.0


def test_shutdown_closes_every_connection_and_no_time_passes(loop: ManualReactor) -> None:
    client, server = connect_pair(loop, Recorder, Recorder)
    loop.shutdown()
    assert client.closes == server.closes == [(1001, "")]
    assert loop.time() == 0.0


def test_shutdown_raises_what_a_callback_raises(loop: ManualReactor) -> None:
    loop.call_soon(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.shutdown()
