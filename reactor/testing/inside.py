"""What the test kit uses of the event loop beyond its documented methods, in one place.

What it is: functions on a Reactor. What it must not know: who uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..client.lifecycle import ClientLifecycle

if TYPE_CHECKING:
    from ..client.attempt import Pipeline
    from ..protocols.websocket import WebSocketProtocol
    from ..reactor import Reactor
    from ..server.listener import Listener

__all__ = [
    "calls_in_flight",
    "connect_through",
    "has_events",
    "report_to",
    "take_stop",
    "watch_clients",
]


def has_events(reactor: Reactor, wait: float = 0.0) -> bool:
    """Tell whether a turn would find descriptors that are ready. Looks, and takes nothing away.

    Args:
        reactor: whose.
        wait: real seconds in which there may be one.
    """
    return bool(list(reactor.loop.poller.poll(wait)))


def calls_in_flight(reactor: Reactor) -> int:
    """Return how many calls on helper threads somebody on this loop waits for."""
    return reactor.loop.awaited


def report_to(reactor: Reactor, report: Callable[[BaseException, object], None]) -> None:
    """Have *report* called with what callbacks of the loop raise, instead of the log."""
    reactor.loop.report = report  # type: ignore[method-assign, assignment]


def take_stop(reactor: Reactor) -> bool:
    """Tell whether ``stop()`` was called and not obeyed yet; it counts as obeyed afterwards."""
    stopping = reactor.loop._stopping
    reactor.loop._stopping = False
    return stopping


def watch_clients(
    listener: Listener[Any], made: Callable[[WebSocketProtocol], object], address: str
) -> None:
    """Be told of every protocol object of a listener, and say where its clients come from.

    Args:
        listener: the listener, of a unix socket.
        made: called with each object when it is made, whoever has chosen it.
        address: what all clients are counted under, see ServerOptions.
    """
    listener._made = made
    listener._address_of = lambda _sock, _peer: address


def connect_through(reactor: Reactor, pipeline: Pipeline) -> Pipeline:
    """Have all attempts to connect that begin from now on run another pipeline; return the former.

    Args:
        reactor: whose attempts, those of connections that it has already included.
        pipeline: see client/attempt.py.
    """
    opener = reactor._opener
    before, opener.pipeline = opener.pipeline, pipeline
    for connection in reactor.connections:
        if isinstance(connection.lifecycle, ClientLifecycle):
            connection.lifecycle._pipeline = pipeline
    return before
