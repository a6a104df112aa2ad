"""The gate before dialling: how many attempts are in flight, and how fast they follow each other.

What it is: :class:`Lines`, the order in which attempts may begin, without I/O; and :class:`Gate`,
which uses it on a loop. A Reactor has one gate, and all its connections pass through it.

What it must not know: how an attempt is made, and how it ends.

How it works. An attempt belongs to a place, which is the host and port of its URL and the pace that
applies there. Each place has two lines, one for first attempts and one for attempts after a loss. A
line is in one of three states:

    empty    no attempt waits in it
    ready    its first attempt may begin as soon as fewer than `limit` attempts are in flight
    blocked  its first attempt has to wait until a point in time, for the pace or a Retry-After

Among the ready lines, that one is next whose first attempt has waited the longest; lines of first
attempts come before all others. The ready lines are kept in two heaps and the blocked ones in a
third, so thousands of places cost no more than one. An entry of a heap may be out of date, for
example when an attempt has left its line. It is corrected when it comes to the top.

A Retry-After holds back all attempts at an address. When its time is over, they do not begin all at
once, but in order and at random intervals, over half of that time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from random import random
from typing import TYPE_CHECKING, Generic, TypeVar

from ..timers import Pace, PaceWindow
from .journal import Endpoint, Journal

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from ..timers import Timer

__all__ = ["Endpoint", "Gate", "Lines"]

W = TypeVar("W")

#: There must be this many places before idle ones are looked for and forgotten.
FEW_PLACES = 64


class _Line(Generic[W]):
    """The attempts that wait at one place: either first attempts, or further ones."""

    __slots__ = ("again", "listed", "place", "waiting")

    def __init__(self, place: _Place[W], again: bool) -> None:
        self.place = place
        self.again = again
        self.waiting: OrderedDict[W, int] = OrderedDict()  # attempts, and their tickets' numbers
        self.listed = False  # whether the line is in one of the heaps

    def ticket(self) -> int:
        return next(iter(self.waiting.values()))


class _Place(Generic[W]):
    """The two lines of one address under one pace."""

    __slots__ = ("address", "first", "further", "window")

    def __init__(self, address: Endpoint, pace: Pace | None) -> None:
        self.address = address
        self.window: PaceWindow | None = None if pace is None else pace.window()
        self.first: _Line[W] = _Line(self, False)
        self.further: _Line[W] = _Line(self, True)


class _Hold:
    """No attempt at an address begins before `until`; up to `spread_until` they are spread out."""

    __slots__ = ("spread_until", "until")

    def __init__(self) -> None:
        self.until = self.spread_until = 0.0


class Lines(Generic[W]):
    """The order in which attempts begin. No I/O, no clock; see the module.

    Args:
        limit: how many attempts may be in flight at a time; None: any number.
        random: returns a uniform random number from 0 up to, not including, 1.
    """

    def __init__(self, limit: int | None = 256, random: Callable[[], float] = random) -> None:
        self._random = random
        self.limit = limit
        self.in_flight = 0
        self._tickets = 0
        self._places: dict[tuple[Endpoint, Pace | None], _Place[W]] = {}
        self._most_places = FEW_PLACES  # with this many, idle places are looked for
        self._holds: dict[Endpoint, _Hold] = {}
        self._line_of: dict[W, _Line[W]] = {}
        # Two heaps of the ready lines, by the ticket of their first attempt: lines of first
        # attempts, and lines of further ones.
        self._ready: tuple[list[tuple[int, _Line[W]]], ...] = ([], [])
        self._blocked: list[tuple[float, int, _Line[W]]] = []

    def __len__(self) -> int:
        """Return how many attempts wait."""
        return len(self._line_of)

    def join(
        self, who: W, address: Endpoint, now: float, *, again: bool, pace: Pace | None = None
    ) -> None:
        """Put an attempt at the end of its line.

        Args:
            who: the attempt, which :meth:`take` returns; it must not be waiting already.
            address: the host and port that it connects to.
            now: seconds on any monotonic clock; the same clock in all calls.
            again: whether it follows a loss or a failed attempt.
            pace: how fast attempts with this pace may follow each other at this address; None: no
                limit.
        """
        place = self._places.get((address, pace))
        if place is None:
            if len(self._places) >= self._most_places:
                self._forget_idle(now)
            place = self._places[address, pace] = _Place(address, pace)
        line = place.further if again else place.first
        self._tickets += 1
        line.waiting[who] = self._tickets
        self._line_of[who] = line
        if not line.listed:
            line.listed = True
            heappush(self._ready[again], (self._tickets, line))

    def leave(self, who: W) -> bool:
        """Take an attempt out of its line. Return whether it was waiting."""
        line = self._line_of.pop(who, None)
        if line is None:
            return False
        del line.waiting[who]
        return True

    def take(self, now: float) -> W | None:
        """Return the attempt that begins now, and count it as in flight; None: there is none."""
        if self.limit is not None and self.in_flight >= self.limit:
            return None
        while self._blocked and self._blocked[0][0] <= now:
            self._list(heappop(self._blocked)[2])
        for ready in self._ready:
            while ready:
                line = ready[0][1]
                if not line.waiting or line.ticket() != ready[0][0]:
                    heappop(ready)
                    self._list(line)
                elif pause := self._pause(line.place, now):
                    heappop(ready)
                    heappush(self._blocked, (now + pause, line.ticket(), line))
                else:
                    return self._begin(line, now)
        return None

    def _begin(self, line: _Line[W], now: float) -> W:
        who, _ = line.waiting.popitem(last=False)
        del self._line_of[who]
        heappop(self._ready[line.again])
        self._list(line)
        if line.place.window is not None:
            line.place.window.take(now)
        hold = self._holds.get(line.place.address)
        if hold is not None and now < hold.spread_until:
            self._space_out(hold, line.place, now)
        self.in_flight += 1
        return who

    def _list(self, line: _Line[W]) -> None:
        line.listed = bool(line.waiting)
        if line.listed:
            heappush(self._ready[line.again], (line.ticket(), line))

    def _pause(self, place: _Place[W], now: float) -> float:
        """Return for how many seconds no attempt may begin at a place."""
        hold = self._holds.get(place.address)
        held = 0.0 if hold is None else hold.until - now
        return max(held, 0.0 if place.window is None else place.window.wait(now))

    def _space_out(self, hold: _Hold, place: _Place[W], now: float) -> None:
        """Delay the next attempt at a place, such that all have begun when the spread ends."""
        waiting = len(place.first.waiting) + len(place.further.waiting)
        gap = 2 * self._random() * (hold.spread_until - now) / (waiting + 1)
        hold.until = max(hold.until, min(now + gap, hold.spread_until))

    def done(self) -> None:
        """Count an attempt as no longer in flight."""
        self.in_flight -= 1

    def hold(self, address: Endpoint, now: float, seconds: float, spread: float) -> None:
        """Let no attempt at an address begin for some time.

        Args:
            address: host and port.
            now: as for :meth:`join`.
            seconds: for how long.
            spread: over how many seconds after that the waiting attempts are spread out.
        """
        hold = self._holds.setdefault(address, _Hold())
        # The server has told other processes the same. Their first attempts must not coincide with
        # ours.
        hold.until = max(hold.until, now + seconds + self._random() * spread / 2)
        hold.spread_until = max(hold.spread_until, now + seconds + spread)

    def next_at(self) -> float | None:
        """Return when :meth:`take` is worth another call; None: not before another event."""
        while self._blocked and not self._blocked[0][2].waiting:
            heappop(self._blocked)[2].listed = False
        return self._blocked[0][0] if self._blocked else None

    def _forget_idle(self, now: float) -> None:
        """Forget the places where no attempt waits and whose pace has nothing to remember."""
        holds = self._holds
        self._holds = {key: hold for key, hold in holds.items() if hold.spread_until > now}
        for key, place in list(self._places.items()):
            lines = place.first, place.further
            idle = not any(line.waiting or line.listed for line in lines)
            if idle and (place.window is None or place.window.idle(now)):
                del self._places[key]
        self._most_places = max(FEW_PLACES, 2 * len(self._places))


class Gate:
    """The gate that each attempt on a loop passes before it dials. The loop's thread only.

    Args:
        loop: the event loop.
        max_connecting: how many attempts may be in flight, from DNS to the upgrade; None: any
            number.
        pace: how fast attempts at one host and port may follow each other, unless an attempt has a
            pace of its own; None: no limit.

    Attributes:
        journal: logs the attempts.

    Raises:
        TypeError: *max_connecting* is not an int, or *pace* is not a Pace.
        ValueError: *max_connecting* is less than 1.
    """

    def __init__(
        self, loop: EventLoop, max_connecting: int | None = 256, pace: Pace | None = None
    ) -> None:
        if max_connecting is not None:
            if isinstance(max_connecting, bool) or not isinstance(max_connecting, int):
                raise TypeError(f"max_connecting must be None or an int, not {max_connecting!r}")
            if max_connecting < 1:
                raise ValueError(f"max_connecting must be 1 or more, not {max_connecting!r}")
        check_pace(pace)
        self._loop = loop
        self._pace = pace
        self._lines: Lines[Callable[[], object]] = Lines(max_connecting, loop.random)
        self._timer: Timer | None = None
        self.journal = Journal()
        #: Attempts that may begin before somebody grants more; None: any number.
        self.permits: int | None = None
        #: Called when somebody waits for a permit; not again before some are granted.
        self.on_short: Callable[[], object] | None = None
        self._asked = False  # whether _go_on() is among the loop's queued calls

    @property
    def waiting(self) -> int:
        """How many attempts are waiting."""
        return len(self._lines)

    @property
    def in_flight(self) -> int:
        """How many attempts have begun and not ended."""
        return self._lines.in_flight

    def ask(
        self, begin: Callable[[], object], address: Endpoint, again: bool, pace: Pace | None
    ) -> None:
        """Begin an attempt as soon as the gate allows it, which may be at once.

        Args:
            begin: called to begin the attempt. It must not raise, and :meth:`done` must be called
                once when the attempt has ended.
            address: the host and port that it connects to.
            again: whether it follows a loss or a failed attempt.
            pace: a pace of its own, in place of the gate's; or None.
        """
        now = self._loop.time()
        self._lines.join(begin, address, now, again=again, pace=pace or self._pace)
        self._go_on()

    def leave(self, begin: Callable[[], object]) -> bool:
        """Withdraw an attempt that has not begun. Return whether it was waiting."""
        waited = self._lines.leave(begin)
        if waited:
            self._set_timer()
        return waited

    def done(self) -> None:
        """Take note that an attempt has ended."""
        self._lines.done()
        if len(self._lines) and not self._asked:
            self._asked = True
            self._loop.call_soon(self._go_on)

    def hold(self, address: Endpoint, seconds: float, spread: float = 0.0) -> None:
        """Let no attempt at an address begin for some time.

        Args:
            address: host and port.
            seconds: for how long.
            spread: over how many seconds after that the waiting attempts are spread out.
        """
        self._lines.hold(address, self._loop.time(), seconds, spread)

    def grant(self, permits: int) -> None:
        """Let so many more attempts begin. Whoever calls it has set ``permits`` to 0 before."""
        self.permits = (self.permits or 0) + permits
        self._go_on()

    def _go_on(self) -> None:
        self._asked = False
        try:
            while self.permits != 0 and (begin := self._lines.take(self._loop.time())) is not None:
                if self.permits is not None:
                    self.permits -= 1
                begin()
        except BaseException:  # KeyboardInterrupt and SystemExit pass through
            self._asked = True
            self._loop.call_soon(self._go_on)
            raise
        if self.permits == 0 and len(self._lines) and self.on_short is not None:
            self.on_short()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._lines.next_at()
        if when is not None:
            self._timer = self._loop.call_at(when, self._go_on)


def check_pace(pace: object, name: str = "connect_pace") -> None:
    """Raise TypeError if *pace* is neither None nor a Pace."""
    if pace is not None and not isinstance(pace, Pace):
        raise TypeError(f"{name} must be None or a Pace (as Pace(5, per=1.0)), not {pace!r}")
