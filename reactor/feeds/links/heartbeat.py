"""The heartbeat: pings and pongs that a service defines itself, in its own messages.

What it is: :class:`Heartbeat`, what to send and when, and :class:`Pulse`, the state of one link's.

What it must not know: links, timers. The time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ...base.marks import calls_user_code
from ...base.mistakes import check_called, check_number

__all__ = ["Heartbeat", "Pulse"]

Message = str | bytes


@dataclass(frozen=True)
class Heartbeat:
    """A service's own kind of ping.

    Args:
        message: what is sent: str or bytes, or a function without parameters that returns one.
        every: seconds between two of them, and from the opening of a link to the first.
        expect: is given each message that comes while an answer is owed, and returns whether it is
            the answer; None: no answer is expected. ``parse`` sees the answer, too, but need not
            know it.
        timeout: seconds that the service has for its answer; then the link is replaced.

    Raises:
        ValueError: A value is outside its range; the message names it.
        TypeError: It is of the wrong type.
    """

    message: Message | Callable[[], Message]
    every: float = 20.0
    expect: Callable[[Message], object] | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.message, (str, bytes)) and not callable(self.message):
            raise TypeError(f"message must be str, bytes or a function, not {self.message!r}")
        check_called("message", self.message)
        if self.expect is not None and not callable(self.expect):
            raise TypeError(f"expect must be a function or None, not {self.expect!r}")
        check_called("expect", self.expect)
        for name in ("every", "timeout"):
            value = getattr(self, name)
            check_number(name, value, "more than 0 seconds")
            if not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be more than 0 seconds, not {value!r}")
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be more than 0 seconds and finite, not {value!r}")


class Pulse:
    """The heartbeat of one link, while it is open.

    Args:
        heartbeat: what is sent, and when.
        now: when the link was opened, in seconds of the loop's clock.
    """

    __slots__ = ("_heartbeat", "_leaving", "_until", "next_at")

    def __init__(self, heartbeat: Heartbeat, now: float) -> None:
        self._heartbeat = heartbeat
        self._until = math.inf  # when an answer is overdue; infinite: none is expected
        self._leaving = False  # a message waits for the pace
        #: When the next message is due.
        self.next_at = now + heartbeat.every

    @property
    def awaiting(self) -> bool:
        """Whether an answer is expected."""
        return self._until < math.inf

    @calls_user_code
    def message(self) -> Message:
        """Return the message to send."""
        message = self._heartbeat.message
        return message() if callable(message) else message

    def queued(self) -> None:
        """Take note that the message waits for the pace."""
        self._leaving = True

    def sent(self, now: float) -> None:
        """Take note that the message has been sent now."""
        self._leaving = False
        if self._heartbeat.expect is not None:
            self._until = now + self._heartbeat.timeout

    def overdue(self, now: float) -> bool:
        """Return whether the answer is overdue."""
        return now >= self._until

    def beat(self, now: float) -> bool:
        """Return whether a message is due now; if so, plan the next one."""
        if now < self.next_at:
            return False
        self.next_at = now + self._heartbeat.every
        return not self.awaiting and not self._leaving

    @calls_user_code
    def answers(self, message: Message) -> bool:
        """Return whether a message is the answer; if so, none is expected any longer."""
        expect = self._heartbeat.expect
        if expect is None or not self.awaiting or not expect(message):
            return False
        self._until = math.inf
        return True

    def due(self) -> float:
        """Return when something is to be done, in seconds of the loop's clock."""
        return min(self.next_at, self._until)
