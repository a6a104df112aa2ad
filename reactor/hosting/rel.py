"""Hosting: a reactor inside a foreign dispatcher (the ``rel`` package, pyevent).

What it is: :func:`host`, which returns the reactor that lives in a foreign dispatcher.

What it must not know: apps and connections.

How it works. To its host, a reactor is one descriptor that is readable when a turn would find
events, and one point in time when a timer is due. The dispatcher watches both, by ``read`` and
``timeout``, and whenever it calls back, one turn is run. Work that is requested between turns (a
new connection, a message sent by a callback of the dispatcher) is announced by ``on_wanted``: then
the descriptor is made readable.
"""

from __future__ import annotations

import threading
from typing import Any

from ..loop.residents import Resident
from ..reactor import Reactor

__all__ = ["host"]

#: The attribute in which a dispatcher keeps its reactor: both are freed together.
ATTRIBUTE = "_hosted_reactor"


def host(dispatcher: Any) -> Reactor:
    """Return the reactor that lives in *dispatcher*; always the same one for the same object.

    Args:
        dispatcher: has ``read(sock, callback)``, ``signal(signum, callback)`` and ``abort``, and
            should have ``timeout(seconds, callback)``; otherwise a thread keeps the time.

    Raises:
        TypeError: a method is missing; the message names it.
    """
    for name in ("read", "signal", "abort"):
        if not callable(getattr(dispatcher, name, None)):
            raise TypeError(f"the dispatcher {dispatcher!r} has no {name}()")
    reactor: Reactor | None = getattr(dispatcher, ATTRIBUTE, None)
    if reactor is None:
        reactor = Reactor()
        _Host(reactor, dispatcher).start()
        setattr(dispatcher, ATTRIBUTE, reactor)
        try:
            dispatcher.signal(2, dispatcher.abort)
        except ValueError:
            pass  # Python handles signals on its main thread only: go on without
    return reactor


class _Host(Resident):
    """Has a foreign dispatcher run the turns of a reactor.

    Args:
        reactor: the reactor.
        dispatcher: the dispatcher; all of this belongs to the thread that runs it.
    """

    def __init__(self, reactor: Reactor, dispatcher: Any) -> None:
        self._reactor = reactor
        self._loop = reactor.loop
        self._dispatcher = dispatcher
        self._watched = False  # the dispatcher was given our descriptor, and not told to drop it
        self._event: Any = None  # what its read() returned for it
        self._alarm: float | None = None  # when the dispatcher will call us
        self._bell: threading.Timer | None = None  # for a dispatcher without timers

    def start(self) -> None:
        """From now on the dispatcher runs a turn whenever one is wanted."""
        self._loop.on_wanted = self._on_wanted
        self._loop.residents.append(self)

    def end(self) -> None:
        """See Resident."""
        self._loop.on_wanted = None
        self._stop_bell()

    def _on_wanted(self) -> None:
        """There is work that was requested between two turns: have a turn run. Any thread."""
        if threading.get_ident() == self._loop.thread_id and not self._is_watched():
            self._watched = True
            self._event = self._dispatcher.read(self._reactor, self._run_turn)
        self._loop.wakeup.send()

    def _is_watched(self) -> bool:
        """Whether the dispatcher still has our descriptor: abort() makes it drop everything."""
        pending = getattr(self._event, "pending", None)
        return self._watched and (pending is None or bool(pending()))

    def _run_turn(self) -> bool:
        try:
            self._loop.run_once(0)
        except BaseException:
            # KeyboardInterrupt or SystemExit: the next turn does the rest.
            self._loop.wakeup.send()
            raise
        if not self._loop._busy():
            self._watched = False  # the dispatcher may end when nothing is left to wait for
            self._stop_bell()
            return False
        self._set_alarm()
        return True

    def _set_alarm(self) -> None:
        """Have the dispatcher call when the next timer is due, unless it will call earlier."""
        timeout = self._loop.next_timeout()
        if timeout is None:
            return
        now = self._loop.time()
        # The dispatcher has forgotten an alarm that is past: rel.init() does so.
        if self._alarm is None or self._alarm < now or now + timeout < self._alarm:
            self._alarm = due = now + timeout
            if callable(getattr(self._dispatcher, "timeout", None)):
                self._dispatcher.timeout(timeout, self._on_alarm, due)
            else:
                self._ring_in(timeout, due)

    def _ring_in(self, timeout: float, due: float) -> None:
        """The same for a dispatcher that has no timers: a thread sleeps instead."""
        self._stop_bell()
        self._bell = threading.Timer(timeout, self._on_alarm, (due,))
        self._bell.daemon = True
        self._bell.start()

    def _stop_bell(self) -> None:
        if self._bell is not None:
            self._bell.cancel()
            self._bell = None

    def _on_alarm(self, due: float) -> None:
        if self._alarm == due:  # otherwise an earlier alarm has replaced it
            self._alarm = None
            self._loop.wakeup.send()
