"""Which way the messages of a connection go: that of the compiled twins, or Python's.

What it is: :func:`explain_compiled`. The conditions are those that path.pyx and turn.pyx look at
with every message; each is put into words here.

What it must not know: anything that a message needs.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

from ..connection.connection import Connection
from ..loop.poller import EpollPoller
from ..protocols.frames import new_mask
from ..protocols.session import State, WebSocketSession
from ..protocols.websocket import WebSocketProtocol
from ..transports.stream import Stream
from ..transports.tls_stream import TLSStream
from . import replace

__all__ = ["explain_compiled"]

#: Methods that have a twin, of which a subclass may have its own.
_OF_CONNECTIONS = ("data_received", "send", "flush")


def explain_compiled(protocol: WebSocketProtocol | None = None) -> str:
    """Say whether the compiled twins are in use, and what of a connection does not go their way.

    The loop's thread; the answer is about this moment, and is for people.

    Args:
        protocol: a protocol object whose connection is looked at; None: only the process.

    Returns:
        "compiled", or "not compiled: " and the reason, in one line. With a connection, one line
        more for each thing about it that is done in Python.
    """
    if not replace.compiled:
        return f"not compiled: {replace.reason}"
    if protocol is None:
        return "compiled"
    connection = protocol._connection
    if not isinstance(connection, Connection):
        return "compiled\nthere is no connection to look at"
    return "\n".join(["compiled", *_of_classes(protocol, connection), *_of_state(connection)])


def _of_classes(protocol: WebSocketProtocol, connection: Connection) -> Iterator[str]:
    kind = type(protocol)
    if kind.send is not WebSocketProtocol.send:
        yield f"{kind.__name__}.send is called in place of the compiled one"
    for name in _OF_CONNECTIONS:
        if getattr(type(connection), name) is not getattr(Connection, name):
            yield f"{type(connection).__name__}.{name} is called in place of the compiled one"
    poller = connection.loop.poller
    if type(poller) is not EpollPoller:
        yield f"the poller is a {type(poller).__name__}: its poll() is called"


def _of_state(connection: Connection) -> Iterator[str]:
    if connection.sock is None:
        yield f"the connection is {connection.state.name}: there is nothing to send or receive"
        return
    yield from _of_stream(connection.stream)
    session = connection.session
    if type(session) is not WebSocketSession:
        yield f"the session is a {type(session).__name__}"
    if not session._decode_text:
        yield "decode_text=False: what comes is parsed in Python"
    if session.agreement is not None:
        yield "compression was agreed: messages are compressed and inflated by way of Python"
    if session._new_mask is not None and session._new_mask is not new_mask:
        yield "mask_key: the keys come from a Python function"
    if session.state is not State.OPEN:
        yield f"the connection is {session.state.name}: what is left to be done is done in Python"
    if connection._outbox is not None:
        yield "a message is on its way in fragments: what is sent now waits behind it, in Python"


def _of_stream(stream: Any) -> Iterator[str]:
    sock = stream.sock
    if type(stream) is Stream:
        if type(sock) is not socket.socket:
            yield f"the socket is a {type(sock).__module__}.{type(sock).__qualname__}"
    elif type(stream) is not TLSStream or type(sock) is not ssl.SSLSocket:
        yield f"the bytes go through a {type(stream).__name__} over a {type(sock).__name__}"
