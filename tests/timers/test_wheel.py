from __future__ import annotations

import gc
import random
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reactor.timers import LAST_TICK, TimerWheel
from reactor.timers import wheel as wheel_module

DAY = 86_400_000
EDGES = [0, 1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 131_071, 131_072]
EDGES += [2**24 - 1, 2**24, 2**24 + 1, 2**32 - 1, 2**32, 2**32 + 1]


def ignore(*args):
    """A callback for timers whose firing is not looked at."""


def run(wheel, now):
    """One turn of a loop: advance, then fire what is due."""
    due = wheel.advance(now)
    wheel.check()
    for timer in due:
        timer.fire()
    wheel.check()
    return due


class Model:
    """The naive wheel: a sorted list, compared with the real one at every step."""

    def __init__(self, now=0):
        self.wheel = TimerWheel(now)
        self.now = now
        self.waiting = []  # (tick, number, timer)
        self.gone = []
        self.fired = []
        self.number = 0

    def schedule(self, when):
        timer = self.wheel.schedule(when, self.fired.append, self.number)
        entry = (min(max(when, self.now), LAST_TICK), self.number, timer)
        assert timer.when == entry[0]
        assert timer.active
        self.waiting.append(entry)
        self.number += 1
        self.check()

    def cancel(self, index):
        entry = self.waiting.pop(index % len(self.waiting))
        entry[2].cancel()
        assert not entry[2].active
        self.gone.append(entry[2])
        self.check()

    def cancel_gone(self, index):
        self.gone[index % len(self.gone)].cancel()
        self.check()

    def advance(self, now):
        self.now = min(max(now, self.now), LAST_TICK)
        expected = sorted(entry for entry in self.waiting if entry[0] <= self.now)
        self.waiting = [entry for entry in self.waiting if entry[0] > self.now]
        due = self.wheel.advance(now)
        assert due == [entry[2] for entry in expected]
        self.fired.clear()
        for timer in due:
            assert timer.active
            timer.fire()
            assert not timer.active
        assert self.fired == [entry[1] for entry in expected]
        self.gone += due
        self.check()
        expiry = self.wheel.next_expiry()
        assert expiry is None or expiry > self.now

    def check(self):
        self.wheel.check()
        assert self.wheel.now == self.now
        assert len(self.wheel) == len(self.waiting)
        expiry = self.wheel.next_expiry()
        if self.waiting:
            assert expiry is not None
            assert expiry <= min(self.waiting)[0]
        assert expiry is None or expiry >= self.now


class TestAgainstTheModel:
    @pytest.mark.parametrize("seed", range(5))
    def test_random_steps(self, seed):
        rng = random.Random(seed)
        model = Model(rng.choice([0, 1, 255, 65_535, DAY, 2**32 - 3, LAST_TICK - 2**26]))
        for _ in range(800):
            step = rng.random()
            if step < 0.5 and len(model.waiting) < 200:
                model.schedule(model.now + rng.choice(EDGES + [rng.randrange(-5, 70_000)] * 12))
            elif step < 0.6 and model.waiting:
                model.cancel(rng.randrange(len(model.waiting)))
            elif step < 0.63 and model.gone:
                model.cancel_gone(rng.randrange(len(model.gone)))
            elif step < 0.8:
                model.advance(model.now + rng.choice([0, 1, 1, 2, 15, 16, 17, -1]))
            elif step < 0.98:
                model.advance(model.now + rng.choice([200, 255, 256, 257, 1000, 5000, 65_536]))
            else:
                model.advance(model.now + rng.randrange(2 ** rng.randrange(1, 31)))
        model.advance(LAST_TICK)
        assert not model.waiting
        assert model.wheel.next_expiry() is None

    @pytest.mark.parametrize("seed", range(3))
    def test_a_loop_that_wakes_at_next_expiry_only_is_never_late(self, seed):
        rng = random.Random(seed)
        model = Model(rng.randrange(2**20))
        for _ in range(150):
            model.schedule(model.now + rng.randrange(2 ** rng.randrange(1, 34)))
        turns = 0
        while (expiry := model.wheel.next_expiry()) is not None:
            before = len(model.waiting)
            earliest = min(model.waiting)[0]
            model.advance(expiry)
            assert (len(model.waiting) < before) == (expiry == earliest)
            turns += 1
        assert not model.waiting
        assert turns <= 150 * 5  # each timer moves at most four times, and fires


