"""``reactor.trace``: the frames of native connections, in a file.

What it is: one function, which also accepts what websocket-client's function of that name accepts.

What it must not know: how frames are observed; see connection/tracing.py.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TextIO

from .connection.subject import subject_of
from .connection.tracing import trace_connection
from .loop.event_loop import EventLoop
from .reactor import Reactor

if TYPE_CHECKING:
    from .asyncio import ClientConnection, ServerConnection
    from .classic.app.app import WebSocketApp
    from .feeds import Link
    from .protocols.websocket import WebSocketProtocol

__all__ = ["trace"]


_STDERR = sys.stderr


def trace(
    target: WebSocketProtocol
    | WebSocketApp
    | ClientConnection
    | ServerConnection
    | Link
    | Reactor
    | str,
    file: TextIO | None = _STDERR,
) -> None:
    """Show every frame of a connection, or of all connections of a Reactor, as they cross the wire.

    Each frame has two lines, as with ``enableTrace`` for a WebSocketApp: raw, and decoded; the URL
    comes first. Tracing starts with the call, and goes on after reconnects. Connections that are
    traced use the Python code, not the compiled one. Secrets in messages are shown. Any thread may
    call this.

    Args:
        target: a protocol object, also before it is connected; a WebSocketApp, in all its runs; a
            connection of reactor.asyncio; a link of a Feed. Or a Reactor: all its connections,
            including future ones. A str: it is written to the log "websocket" as a line, if
            ``enableTrace`` has been called, as websocket-client's function of this name does.
        file: where to write: anything with ``write(str)``; default: stderr.
            None: stop tracing.

    Raises:
        TypeError: *target* cannot be traced, or the file has no ``write``.
    """
    if isinstance(target, str):
        from .classic.tracing import trace as write_line  # loaded when it is needed

        write_line(target)
        return
    if file is _STDERR:
        file = sys.stderr  # which may have been replaced since the import
    if file is not None and not callable(getattr(file, "write", None)):
        raise TypeError(f"file must have write(str), or be None, not {file!r}")
    if isinstance(target, Reactor):
        target.loop._trace = file
        _on_loop(target.loop, partial(_trace_all, target, file))
    else:
        subject = subject_of(target, "trace", "a Reactor or a str")
        subject._reactor_trace = file
        connection = subject._reactor_connection
        if hasattr(connection, "session"):
            _on_loop(connection.loop, partial(trace_connection, connection, file))


def _trace_all(reactor: Reactor, file: TextIO | None) -> None:
    for connection in list(reactor.connections):
        trace_connection(connection, file)


def _on_loop(loop: EventLoop, function: Callable[[], object]) -> None:
    if threading.get_ident() == loop.thread_id or not loop.running:
        function()
    else:
        loop.call_soon_threadsafe(function)
