"""The dispatcher: events of a session -> handlers of a protocol object.

What it is: the one place that calls handlers, and the policy for what they raise.

What it must not know: bytes, sockets, timers.

Handlers are called in the order of the events. Messages, pings and pongs are delivered only while
the session is open: after a handler has closed the connection, no more of them are delivered.

An exception that a handler raises is logged with its traceback and passed to ``on_error`` once. An
exception that ``on_error`` itself raises is only logged. The log counts errors that repeat (see
errorlog.py). Neither kind of exception stops the delivery of the rest. KeyboardInterrupt and
SystemExit pass through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..base.marks import calls_user_code
from ..protocols.events import OPEN
from ..protocols.session import Close, Data, Event, Failure, Ping, Pong, State, WebSocketSession
from ..protocols.websocket import WebSocketProtocol
from .errorlog import ErrorLog
from .phase import ATTACHED, Phase

__all__ = ["Undelivered", "call_handler", "call_on_error", "conclude", "deliver", "report"]

logger = logging.getLogger("reactor.connection")


class EventSource(Protocol):
    """What the dispatcher needs of the connection whose events it delivers."""

    phase: Phase
    session: WebSocketSession

    @property
    def protocol(self) -> WebSocketProtocol: ...

    def deliver_later(self, events: list[Event]) -> None:
        """Deliver these events in the next turn, before any that are read after them."""

    def pong_received(self) -> None:
        """Take note that a pong came. Called before the handler."""

    def last_word(self, event: Close | Failure) -> None:
        """End the connection: the peer has sent its close frame, or broken the protocol."""


class Undelivered:
    """Events that are delivered at the beginning of the next turn.

    Args:
        source: the connection.
        events: its events, in order.
    """

    def __init__(self, source: EventSource, events: list[Event]) -> None:
        self._source = source
        self._session = source.session
        self._events = events

    def flush(self) -> None:
        """Deliver them. The loop calls this, as for a transport that has output."""
        source = self._source
        if source.phase is ATTACHED and source.session is self._session:
            deliver(source, self._events)


# Twin: deliver() in compiled/path.pyx.
@calls_user_code
def deliver(source: EventSource, events: Iterable[Event]) -> None:
    """Call the handlers for events, in order.

    Args:
        source: the connection whose protocol object has the handlers.
        events: what was read.
    """
    session = source.session
    protocol = source.protocol
    remaining: Iterator[Any] = iter(events)  # Any: their types are compared below
    while True:
        try:
            try:
                for event in remaining:
                    kind = type(event)
                    if session.state is not OPEN:
                        if session.state is State.CLOSED:
                            return  # a handler has aborted the connection
                        if kind is Close or kind is Failure:
                            source.last_word(event)
                    elif kind is str or kind is bytes:
                        protocol.on_message(event)
                    elif kind is Ping:
                        protocol.on_ping(event.payload)
                    elif kind is Pong:
                        source.pong_received()
                        protocol.on_pong(event.payload)
                    elif kind is Data:
                        protocol.on_data(event.payload, event.opcode, event.fin)
                    else:
                        source.last_word(event)
                return
            except Exception as exc:  # noqa: BLE001 - reported, not swallowed
                report(protocol, exc)
        except BaseException:
            # KeyboardInterrupt or SystemExit leaves the loop, which may be run again. The events
            # that are left of this read must not be lost.
            source.deliver_later(list(remaining))
            raise


@calls_user_code
def call_handler(protocol: WebSocketProtocol, handler: Callable[..., object], *args: Any) -> None:
    """Call one handler, and report what it raises.

    Args:
        protocol: whose ``on_error`` hears of an exception.
        handler: the function.
        *args: its arguments.
    """
    try:
        handler(*args)
    except Exception as exc:  # noqa: BLE001 - reported, not swallowed
        report(protocol, exc)


def report(protocol: WebSocketProtocol, exc: Exception) -> None:
    """Log an exception that a handler raised, and pass it to ``on_error``."""
    _log(protocol, exc)
    call_on_error(protocol, exc)


@calls_user_code
def call_on_error(protocol: WebSocketProtocol, exc: Exception) -> None:
    """Call ``on_error``; an exception that it raises itself is logged.

    Args:
        protocol: whose ``on_error`` is called.
        exc: what went wrong.
    """
    try:
        protocol.on_error(exc)
    except Exception as second:  # noqa: BLE001 - reported, not swallowed
        _log(protocol, second)


def _log(protocol: WebSocketProtocol, exc: Exception) -> None:
    if protocol._reactor_error_log is None:
        protocol._reactor_error_log = ErrorLog(logger)
    protocol._reactor_error_log.error(exc, "exception in a handler of %r", protocol)


def conclude(protocol: WebSocketProtocol) -> None:
    """Log how often errors were repeated: the connection of this protocol object is over."""
    if protocol._reactor_error_log is not None:
        protocol._reactor_error_log.conclude()