ticks = st.one_of(
    st.integers(-3, 600), st.sampled_from(EDGES), st.integers(0, 2**18), st.integers(0, 2**41)
)


class WheelMachine(RuleBasedStateMachine):
    @initialize(now=st.one_of(st.sampled_from(EDGES), st.integers(0, LAST_TICK)))
    def begin(self, now):
        self.model = Model(now)

    @rule(delta=ticks)
    def schedule(self, delta):
        self.model.schedule(self.model.now + delta)

    @rule(index=st.integers(0, 1000))
    def cancel(self, index):
        if self.model.waiting:
            self.model.cancel(index)

    @rule(index=st.integers(0, 1000))
    def cancel_gone(self, index):
        if self.model.gone:
            self.model.cancel_gone(index)

    @rule(delta=ticks)
    def advance(self, delta):
        self.model.advance(self.model.now + delta)

    @rule()
    def advance_to_next_expiry(self):
        expiry = self.model.wheel.next_expiry()
        if expiry is not None:
            self.model.advance(expiry)

    @invariant()
    def agrees(self):
        if hasattr(self, "model"):
            self.model.check()


def test_against_the_model_by_rules():
    run_state_machine_as_test(
        WheelMachine,
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=30,
            stateful_step_count=40,
        ),
    )


class TestSchedule:
    @pytest.mark.parametrize("start", [0, 1, 200, 255, 256, 65_000, 2**24 - 1, DAY * 300])
    @pytest.mark.parametrize("delay", EDGES)
    def test_fires_at_its_tick_and_not_one_earlier(self, start, delay):
        wheel = TimerWheel(start)
        timer = wheel.schedule(start + delay, ignore)
        wheel.check()
        if delay:
            assert wheel.advance(start + delay - 1) == []
            wheel.check()
        assert wheel.next_expiry() == start + delay
        assert run(wheel, start + delay) == [timer]
        assert wheel.next_expiry() is None

    def test_callbacks_get_their_arguments(self):
        wheel = TimerWheel()
        calls = []
        wheel.schedule(5, lambda *args: calls.append(args), "a", 2)
        wheel.schedule(6, lambda *args: calls.append(args))
        run(wheel, 10)
        assert calls == [("a", 2), ()]

    @pytest.mark.parametrize("when", [100, 99, 0, -1, -(2**50)])
    def test_a_time_that_has_passed_is_due_at_the_next_advance(self, when):
        wheel = TimerWheel(100)
        timer = wheel.schedule(when, ignore)
        wheel.check()
        assert timer.when == 100
        assert wheel.next_expiry() == 100
        assert run(wheel, 100) == [timer]
        assert wheel.next_expiry() is None

    def test_what_is_due_now_goes_with_what_comes_later(self):
        wheel = TimerWheel(255)
        now = wheel.schedule(255, ignore)
        later = wheel.schedule(256, ignore)
        assert run(wheel, 300) == [now, later]

    @pytest.mark.parametrize("when", [LAST_TICK, LAST_TICK + 1, 2**60])
    def test_a_far_away_time_is_the_last_tick(self, when):
        wheel = TimerWheel()
        timer = wheel.schedule(when, ignore)
        wheel.check()
        assert timer.when == LAST_TICK
        assert run(wheel, LAST_TICK - 1) == []
        assert run(wheel, LAST_TICK) == [timer]

    def test_at_the_end_of_the_range_everything_is_due_at_once(self):
        wheel = TimerWheel(LAST_TICK)
        timer = wheel.schedule(LAST_TICK + 5000, ignore)
        assert run(wheel, LAST_TICK + 1) == [timer]
        assert wheel.now == LAST_TICK
        assert run(wheel, LAST_TICK + 6000) == []

    @pytest.mark.parametrize("now", [-1, LAST_TICK + 1])
    def test_a_wheel_starts_within_the_range(self, now):
        with pytest.raises(ValueError, match=f"now must be a tick from 0 to .*, not {now}"):
            TimerWheel(now)

    def test_a_hundred_thousand_timers_in_one_slot(self):
        wheel = TimerWheel()
        fired = []
        timers = [wheel.schedule(40_000, fired.append, n) for n in range(100_000)]
        for timer in timers[::2]:
            timer.cancel()
        wheel.check()
        assert len(wheel) == 50_000
        assert run(wheel, 39_999) == []
        assert run(wheel, 40_000) == timers[1::2]
        assert fired == list(range(1, 100_000, 2))
        assert len(wheel) == 0


