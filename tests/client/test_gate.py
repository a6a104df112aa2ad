"""The gate: in which order attempts begin, how many, and how fast."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Backoff, Pace, Reactor, WebSocketBadStatusException
from reactor.client.gate import Gate, Lines
from reactor.timers import ManualClock

from ..support.recorder import Recorder
from ..support.scene import Scene

HERE, THERE = ("here", 80), ("there", 443)

deterministic = settings(derandomize=True, database=None, deadline=None)


def all_of(lines: Lines[str], now: float) -> list[str]:
    taken = []
    while (who := lines.take(now)) is not None:
        taken.append(who)
    return taken


class TestTheOrder:
    def test_who_came_first_goes_first_wherever_to(self) -> None:
        lines: Lines[str] = Lines()
        for who, address in (("a", HERE), ("b", THERE), ("c", HERE), ("d", THERE)):
            lines.join(who, address, 0.0, again=False)
        assert all_of(lines, 0.0) == ["a", "b", "c", "d"]
        assert len(lines) == 0

    def test_first_attempts_go_before_those_after_a_loss(self) -> None:
        lines: Lines[str] = Lines(1)
        lines.join("retry", HERE, 0.0, again=True)
        lines.join("later", HERE, 0.0, again=False)
        lines.join("elsewhere", THERE, 0.0, again=False)
        order = []
        while (who := lines.take(0.0)) is not None:
            order.append(who)
            lines.done()
        assert order == ["later", "elsewhere", "retry"]

    def test_no_more_than_the_limit_are_in_flight(self) -> None:
        lines: Lines[str] = Lines(2)
        for who in "abc":
            lines.join(who, HERE, 0.0, again=False)
        assert all_of(lines, 0.0) == ["a", "b"]
        lines.done()
        assert all_of(lines, 0.0) == ["c"]
        assert lines.in_flight == 2

    def test_without_a_limit_all_go(self) -> None:
        lines: Lines[str] = Lines(None)
        for who in map(str, range(1000)):
            lines.join(who, HERE, 0.0, again=False)
        assert len(all_of(lines, 0.0)) == 1000

    def test_who_has_left_does_not_go(self) -> None:
        lines: Lines[str] = Lines()
        for who in "abc":
            lines.join(who, HERE, 0.0, again=False)
        assert lines.leave("a")
        assert not lines.leave("a")
        assert all_of(lines, 0.0) == ["b", "c"]

    def test_who_leaves_and_comes_back_is_the_last(self) -> None:
        lines: Lines[str] = Lines(1)
        for who, address in (("a", HERE), ("b", THERE)):
            lines.join(who, address, 0.0, again=False)
        lines.leave("a")
        lines.join("a", HERE, 0.0, again=False)
        assert all_of(lines, 0.0) == ["b"]
        lines.done()
        assert all_of(lines, 0.0) == ["a"]


class TestThePace:
    def test_it_holds_for_each_address(self) -> None:
        lines: Lines[str] = Lines()
        pace = Pace(2, per=1.0)
        for number, address in enumerate([HERE] * 3 + [THERE] * 3):
            lines.join(f"{number}", address, 0.0, again=False, pace=pace)
        assert all_of(lines, 0.0) == ["0", "1", "3", "4"]
        assert lines.next_at() == 1.0
        assert all_of(lines, 0.5) == []
        assert all_of(lines, 1.0) == ["2", "5"]
        assert lines.next_at() is None

    def test_who_waits_for_the_pace_is_overtaken_by_who_has_none(self) -> None:
        lines: Lines[str] = Lines()
        for who in "ab":
            lines.join(who, HERE, 0.0, again=False, pace=Pace(1))
        lines.join("c", HERE, 0.0, again=True)
        assert all_of(lines, 0.0) == ["a", "c"]

    @deterministic
    @given(
        st.integers(1, 4),
        st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), max_size=40),
    )
    def test_no_window_has_more_and_nobody_is_lost(
        self, count: int, asked: list[tuple[float, bool, bool]]
    ) -> None:
        lines: Lines[int] = Lines(3)
        pace = Pace(count, per=1.0)
        began: dict[tuple[str, int], list[float]] = {HERE: [], THERE: []}
        addresses = {}
        now = 100.0
        seen = set()

        def go_on() -> None:
            while (who := lines.take(now)) is not None:
                began[addresses[who]].append(now)
                assert who not in seen
                seen.add(who)
                lines.done()

        for number, (pause, there, again) in enumerate(asked):
            now += pause
            addresses[number] = THERE if there else HERE
            lines.join(number, addresses[number], now, again=again, pace=pace)
            go_on()
        while (when := lines.next_at()) is not None:
            now = max(now, when)
            go_on()
        assert seen == set(range(len(asked)))
        assert len(lines) == 0
        for times in began.values():
            assert all(b - a >= 1.0 for a, b in zip(times, times[count:], strict=False))


class TestHoldingBack:
    def test_nobody_goes_there_before_the_time(self) -> None:
        lines: Lines[str] = Lines()
        lines.hold(HERE, 0.0, 10.0, 0.0)
        lines.join("here", HERE, 1.0, again=False)
        lines.join("there", THERE, 1.0, again=False)
        assert all_of(lines, 1.0) == ["there"]
        assert lines.next_at() == 10.0
        assert all_of(lines, 10.0) == ["here"]

    def test_then_they_come_one_by_one(self) -> None:
        lines: Lines[int] = Lines(random=lambda: 0.5)
        lines.hold(HERE, 0.0, 10.0, 5.0)
        for number in range(20):
            lines.join(number, HERE, 0.0, again=False)
        began = []
        now = 0.0
        while True:
            while lines.take(now) is not None:
                began.append(now)
            when = lines.next_at()
            if when is None:
                break
            now = when
        assert len(began) == 20
        assert began[0] >= 10.0
        assert began[-1] <= 15.0
        assert len(set(began)) >= 19

    def test_a_shorter_hold_does_not_shorten_a_longer_one(self) -> None:
        lines: Lines[str] = Lines()
        lines.hold(HERE, 0.0, 10.0, 0.0)
        lines.hold(HERE, 0.0, 1.0, 0.0)
        lines.join("a", HERE, 0.0, again=False)
        assert all_of(lines, 9.0) == []


def test_places_that_nobody_waits_at_are_forgotten() -> None:
    lines: Lines[int] = Lines()
    pace = Pace(1, per=1.0)
    for number in range(5000):
        now = number * 0.1
        lines.join(number, (f"host-{number}", 80), now, again=False, pace=pace)
        lines.hold((f"host-{number}", 80), now, 0.5, 0.0)
        lines.leave(number)
        all_of(lines, now)
        lines.next_at()
    assert len(lines._places) < 200
    assert len(lines._holds) < 200


class TestOnALoop:
    @pytest.fixture
    def narrow(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
        monkeypatch.setattr(scene.loop._opener.gate._lines, "limit", 2)
        return scene

    def test_the_next_one_is_dialled_when_one_is_through(self, narrow: Scene) -> None:
        recorders = [Recorder() for _ in range(3)]
        for recorder in recorders:
            narrow.connect(recorder)
        assert len(narrow.attempts) == 2
        assert narrow.loop._opener.gate.waiting == 1
        assert narrow.loop.stats().connecting == 3
        peer = narrow.attempts[0].succeed()
        narrow.turn(count=2)
        assert len(narrow.attempts) == 3
        peer.close()

    def test_a_failed_one_makes_room_too(self, narrow: Scene) -> None:
        for _ in range(3):
            narrow.connect(Recorder())
        narrow.attempts[0].fail(OSError("no"))
        narrow.turn(count=2)
        assert len(narrow.attempts) == 3

    def test_one_that_is_closed_in_flight_makes_room_too(self, narrow: Scene) -> None:
        recorders = [Recorder() for _ in range(3)]
        for recorder in recorders:
            narrow.connect(recorder)
        recorders[0].close()
        narrow.turn(count=2)
        assert len(narrow.attempts) == 3
        assert narrow.attempts[0].fate == "cancelled"

    def test_a_closed_one_leaves_the_line_and_is_told_once(self, narrow: Scene) -> None:
        recorders = [Recorder() for _ in range(3)]
        for recorder in recorders:
            narrow.connect(recorder)
        recorders[2].close()
        narrow.turn(count=2)
        assert narrow.loop._opener.gate.waiting == 0
        assert recorders[2].closes == [(1006, "")]
        narrow.attempts[0].fail(OSError("no"))
        narrow.turn(count=2)
        assert len(narrow.attempts) == 2

    def test_a_retry_waits_behind_first_attempts(self, narrow: Scene) -> None:
        lost = Recorder()
        narrow.connect(lost, reconnect=1, url="ws://lost/")
        narrow.fail(OSError("no"))
        for number in range(3):
            narrow.connect(Recorder(), url=f"ws://new-{number}/")
        narrow.turn(1.1, count=2)
        narrow.connect(Recorder(), url="ws://new-3/")
        for attempt in narrow.attempts:
            if attempt.fate == "pending":
                attempt.fail(OSError("no"))
                narrow.turn(count=2)
        urls = [attempt.url for attempt in narrow.attempts]
        assert urls.index("ws://new-3/") < max(
            index for index, url in enumerate(urls) if url == "ws://lost/"
        )

    def test_header_and_cookie_are_asked_for_when_it_is_dialled(self, narrow: Scene) -> None:
        asked: list[str] = []

        def header() -> dict[str, str]:
            asked.append("header")
            return {}

        for _ in range(2):
            narrow.connect(Recorder())
        narrow.connect(Recorder(), header=header)
        assert asked == []
        narrow.attempts[0].fail(OSError("no"))
        narrow.turn(count=2)
        assert asked == ["header"]

    def test_a_pace_of_its_own_holds_for_a_connection(self, scene: Scene) -> None:
        for _ in range(3):
            scene.connect(Recorder(), connect_pace=Pace(1, per=5.0))
        assert len(scene.attempts) == 1
        scene.turn(5.1, count=2)
        assert len(scene.attempts) == 2
        scene.turn(5.1, count=2)
        assert [attempt.at for attempt in scene.attempts] == pytest.approx([1000.0, 1005.1, 1010.2])

    def test_a_refusal_with_retry_after_holds_back_all_at_that_host(self, scene: Scene) -> None:
        refusal = WebSocketBadStatusException("no", 429, "Slow down", {"retry-after": "30"}, b"")
        first, second, other = Recorder(), Recorder(), Recorder()
        scene.connect(first, url="ws://busy/a", reconnect=Backoff())
        scene.fail(refusal)
        scene.connect(second, url="ws://busy/b")
        scene.connect(other, url="ws://idle/")
        assert [attempt.url for attempt in scene.attempts] == ["ws://busy/a", "ws://idle/"]
        scene.turn(29.9, count=2)
        assert len(scene.attempts) == 2
        scene.turn(15.2, count=3)
        assert {attempt.url for attempt in scene.attempts[2:]} == {"ws://busy/a", "ws://busy/b"}

    def test_a_wish_of_an_hour_holds_back_no_longer_than_the_cap(self, scene: Scene) -> None:
        refusal = WebSocketBadStatusException("no", 429, "Slow down", {"retry-after": "3600"}, b"")
        scene.connect(Recorder())
        scene.fail(refusal)
        scene.connect(Recorder())
        assert len(scene.attempts) == 1
        scene.turn(90.1, count=2)
        assert len(scene.attempts) == 2

    def test_nothing_is_left_when_all_have_been_closed(self, scene: Scene) -> None:
        recorders = [Recorder() for _ in range(5)]
        for recorder in recorders:
            scene.connect(recorder, connect_pace=Pace(1, per=5.0))
        for recorder in recorders:
            recorder.close()
        scene.turn(count=2)
        assert scene.nothing_goes_on()


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"max_connecting": 0}, ValueError, "max_connecting"),
        ({"max_connecting": True}, TypeError, "max_connecting"),
        ({"max_connecting": 1.5}, TypeError, "max_connecting"),
        ({"connect_pace": 5}, TypeError, "connect_pace"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_it(
    options: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        Reactor(**options)


def test_the_pace_of_a_reactor_holds_for_each_address() -> None:
    clock = ManualClock(1000.0)
    with Reactor(clock=clock, connect_pace=Pace(2, per=60.0)) as loop:
        for _ in range(5):
            loop.connect("ws://127.0.0.1:9/", Recorder(), connect_timeout=None)
        loop.run_once(0)
        assert loop._opener.gate.waiting == 3


class TestPermits:
    """Somebody else, who knows other processes, may say how many attempts may begin."""

    def gate(self, loop: Reactor, permits: int | None) -> tuple[Gate, list[str]]:
        gate, begun = Gate(loop.loop, None), list[str]()
        gate.permits = permits
        for who in "abc":
            gate.ask(partial(begun.append, who), HERE, again=False, pace=None)
        return gate, begun

    def test_without_such_a_limit_all_begin(self, loop: Reactor) -> None:
        gate, begun = self.gate(loop, None)
        assert (begun, gate.in_flight, gate.waiting) == (["a", "b", "c"], 3, 0)

    def test_so_many_begin_and_the_others_are_told_of(self, loop: Reactor) -> None:
        gate, begun = self.gate(loop, 1)
        assert (begun, gate.permits, gate.waiting) == (["a"], 0, 2)
        short: list[int] = []
        gate.on_short = lambda: short.append(gate.waiting)
        gate.grant(1)
        assert (begun, short) == (["a", "b"], [1])
        gate.grant(5)
        assert (begun, gate.permits, short) == (["a", "b", "c"], 4, [1])

    def test_one_that_leaves_the_loop_leaves_the_others_for_the_next_turn(
        self, loop: Reactor
    ) -> None:
        gate, begun = self.gate(loop, 0)

        def interrupt() -> None:
            raise KeyboardInterrupt

        gate.ask(interrupt, HERE, again=False, pace=None)
        with pytest.raises(KeyboardInterrupt):
            gate.grant(4)
        gate.ask(partial(begun.append, "d"), HERE, again=False, pace=None)
        loop.run_once(0)
        assert begun == ["a", "b", "c"]
        gate.grant(1)
        assert begun == ["a", "b", "c", "d"]

    def test_who_does_not_wait_cannot_leave(self, loop: Reactor) -> None:
        gate, _ = self.gate(loop, 0)
        assert not gate.leave(int)
        assert gate.waiting == 3


def test_places_with_something_to_remember_are_not_forgotten() -> None:
    lines: Lines[str] = Lines(1)
    for number in range(200):
        lines.join(f"{number}", (f"host-{number}", 80), 0.0, again=False, pace=Pace(1, per=60.0))
    taken = []
    now = 0.0
    while (who := lines.take(now)) is not None:
        taken.append(who)
        lines.done()
        now += 0.001
    assert len(taken) == 200
    lines.join("again", ("host-0", 80), 1.0, again=False, pace=Pace(1, per=60.0))
    assert lines.take(1.0) is None  # its pace is remembered
    assert lines.take(61.0) == "again"
