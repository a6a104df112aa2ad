"""The end of the interpreter: which loops are given a last moment, and what for.

The hook is called here, in a process that goes on. Programs that end are in test_lifetime_exit.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

import pytest

from reactor.loop import lifetime
from reactor.loop.event_loop import EventLoop
from reactor.loop.lifetime import _at_exit
from reactor.loop.residents import Resident

from ..support.threads import Background

pytestmark = pytest.mark.usefixtures("no_leaks")

#: The main thread: it is the one that ends the interpreter.
MAIN = threading.main_thread().ident


class Work(Resident):
    """What lives on a loop, and has something to send.

    Args:
        name: for the log.
        handed_over: what other threads have handed over.
        unsent: the answers to the question whether something is unsent; then nothing is.
        log: what was asked by whom.
    """

    def __init__(
        self,
        name: str = "",
        handed_over: bool = False,
        unsent: tuple[bool, ...] = (),
        log: list[Any] | None = None,
    ) -> None:
        self._name = name
        self._handed_over = handed_over
        self._unsent = list(unsent)
        self.log: list[Any] = [] if log is None else log

    def handed_over(self) -> bool:
        """See Resident."""
        return self._handed_over

    def unsent(self) -> bool:
        """See Resident."""
        self.log.append((self._name, threading.get_ident()))
        return bool(self._unsent) and self._unsent.pop(0)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is; and the loops of other tests stay out of it."""
    monkeypatch.setattr(lifetime, "LAST_MOMENT", 1000.0)
    monkeypatch.setattr(lifetime, "_loops", WeakValueDictionary())


@pytest.fixture
def loop(no_leaks: None, _patient: None) -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def running(loop: EventLoop) -> Background:
    """Have another thread run a loop; return when it does."""
    thread = Background(loop.run_forever)
    begun = threading.Event()
    loop.call_soon_threadsafe(begun.set)
    assert begun.wait(10)
    return thread


# --- a loop that no thread runs -----------------------------------------------------------------


def test_a_loop_with_nothing_to_send_is_not_run(loop: EventLoop) -> None:
    loop.residents.append(Work())
    loop.call_soon(pytest.fail, "it is not run")
    _at_exit()
    assert loop.stats().turns == 0


def test_a_loop_is_run_until_what_is_unsent_has_left(loop: EventLoop) -> None:
    loop.residents.append(Work(unsent=(True, True, True)))
    _at_exit()
    assert loop.stats().turns == 3


def test_a_loop_is_run_once_for_what_was_handed_over_at_least(loop: EventLoop) -> None:
    loop.residents.append(Work(handed_over=True))
    _at_exit()
    assert loop.stats().turns == 1


def test_streams_that_linger_with_something_to_send_count(loop: EventLoop) -> None:
    class Lingering:
        unsent = True

        def abort(self) -> None:
            loop.lingering.discard(self)

        def let_go(self) -> None:
            """In a child only."""

    stream = Lingering()
    loop.lingering.add(stream)
    loop.call_soon(loop.call_soon, setattr, stream, "unsent", False)
    _at_exit()
    assert loop.stats().turns == 2


def test_it_ends_with_the_last_moment(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    time = iter([1000.0, 1001.0, 1999.0, 2000.0])
    monkeypatch.setattr(lifetime, "monotonic", lambda: next(time))
    loop.residents.append(Work(unsent=(True,) * 100))
    _at_exit()
    assert loop.stats().turns == 2


def test_a_loop_that_was_closed_is_left_alone(loop: EventLoop) -> None:
    loop.residents.append(Work(handed_over=True))
    loop.close()
    _at_exit()
    assert loop.stats().turns == 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_who_does_not_want_to_wait_need_not(
    loop: EventLoop, interrupt: type[BaseException]
) -> None:
    def raise_it() -> None:
        raise interrupt

    loop.residents.append(Work(unsent=(True,) * 100))
    loop.call_soon(raise_it)
    _at_exit()
    assert loop.stats().turns == 1


# --- a loop that another thread runs --------------------------------------------------------------


def test_a_loop_of_another_thread_goes_on_until_nothing_is_unsent(loop: EventLoop) -> None:
    work = Work(unsent=(True, True, True))
    loop.residents.append(work)
    thread = running(loop)
    _at_exit()
    assert thread.running
    assert len(work.log) >= 4
    assert {who for _, who in work.log} == {loop.thread_id}  # its own thread was asked
    loop.stop()
    thread.result()


def test_it_is_not_waited_for_when_it_is_stopped(loop: EventLoop) -> None:
    loop.residents.append(Work(unsent=(True,) * 100_000))
    thread = running(loop)
    loop.call_soon_threadsafe(loop.stop)
    _at_exit()
    thread.result()


def test_it_is_not_waited_for_when_it_is_closed(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread stops it and closes it between two looks."""
    thread = running(loop)

    def too_late(*_: object) -> None:
        raise RuntimeError("the event loop is closed")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon_threadsafe", too_late)
        _at_exit()
    assert thread.running
    loop.stop()
    thread.result()


def test_a_callback_that_ends_the_interpreter_does_not_wait_for_itself(loop: EventLoop) -> None:
    work = Work(unsent=(True,) * 100)
    loop.residents.append(work)
    loop.call_soon(_at_exit)
    loop.run_once(0)
    assert work.log == []


def test_loops_that_no_thread_runs_come_first(loop: EventLoop) -> None:
    """A handler that hangs on another thread takes nothing from them."""
    log: list[Any] = []
    loop.residents.append(Work("of a thread", log=log))
    thread = running(loop)
    other = EventLoop()
    other.residents.append(Work("of nobody", unsent=(True,), log=log))
    _at_exit()
    assert [name for name, _ in log] == ["of nobody", "of nobody", "of a thread"]
    assert [who for _, who in log][:2] == [MAIN, MAIN]
    other.close()
    loop.stop()
    thread.result()