class TestOrder:
    def test_by_tick(self):
        wheel = TimerWheel()
        ticks = [70_000, 3, 300, 299, 65_536, 255, 256, 65_535, 2**24, 1]
        for tick in ticks:
            wheel.schedule(tick, ignore)
        assert [timer.when for timer in run(wheel, 2**25)] == sorted(ticks)

    def test_within_a_slot_of_an_upper_level(self):
        wheel = TimerWheel()
        for tick in (1030, 1025, 1029, 1025):
            wheel.schedule(tick, ignore)
        assert [timer.when for timer in run(wheel, 1028)] == [1025, 1025]
        assert [timer.when for timer in run(wheel, 1030)] == [1029, 1030]

    @pytest.mark.parametrize("when", [300, 66_000, 2**24 + 70_000, 2**32 + 2**24 + 70_000])
    def test_first_scheduled_first_fired_whenever_they_were_scheduled(self, when):
        """Timers of one tick, scheduled before and after each of the moves to a lower level."""
        wheel = TimerWheel()
        expected = []
        for back in (when, 2**32, 2**24 + 1, 2**24, 70_000, 65_536, 65_535, 257, 256, 255, 1, 0):
            if back > when:
                continue
            assert run(wheel, when - back - 1 if back else when - 1) == []
            for _ in range(3):
                expected.append(wheel.schedule(when, ignore))
                wheel.schedule(when + 1, ignore)
            wheel.check()
        assert run(wheel, when) == expected

    def test_what_was_due_counts_as_scheduled_for_now(self):
        wheel = TimerWheel(100)
        first = wheel.schedule(100, ignore)
        second = wheel.schedule(7, ignore)
        third = wheel.schedule(100, ignore)
        assert run(wheel, 100) == [first, second, third]


class TestAdvance:
    def test_a_jump_of_days_takes_everything_on_the_way(self):
        wheel = TimerWheel(12_345)
        timers = [wheel.schedule(12_345 + n * 1_234_567, ignore) for n in range(1, 500)]
        late = wheel.schedule(12_345 + 30 * DAY, ignore)
        assert run(wheel, 12_345 + 20 * DAY) == timers
        assert len(wheel) == 1
        assert run(wheel, 12_345 + 30 * DAY) == [late]

    def test_time_that_goes_back_is_no_movement(self):
        wheel = TimerWheel(1000)
        timer = wheel.schedule(1005, ignore)
        assert wheel.advance(500) == []
        assert wheel.now == 1000
        assert run(wheel, 1005) == [timer]

    def test_time_that_goes_back_still_takes_what_is_due(self):
        wheel = TimerWheel(1000)
        timer = wheel.schedule(900, ignore)
        assert run(wheel, 500) == [timer]

    def test_each_result_is_a_list_of_its_own(self):
        wheel = TimerWheel()
        wheel.advance(1).append(None)
        assert wheel.advance(2) == []

    def test_no_callback_runs_inside(self):
        wheel = TimerWheel()
        calls = []
        wheel.schedule(1, calls.append, 1)
        due = wheel.advance(1)
        assert calls == []
        assert len(wheel) == 0
        due[0].fire()
        assert calls == [1]

    def test_what_a_callback_schedules_waits_for_the_next_turn(self):
        wheel = TimerWheel()
        ticks = []

        def again(delay):
            ticks.append(wheel.now)
            wheel.schedule(wheel.now + delay, again, delay)

        wheel.schedule(5, again, 0)
        wheel.schedule(5, again, 300)
        assert len(run(wheel, 5)) == 2
        assert wheel.next_expiry() == 5
        assert len(run(wheel, 5)) == 1
        assert len(run(wheel, 305)) == 2
        assert ticks == [5, 5, 5, 305, 305]


