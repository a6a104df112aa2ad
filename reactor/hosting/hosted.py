"""What every host does: watch a descriptor, set an alarm, be nudged, and run a turn for each.

What it is: :class:`Host`, the half of a host that is the same for every event loop. The other half
are five methods, which a module for each event loop has. And :class:`Farewell`, the end of a
reactor that may not wait in place.

What it must not know: any of these event loops.

How it works. A reactor is one descriptor that is readable when a turn would find events, and one
point in time when a timer is due. The host watches the first and has an alarm for the second. What
is asked of the reactor between two turns may be due earlier; the loop says so by ``on_wanted``. On
the host's own thread that is a nudge: a turn as soon as the code that runs there is through,
however often it asks. From another thread the descriptor is made readable.

An alarm that is too early costs an empty turn and is set anew; so it is not touched when the next
timer moves away, as it does with nearly every message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..loop.residents import Resident
from ..reactor import Reactor

__all__ = ["FAREWELL", "Farewell", "Host"]

#: Seconds that closing handshakes have when the host ends.
FAREWELL = 1.0


class Host(Resident):
    """Has another event loop run the turns of a reactor; a subclass for each event loop.

    Args:
        reactor: the reactor. All of this belongs to the thread of the other event loop.

    Attributes:
        after_turn: called after every turn, with no arguments; or None.
        running: whether :meth:`run_turn` is running a turn.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.after_turn: Callable[[], object] | None = None
        self._loop = reactor.loop
        self._thread = threading.get_ident()
        self.running = False
        self._nudged = False
        self._ending = False  # the other loop has ended within a turn
        self._alarm: float | None = None  # when the other loop will call us, by our clock

    # -- what a subclass has -----------------------------------------------------------------

    def watch(self, fd: int) -> None:
        """Call :meth:`run_turn` whenever the descriptor is readable."""
        raise NotImplementedError

    def unwatch(self, fd: int) -> None:
        """Do so no longer."""
        raise NotImplementedError

    def set_alarm(self, delay: float) -> None:
        """Call :meth:`on_alarm` after *delay* seconds, instead of when it was asked for before."""
        raise NotImplementedError

    def stop_alarm(self) -> None:
        """Do so no longer, if an alarm is set."""
        raise NotImplementedError

    def nudge(self) -> None:
        """Call :meth:`run_turn` soon, but not from within this call."""
        raise NotImplementedError

    # -- what all have -------------------------------------------------------------------------

    def start(self) -> None:
        """From now on the other loop runs a turn whenever one is wanted.

        Raises:
            ValueError: the reactor's selector has no descriptor.
        """
        try:
            self._fd = self._loop.fileno()
            self.watch(self._fd)
        except BaseException:
            self.reactor.close()
            raise
        self._loop.residents.append(self)
        self._loop.on_wanted = self._on_wanted
        self._on_wanted()

    def end(self) -> None:
        """See Resident."""
        self._loop.on_wanted = None
        self.stop_alarm()
        self.unwatch(self._fd)

    def forked(self) -> None:
        """See Resident."""
        self._loop.on_wanted = None

    def run_turn(self) -> None:
        """Run a turn, and see when the next one is due."""
        self._nudged = False
        loop = self._loop
        if self.running or self._is_over():
            return  # a handler runs the other loop; or what was asked for before the end comes now
        self.running = True
        try:
            loop.run_once(0)
        except BaseException:
            # KeyboardInterrupt or SystemExit: the rest is for the next turn.
            self._on_wanted()
            raise
        finally:
            self.running = False
            if self._ending:
                self.reactor.close()
        if self.after_turn is not None:
            self.after_turn()
        if self._is_over():
            return
        timeout = loop.next_timeout()
        if timeout is None:
            return
        if timeout <= 0:
            self._on_wanted()
            return
        due = loop.now + timeout
        if self._alarm is None or due < self._alarm:
            self._alarm = due
            self.set_alarm(timeout)

    def _is_over(self) -> bool:
        return self._loop._closed

    def finish(self) -> None:
        """The other loop ends: close the reactor, behind the turn if there is one."""
        if self.running:
            self._ending = True
        else:
            self.reactor.close()

    def on_alarm(self) -> None:
        """The time has come, or nearly."""
        self._alarm = None
        self.run_turn()

    def _on_wanted(self) -> None:
        """Something was asked for between two turns. Any thread."""
        if threading.get_ident() != self._thread:
            self._loop.wakeup.send()
        elif not self._nudged:
            self._nudged = True
            self.nudge()


class Farewell:
    """Closes every connection with 1001 (going away), while the other loop runs on.

    Args:
        host: the host of the reactor.
        timeout: seconds after which what is left is aborted.
        done: called once, when all is over. Not from within :meth:`start`.
    """

    def __init__(self, host: Host, timeout: float, done: Callable[[], object]) -> None:
        self._host = host
        self._reactor = host.reactor
        self._timeout = timeout
        self._done = done
        self._late = False

    def start(self) -> None:
        """Begin. Raises RuntimeError from within a handler, and ValueError for the timeout."""
        reactor = self._reactor
        if self._timeout < 0:
            raise ValueError(f"timeout must be 0 or more seconds, not {self._timeout!r}")
        reactor._registry.close_all()
        self._before = self._host.after_turn
        self._host.after_turn = self._look
        reactor.call_later(self._timeout, self._give_up)
        reactor.call_soon(_nothing)  # so that there is a turn after which to look

    def _give_up(self) -> None:
        self._late = True

    def _look(self) -> None:
        reactor = self._reactor
        if self._late or not (reactor.connections or reactor.loop.lingering):
            self._host.after_turn = self._before
            self._done()
            if self._before is not None:
                self._before()


def _nothing() -> None:
    """What is called for the sake of the turn."""
