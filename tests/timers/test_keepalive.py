from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.exceptions import WebSocketStateException
from reactor.timers import Action, KeepAlive, KeepAlivePolicy
from reactor.timers.keepalive import MIN_BACKLOG

WAIT, PING, SUSPECT = Action.WAIT, Action.PING, Action.SUSPECT
deterministic = settings(derandomize=True, database=None, deadline=None)


def started(now=0.0, spread=0.0, **policy):
    keepalive = KeepAlive(KeepAlivePolicy(**policy))
    due = keepalive.start(now, spread)
    return keepalive, due


class TestPolicy:
    def test_defaults(self):
        policy = KeepAlivePolicy(20)
        assert (policy.interval, policy.timeout) == (20, None)
        assert (policy.payload, policy.when_idle) == (b"", False)

    @pytest.mark.parametrize("interval", [0, -1, math.nan, math.inf])
    def test_the_interval_must_be_positive(self, interval):
        with pytest.raises(ValueError, match=rf"^interval must be .*, not {interval!r}$"):
            KeepAlivePolicy(interval)

    @pytest.mark.parametrize("timeout", [0, -0.5, math.nan, math.inf])
    def test_the_timeout_must_be_positive(self, timeout):
        with pytest.raises(ValueError, match=rf"^timeout must be .*, not {timeout!r}$"):
            KeepAlivePolicy(20, timeout)

    @pytest.mark.parametrize("timeout", [10, 20, 30])
    def test_the_timeout_may_be_longer_than_the_interval(self, timeout):
        assert KeepAlivePolicy(20, timeout).timeout == timeout

    def test_a_ping_carries_at_most_125_bytes(self):
        assert len(KeepAlivePolicy(20, payload=b"x" * 125).payload) == 125
        with pytest.raises(ValueError, match=r"^payload must be at most 125 bytes, not 126$"):
            KeepAlivePolicy(20, payload=b"x" * 126)

    @pytest.mark.parametrize("payload", ["text", None, bytearray(b"x")])
    def test_the_payload_must_be_bytes(self, payload):
        with pytest.raises(TypeError, match=rf"^payload must be .*{type(payload).__name__}$"):
            KeepAlivePolicy(20, payload=payload)

    def test_it_is_immutable_and_small(self):
        policy = KeepAlivePolicy(20)
        with pytest.raises(dataclasses.FrozenInstanceError):
            policy.interval = 5
        assert not hasattr(policy, "__dict__")