class TestCancel:
    @pytest.mark.parametrize("when", [0, 5, 300, 70_000, 2**30, 2**40])
    def test_a_cancelled_timer_does_not_fire(self, when):
        wheel = TimerWheel()
        timer = wheel.schedule(when, ignore)
        timer.cancel()
        assert not timer.active
        assert len(wheel) == 0
        assert run(wheel, 2**40) == []

    def test_the_others_remain(self):
        wheel = TimerWheel()
        timers = [wheel.schedule(300, ignore) for _ in range(5)]
        timers[0].cancel()
        timers[3].cancel()
        assert run(wheel, 300) == [timers[1], timers[2], timers[4]]

    def test_again_and_after_firing_is_harmless(self):
        wheel = TimerWheel()
        calls = []
        timer = wheel.schedule(1, calls.append, 1)
        run(wheel, 1)
        timer.cancel()
        timer.cancel()
        wheel.check()
        timer.fire()
        assert calls == [1]
        assert not timer.active

    def test_an_empty_slot_costs_at_most_one_wake_up(self):
        wheel = TimerWheel()
        for tick in (300, 301, 302):
            wheel.schedule(tick, ignore).cancel()
        assert wheel.next_expiry() is not None
        assert run(wheel, 300) == []
        assert wheel.next_expiry() is None

    def test_by_an_earlier_callback_of_the_same_batch(self):
        wheel = TimerWheel()
        calls = []
        timers = []

        def first():
            calls.append("first")
            assert timers[1].active
            timers[1].cancel()
            assert not timers[1].active

        timers.append(wheel.schedule(5, first))
        timers.append(wheel.schedule(5, calls.append, "second"))
        timers.append(wheel.schedule(400, calls.append, "third"))
        assert run(wheel, 400) == timers
        assert calls == ["first", "third"]

    def test_from_its_own_callback_is_harmless(self):
        wheel = TimerWheel()
        timers = []
        timers.append(wheel.schedule(5, lambda: timers[0].cancel()))
        assert run(wheel, 5) == timers
        assert not timers[0].active

    def test_lets_go_of_callback_and_arguments(self):
        class Connection:
            def on_timeout(self, other):
                raise AssertionError("a cancelled timer has fired")

        wheel = TimerWheel()
        connection, argument = Connection(), Connection()
        refs = weakref.ref(connection), weakref.ref(argument)
        timer = wheel.schedule(300, connection.on_timeout, argument)
        collected = wheel.schedule(0, connection.on_timeout, argument)
        assert wheel.advance(0) == [collected]
        timer.cancel()
        collected.cancel()
        del connection, argument
        gc.collect()
        assert [ref() for ref in refs] == [None, None]
        assert (timer.callback, timer.args) == (None, ())
        assert (collected.callback, collected.args) == (None, ())

    def test_nothing_stays_behind(self):
        wheel = TimerWheel()
        for n in range(1000):
            wheel.schedule(n * 100, ignore).cancel()
        assert len(wheel) == 0
        assert not any(bucket for slots in wheel._buckets for bucket in slots)
        assert run(wheel, 100_000) == []
        assert not any(wheel._occupied)


