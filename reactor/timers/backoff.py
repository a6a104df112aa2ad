"""How long to wait before connecting again.

The bound of the waits grows exponentially up to a cap, and each wait is drawn at random between 0
and the bound ("full jitter"), so that thousands of clients that lost the same server do not all
come back at the same moment. This module must not know what is being connected: it turns a number
of failed attempts into seconds. RFC 6455 section 7.2.3 asks for a random first delay and truncated
binary exponential backoff.

A server that refuses may ask for a longer wait (Retry-After, RFC 9110 section 10.2.3). It asks
everybody for the same wait, so a random part of up to half of it is added.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from ..base.mistakes import check_number

__all__ = ["Backoff"]


@dataclass(frozen=True)
class Backoff:
    """The delays between attempts to reconnect. Immutable: one may serve any number of connections.

    Args:
        first: the bound of the first delay, in seconds; more than 0 (default 1).
        factor: by how much the bound grows with each attempt; 1 or more (default 2).
        cap: the largest bound, in seconds; `first` or more (default 60).
        jitter: True (default): a delay is drawn evenly between 0 and its bound. False: it is the
            bound.
        max_attempts: after how many attempts in a row to give up; None (default): never; 0: do not
            reconnect at all.
        reset_after: a connection that stayed open at least this long, in seconds, resets the
            number of attempts (default 60); 0 or more. A shorter one does not: otherwise, a server
            that accepts and drops at once would be called without any backoff.
        retry_after_cap: the longest wait, in seconds, that a server may ask for with Retry-After;
            a longer one is cut to this. None (default): `cap`. 0: Retry-After is ignored.
            With `jitter`, up to half of the wait is added to it.

    Raises:
        ValueError: a value is outside its range; the message names it.
        TypeError: a value is not a number.
    """

    first: float = 1.0
    factor: float = 2.0
    cap: float = 60.0
    jitter: bool = True
    max_attempts: int | None = None
    reset_after: float = 60.0
    retry_after_cap: float | None = None

    def __post_init__(self) -> None:
        for name in ("first", "factor", "cap", "max_attempts", "reset_after"):
            check_number(name, getattr(self, name), "a number")
        if not 0 < self.first < math.inf:
            raise ValueError(f"first must be more than 0 seconds and finite, not {self.first!r}")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor must be 1 or more and finite, not {self.factor!r}")
        if not self.first <= self.cap < math.inf:
            raise ValueError(
                f"cap must be at least first ({self.first!r} seconds) and finite, not {self.cap!r}"
            )
        if self.max_attempts is not None and self.max_attempts < 0:
            raise ValueError(f"max_attempts must be None or 0 or more, not {self.max_attempts!r}")
        if not self.reset_after >= 0:
            raise ValueError(f"reset_after must be 0 or more seconds, not {self.reset_after!r}")
        if self.retry_after_cap is not None and not 0 <= self.retry_after_cap < math.inf:
            raise ValueError(
                "retry_after_cap must be None, or 0 or more seconds and finite, "
                f"not {self.retry_after_cap!r}"
            )

    @classmethod
    def fixed(
        cls,
        seconds: float,
        max_attempts: int | None = None,
        reset_after: float = 60.0,
        retry_after_cap: float | None = None,
    ) -> Backoff:
        """Return a backoff that always waits the same time, as websocket-client's `reconnect` does.

        Args:
            seconds: the delay; more than 0. It is also the cap: a server that asks for a longer
                wait is ignored, unless `retry_after_cap` allows it.
            max_attempts, reset_after, retry_after_cap: as for the class.

        Raises:
            ValueError: as for the class; the message calls `seconds` ``first``.
        """
        return cls(
            first=seconds,
            factor=1.0,
            cap=seconds,
            jitter=False,
            max_attempts=max_attempts,
            reset_after=reset_after,
            retry_after_cap=retry_after_cap,
        )

    def delay(
        self, attempt: int, random: Callable[[], float] = random.random, asked: float = 0.0
    ) -> float | None:
        """Return how long to wait before an attempt.

        Args:
            attempt: how many attempts have failed in a row since the connection was lost: 0 before
                the first.
            random: returns an evenly distributed random number from 0 up to, not including, 1.
            asked: the wait that the server asked for, in seconds; 0 or less: it asked for none.

        Returns:
            The delay in seconds, or None to give up.

        Raises:
            ValueError: `attempt` is negative.
        """
        if attempt < 0:
            raise ValueError(f"attempt must be 0 or more, not {attempt!r}")
        if self.max_attempts is not None and attempt >= self.max_attempts:
            return None
        try:
            bound = min(self.cap, self.first * float(self.factor) ** attempt)
        except OverflowError:  # the power is too large for a float, so the cap holds
            bound = self.cap
        wait = bound * random() if self.jitter else bound
        asked = self.heed(asked)
        if asked <= 0:
            return wait
        return max(wait, asked * (1 + random() / 2) if self.jitter else asked)

    def heed(self, asked: float) -> float:
        """Return the wait that is granted to a server, in seconds: at most the cap.

        Args:
            asked: the wait that the server asked for, in seconds.
        """
        cap = self.cap if self.retry_after_cap is None else self.retry_after_cap
        return max(0.0, min(asked, cap))

    def attempts_after(self, attempt: int, open_for: float) -> int:
        """Return the number of attempts from which to count on, after a connection was lost.

        Args:
            attempt: the number of the attempt that led to that connection.
            open_for: how long it stayed open, in seconds.

        Returns:
            0 if it was open for `reset_after` or longer, otherwise `attempt`.
        """
        return 0 if open_for >= self.reset_after else attempt
