"""The dispatcher: events of a session -> handlers of a protocol object.

What it is: the one place that calls user code, and the policy for what it raises.

What it must not know: bytes, sockets, timers.

The order of the calls is the order of the events. Messages, pings and pongs are delivered
only while the session is open: a handler that closes the connection hears no more of them.

An exception that a handler raises is logged with its traceback and given to ``on_error``,
once; what ``on_error`` itself raises is logged. In the log, what repeats itself is counted: see
errorlog.py. Neither stops the delivery of the rest.
KeyboardInterrupt and SystemExit pass through.
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
    protocol: WebSocketProtocol

    def deliver_later(self, events: list[Event]) -> None:
        """Deliver these in the next turn, before anything that comes after them."""

    def pong_received(self) -> None:
        """A pong came; called before the handler."""

    def last_word(self, event: Close | Failure) -> None:
        """The peer has sent its close frame, or broken the protocol."""


class Undelivered:
    """Events that are still to be delivered, at the beginning of the next turn."""

    def __init__(self, source: EventSource, events: list[Event]) -> None:
        self._source = source
        self._session = source.session
        self._events = events

    def flush(self) -> None:
        """Called by the loop, which has this in its list of transports to be flushed."""
        source = self._source
        if source.phase is ATTACHED and source.session is self._session:
            deliver(source, self._events)


# Twin: deliver() in compiled/path.pyx.
@calls_user_code
def deliver(source: EventSource, events: Iterable[Event]) -> None:
    """Deliver *events*, in order, to the protocol object of *source*."""
    session = source.session
    protocol = source.protocol
    remaining: Iterator[Any] = iter(events)  # told apart by their type, below
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
            # KeyboardInterrupt and SystemExit leave the loop, which may be run again: what is
            # left of this read must not be lost.
            source.deliver_later(list(remaining))
            raise


@calls_user_code
def call_handler(protocol: WebSocketProtocol, handler: Callable[..., object], *args: Any) -> None:
    """Call one handler of *protocol*; what it raises is reported."""
    try:
        handler(*args)
    except Exception as exc:  # noqa: BLE001 - reported, not swallowed
        report(protocol, exc)


def report(protocol: WebSocketProtocol, exc: Exception) -> None:
    """Log what a handler raised, and give it to ``on_error``."""
    _log(protocol, exc)
    call_on_error(protocol, exc)


@calls_user_code
def call_on_error(protocol: WebSocketProtocol, exc: Exception) -> None:
    """Tell *protocol* what went wrong; what ``on_error`` itself raises is logged."""
    try:
        protocol.on_error(exc)
    except Exception as second:  # noqa: BLE001 - reported, not swallowed
        _log(protocol, second)


def _log(protocol: WebSocketProtocol, exc: Exception) -> None:
    if protocol._error_log is None:
        protocol._error_log = ErrorLog(logger)
    protocol._error_log.error(exc, "exception in a handler of %r", protocol)


def conclude(protocol: WebSocketProtocol) -> None:
    """The connection of *protocol* is over: log how often its errors have come again."""
    if protocol._error_log is not None:
        protocol._error_log.conclude()