class TestStart:
    def test_nothing_happens_before(self):
        keepalive = KeepAlive(KeepAlivePolicy(20))
        assert not keepalive.started
        assert not keepalive.awaiting_pong
        with pytest.raises(WebSocketStateException, match="not started"):
            keepalive.on_timer(1.0, 0.0)

    def test_a_pong_before_is_ignored(self):
        keepalive = KeepAlive(KeepAlivePolicy(20))
        keepalive.on_pong(1.0)
        assert not keepalive.started
        assert keepalive.latency is None

    def test_the_first_ping_comes_after_one_interval(self):
        keepalive, due = started(now=100.0, interval=20)
        assert due == 120.0
        assert keepalive.started
        assert keepalive.on_timer(119.9, 100.0) == (WAIT, 120.0)
        assert keepalive.on_timer(120.0, 100.0) == (PING, 140.0)

    @pytest.mark.parametrize(("spread", "due"), [(0.0, 120.0), (0.5, 115.0), (1.0, 110.0)])
    @pytest.mark.parametrize("when_idle", [False, True])
    def test_spread_shortens_the_first_interval_by_up_to_half(self, spread, due, when_idle):
        keepalive, first = started(100.0, spread, interval=20, when_idle=when_idle)
        assert first == due
        # what arrived with the handshake does not undo it
        assert keepalive.on_timer(first, 100.0) == (PING, due + 20)

    @pytest.mark.parametrize("spread", [-0.01, 1.01, math.nan])
    def test_spread_has_a_range(self, spread):
        keepalive = KeepAlive(KeepAlivePolicy(20))
        with pytest.raises(ValueError, match=rf"^spread must be .*, not {spread!r}$"):
            keepalive.start(0.0, spread)
        assert not keepalive.started

    def test_random_spread_keeps_ten_thousand_connections_apart_for_good(self):
        rng = random.Random(1)
        pings = {}
        policy = KeepAlivePolicy(20)
        for _ in range(10_000):
            keepalive = KeepAlive(policy)
            due = keepalive.start(0.0, rng.random())
            for _ in range(10):
                # the loop is up to 5 ms late, and always a little
                action, due = keepalive.on_timer(due + rng.uniform(0.0001, 0.005), 0.0)
                assert action is PING
            pings[int(due * 1000)] = pings.get(int(due * 1000), 0) + 1
        assert max(pings.values()) < 10
        assert min(pings) >= 210_000
        assert max(pings) <= 220_000

    def test_starting_again_forgets_the_last_connection(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        keepalive.on_pong(21.0)
        keepalive.on_timer(40.0, 0.0)
        assert keepalive.awaiting_pong
        assert keepalive.start(100.0) == 120.0
        assert not keepalive.awaiting_pong
        assert keepalive.latency is None
        assert keepalive.on_timer(110.0, 0.0) == (WAIT, 120.0)

    def test_it_is_small(self):
        assert not hasattr(KeepAlive(KeepAlivePolicy(20)), "__dict__")


class TestPeriodic:
    def test_pings_every_interval_whatever_the_traffic(self):
        keepalive, _ = started(interval=20)
        assert keepalive.on_timer(20.0, 19.9) == (PING, 40.0)
        assert keepalive.on_timer(40.0, 40.0) == (PING, 60.0)
        assert keepalive.on_timer(60.0, 59.0) == (PING, 80.0)

    def test_asks_to_be_called_at_the_timeout(self):
        keepalive, _ = started(interval=20, timeout=5)
        assert keepalive.on_timer(20.0, 0.0) == (PING, 25.0)
        assert keepalive.awaiting_pong

    def test_a_pong_clears(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        keepalive.on_pong(21.5)
        assert not keepalive.awaiting_pong
        assert keepalive.latency == 1.5
        assert keepalive.on_timer(25.0, 21.5) == (WAIT, 40.0)
        assert keepalive.on_timer(40.0, 21.5) == (PING, 45.0)

    def test_other_traffic_does_not_clear(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(24.999, 24.9) == (WAIT, 25.0)
        assert keepalive.on_timer(25.0, 24.9) == (SUSPECT, 25.0)
        assert keepalive.awaiting_pong

    def test_an_unsolicited_pong_is_ignored(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_pong(3.0)
        assert keepalive.latency is None
        assert keepalive.on_timer(20.0, 3.0) == (PING, 25.0)
        keepalive.on_pong(20.5)
        keepalive.on_pong(23.0)
        assert keepalive.latency == 0.5

    def test_without_a_timeout_the_peer_is_never_suspected(self):
        keepalive, due = started(interval=20)
        for _ in range(1000):
            action, due = keepalive.on_timer(due, 0.0)
            assert action is PING
        assert keepalive.awaiting_pong

    def test_latency_without_a_timeout(self):
        keepalive, _ = started(interval=20)
        keepalive.on_timer(20.0, 0.0)
        keepalive.on_pong(20.25)
        assert keepalive.latency == 0.25


class TestSuspect:
    def test_it_is_suspected_as_often_as_asked(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(26.0, 0.0) == (SUSPECT, 26.0)
        assert keepalive.on_timer(26.0, 0.0) == (SUSPECT, 26.0)
        assert keepalive.on_timer(100.0, 0.0) == (SUSPECT, 100.0)

    def test_a_pong_that_waited_in_the_kernel_clears_it(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(30.0, 0.0)[0] is SUSPECT  # a handler was slow
        keepalive.on_pong(30.0)
        assert keepalive.on_timer(30.0, 30.0) == (WAIT, 40.0)

    def test_a_ping_that_became_due_meanwhile_follows_at_once(self):
        keepalive, _ = started(interval=20, timeout=5)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(47.0, 0.0)[0] is SUSPECT
        keepalive.on_pong(47.0)
        assert keepalive.on_timer(47.0, 47.0) == (PING, 52.0)

    def test_when_idle_any_byte_that_waited_in_the_kernel_clears_it(self):
        keepalive, _ = started(interval=20, timeout=5, when_idle=True)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(30.0, 0.0) == (SUSPECT, 30.0)
        assert keepalive.on_timer(30.0, 0.0) == (SUSPECT, 30.0)
        assert keepalive.on_timer(30.0, 30.0) == (WAIT, 50.0)
        assert not keepalive.awaiting_pong


class TestMovingBytes:
    """What is no answer, and yet says that the peer is alive."""

    def test_the_timeout_runs_from_the_last_movement(self):
        keepalive, _ = started(interval=10, timeout=5)
        assert keepalive.on_timer(10.0, 0.0) == (PING, 15.0)
        assert keepalive.on_timer(15.0, 0.0, 14.0) == (WAIT, 19.0)
        assert keepalive.on_timer(19.0, 0.0, 14.0) == (SUSPECT, 19.0)

    def test_a_movement_from_before_the_ping_does_not_count(self):
        keepalive, _ = started(interval=10, timeout=5)
        assert keepalive.on_timer(10.0, 0.0, 9.0) == (PING, 15.0)
        assert keepalive.on_timer(15.0, 0.0, 9.0) == (SUSPECT, 15.0)

    def test_the_timeout_begins_anew_when_the_backlog_in_the_kernel_has_shrunk(self):
        keepalive, _ = started(interval=10, timeout=5)
        keepalive.note_backlog(3 * MIN_BACKLOG)
        keepalive.on_timer(10.0, 0.0)
        assert keepalive.on_timer(15.0, 0.0) == (SUSPECT, 15.0)
        assert keepalive.on_backlog(15.0, 2 * MIN_BACKLOG)
        assert keepalive.on_timer(15.0, 0.0) == (WAIT, 20.0)
        assert keepalive.on_timer(20.0, 0.0) == (SUSPECT, 20.0)
        assert not keepalive.on_backlog(20.0, 2 * MIN_BACKLOG)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (0, 0),
            (MIN_BACKLOG, MIN_BACKLOG),  # nothing is taken
            (MIN_BACKLOG, 2 * MIN_BACKLOG),
            (MIN_BACKLOG, 0),  # the ping has arrived, and is not answered
            (MIN_BACKLOG - 1, 1),  # what is always on its way
        ],
    )
    def test_any_other_backlog_says_nothing(self, before, after):
        keepalive, _ = started(interval=10, timeout=5)
        keepalive.note_backlog(before)
        keepalive.on_timer(10.0, 0.0)
        assert not keepalive.on_backlog(15.0, after)
        assert keepalive.on_timer(15.0, 0.0) == (SUSPECT, 15.0)


class TestTimeoutLongerThanInterval:
    def test_pings_go_on_and_the_oldest_counts(self):
        keepalive, _ = started(interval=10, timeout=25)
        assert keepalive.on_timer(10.0, 0.0) == (PING, 20.0)
        assert keepalive.on_timer(20.0, 0.0) == (PING, 30.0)
        assert keepalive.on_timer(30.0, 0.0) == (PING, 35.0)
        assert keepalive.on_timer(35.0, 0.0) == (SUSPECT, 35.0)

    def test_any_pong_answers_all(self):
        keepalive, _ = started(interval=10, timeout=25)
        keepalive.on_timer(10.0, 0.0)
        keepalive.on_timer(20.0, 0.0)
        keepalive.on_pong(24.0)
        assert keepalive.latency == 14.0  # from the oldest: an upper bound
        assert keepalive.on_timer(30.0, 24.0) == (PING, 40.0)
        assert keepalive.on_timer(55.0, 24.0) == (SUSPECT, 55.0)

    def test_both_due_at_once_is_suspect(self):
        keepalive, _ = started(interval=10, timeout=10)
        keepalive.on_timer(10.0, 0.0)
        assert keepalive.on_timer(20.0, 0.0) == (SUSPECT, 20.0)


class TestWhenIdle:
    def test_traffic_postpones_the_ping(self):
        keepalive, _ = started(interval=20, timeout=5, when_idle=True)
        assert keepalive.on_timer(20.0, 12.5) == (WAIT, 32.5)
        assert keepalive.on_timer(32.5, 32.0) == (WAIT, 52.0)
        assert keepalive.on_timer(52.0, 32.0) == (PING, 57.0)

    def test_any_byte_after_the_ping_answers_it(self):
        keepalive, _ = started(interval=20, timeout=5, when_idle=True)
        keepalive.on_timer(20.0, 0.0)
        assert keepalive.on_timer(25.0, 21.0) == (WAIT, 41.0)
        assert not keepalive.awaiting_pong
        assert keepalive.latency is None  # it was no pong

    def test_a_byte_from_before_the_ping_does_not(self):
        keepalive, _ = started(interval=20, timeout=5, when_idle=True)
        keepalive.on_timer(19.0, 0.0)
        keepalive.on_timer(20.0, 0.0)
        # read in the turn of the ping, and noted after it
        assert keepalive.on_timer(25.0, 20.0) == (SUSPECT, 25.0)

    def test_a_pong_answers_and_postpones(self):
        keepalive, _ = started(interval=20, timeout=5, when_idle=True)
        keepalive.on_timer(20.0, 0.0)
        keepalive.on_pong(20.5)
        assert keepalive.latency == 0.5
        assert keepalive.on_timer(25.0, 20.5) == (WAIT, 40.5)

    def test_silence_is_pinged_every_interval(self):
        keepalive, _ = started(interval=20, when_idle=True)
        assert keepalive.on_timer(20.0, 0.0) == (PING, 40.0)
        assert keepalive.on_timer(40.0, 0.0) == (PING, 60.0)

    def test_traffic_from_before_the_last_ping_does_not_count_again(self):
        keepalive, _ = started(interval=20, when_idle=True)
        assert keepalive.on_timer(20.0, 12.5) == (WAIT, 32.5)
        assert keepalive.on_timer(32.5, 12.5) == (PING, 52.5)
        assert keepalive.on_timer(40.0, 12.5) == (WAIT, 52.5)
        assert keepalive.on_timer(52.5, 12.5) == (PING, 72.5)


class TestLateLoop:
    @pytest.mark.parametrize(
        ("now", "due"),
        [
            (10.0, 20.0),
            (10.3, 20.0),
            (14.9, 20.0),  # the rhythm is kept, the gap is a little over half an interval
            (15.1, 30.0),  # a gap of a little less than one and a half
            (20.0, 30.0),
            (1e6, 1_000_010.0),
        ],
    )
    def test_missed_pings_are_not_sent_in_a_burst(self, now, due):
        keepalive, _ = started(interval=10)
        assert keepalive.on_timer(now, 0.0) == (PING, due)

    @deterministic
    @given(
        st.floats(0.01, 1000),
        st.one_of(st.none(), st.floats(0.01, 1000)),
        st.booleans(),
        st.floats(0, 1),
        st.lists(
            st.tuples(st.floats(0, 3000), st.floats(0, 1), st.booleans()), min_size=1, max_size=30
        ),
    )
    def test_it_never_asks_for_a_time_that_has_passed(
        self, interval, timeout, when_idle, spread, steps
    ):
        keepalive = KeepAlive(KeepAlivePolicy(interval, timeout, when_idle=when_idle))
        now = last_activity = 1000.0
        due = keepalive.start(now, spread)
        last_ping = None
        for late, activity, pong in steps:
            if pong:  # which is activity, too
                keepalive.on_pong(now)
                last_activity = now
            then, now = now, due + late
            if activity:
                last_activity = then + (now - then) * activity
            action, due = keepalive.on_timer(now, last_activity)
            if action is SUSPECT:
                assert timeout is not None
                assert last_ping is not None
                assert due == now
                break
            assert due > now
            assert due <= now + 1.5 * interval * (1 + 1e-9)
            if action is PING:
                assert last_ping is None or now - last_ping >= interval * (0.5 - 1e-9)
                last_ping = now

    @pytest.mark.parametrize("when_idle", [False, True])
    @pytest.mark.parametrize(("interval", "timeout"), [(20.0, 10.0), (4.0, 3.0), (5.0, 12.0)])
    def test_a_dead_peer_is_found_within_interval_and_timeout(self, interval, timeout, when_idle):
        rng = random.Random(3)
        for _ in range(100):
            keepalive, due = started(
                0.0, rng.random(), interval=interval, timeout=timeout, when_idle=when_idle
            )
            died_at = rng.uniform(0, 100)
            last_activity = 0.0
            while True:
                now = due
                action, due = keepalive.on_timer(now, last_activity)
                if action is SUSPECT:
                    break
                if action is PING and now + 0.5 < died_at:
                    last_activity = now + 0.5
                    keepalive.on_pong(now + 0.5)
            assert died_at - 0.5 <= now <= died_at + interval + timeout


class TestGrid:
    """What many connections have to do is due at the same times."""

    def start(self, now: float, spread: float, **options: Any) -> tuple[KeepAlive, float]:
        policy = KeepAlivePolicy(**{"interval": 20.0, "timeout": 20.0, **options})
        keepalive = KeepAlive(policy)
        return keepalive, keepalive.start(now, spread, policy.grid)

    @pytest.mark.parametrize(
        ("interval", "grid"), [(20.0, 0.3125), (1.0, 1 / 64), (64.0, 1.0), (3600.0, 1.0)]
    )
    def test_it_divides_the_interval_into_64_or_into_seconds(
        self, interval: float, grid: float
    ) -> None:
        assert KeepAlivePolicy(interval).grid == grid

    def test_ten_thousand_connections_wake_the_process_sixty_four_times_an_interval(self) -> None:
        rng = random.Random(5)
        wake_ups: set[float] = set()
        for _ in range(10_000):
            opened = 1000 + 5 * rng.random()
            keepalive, due = self.start(opened, rng.random(), when_idle=True)
            answered = opened
            while due < 1100:
                wake_ups.add(round(due, 6))
                now = due + 0.005 * rng.random()  # the loop takes its time
                action, due = keepalive.on_timer(now, answered)
                assert action is Action.PING
                # The peer answers, and the pong is all that comes.
                answered = now + 0.03 * rng.random()
                keepalive.on_pong(answered)
                again, due_again = keepalive.on_timer(answered, answered)
                assert again is Action.WAIT
                assert due_again == pytest.approx(due)
        assert len(wake_ups) <= 64 * 100 / 20

    @given(st.floats(0, 1e6), st.floats(0, 1))
    def test_a_ping_is_never_late_and_a_time_out_never_early(
        self, now: float, spread: float
    ) -> None:
        keepalive, due = self.start(now, spread, timeout=7.3)
        exact = now + 20 * (1 - spread / 2)
        assert exact - 0.3126 <= due <= exact
        action, timed_out = keepalive.on_timer(due, now)
        assert action is Action.PING
        assert due + 7.3 - 1e-6 <= timed_out <= due + 7.3 + 0.3126
        assert keepalive.on_timer(timed_out, now)[0] is Action.SUSPECT
