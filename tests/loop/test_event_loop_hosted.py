"""Another loop runs the turns of this one, and is told when one is wanted earlier."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from reactor import Reactor
from reactor.loop.event_loop import EventLoop
from reactor.loop.poller import wait_for
from reactor.timers import ManualClock

from ..support.every_selector import SELECTORS, SelectorFactory
from ..support.recorder import Recorder
from ..support.sockets import Sockets, drain

pytestmark = pytest.mark.usefixtures("no_leaks")

every_selector = pytest.mark.parametrize("make_selector", SELECTORS.values(), ids=SELECTORS)


@pytest.fixture
def told(loop: EventLoop) -> list[int | None]:
    """On which threads the host of *loop* was told."""
    told: list[int | None] = []
    loop.on_wanted = lambda: told.append(threading.get_ident())
    return told


def nothing() -> None:
    """What is to be called."""


# --- the contract of descriptor and time ----------------------------------------------------------


@every_selector
def test_another_loop_can_host_this_one(make_selector: SelectorFactory, sockets: Sockets) -> None:
    loop = EventLoop(selector=make_selector())
    sockets.callback(loop.close)
    try:
        fd = loop.fileno()
    except ValueError:
        assert not hasattr(make_selector, "fileno")
        return
    log: list[str] = []
    ours, theirs = sockets.pair()
    loop.add_reader(ours.fileno(), lambda: log.append(f"reader {drain(ours)}"))

    def host(until: int) -> None:
        """What the other loop does, until so many things have happened."""
        while len(log) < until:
            wait_for([fd], [], loop.next_timeout())
            loop.run_once(0)

    assert wait_for([fd], [], 0) == set()
    assert loop.next_timeout() is None
    theirs.send(b"ab")
    host(1)
    loop.call_later(0.002, log.append, "timer")
    host(2)
    loop.call_soon(log.append, "call")
    host(3)
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(log.append, "thread"))
    thread.start()
    host(4)
    thread.join()
    assert log == ["reader 2", "timer", "call", "thread"]
    loop.call_soon_threadsafe(log.append, "from the host's own thread")
    assert wait_for([fd], [], 0) == {fd}
    host(5)


@every_selector
def test_a_selector_without_a_descriptor_says_so(make_selector: SelectorFactory) -> None:
    with Reactor(selector=make_selector()) as reactor:
        if hasattr(make_selector, "fileno"):
            assert wait_for([reactor.fileno()], [], 0) == set()
        else:
            with pytest.raises(ValueError, match=r"Selector has no file descriptor that a host"):
                reactor.fileno()


# --- on_wanted ------------------------------------------------------------------------------------

ASKED: dict[str, Callable[[EventLoop], object]] = {
    "a call": lambda loop: loop.call_soon(nothing),
    "a call that any thread may ask for": lambda loop: loop.call_soon_threadsafe(nothing),
    "a timer": lambda loop: loop.call_later(5, nothing),
    "a time": lambda loop: loop.call_at(1005, nothing),
}

every_way = pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)


@every_way
def test_the_host_is_told_of_what_is_asked_for_between_two_turns(
    loop: EventLoop, told: list[int], ask: Callable[[EventLoop], object]
) -> None:
    ask(loop)
    assert told == [threading.get_ident()]


@every_way
def test_the_host_is_not_told_of_what_is_asked_for_within_a_turn(
    loop: EventLoop, told: list[int], ask: Callable[[EventLoop], object]
) -> None:
    loop.call_soon(ask, loop)
    told.clear()
    loop.run_once(0)
    assert told == []


def test_the_host_is_told_on_the_thread_that_has_asked(loop: EventLoop, told: list[int]) -> None:
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(nothing,))
    thread.start()
    ident = thread.ident
    thread.join()
    assert told == [ident]


def test_only_a_timer_that_is_earlier_than_all_others_is_told(
    loop: EventLoop, told: list[int]
) -> None:
    loop.call_later(5, nothing)
    told.clear()
    loop.call_later(6, nothing)
    loop.call_at(1007, nothing)
    assert told == []
    loop.call_later(4, nothing)
    assert len(told) == 1
    assert loop.next_timeout() == pytest.approx(4)


def test_a_host_that_is_late_is_told_of_every_timer(
    loop: EventLoop, clock: ManualClock, told: list[int]
) -> None:
    """It may have forgotten the earlier one, as rel.init() does."""
    loop.call_later(5, nothing)
    clock.advance(6)
    told.clear()
    loop.call_later(5, nothing)
    assert len(told) == 1


def test_a_host_that_has_gone_is_not_told(loop: EventLoop, told: list[int]) -> None:
    loop.on_wanted = None
    for ask in ASKED.values():
        ask(loop)
    assert told == []


# --- a host that sleeps until it is told ----------------------------------------------------------


class Sleeper:
    """A host that sleeps for as long as it was told after the last turn, and looks at no clock.

    Attributes:
        turns: how often it has run one.
    """

    def __init__(self, reactor: Reactor, sockets: Sockets) -> None:
        self._reactor = reactor
        self._told, self._bell = sockets.pair()
        self._promised: float | None = None
        self.turns = 0
        reactor.loop.on_wanted = self._ring
        self._turn()

    def _ring(self) -> None:
        self._bell.send(b"!")

    def _turn(self) -> None:
        self._reactor.run_once(0)
        self.turns += 1
        self._promised = self._reactor.next_timeout()

    def until(self, condition: Callable[[], object]) -> None:
        """Sleep and run turns until *condition* is true."""
        while not condition():
            told = self._told.fileno()
            if told in wait_for([self._reactor.fileno(), told], [], self._promised):
                drain(self._told)
            self._turn()


@pytest.fixture
def sleeper(sockets: Sockets) -> Iterator[tuple[Reactor, Sleeper]]:
    with Reactor() as reactor:
        yield reactor, Sleeper(reactor, sockets)


class Echo(Recorder):
    """A server that answers."""

    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


def test_connect_send_and_close_take_effect_while_the_host_sleeps(
    sleeper: tuple[Reactor, Sleeper],
) -> None:
    reactor, host = sleeper
    listener = reactor.listen("127.0.0.1", 0, Echo)
    recorder = reactor.connect(
        f"ws://127.0.0.1:{listener.port}", Recorder, ping_interval=None, proxy=None
    )
    host.until(lambda: recorder.names == ["open"])
    recorder.send("between two turns")
    host.until(lambda: recorder.messages == ["between two turns"])
    large = "x" * 3_000_000  # more than the kernel takes at once
    recorder.send(large)
    host.until(lambda: recorder.messages[1:] == [large])
    thread = threading.Thread(target=recorder.send, args=("from another thread",))
    thread.start()
    host.until(lambda: len(recorder.messages) == 3)
    thread.join()
    recorder.close()
    host.until(lambda: recorder.closes)
    assert recorder.closes == [(1000, "")]


def test_a_timer_takes_effect_while_the_host_sleeps(sleeper: tuple[Reactor, Sleeper]) -> None:
    reactor, host = sleeper
    fired: list[str] = []
    late = reactor.call_later(1000, fired.append, "late")
    reactor.call_later(0.002, fired.append, "timer")
    host.until(lambda: fired)
    assert fired == ["timer"]
    late.cancel()


def test_a_host_that_is_not_told_sleeps(sleeper: tuple[Reactor, Sleeper]) -> None:
    reactor, host = sleeper
    called: list[int] = []
    reactor.call_soon(called.append, 1)
    host.until(lambda: called)
    assert host.turns == 2
    assert wait_for([reactor.fileno()], [], 0) == set()
