"""One time budget for a whole operation.

A connect timeout covers name resolution, TCP, proxy, TLS and the opening handshake together: each
step gets the same `Deadline` and asks it how much time is left. This module must not know what the
steps do.
"""

from __future__ import annotations

import math

from ..exceptions import WebSocketTimeoutException
from .clock import Clock

__all__ = ["Deadline"]


class Deadline:
    """The end of a time budget that starts now. May be used on any thread that its clock allows.

    Args:
        clock: the clock that measures it.
        timeout: the budget in seconds, 0 or more; None and infinity mean no limit.

    Attributes:
        timeout: the budget in seconds, or None.
        when: the time on the clock at which it is used up, or None.

    Raises:
        ValueError: `timeout` is negative or NaN.
    """

    __slots__ = ("_clock", "timeout", "when")

    timeout: float | None
    when: float | None

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        self._clock = clock
        if timeout is None or timeout == math.inf:
            self.timeout = None
            self.when = None
        elif timeout >= 0:
            self.timeout = timeout
            self.when = clock.now() + timeout
        else:
            raise ValueError(f"timeout must be None or 0 or more seconds, not {timeout!r}")

    @property
    def expired(self) -> bool:
        """Whether the budget is used up. With a timeout of 0, it is from the start."""
        return self.when is not None and self._clock.now() >= self.when

    def remaining(self) -> float | None:
        """Return the time that is left, in seconds, never negative; None if there is no limit."""
        return None if self.when is None else max(0.0, self.when - self._clock.now())

    def check(self, what: str) -> None:
        """Raise if the budget is used up.

        Args:
            what: the next or current step, for the message.

        Raises:
            WebSocketTimeoutException: the budget is used up.
        """
        if self.expired:
            raise WebSocketTimeoutException(
                f"{what} timed out (limit of the whole operation: {self.timeout:g} s)"
            )
