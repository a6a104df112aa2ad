"""What every host does, with another loop that does nothing unless the test says so."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Reactor
from reactor.hosting.hosted import Farewell, Host

from ..support.recorder import Recorder
from ..support.scene import START, Scene

pytestmark = pytest.mark.usefixtures("no_leaks")


class OtherLoop(Host):
    """Notes down what the other loop is asked for.

    Attributes:
        watched: the descriptors.
        alarm: seconds, or None.
        nudges: how many there were since the last :meth:`take`.
    """

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(reactor)
        self.watched: list[int] = []
        self.alarm: float | None = None
        self.nudges = 0

    def watch(self, fd: int) -> None:
        self.watched.append(fd)

    def unwatch(self, fd: int) -> None:
        self.watched.remove(fd)

    def set_alarm(self, delay: float) -> None:
        self.alarm = delay

    def stop_alarm(self) -> None:
        self.alarm = None

    def nudge(self) -> None:
        self.nudges += 1

    def take(self) -> int:
        """Return the number of nudges, and forget them."""
        nudges, self.nudges = self.nudges, 0
        return nudges

    def run(self) -> None:
        """Run turns, as the other loop does, for as long as it is nudged."""
        while self.take():
            self.run_turn()


@pytest.fixture
def host(scene: Scene) -> Iterator[OtherLoop]:
    """A host that has started, and has run its first turn."""
    other = OtherLoop(scene.loop)
    other.start()
    other.run()
    yield other
    other.take()


def test_it_begins_with_a_turn_and_leaves_nothing(loop: Reactor) -> None:
    other = OtherLoop(loop)
    other.start()
    assert (other.watched, other.take()) == ([loop.fileno()], 1)
    loop.call_later(5, print)
    other.run_turn()
    loop.close()
    assert (other.watched, other.alarm) == ([], None)
    other.run_turn()  # asked for before the end, and late


def test_a_reactor_without_a_descriptor_cannot_be_hosted_and_is_closed() -> None:
    reactor = Reactor(selector=selectors.SelectSelector())
    other = OtherLoop(reactor)
    with pytest.raises(ValueError, match="descriptor"):
        other.start()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.call_soon_threadsafe(print)
    assert other.watched == []


def test_whatever_is_asked_for_between_two_turns_is_one_nudge(
    scene: Scene, host: OtherLoop
) -> None:
    called: list[int] = []
    for number in range(3):
        scene.loop.call_soon(called.append, number)
    assert (called, host.take()) == ([], 1)
    host.run_turn()
    assert (called, host.take()) == ([0, 1, 2], 0)
    scene.loop.call_soon(called.append, 3)
    assert host.take() == 1


def test_what_a_turn_asks_for_is_a_nudge_for_the_next_one(scene: Scene, host: OtherLoop) -> None:
    called: list[str] = []
    scene.loop.call_soon(lambda: scene.loop.call_soon(called.append, "next"))
    assert host.take() == 1
    host.run_turn()
    assert (called, host.take()) == ([], 1)
    host.run_turn()
    assert called == ["next"]


def test_another_thread_makes_the_descriptor_readable(scene: Scene, host: OtherLoop) -> None:
    called: list[int] = []
    thread = threading.Thread(target=scene.loop.call_soon_threadsafe, args=(called.append, 1))
    thread.start()
    thread.join()
    with selectors.DefaultSelector() as selector:
        selector.register(host.watched[0], selectors.EVENT_READ)
        assert selector.select(10)
    assert host.take() == 0
    host.run_turn()
    assert called == [1]


def test_the_alarm_is_for_the_next_timer(scene: Scene, host: OtherLoop) -> None:
    fired: list[int] = []
    scene.loop.call_later(5, fired.append, 5)
    host.run()
    assert host.alarm is not None
    assert 0 < host.alarm <= 5
    host.alarm = None
    scene.loop.call_later(10, fired.append, 10)
    host.run()
    assert host.alarm is None  # the one that is set is earlier
    scene.loop.call_later(2, fired.append, 2)
    host.run()
    assert 0 < host.alarm <= 2
    scene.clock.advance(2)
    host.on_alarm()
    assert fired == [2]
    assert 0 < host.alarm <= 3


def test_an_alarm_that_is_too_early_is_set_anew(scene: Scene, host: OtherLoop) -> None:
    timer = scene.loop.call_later(5, pytest.fail)
    scene.loop.call_later(7, print)
    host.run()
    timer.cancel()
    host.alarm = None
    scene.clock.advance(5)
    host.on_alarm()
    host.run()
    assert host.alarm is not None
    assert 0 < host.alarm <= 2


def test_what_leaves_a_turn_leaves_the_rest_for_the_next_one(scene: Scene, host: OtherLoop) -> None:
    called: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    scene.loop.call_soon(interrupt)
    scene.loop.call_soon(called.append, 1)
    assert host.take() == 1
    with pytest.raises(KeyboardInterrupt):
        host.run_turn()
    assert not host.running
    assert host.take() == 1
    host.run_turn()
    assert called == [1]


def test_a_handler_that_runs_the_other_loop_does_not_run_a_turn_within_a_turn(
    scene: Scene, host: OtherLoop
) -> None:
    called: list[int] = []

    def within() -> None:
        scene.loop.call_soon(called.append, 1)
        host.run_turn()
        assert called == []

    scene.loop.call_soon(within)
    host.run_turn()
    host.run()
    assert called == [1]


@pytest.mark.parametrize("within", [False, True])
def test_the_end_of_the_other_loop_closes_the_reactor_behind_the_turn(within: bool) -> None:
    with Reactor() as reactor:
        other = OtherLoop(reactor)
        other.start()
        seen: list[bool] = []

        def end() -> None:
            other.finish()
            seen.append(other.watched == [])

        if within:
            reactor.call_soon(end)
            other.run_turn()
        else:
            end()
        assert (seen, other.watched) == ([not within], [])
        with pytest.raises(RuntimeError, match="closed"):
            reactor.call_soon_threadsafe(print)


def test_a_copy_in_a_forked_child_asks_the_other_loop_for_nothing(
    scene: Scene, host: OtherLoop
) -> None:
    host.forked()
    scene.loop.call_soon(print)
    assert host.take() == 0


def test_something_may_be_called_after_every_turn(scene: Scene, host: OtherLoop) -> None:
    turns: list[bool] = []
    host.after_turn = lambda: turns.append(host.running)
    host.run_turn()
    scene.loop.call_soon(host.finish)
    host.run_turn()
    assert turns == [False, False]
    assert host.watched == []


# -- the end that may not wait in place ------------------------------------------------------------


def say_farewell(host: OtherLoop, timeout: float) -> list[str]:
    """Begin a farewell; what is returned fills up."""
    log: list[str] = []
    host.after_turn = lambda: log.append("turn")
    Farewell(host, timeout, lambda: log.append("done")).start()
    host.run()
    return log


def test_a_farewell_ends_when_every_connection_is_closed(scene: Scene, host: OtherLoop) -> None:
    client = Recorder()
    peer = scene.open(client)
    log = say_farewell(host, 60)
    assert log == []
    (frame,) = peer.frames()
    assert frame.payload == b"\x03\xe9"
    peer.say_goodbye(1001)
    peer.close()
    for _ in range(3):
        host.run_turn()
    assert client.closes == [(1001, "")]
    assert log[:2] == ["done", "turn"]
    assert "done" not in log[1:]


def test_a_farewell_ends_after_its_time(scene: Scene, host: OtherLoop) -> None:
    scene.open(Recorder())
    log = say_farewell(host, 5)
    assert log == []
    scene.clock.advance(5)
    host.on_alarm()
    assert log == ["done", "turn"]
    assert scene.clock.now() == START + 5


def test_a_farewell_without_connections_is_over_with_the_next_turn(host: OtherLoop) -> None:
    assert say_farewell(host, 60) == ["done", "turn"]


def test_a_farewell_needs_a_time_that_can_pass(host: OtherLoop) -> None:
    never: Any = pytest.fail
    with pytest.raises(ValueError, match="timeout must be 0 or more seconds, not -1"):
        Farewell(host, -1, never).start()
