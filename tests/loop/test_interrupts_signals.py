"""Signals and Ctrl-C in the event loop; those that come while connections are at work are in
test_interrupts.py.

Most signals are raised by the test at an exact place: Python runs the handler right there. Two
tests get theirs from outside, as in life.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.loop.event_loop import EventLoop

from ..support.driving import as_library_code, replace_method
from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.sockets import Sockets
from ..support.sources import KINDS, Sources
from ..support.threads import Background

every_selector = pytest.mark.parametrize(
    "make_selector", list(SELECTORS.values()), ids=list(SELECTORS)
)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Every test leaves the process's signal handling as it was."""
    numbers = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    assert before[0] is signal.default_int_handler
    yield
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == before
    assert signal.set_wakeup_fd(-1) == -1


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def before_polling(loop: EventLoop, action: Callable[[], object]) -> Callable[[], None]:
    """Have *action* happen when the turn has decided how long to sleep; once.

    Returns what undoes it. It counts as the poller's own code.
    """
    poll = loop.poller.poll
    left = [action]

    def intercepted(timeout: float | None) -> Any:
        if left:
            left.pop()()
        return poll(timeout)

    return replace_method(loop.poller, "poll", as_library_code(intercepted, "poller"))


# --- Ctrl-C -------------------------------------------------------------------------------------