class TestFire:
    def test_only_after_it_was_collected(self):
        wheel = TimerWheel()
        calls = []
        timer = wheel.schedule(5, calls.append, 1)
        timer.fire()
        assert calls == []
        assert run(wheel, 5) == [timer]
        assert calls == [1]

    def test_only_once_even_from_its_own_callback(self):
        wheel = TimerWheel()
        calls = []

        def callback():
            calls.append(1)
            timer.fire()

        timer = wheel.schedule(5, callback)
        run(wheel, 5)
        timer.fire()
        assert calls == [1]

    def test_is_over_when_the_callback_raises(self):
        wheel = TimerWheel()
        timer = wheel.schedule(5, [].pop)
        wheel.advance(5)
        with pytest.raises(IndexError):
            timer.fire()
        assert not timer.active
        assert timer.callback is None
        timer.fire()

    def test_lets_go_of_callback_and_arguments(self):
        wheel = TimerWheel()
        timer = wheel.schedule(5, ignore, object())
        run(wheel, 5)
        assert (timer.callback, timer.args) == (None, ())


class TestCheck:
    """Every invariant is seen to be checked: break it by hand."""

    @pytest.fixture
    def wheel(self):
        wheel = TimerWheel(1000)
        wheel.schedule(1000, ignore)
        wheel.schedule(1010, ignore)
        wheel.schedule(3000, ignore)
        wheel.schedule(2**33, ignore).cancel()
        wheel.check()
        return wheel

    @pytest.fixture
    def timer(self, wheel):
        return wheel.schedule(2000, ignore)

    def test_a_bit_without_a_bucket(self, wheel):
        wheel._occupied[1] |= 1 << 200
        with pytest.raises(AssertionError, match="level 1 slot 200: bitmap and bucket differ"):
            wheel.check()

    def test_a_bucket_without_a_bit(self, wheel):
        wheel._occupied[4] = 0
        with pytest.raises(AssertionError, match="level 4 slot 2: bitmap and bucket differ"):
            wheel.check()

    @pytest.mark.parametrize(("level", "slot"), [(0, 231), (1, 3), (1, 2), (2, 0), (4, 0)])
    def test_a_slot_behind_the_cursor(self, wheel, level, slot):
        wheel._buckets[level][slot] = {}
        wheel._occupied[level] |= 1 << slot
        with pytest.raises(AssertionError, match=f"level {level} slot {slot}: behind the cursor"):
            wheel.check()

    @pytest.mark.parametrize("when", [1791, 2048, 3000, 67_000])
    def test_a_timer_in_the_wrong_slot(self, wheel, timer, when):
        timer.when = when
        with pytest.raises(AssertionError, match=f"timer for {when} is in the wrong slot"):
            wheel.check()

    def test_a_cursor_that_moved_alone(self, wheel):
        wheel._now = 1005
        with pytest.raises(AssertionError, match="level 0 slot 232: behind the cursor 1005"):
            wheel.check()

    def test_a_next_expiry_that_is_too_late(self, wheel):
        wheel._next = 1001
        with pytest.raises(AssertionError, match="timer for 1000 is earlier than next_expiry"):
            wheel.check()

    def test_a_timer_that_does_not_know_its_bucket(self, wheel, timer):
        timer._bucket = {}
        with pytest.raises(AssertionError, match="timer for 2000 names another bucket"):
            wheel.check()

    def test_a_timer_without_a_callback(self, wheel, timer):
        timer.callback = None
        with pytest.raises(AssertionError, match="timer for 2000 has no callback"):
            wheel.check()

    @pytest.mark.parametrize("name", ["_COLLECTED", "_DONE"])
    def test_a_bucket_of_former_timers_that_is_not_empty(self, wheel, timer, name, monkeypatch):
        monkeypatch.setattr(wheel_module, name, {timer: None})
        with pytest.raises(AssertionError, match="is not empty"):
            wheel.check()
