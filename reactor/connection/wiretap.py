"""Wiretaps: who listens to whole connections, from the opening handshake on.

What it is: :class:`Wiretap`, which a loop or a protocol object may have, and what a connection and
its role tell it.

What it must not know: what listeners make of it; see monitor/recording.

How it works. There is no wiretap unless somebody records, and then the places that tell of a
handshake and of an open connection find it in ``loop.wiretaps``, or in the ``_reactor_wiretaps`` of
a protocol object. The bytes of an open connection are told by its stream (transports/tapped.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..transports.tls.nested import AnySocket

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .connection import Connection

__all__ = ["HandshakeTap", "HandshakeTaps", "Wiretap", "handshake_taps", "tell_attached"]


class HandshakeTap(Protocol):
    """Is told of the opening handshakes of one attempt. The loop's thread; none may raise."""

    def connected(self, sock: AnySocket, place: str) -> None:
        """A socket is ready for a request, with TLS if that is wanted.

        Args:
            sock: the socket.
            place: the URL without username and password; for a server, "".
        """

    def sent(self, data: bytes) -> None:
        """We have sent the head of a request, or an answer."""

    def received(self, data: bytes) -> None:
        """The head of a request, of an answer, or part of its body, has come."""

    def closed(self) -> None:
        """The socket is closed: nothing comes of it."""


class Wiretap(Protocol):
    """Listens to connections. The loop's thread; no method may raise."""

    def handshake(self, connection: Connection | None) -> HandshakeTap | None:
        """Return who is told of an opening handshake that begins; None: nobody is.

        Args:
            connection: the connection that we open; None: a client is opening one.
        """

    def attached(self, connection: Connection, leftover: bytes) -> None:
        """A connection is open, and nothing is read from its stream yet.

        Args:
            connection: the connection.
            leftover: bytes of frames that have come with the opening handshake.
        """


class HandshakeTaps:
    """Several taps as one; none of them, if nobody listens."""

    __slots__ = ("_taps",)

    def __init__(self, wiretaps: Sequence[Wiretap], connection: Connection | None) -> None:
        taps = [wiretap.handshake(connection) for wiretap in wiretaps]
        self._taps = [tap for tap in taps if tap is not None]

    def __bool__(self) -> bool:
        return bool(self._taps)

    def connected(self, sock: AnySocket, place: str) -> None:
        """See HandshakeTap."""
        for tap in self._taps:
            tap.connected(sock, place)

    def sent(self, data: bytes) -> None:
        """See HandshakeTap."""
        for tap in self._taps:
            tap.sent(data)

    def received(self, data: bytes) -> None:
        """See HandshakeTap."""
        for tap in self._taps:
            tap.received(data)

    def closed(self) -> None:
        """See HandshakeTap."""
        for tap in self._taps:
            tap.closed()


def handshake_taps(loop: EventLoop, connection: Connection | None) -> HandshakeTaps | None:
    """Return who is told of an opening handshake that begins; None: nobody is.

    Args:
        loop: the loop on which it begins.
        connection: see Wiretap.handshake.
    """
    wiretaps = (*loop.wiretaps, *(connection.protocol._reactor_wiretaps if connection else ()))
    taps = HandshakeTaps(wiretaps, connection) if wiretaps else None
    return taps or None


def tell_attached(connection: Connection, leftover: bytes) -> None:
    """Tell the wiretaps, if there are any, that a connection is open."""
    for wiretap in (*connection.loop.wiretaps, *connection.protocol._reactor_wiretaps):
        wiretap.attached(connection, leftover)