@every_kind
def test_ctrl_c_is_raised_at_once_inside_of_a_users_callback(
    loop: EventLoop, sources: Sources, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []

    def hang() -> None:
        try:
            press_ctrl_c()
            log.append("survived")
        except KeyboardInterrupt:
            log.append("raised")
            raise

    sources.arrange(kind, hang)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert log == ["raised"]
    assert caplog.records == []
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert log == ["raised"]


@every_kind
def test_ctrl_c_inside_of_the_library_waits_for_the_end_of_the_turn(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    log: list[str] = []

    def work() -> None:
        press_ctrl_c()
        log.append("undisturbed")

    sources.arrange(kind, as_library_code(work))
    for each in KINDS:
        sources.arrange(each, log.append, each)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert sorted(log) == sorted(["undisturbed", *KINDS])
    assert loop.stats().turns == 1
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert loop.stats().turns == 2


@every_kind
def test_users_code_that_calls_the_library_is_interrupted_behind_the_call(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    log: list[str] = []

    def send() -> None:
        press_ctrl_c()
        log.append("sent")

    send = as_library_code(send)

    def handler() -> None:
        send()
        log.append("handled")

    sources.arrange(kind, handler)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert log == ["sent", "handled"]


@every_kind
def test_a_second_ctrl_c_is_raised_wherever_it_comes(
    loop: EventLoop, sources: Sources, kind: str
) -> None:
    log: list[str] = []

    def work() -> None:
        press_ctrl_c()
        log.append("first")
        press_ctrl_c()
        log.append("second")

    sources.arrange(kind, as_library_code(work))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert log == ["first"]
    # That settles both.
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_ctrl_c_while_the_loop_goes_to_sleep_wakes_it_and_ends_the_run(
    loop: EventLoop, sockets: Sockets
) -> None:
    loop.add_reader(sockets.pair()[0].fileno(), print)
    undo = before_polling(loop, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    undo()
    assert loop.stats().turns == 1
    assert loop.stats().readers == 1


def test_ctrl_c_in_code_that_nobody_has_called_waits_too(loop: EventLoop) -> None:
    """Where the stack does not show the loop, as in another greenlet."""
    loop._interrupts.on_signal(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        loop.run_once(0)


def test_an_interrupt_handler_of_the_users_is_left_alone(loop: EventLoop) -> None:
    caught: list[int] = []
    handlers: list[Any] = []

    def handler(number: int, _frame: object) -> None:
        caught.append(number)

    def look() -> None:
        handlers.append(signal.getsignal(signal.SIGINT))
        press_ctrl_c()
        loop.stop()

    previous = signal.signal(signal.SIGINT, handler)
    try:
        loop.call_soon(look)
        loop.run_forever()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)
    assert handlers == [handler]
    assert caught == [signal.SIGINT]


def test_an_interrupt_handler_that_a_callback_installs_outlives_the_run(loop: EventLoop) -> None:
    def handler(*_: object) -> None:
        """The user's."""

    loop.call_soon(signal.signal, signal.SIGINT, handler)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert signal.getsignal(signal.SIGINT) is handler
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_of_run_forever_ctrl_c_is_as_always(loop: EventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


# --- what is borrowed of the process is given back ----------------------------------------------


@pytest.mark.parametrize("end", ["stop", "KeyboardInterrupt", "SystemExit"])
def test_the_wake_up_descriptor_of_the_process_is_lent_and_given_back(
    loop: EventLoop, sockets: Sockets, end: str
) -> None:
    mine = sockets.pair()[0].fileno()
    during: list[int] = []

    def look() -> None:
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)
        during.append(fd)
        if end != "stop":
            raise KeyboardInterrupt if end == "KeyboardInterrupt" else SystemExit
        loop.stop()

    loop.call_soon(look)
    signal.set_wakeup_fd(mine)
    try:
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit):
            assert end != "stop"
    finally:
        assert signal.set_wakeup_fd(-1) == mine
    assert during == [loop.wakeup.writer]


def test_a_loop_in_another_thread_touches_no_signals(loop: EventLoop) -> None:
    """They belong to the main thread."""
    found: list[Any] = []

    def run() -> None:
        loop.call_soon(lambda: found.append(signal.getsignal(signal.SIGINT)))
        loop.call_soon(loop.stop)
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert found == [signal.default_int_handler]
    assert signal.set_wakeup_fd(-1) == -1


# --- signals as events of the loop --------------------------------------------------------------


def test_a_signal_is_handled_by_the_loop_and_not_where_it_comes(loop: EventLoop) -> None:
    log: list[Any] = []
    loop.signal(signal.SIGUSR1, lambda *args: log.append(args), 1, "two")

    def interrupted() -> None:
        log.append("before")
        signal.raise_signal(signal.SIGUSR1)
        log.append("after")

    loop.call_soon(interrupted)
    loop.run_once(0)
    assert log == ["before", "after"]
    loop.run_once(None)
    assert log == ["before", "after", (1, "two")]


@pytest.mark.parametrize("run", ["run_once", "run_forever"])
def test_a_signal_wakes_a_loop_that_goes_to_sleep(loop: EventLoop, run: str) -> None:
    log: list[str] = []
    loop.signal(signal.SIGUSR1, log.append, "signal")
    loop.signal(signal.SIGUSR2, loop.stop)

    def both() -> None:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)

    undo = before_polling(loop, both)
    getattr(loop, run)()
    undo()
    assert log == ["signal"]


@pytest.mark.parametrize("run", ["run_once", "run_forever"])
def test_a_signal_handler_may_call_what_is_safe_for_threads(loop: EventLoop, run: str) -> None:
    log: list[str] = []

    def handler(*_: object) -> None:
        loop.call_soon_threadsafe(log.append, "call")
        if run == "run_forever":
            loop.stop()

    undo = before_polling(loop, lambda: signal.raise_signal(signal.SIGUSR1))
    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        getattr(loop, run)()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    undo()
    assert log == ["call"]


def test_stop_from_a_signal_handler_wakes_the_loop_and_ends_the_run(loop: EventLoop) -> None:
    undo = before_polling(loop, lambda: signal.raise_signal(signal.SIGUSR1))
    previous = signal.signal(signal.SIGUSR1, lambda *_: loop.stop())
    try:
        loop.run_forever()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    undo()
    assert loop.stats().turns == 1


@pytest.mark.parametrize("how", ["by None", "by close"])
def test_the_handler_that_was_there_before_comes_back(loop: EventLoop, how: str) -> None:
    def mine(*_: object) -> None:
        """The user's."""

    original = signal.signal(signal.SIGUSR1, mine)
    try:
        loop.signal(signal.SIGUSR1, print)
        loop.signal(signal.SIGUSR1, str)  # replaces it, and is not what comes back
        assert signal.getsignal(signal.SIGUSR1) is not mine
        if how == "by None":
            loop.signal(signal.SIGUSR1, None)
        loop.close()
        assert signal.getsignal(signal.SIGUSR1) is mine
    finally:
        signal.signal(signal.SIGUSR1, original)


def test_to_forget_a_signal_that_was_never_asked_for_does_nothing(loop: EventLoop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    loop.signal(signal.SIGUSR1, None)
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.parametrize("when", ["before the run", "in a callback"])
@pytest.mark.parametrize("undone", ["by None in a callback", "by None after the run", "by close"])
def test_ctrl_c_can_be_an_event_of_the_loop_and_is_as_always_afterwards(
    loop: EventLoop, when: str, undone: str
) -> None:
    log: list[str] = []

    def begin() -> None:
        loop.signal(signal.SIGINT, log.append, "ctrl-c")

    if when == "before the run":
        begin()
    else:
        loop.call_soon(begin)
    loop.call_soon(press_ctrl_c)
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    assert log == ["ctrl-c"]
    if undone == "by None in a callback":
        loop.call_soon(loop.signal, signal.SIGINT, None)
        loop.call_soon(loop.stop)
        loop.run_forever()
    elif undone == "by None after the run":
        loop.signal(signal.SIGINT, None)
    loop.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_another_thread_cannot_ask_for_signals_and_changes_nothing_by_it(loop: EventLoop) -> None:
    errors: list[ValueError] = []

    def ask() -> None:
        try:
            loop.signal(signal.SIGUSR1, print)
        except ValueError as exc:
            errors.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert len(errors) == 1
    loop.close()


def test_a_signal_for_a_loop_that_another_thread_has_closed_is_not_heard(real: EventLoop) -> None:
    """Only the main thread can take the handler away."""
    before = signal.getsignal(signal.SIGUSR1)
    real.signal(signal.SIGUSR1, lambda: pytest.fail("the loop is closed"))
    with pytest.raises(ValueError, match="main thread"):
        Background(real.close).result()
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


# --- from outside, as in life -------------------------------------------------------------------


@every_selector
def test_a_signal_from_outside_wakes_a_sleeping_loop(make_selector: SelectorFactory) -> None:
    loop = EventLoop(selector=make_selector())
    main = threading.get_ident()
    started = threading.Event()

    def send() -> None:
        started.wait(10)
        signal.pthread_kill(main, signal.SIGUSR1)

    loop.signal(signal.SIGUSR1, loop.stop)
    loop.call_soon(started.set)
    thread = threading.Thread(target=send)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()


@every_selector
def test_ctrl_c_from_outside_ends_a_sleeping_loop(make_selector: SelectorFactory) -> None:
    loop = EventLoop(selector=make_selector())
    main = threading.get_ident()
    started = threading.Event()

    def send() -> None:
        started.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    loop.call_later(0, started.set)
    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    thread.join()
    loop.close()


@pytest.mark.parametrize("where", ["asleep", "in a callback"])
def test_ctrl_c_ends_a_process_cleanly(where: str) -> None:
    program = f"""
import socket, sys
from reactor.loop.event_loop import EventLoop
loop = EventLoop()
ours, theirs = socket.socketpair()
loop.add_reader(ours.fileno(), print)
def work():
    print("ready", flush=True)
    while {where == "in a callback"}:
        pass
loop.call_soon(work)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", loop.running, loop.stats().readers)
loop.poller.remove(ours.fileno())
loop.close()
ours.close()
theirs.close()
"""
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGINT)
        output, trouble = child.communicate(timeout=30)
    assert (child.returncode, output, trouble) == (0, "interrupted False 1\n", "")


def test_the_wake_up_survives_more_signals_than_its_socket_can_hold(loop: EventLoop) -> None:
    log: list[str] = []
    loop.signal(signal.SIGUSR1, log.append, "signal")

    def storm() -> None:
        for _ in range(3000):
            signal.raise_signal(signal.SIGUSR1)
        loop.call_soon(loop.call_soon, loop.stop)

    loop.call_soon(storm)
    loop.run_forever()
    assert log == ["signal"] * 3000
