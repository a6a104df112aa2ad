"""How an open connection ends: by the closing handshake, without it, or by the network.

What it is: one function for each way to the end, and :func:`end`, in which all of them meet.

What it must not know: what follows. The lifecycle decides that.

How it works. There are three kinds of ways.

* The peer's part is done, or there is none: its close frame, a violation of the protocol, the end
  of the stream, a fault of ours. The connection ends at once.
* We close (RFC 6455 section 7.1.2). The connection goes on reading until the peer's close frame
  comes. A timer is the deadline for that; when it expires, the stream is aborted and thereby lost.
* We leave without waiting for the peer. Such an end may begin anywhere, also in the middle of a
  handler. So from then on nothing is read, and the connection ends in the next batch of calls.

:func:`end` releases the stream to a Linger, which sends what is left and then closes the socket.
All functions are for the loop's thread, and for a connection in phase ATTACHED.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..base.printable import quoted
from ..base.tracebacks import without_traceback
from ..exceptions import (
    LOST,
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketException,
    WebSocketPeerException,
    WebSocketQueueFullException,
)
from ..protocols.session import Close, Failure, State, WebSocketSession
from ..transports.linger import Linger
from .counting import most_queued
from .phase import ATTACHED

if TYPE_CHECKING:
    from .connection import Connection

__all__ = [
    "abort",
    "begin_close",
    "break_off",
    "broken",
    "cut_off",
    "describe_loss",
    "end",
    "fail",
    "last_word",
    "lost",
]

logger = logging.getLogger("reactor.connection")

#: The most seconds that a peer which has violated the protocol gets to read our close frame.
FAREWELL = 1.0


# -- we close ------------------------------------------------------------------------------


def begin_close(
    connection: Connection, code: int, reason: str, timeout: float | None = None
) -> None:
    """Begin the closing handshake; without effect if it has begun already.

    Args:
        connection: the connection.
        code: for our close frame.
        reason: for our close frame.
        timeout: seconds that the peer has to answer; None: ``close_timeout``.
    """
    if not connection.session.close(code, reason):
        return
    connection.by_us = True
    connection.registry.closing.add(connection)
    connection.sender.drop_outbox()
    connection.sender.cork()
    connection.reader.await_close()
    connection.stop_timers()
    limit = connection.options.close_timeout if timeout is None else timeout
    connection.close_timer = connection.loop.call_later(limit, connection.stream.abort)


# -- we leave without waiting for the peer ---------------------------------------------------


def abort(connection: Connection) -> None:
    """Drop the stream; without effect if the session has ended already."""
    if connection.session.state is not State.CLOSED:
        _stop(connection)
        connection.stream.abort()  # this calls connection_lost()


def cut_off(connection: Connection, error: WebSocketQueueFullException) -> None:
    """End a connection because its write queue is full, after the running callback."""
    _end_soon(connection, "", error, drop=True)


def break_off(connection: Connection, reason: str, error: Exception | None) -> None:
    """Send a close frame (1001, going away), and do not wait for the peer's answer.

    Args:
        connection: the connection.
        reason: for the close frame and for ``on_close``.
        error: for ``on_error``; None if nothing went wrong.
    """
    connection.session.close(CloseCode.GOING_AWAY, reason)
    connection.sender.drop_outbox()
    connection.sender.flush()
    _end_soon(connection, reason, error, drop=False)


def _stop(connection: Connection) -> None:
    """Deliver nothing any more, also of what has been read."""
    connection.by_us = True
    connection.registry.closing.add(connection)
    connection.session.lost()
    connection.stop_timers()


def _end_soon(connection: Connection, reason: str, error: Exception | None, drop: bool) -> None:
    _stop(connection)
    connection.stream.pause_reading()
    connection.loop.call_soon(_end_now, connection, connection.session, reason, error, drop)


def _end_now(
    connection: Connection,
    session: WebSocketSession,
    reason: str,
    error: Exception | None,
    drop: bool,
) -> None:
    if connection.phase is ATTACHED and connection.session is session:
        if drop:
            connection.stream.abort()
        end(connection, CloseCode.ABNORMAL, reason, error)


# -- the peer, the network or a fault ends it --------------------------------------------------


def last_word(connection: Connection, event: Close | Failure) -> None:
    """End: the peer has sent its close frame, or has violated the protocol."""
    if isinstance(event, Failure):
        connection.stream.drop_queue()  # after a violation, only the close frame is sent
    connection.session.take_last_word(event)
    connection.sender.flush()
    if isinstance(event, Close):
        end(connection, event.code, event.reason, None)
    else:
        end(connection, event.error.close_code, str(event.error), event.error)


def lost(connection: Connection, error: Exception | None) -> None:
    """End: the stream has ended without a close frame (1006, RFC 6455 section 7.1.5).

    Args:
        connection: the connection.
        error: why the stream ended; None: the peer has ended it.
    """
    session = connection.session
    if session.state is State.CLOSED or session.sent_close is not None:
        end(connection, CloseCode.ABNORMAL, "", None)  # we were ending it: no error
    else:
        end(connection, CloseCode.ABNORMAL, "", describe_loss(error))


def describe_loss(error: Exception | None) -> WebSocketConnectionClosedException:
    """Return the public exception for a connection that ended without a close frame."""
    if error is None:
        return WebSocketConnectionClosedException(LOST)
    text = f"{LOST} ({error})"
    if isinstance(error, ConnectionError):
        # This is a ConnectionResetError as well, which programs look for in on_error.
        lost: WebSocketConnectionClosedException = WebSocketConnectionLostException(
            text, error.errno
        )
    else:
        lost = WebSocketConnectionClosedException(text)
    lost.__cause__ = None if error is None else without_traceback(error)
    return lost


def fail(connection: Connection, error: Exception) -> None:
    """Drop the stream without a closing handshake, because of an error."""
    connection.stream.abort()
    end(connection, CloseCode.ABNORMAL, "", error)


def broken(connection: Connection, exc: Exception) -> None:
    """Drop the stream: the session raised, so nothing more can be parsed."""
    logger.error("exception in the session of %s", connection.place, exc_info=exc)
    error = WebSocketException(f"what came could not be processed: {quoted(exc)}")
    error.__cause__ = exc
    fail(connection, error)


# -- where all ways meet -----------------------------------------------------------------------


def end(connection: Connection, code: int, reason: str, error: Exception | None) -> None:
    """Release the stream. The lifecycle decides what comes next, and calls the handlers.

    Args:
        connection: the connection.
        code: for ``on_close``.
        reason: for ``on_close``.
        error: for ``on_error``; None if nothing went wrong.
    """
    connection.stop_timers()
    connection.sender.drop_outbox()
    connection.reader.end()
    connection.registry.closing.discard(connection)
    connection.counters.most_queued = most_queued(connection)
    connection.keep_alive = None
    if connection.session.state is not State.CLOSED:
        connection.session.lost()
    timeout = connection.options.close_timeout
    if isinstance(error, WebSocketPeerException):
        timeout = min(timeout, FAREWELL)
    when_closed = connection.lifecycle.when_closed()
    Linger(connection.loop, connection.stream, timeout, when_closed).start()
    connection.lifecycle.over(code, reason, error)
