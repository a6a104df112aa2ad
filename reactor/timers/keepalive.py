"""When to ping, and when to suspect that the peer is dead: a state machine for each connection.

The time comes from outside: `now` is always passed in, in seconds of one monotonic clock. This
module must not know about timers, sockets or frames: it answers, and the connection acts.

One timer, lazily re-armed
--------------------------
The connection owns one timer. Traffic does not touch it: a received chunk writes one attribute of
the connection (`last_activity`), and a pong calls `KeepAlive.on_pong`. When the timer expires, the
connection asks `KeepAlive.on_timer` what to do, does it, and sets the timer to the time in the
answer. So an interval costs one timer event, or two with a timeout.

========  ===========================  ==========================================================
state     meaning                      transitions
========  ===========================  ==========================================================
NEW       `start` was not called       start -> QUIET
QUIET     no ping is unanswered        the next ping is due: answer PING -> AWAITING
AWAITING  a ping is unanswered, since  an answer arrives -> QUIET
          the time `_pinged_at`        the next ping is due: answer PING; the state, and the time
                                       of the oldest unanswered ping, remain
                                       `timeout` seconds have passed since that ping: answer
                                       SUSPECT at every question; the state remains
========  ===========================  ==========================================================

`start` leads to QUIET from every state. The answer to all other questions is WAIT, which changes
nothing.

What counts as an answer: a pong, to any ping: RFC 6455 section 5.5.3 lets the peer answer only the
most recent ping, and a payload that is the same each time would not show which ping it answers.
With ``when_idle=True``, every byte that was received after the ping counts as well.

What postpones the end: bytes that move, though they are not an answer. A ping waits behind what is
queued, in the process and in the kernel, and a pong behind the frame that is being received. So the
`timeout` runs from the last time at which the peer took part of the queue, or sent part of an
unfinished frame (`moved_at`); and the kernel's backlog counts as taken when it has shrunk since the
ping (`on_backlog`). A peer that takes nothing and sends nothing moves nothing.

SUSPECT does not mean dead. A slow handler may have held up the loop while the answer waits in the
kernel. So the connection now reads everything that the kernel already holds, and asks again::

    action, due = keepalive.on_timer(now, self.last_activity, moved_at)
    if action is Action.SUSPECT:
        self.read_until_it_would_block()
        action, due = keepalive.on_timer(now, self.last_activity, moved_at)
        if action is Action.SUSPECT:
            ...                                     # dead: close the connection
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from ..exceptions import WebSocketStateException

__all__ = ["Action", "KeepAlive", "KeepAlivePolicy"]

#: A smaller backlog in the kernel means nothing, in bytes: some bytes are always on their way.
MIN_BACKLOG = 64 * 1024

# RFC 6455 section 5.5: "All control frames MUST have a payload length of 125 bytes or less"
_MAX_PAYLOAD = 125


class Action(enum.Enum):
    """What the connection must do when its keep-alive timer expires."""

    WAIT = "wait"  # nothing
    PING = "ping"  # send a ping now
    SUSPECT = "suspect"  # read what the kernel holds, ask again; if the answer is the same: dead


@dataclass(frozen=True, slots=True)
class KeepAlivePolicy:
    """How a connection is kept alive. Immutable: one may serve any number of connections.

    Args:
        interval: seconds between pings; more than 0.
        timeout: how many seconds a ping may stay unanswered, more than 0; None (default): forever.
            It may be longer than the interval: then pings go on, and the oldest one counts.
        payload: the payload of the pings, at most 125 bytes (default empty).
        when_idle: False (default): a ping goes out every interval, whatever the traffic, and only a
            pong answers it, as in websocket-client. True: a ping goes out after an interval in
            which nothing was received, and anything that is received answers it.

    Raises:
        ValueError: a value is outside its range; the message names it.
        TypeError: `payload` is not bytes.
    """

    interval: float
    timeout: float | None = None
    payload: bytes = b""
    when_idle: bool = False
    #: The spacing of due times that connections share: interval / 64, or a second if less.
    grid: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.interval < math.inf:
            raise ValueError(
                f"interval must be more than 0 seconds and finite, not {self.interval!r}"
            )
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise ValueError(
                f"timeout must be None or more than 0 seconds and finite, not {self.timeout!r}"
            )
        if not isinstance(self.payload, bytes):
            raise TypeError(f"payload must be bytes, not {type(self.payload).__name__}")
        if len(self.payload) > _MAX_PAYLOAD:
            raise ValueError(
                f"payload must be at most {_MAX_PAYLOAD} bytes, not {len(self.payload)}"
            )
        # Once, not for each connection: a float takes 24 bytes.
        object.__setattr__(self, "grid", self.interval / max(64, int(self.interval)))


class KeepAlive:
    """The keep-alive of one connection. Belongs to the thread of the loop.

    Args:
        policy: how the connection is kept alive.

    Attributes:
        policy: the same.
        latency: the last measured round trip in seconds, from a ping to the pong that answered it,
            or None. If pings overlapped, it is an upper bound: it counts from the oldest one.
    """

    __slots__ = (
        *("_backlog", "_grid", "_heard_at", "_moved_at", "_ping_due", "_pinged_at"),
        *("latency", "policy"),
    )

    def __init__(self, policy: KeepAlivePolicy) -> None:
        self.policy = policy
        self.latency: float | None = None
        self._ping_due: float | None = None  # when the next ping goes out; None: not started
        self._pinged_at: float | None = None  # the oldest unanswered ping; None: there is none
        self._grid = 0.0  # see start()
        self._backlog = 0  # bytes that the kernel held when it was last asked
        self._moved_at = 0.0  # when it was seen to have shrunk
        self._heard_at = 0.0  # with when_idle: the last activity that was taken into account

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._ping_due is not None

    @property
    def awaiting_pong(self) -> bool:
        """Whether a ping is unanswered, as far as `on_pong` and `on_timer` know."""
        return self._pinged_at is not None

    def start(self, now: float, spread: float = 0.0, grid: float = 0.0) -> float:
        """Begin, when the connection is open; or begin again.

        The first ping is due after one interval less ``spread`` times half an interval. With a
        random spread, connections that were opened together ping evenly over half an interval, and
        stay apart, since later pings keep the rhythm of the first. The first ping never takes
        longer than an interval, which is the promise; and never less than half, since a ping right
        after the handshake shows nothing new.

        Args:
            now: the time, in seconds.
            spread: from 0.0 (default: exactly one interval) to 1.0 (half an interval).
            grid: everything is due at multiples of this, in seconds: pings earlier and timeouts
                later than without it. So connections with the same grid share wake-ups of the
                process, which cost more than the pings. 0.0 (default): no grid.

        Returns:
            When to call `on_timer`.

        Raises:
            ValueError: `spread` is outside 0.0 to 1.0.
        """
        if not 0.0 <= spread <= 1.0:
            raise ValueError(f"spread must be from 0.0 to 1.0, not {spread!r}")
        self.latency = None
        self._pinged_at = None
        self._heard_at = now
        self._grid = grid
        self._ping_due = self._on_grid(now + self.policy.interval * (1.0 - spread / 2))
        return self._ping_due

    def _on_grid(self, when: float) -> float:
        return when - when % self._grid if self._grid else when

    def on_pong(self, now: float) -> None:
        """Note a pong. A pong that answers no ping is ignored (RFC 6455 section 5.5.3).

        Args:
            now: the time, in seconds.
        """
        if self._pinged_at is not None:
            self.latency = now - self._pinged_at
            self._pinged_at = None

    def note_backlog(self, size: int) -> None:
        """Note how many bytes wait in the kernel before a ping is sent."""
        self._backlog = size

    def on_backlog(self, now: float, size: int) -> bool:
        """Return whether the bytes that wait in the kernel after SUSPECT show that the peer lives.

        Args:
            now: the time, in seconds.
            size: bytes that were written and that the peer's system has not acknowledged. While
                there are some, the ping may be among them.

        Returns:
            Whether there are fewer than before. If so, the timeout begins again.
        """
        shrinks = 0 < size < self._backlog and self._backlog >= MIN_BACKLOG
        self._backlog = size
        if shrinks:
            self._moved_at = now
        return shrinks

    def on_timer(
        self, now: float, last_activity: float, moved_at: float = 0.0
    ) -> tuple[Action, float]:
        """Return what must be done now. Asking before the time that was returned does no harm.

        Args:
            now: the time, in seconds, read from the clock for this call. The time at which the
                loop's turn began is not good enough: if a handler has been slow since, the ping
                would count as sent too early, and the peer would be out of time at once.
            last_activity: when anything was last received, in seconds of the same clock. It counts
                only with ``when_idle=True``.
            moved_at: when bytes last moved that are not an answer, yet show that the peer is alive,
                in seconds of the same clock; see the module.

        Returns:
            The action, and when to call this again. With WAIT and PING, that is later than `now`.
            With SUSPECT, it is `now`: as soon as what the kernel holds has been read.

        Raises:
            WebSocketStateException: `start` was not called.
        """
        if self._ping_due is None:
            raise WebSocketStateException("the keep-alive of this connection was not started")
        interval, timeout = self.policy.interval, self.policy.timeout

        if self.policy.when_idle and last_activity > self._heard_at:
            self._heard_at = last_activity
            self._ping_due = self._on_grid(last_activity + interval)
            if self._pinged_at is not None and last_activity > self._pinged_at:
                self._pinged_at = None

        timed_out = math.inf
        if self._pinged_at is not None and timeout is not None:
            timed_out = max(self._pinged_at, moved_at, self._moved_at) + timeout
            if now >= timed_out:
                return Action.SUSPECT, now

        action = Action.WAIT
        if now >= self._ping_due:
            action = Action.PING
            # Keep the rhythm: the next ping is due one interval after this one was, even if the
            # loop was late. After a stall, it is the point of the rhythm nearest to one interval
            # from now.
            self._ping_due += interval * (1 + round((now - self._ping_due) / interval))
            if self._pinged_at is None:
                self._pinged_at = now
                if timeout is not None:
                    timed_out = now + timeout
        if timed_out == math.inf:
            return action, self._ping_due
        if self._grid:
            timed_out += -timed_out % self._grid
        return action, min(self._ping_due, timed_out)
