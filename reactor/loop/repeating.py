"""A timer that repeats: what ``call_every`` returns.

What it is: :class:`RepeatingTimer`.

What it must not know: what is called.

How it works. Before each call, it arms a timer of the loop for the next one. So an exception of the
callback does not end it, and the callback may cancel it. Calls keep the rhythm of the first one;
calls that a slow loop has missed are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from ..base.marks import calls_user_code
from ..base.mistakes import check_called, check_number
from ..timers import Timer
from .names import describe

__all__ = ["RepeatingTimer"]


class Loop(Protocol):
    """What a RepeatingTimer needs of the event loop."""

    time: Callable[[], float]

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call at a point in time."""


class RepeatingTimer(Timer):
    """Calls ``callback(*args)`` again and again until it is cancelled. The loop's thread only.

    Args:
        loop: the event loop.
        interval: seconds between two calls, and before the first; more than 0.
        callback, args: what to call.

    Raises:
        ValueError: the interval is 0 or less, or infinite.
        TypeError: the interval is not a number, or the callback is an ``async def``.
    """

    __slots__ = ("_current", "_due", "_interval", "_loop")

    def __init__(
        self, loop: Loop, interval: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        check_number("interval", interval, "more than 0 seconds")
        if not 0 < interval < inf:
            raise ValueError(f"interval must be more than 0 seconds and finite, not {interval!r}")
        check_called("call_every()'s callback", callback)
        self.callback = callback
        self.args = args
        self._loop = loop
        self._interval = interval
        self._due = 0.0
        self._current: Timer | None = None

    def start(self) -> None:
        """Arm the timer: the first call is an interval from now."""
        self._due = self._loop.time() + self._interval
        self._arm()

    def _arm(self) -> None:
        self._current = self._loop.call_at(self._due, self.fire)
        self.when = self._current.when

    def whose(self) -> str:
        """Whom it calls: see names.py."""
        return "nobody any more" if self.callback is None else describe(self.callback)

    @property
    def active(self) -> bool:
        """Whether there are calls to come."""
        return self._current is not None

    def cancel(self) -> None:
        """Stop calling, and release the callback. Idempotent; the callback may call it, too."""
        if self._current is not None:
            self._current.cancel()
            self._current = None
        self.callback = None
        self.args = ()

    @calls_user_code
    def fire(self) -> None:
        """Call the callback once, unless cancelled."""
        callback, args = self.callback, self.args
        if callback is None:
            return
        late = max(0.0, self._loop.time() - self._due)
        self._due += self._interval * (1 + late // self._interval)
        self._arm()
        callback(*args)
