"""What becomes of a forked child's copy of a loop.

The hook is called here without a fork: this process plays the child. Real ones are in
test_lifetime_fork.py.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

import pytest

from reactor.exceptions import WebSocketForkException
from reactor.loop import lifetime
from reactor.loop.event_loop import EventLoop
from reactor.loop.lifetime import _after_fork, _at_exit
from reactor.loop.residents import Resident

from ..support.sockets import Sockets

pytestmark = pytest.mark.usefixtures("no_leaks")


class Told(Resident):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def end(self) -> None:
        """See Resident."""
        self.log.append("end")

    def forked(self) -> None:
        """See Resident."""
        self.log.append("forked")

    def let_go(self) -> None:
        """See Resident."""
        self.log.append("let go")


@pytest.fixture
def loop(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventLoop]:
    """A loop, the only one of which the hook knows."""
    monkeypatch.setattr(lifetime, "_loops", WeakValueDictionary())
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def told(loop: EventLoop) -> Told:
    told = Told()
    loop.residents.append(told)
    return told


def test_the_hook_tells_every_loop_and_forgets_it(
    loop: EventLoop, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(threading, "_register_atexit", registered.append)
    _after_fork()
    _after_fork()
    assert told.log == ["forked"]
    assert registered == [_at_exit] * 2  # for children of multiprocessing


def test_the_hook_works_where_threading_has_no_such_function(
    loop: EventLoop, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(threading, "_register_atexit")
    _after_fork()
    assert told.log == ["forked"]


@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.run_once(0),
        lambda loop: loop.run_forever(),
        lambda loop: loop.call_soon(print),
        lambda loop: loop.call_soon_threadsafe(print),
        lambda loop: loop.call_later(0, print),
        lambda loop: loop.signal(signal.SIGUSR1, print),
        lambda loop: loop.check_process(),
    ],
)
def test_the_copy_refuses_to_be_used(loop: EventLoop, use: Callable[[EventLoop], object]) -> None:
    loop.check_process()
    loop.forked()
    with pytest.raises(WebSocketForkException):
        use(loop)


def test_close_lets_go_of_what_the_child_has_of_the_sockets(loop: EventLoop, told: Told) -> None:
    class Lingering:
        unsent = False

        def abort(self) -> None:
            told.log.append("abort")

        def let_go(self) -> None:
            told.log.append("lingering")

    loop.lingering.add(Lingering())
    loop.forked()
    loop.close()
    assert told.log == ["forked", "lingering", "let go"]
    assert not loop.lingering
    loop.close()


def test_a_loop_that_was_closed_before_is_not_told(loop: EventLoop, told: Told) -> None:
    loop.close()
    loop.forked()
    assert told.log == ["end"]
    with pytest.raises(RuntimeError, match="the event loop is closed"):
        loop.run_once(0)


def test_of_the_turn_in_which_a_handler_forks_nothing_is_left_in_the_child(
    loop: EventLoop, sockets: Sockets
) -> None:
    class Transport:
        def flush(self) -> None:
            log.append("flush")

    log: list[str] = []
    loop.call_soon(loop.dirty.append, Transport())
    loop.call_soon(log.append, "before")
    loop.call_soon(loop.dirty.append, Transport())

    def fork() -> None:
        loop.dirty.append(Transport())
        loop.call_later(0, log.append, "timer")
        loop.forked()

    loop.call_soon(fork)
    loop.call_soon(log.append, "behind")
    loop.add_writer(sockets.pair()[0].fileno(), lambda: None)
    with pytest.raises(WebSocketForkException):
        loop.run_once(0)
    assert log == ["flush", "before", "flush"]
    assert not loop.running
    assert (len(loop.wheel), loop.dirty, loop.poller.readers, loop.poller.writers) == (
        *(0, [], {}, {}),
    )


def test_signals_are_as_they_were_before_the_loop(loop: EventLoop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    loop.signal(signal.SIGUSR1, print)
    loop.forked()
    assert signal.getsignal(signal.SIGUSR1) == before
