"""The hierarchical timer wheel: any number of timers, set and cancelled in constant time.

It counts integer ticks and has no clock inside: its owner tells it the current tick. It must not
know about seconds, the event loop, or what a callback does, and never runs a callback of its own
accord. It belongs to one thread, and must not be used from a signal handler or a finalizer.

How it works
------------
A tick is a number of five digits in base 256. The *cursor* is the current tick. A timer is
kept at the level of the highest digit in which its tick differs from the cursor, in the slot that
this digit names::

    level = bit_length(cursor XOR when) - 1 >> 3        slot = when >> 8 * level & 255

So every timer of a level has the cursor's digits above that level, and is strictly ahead of it in
that level's digit. There is no rotation and no wrap-around. Level 0 is the one exception: the
cursor may be at an occupied slot, whose timers are due now; the next `advance` takes them.
All timers of a level are earlier than those of the levels above it.

A slot holds a dict that serves as an ordered set (a *bucket*), made for its first timer, and each
level has an int as the bitmap of its buckets. Cancelling pops the timer from its bucket; the bit
stays, and costs at most one wake-up with nothing to do.

To advance, let L be the level of the highest digit of the cursor that changes. Below L, every timer
is due. In level L, the slots before the new digit are due, and the slot at the new digit is taken
apart: each of its timers is due or moves to a level below L, at most four times in its life. Above
L, nothing changes. So a jump of days costs as much as one of a millisecond: only the buckets that
were passed are touched.

Order
-----
Expired timers are sorted by tick, and within a tick by the order in which they were scheduled.
A timer's place depends only on its tick and the cursor, so timers of the same tick are always in
the same bucket. New ones are added at its end; when the bucket is taken apart, they move in that
order, to buckets that hold no timer of that tick, since those were all in this one. The final sort
by tick is stable. A timer that is scheduled for the past counts as scheduled for the current tick.

What it costs
-------------
A binary heap in C sets and expires timers as fast, or faster. The wheel is better at cancelling
them, which is how nearly all network timeouts end: nothing stays behind, memory is bounded by the
live timers, and the cost does not depend on their number. The price: timers that share a slot of an
upper level move down in one go, once in 65 s for those that are further away than the current
65 s, at 0.3-0.5 us each.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from ..base.marks import calls_user_code

__all__ = ["LAST_TICK", "Timer", "TimerWheel"]

_BITS = 8  # of a tick, per level
_SLOTS = 256
_LEVELS = 5
LAST_TICK = (1 << _BITS * _LEVELS) - 1  # 34 years, if a tick is 1 ms
_NEVER = LAST_TICK + 1

# A timer that has left the wheel has one of these as its bucket. Both stay empty, so cancel() is
# the same pop for every timer.
_COLLECTED: dict[Timer, None] = {}  # advance() has taken it out; it is about to fire
_DONE: dict[Timer, None] = {}  # it has fired, or was cancelled

_new = object.__new__
_by_tick = attrgetter("when")


class Timer:
    """One call in the future. Made by `TimerWheel.schedule` only.

    Attributes:
        when: the tick at which it is due (int), clamped to the wheel's range.
        callback: the function that will be called, or None once it has fired or was cancelled.
        args: the positional arguments of the call, empty once it has fired or was cancelled.
    """

    # There is no __init__: schedule() sets the four attributes itself, which saves 50 ns per timer.
    __slots__ = ("_bucket", "args", "callback", "when")

    when: int
    callback: Callable[..., object] | None
    args: tuple[object, ...]
    _bucket: dict[Timer, None]  # where it is, or _COLLECTED or _DONE

    @property
    def active(self) -> bool:
        """Whether the call is still pending."""
        return self._bucket is not _DONE

    def cancel(self) -> None:
        """Prevent the call, and release the callback and its arguments.

        May be called at any time and repeatedly: also between `TimerWheel.advance` and `fire`, from
        the callback of another timer, and after the timer has fired.
        """
        self._bucket.pop(self, None)
        self._bucket = _DONE
        self.callback = None
        self.args = ()

    @calls_user_code
    def fire(self) -> None:
        """Run ``callback(*args)`` if `TimerWheel.advance` has returned this timer.

        Does nothing if the timer has been cancelled since, or has fired already. Exceptions of the
        callback go to the caller.
        """
        if self._bucket is not _COLLECTED:
            return
        callback, args = self.callback, self.args
        assert callback is not None
        self._bucket = _DONE
        self.callback = None
        self.args = ()
        callback(*args)


class TimerWheel:
    """Timers by integer ticks, in 5 levels of 256 slots.

    Args:
        now: the tick at which the wheel starts, from 0 to `LAST_TICK` (default 0).

    Raises:
        ValueError: `now` is outside that range.
    """

    __slots__ = ("_buckets", "_next", "_now", "_occupied", "_round_end")

    def __init__(self, now: int = 0) -> None:
        if not 0 <= now <= LAST_TICK:
            raise ValueError(f"now must be a tick from 0 to {LAST_TICK}, not {now!r}")
        self._now = now  # the cursor
        # The tick at which the cursor enters the next slot of an upper level.
        self._round_end = (now | _SLOTS - 1) + 1
        # No timer is due before this tick. Lowered by schedule(), recomputed by advance() only.
        self._next = _NEVER
        # per level: for each slot its bucket, or None
        self._buckets: list[list[dict[Timer, None] | None]] = [
            [None] * _SLOTS for _ in range(_LEVELS)
        ]
        self._occupied = [0] * _LEVELS  # per level: bit n is set if slot n has a bucket

    @property
    def now(self) -> int:
        """The current tick: the highest that `advance` was given."""
        return self._now

    def __len__(self) -> int:
        """Return how many timers are waiting. Counts them slot by slot: for statistics."""
        return sum(len(bucket) for slots in self._buckets for bucket in slots if bucket)

    def schedule(self, when: int, callback: Callable[..., object], *args: object) -> Timer:
        """Set a timer.

        Args:
            when: the tick at which it is due. A tick that has passed counts as the current one: the
                next `advance` returns the timer, even for the same tick. A tick after `LAST_TICK`
                counts as `LAST_TICK`.
            callback: the function to call then.
            *args: its positional arguments.

        Returns:
            The timer, by which the call can be cancelled.
        """
        if when <= self._now:
            when = self._now
        elif when > LAST_TICK:
            when = LAST_TICK
        if when < self._next:
            self._next = when
        timer = _new(Timer)
        timer.when = when
        timer.callback = callback
        timer.args = args
        self._place(timer)
        return timer

    def next_expiry(self) -> int | None:
        """Return the tick at which `advance` should be called again, or None if there is no timer.

        It is never later than the earliest timer. It may be earlier: if that timer was cancelled,
        or if timers have to move to a lower level first.
        """
        return None if self._next == _NEVER else self._next

    # Twin: advance() in compiled/turn.pyx.
    def advance(self, now: int) -> list[Timer]:
        """Move the cursor, and take out every timer that is due.

        No callback runs in here: call `Timer.fire` on each timer of the result. So all due timers
        are known before the first one runs, and timers that a callback schedules wait for the next
        turn.

        Args:
            now: the current tick. A tick that has passed counts as the cursor's, and one after
                `LAST_TICK` as `LAST_TICK`.

        Returns:
            The timers that are due, by tick, and within a tick in the order of scheduling.
        """
        old = self._now
        if now < old:
            now = old
        elif now > LAST_TICK:
            now = LAST_TICK
        self._now = now
        if now < self._next and now < self._round_end:
            return []
        self._round_end = (now | _SLOTS - 1) + 1

        due: list[Timer] = []
        top = (now ^ old | 1).bit_length() - 1 >> 3
        for level in range(top):
            self._take(level, self._occupied[level], due)
        digit = now >> top * _BITS & _SLOTS - 1
        self._take(top, self._occupied[top] & (2 << digit) - 1, due)
        if top:
            due.sort(key=_by_tick)  # a slot of the upper levels holds many ticks
        self._next = self._first_occupied()
        return due

    def check(self) -> None:
        """Verify every invariant, slowly, by looking at each slot and each timer: for tests.

        Raises:
            AssertionError: an invariant does not hold; the message says where.
        """
        assert not _COLLECTED, "the bucket of the collected timers is not empty"
        assert not _DONE, "the bucket of the finished timers is not empty"
        for level, slots in enumerate(self._buckets):
            for slot, bucket in enumerate(slots):
                where = f"level {level} slot {slot}"
                has_bit = bool(self._occupied[level] >> slot & 1)
                assert has_bit == (bucket is not None), f"{where}: bitmap and bucket differ"
                if bucket is not None:
                    self._check_bucket(level, slot, bucket, where)

    def _check_bucket(self, level: int, slot: int, bucket: dict[Timer, None], where: str) -> None:
        """Verify one bucket, and every timer in it."""
        width = _SLOTS**level  # ticks per slot
        span = width * _SLOTS  # ticks per round of this level
        first = self._now // span * span + slot * width
        earliest = self._now + 1 if level else self._now
        assert first >= earliest, f"{where}: behind the cursor {self._now}"
        for timer in bucket:
            what = f"{where}: timer for {timer.when}"
            assert first <= timer.when < first + width, f"{what} is in the wrong slot"
            assert timer.when >= self._next, f"{what} is earlier than next_expiry {self._next}"
            assert timer._bucket is bucket, f"{what} names another bucket"
            assert timer.callback is not None, f"{what} has no callback"

    def _place(self, timer: Timer) -> None:
        """Put a timer, due now or later, at the end of its bucket."""
        when = timer.when
        level = (self._now ^ when | 1).bit_length() - 1 >> 3  # 8 bits per level
        slot = when >> (level << 3) & 255
        slots = self._buckets[level]
        bucket = slots[slot]
        if bucket is None:
            bucket = slots[slot] = {}
            self._occupied[level] |= 1 << slot
        timer._bucket = bucket
        bucket[timer] = None

    def _take(self, level: int, passed: int, due: list[Timer]) -> None:
        """Empty the slots of a level that the bitmap `passed` names, in order.

        Their timers go to the list `due`, or, if they are still ahead of the cursor, down to their
        new buckets.
        """
        self._occupied[level] ^= passed
        slots = self._buckets[level]
        while passed:
            slot = (passed & -passed).bit_length() - 1
            passed &= passed - 1
            bucket = slots[slot]
            assert bucket is not None
            slots[slot] = None
            for timer in bucket:
                if timer.when <= self._now:
                    timer._bucket = _COLLECTED
                    due.append(timer)
                else:
                    self._place(timer)

    def _first_occupied(self) -> int:
        """Return the first tick of the first slot that has a bucket, or _NEVER."""
        for level, occupied in enumerate(self._occupied):
            if occupied:
                slot = (occupied & -occupied).bit_length() - 1
                above = self._now >> (level + 1) * _BITS
                return (above << _BITS | slot) << level * _BITS
        return _NEVER
