"""Hosting: a reactor inside of somebody else's dispatcher (the ``rel`` package, pyevent).

What it is: :func:`host`, which gives the reactor that lives in a foreign dispatcher.

What it must not know: apps and connections.

How it works. A reactor is one descriptor that is readable when a turn would find events, and one
point in time when a timer is due. The dispatcher is asked for both, ``read`` and ``timeout``,
and whenever it calls back, one turn is run. What happens to the reactor between turns (a new
connection, a message sent by a callback of the dispatcher) wakes it through its own descriptor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..reactor import Reactor
from ..timers import Timer

__all__ = ["HostedReactor", "host"]

#: Where a dispatcher keeps its reactor: both are freed together.
ATTRIBUTE = "_hosted_reactor"


def host(dispatcher: Any) -> HostedReactor:
    """Return the reactor that lives in *dispatcher*; always the same one for the same object.

    Parameters:
        dispatcher: has ``read(sock, callback)``, ``signal(signum, callback)`` and ``abort``, and
            by right ``timeout(seconds, callback)``; without, a thread keeps the time.

    Raises TypeError naming the method that is missing.
    """
    for name in ("read", "signal", "abort"):
        if not callable(getattr(dispatcher, name, None)):
            raise TypeError(f"the dispatcher {dispatcher!r} has no {name}()")
    reactor: HostedReactor | None = getattr(dispatcher, ATTRIBUTE, None)
    if reactor is None:
        reactor = HostedReactor(dispatcher)
        setattr(dispatcher, ATTRIBUTE, reactor)
        try:
            dispatcher.signal(2, dispatcher.abort)
        except ValueError:
            pass  # Python has signals handled on its main thread only: go on without
    return reactor


class HostedReactor(Reactor):
    """A reactor whose turns are run by a foreign dispatcher."""

    def __init__(self, dispatcher: Any) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._watched = False  # the dispatcher was given our descriptor, and not told to drop it
        self._event: Any = None  # what it gave us for that
        self._alarm: float | None = None  # when the dispatcher will call us
        self._bell: threading.Timer | None = None  # in place of a dispatcher without timers

    def _check_usable(self) -> None:
        super()._check_usable()
        if self._turns:  # the dispatcher runs it between its turns as well
            self._check_owner()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """See EventLoop."""
        super().call_soon(callback, *args)
        self._nudge()

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """See EventLoop."""
        timer = super().call_at(when, callback, *args)
        self._nudge()
        return timer

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """See EventLoop."""
        timer = super().call_later(delay, callback, *args)
        self._nudge()
        return timer

    def close(self) -> None:
        """See EventLoop."""
        self._stop_bell()
        super().close()

    def _nudge(self) -> None:
        """Something was asked for: outside of a turn, have the dispatcher run one."""
        if self.running:
            return
        if not self._is_watched():
            self._watched = True
            self._event = self._dispatcher.read(self, self._run_turn)
        self._wake_up()

    def _is_watched(self) -> bool:
        """Whether the dispatcher still has our descriptor: abort() makes it drop everything."""
        pending = getattr(self._event, "pending", None)
        return self._watched and (pending is None or bool(pending()))

    def _run_turn(self) -> bool:
        try:
            self.run_once(0)
        except BaseException:
            self._wake_up()  # KeyboardInterrupt or SystemExit: the rest is for the next turn
            raise
        if not self._busy():
            self._watched = False  # the dispatcher may end when nobody waits for anything
            self._stop_bell()
            return False
        self._set_alarm()
        return True

    def _set_alarm(self) -> None:
        """Have the dispatcher call when the next timer is due, unless it will be earlier."""
        timeout = self.next_timeout()
        if timeout is None:
            return
        now = self.time()
        # One that is past was forgotten by the dispatcher, as by rel.init().
        if self._alarm is None or self._alarm < now or now + timeout < self._alarm:
            self._alarm = due = now + timeout
            if callable(getattr(self._dispatcher, "timeout", None)):
                self._dispatcher.timeout(timeout, self._on_alarm, due)
            else:
                self._ring_in(timeout, due)

    def _ring_in(self, timeout: float, due: float) -> None:
        """The same for a dispatcher that has no timers: a thread sleeps in its place."""
        self._stop_bell()
        self._bell = threading.Timer(timeout, self._on_alarm, (due,))
        self._bell.daemon = True
        self._bell.start()

    def _stop_bell(self) -> None:
        if self._bell is not None:
            self._bell.cancel()
            self._bell = None

    def _on_alarm(self, due: float) -> None:
        if self._alarm == due:  # else an earlier one has taken its place
            self._alarm = None
            self._wake_up()
