from __future__ import annotations

import ssl
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import pytest

from reactor import Reactor, WebSocketProtocol, WebSocketTimeoutException
from reactor.client import pipeline
from reactor.loop.share import SHARE, TurnShare
from reactor.timers import ManualClock

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")

#: Two of these use up a turn.
HALF = 0.6 * SHARE
WHOLE = 1.2 * SHARE


class Turns:
    """A loop that has nothing but calls, and CPU time that passes when the test says so."""

    def __init__(self) -> None:
        self.turns = 1
        self.calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.cpu = 0.0
        self.share = TurnShare(lambda: self.cpu)
        self.ran: list[tuple[int, str]] = []  # in which turn, and what

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.calls.append((callback, args))

    def turn(self) -> None:
        """The calls of this turn, and on to the next one."""
        for _ in range(len(self.calls)):
            callback, args = self.calls.popleft()
            callback(*args)
        self.turns += 1

    def ask(
        self, name: str, cost: float, then: Callable[[], object] = int, begins: bool = False
    ) -> None:
        def step() -> None:
            self.ran.append((self.turns, name))
            self.cpu += cost
            then()

        self.share.run(self, step, begins)


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_what_is_cheap_runs_at_once(turns: Turns) -> None:
    for name in "abc":
        turns.ask(name, SHARE / 10)
    assert turns.ran == [(1, "a"), (1, "b"), (1, "c")]
    assert not turns.calls


def test_what_is_too_much_for_a_turn_waits_for_the_next_ones_in_order(turns: Turns) -> None:
    for name in "abcdef":
        turns.ask(name, HALF)
    assert turns.ran == [(1, "a"), (1, "b")]
    turns.turn()  # the calls of the same turn
    assert turns.ran == [(1, "a"), (1, "b")]
    turns.turn()
    turns.turn()
    assert turns.ran[2:] == [(2, "c"), (2, "d"), (3, "e"), (3, "f")]
    assert not turns.calls


def test_who_asks_later_does_not_overtake(turns: Turns) -> None:
    for name in "abc":
        turns.ask(name, HALF)
    turns.turn()
    turns.ask("d", HALF)
    turns.turn()
    assert [name for _, name in turns.ran] == list("abcd")


def test_what_begins_waits_behind_what_goes_on(turns: Turns) -> None:
    turns.ask("a", WHOLE)
    turns.ask("first", WHOLE, begins=True)
    turns.ask("second", WHOLE, begins=True)
    turns.ask("b", WHOLE, then=lambda: turns.ask("c", WHOLE))
    for _ in range(6):
        turns.turn()
    assert [name for _, name in turns.ran] == ["a", "b", "c", "first", "second"]
    assert not turns.calls


def test_a_step_that_asks_for_another_one_has_it_behind_those_that_wait(turns: Turns) -> None:
    turns.ask("a", WHOLE)
    turns.ask("b", WHOLE, then=lambda: turns.ask("d", WHOLE))
    turns.ask("c", WHOLE)
    for _ in range(5):
        turns.turn()
    assert turns.ran == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert not turns.calls


def test_a_step_that_fails_costs_the_others_nothing(turns: Turns) -> None:
    turns.ask("a", WHOLE)
    turns.ask("b", 0.0, then=lambda: 1 / 0)
    turns.ask("c", 0.0)
    turns.turn()
    with pytest.raises(ZeroDivisionError):
        turns.turn()
    turns.turns += 1
    turns.turn()
    assert [name for _, name in turns.ran] == ["a", "b", "c"]


def test_a_single_step_may_take_longer_than_the_share(turns: Turns) -> None:
    turns.ask("a", 10 * SHARE)
    turns.turn()
    turns.ask("b", 0.0)
    assert turns.ran == [(1, "a"), (2, "b")]


# --- who has a share ------------------------------------------------------------------------------


class Stopwatch:
    """CPU time of which every look takes more than a share."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 2 * SHARE
        return self.time


def test_tls_handshakes_of_both_roles_take_a_bounded_part_of_each_turn(
    reactor: Reactor, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor.loop.share = TurnShare(Stopwatch())
    steps: Counter[int] = Counter()
    do_handshake = ssl.SSLSocket.do_handshake

    def counting(self: ssl.SSLSocket, block: bool = False) -> None:
        steps[reactor.loop.turns] += 1
        do_handshake(self, block)

    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", counting)
    listener = reactor.listen("127.0.0.1", 0, WebSocketProtocol, ssl=authority.server_context)
    url = f"wss://127.0.0.1:{listener.port}"
    recorders = [reactor.connect(url, Recorder, sslopt=authority.sslopt) for _ in range(20)]
    run_until(reactor, lambda: all(recorder.names == ["open"] for recorder in recorders))
    assert sum(steps.values()) >= 4 * len(recorders)
    assert max(steps.values()) == 1


def test_attempts_take_a_bounded_part_of_each_turn(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor.loop.share = TurnShare(Stopwatch())
    listener = reactor.listen("127.0.0.1", 0, WebSocketProtocol)
    dialled: Counter[int] = Counter()
    reach = pipeline.reach

    async def counting(*args: Any, **options: Any) -> Any:
        dialled[reactor.loop.turns] += 1
        return await reach(*args, **options)

    monkeypatch.setattr(pipeline, "reach", counting)
    url = f"ws://127.0.0.1:{listener.port}"
    recorders = [reactor.connect(url, Recorder) for _ in range(20)]
    run_until(reactor, lambda: all(recorder.names == ["open"] for recorder in recorders))
    assert max(dialled.values()) == 1


def test_an_attempt_whose_turn_does_not_come_in_time_has_timed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        waiting: list[Callable[[], object]] = []
        monkeypatch.setattr(TurnShare, "run", lambda *arguments: waiting.append(arguments[-1]))
        recorder = loop.connect("ws://127.0.0.1:9", Recorder, connect_timeout=5)
        loop.run_once(0)
        clock.advance(6)
        run_until(loop, lambda: recorder.closes)
    (error,) = recorder.errors
    assert isinstance(error, WebSocketTimeoutException)
    assert "127.0.0.1" in str(error)
