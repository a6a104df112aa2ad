"""Which path the messages of a connection take: the compiled twins, or Python.

What it is: :func:`explain_compiled`. Its conditions are those that path.pyx and turn.pyx check for
every message; here, each is put into words.

What it must not know: anything that a message needs.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

from ..connection.connection import Connection
from ..loop.event_loop import EventLoop
from ..loop.poller import EpollPoller
from ..protocols.deflate import Agreement
from ..protocols.frames import new_mask
from ..protocols.session import State, WebSocketSession
from ..protocols.websocket import WebSocketProtocol
from ..transports.stream import Stream
from ..transports.tls_stream import TLSStream
from . import replace

__all__ = ["explain_compiled"]

if replace.compiled:
    from .tls import OpenSSL

_PYTHON_TLS = "OpenSSL is called by Python's ssl, and not directly: "


def explain_compiled(protocol: WebSocketProtocol | None = None) -> str:
    """Say whether the compiled twins are in use, and what a connection does in Python nevertheless.

    Call this on the loop's thread; the answer is about this moment, and is meant for people.

    Args:
        protocol: a protocol object whose connection is examined; None (default): only the process.

    Returns:
        "compiled", or "not compiled: " and the reason, in one line. Without a connection, a further
        line if OpenSSL is not called directly; with one, whether its loop uses io_uring, or why not
        although it was told to; and a line for each thing that the connection does in Python.
    """
    if not replace.compiled:
        return f"not compiled: {replace.reason}"
    if protocol is None:
        return "compiled" + (f"\n{_PYTHON_TLS}{replace.python_tls}" if replace.python_tls else "")
    connection = protocol._reactor_connection
    if not isinstance(connection, Connection):
        return "compiled\nthere is no connection to examine"
    loop = connection.loop
    way = "compiled" if loop.poller.ring is None else "compiled, and with io_uring"
    return "\n".join([way, *_of_loop(loop), *_of_classes(protocol), *_of_state(connection)])


def _of_loop(loop: EventLoop) -> Iterator[str]:
    poller = loop.poller
    if type(poller) is not EpollPoller:
        yield f"the poller is a {type(poller).__name__}: its poll() is called"
    if loop.no_ring:
        yield f"io_uring is not used: {loop.no_ring}"


def _of_classes(protocol: WebSocketProtocol) -> Iterator[str]:
    kind = type(protocol)
    if kind.send is not WebSocketProtocol.send:
        yield f"{kind.__name__}.send is called instead of the compiled one"


def _of_state(connection: Connection) -> Iterator[str]:
    if connection.sock is None:
        yield f"the connection is {connection.state.name}: there is nothing to send or receive"
        return
    yield from _of_stream(connection.stream)
    session = connection.session
    if type(session) is not WebSocketSession:
        yield f"the session is a {type(session).__name__}"
    if not session._decode_text:
        yield "decode_text=False: received bytes are parsed in Python"
    if session.agreement is not None:
        yield from _of_compression(session.agreement)
    if session._new_mask is not None and session._new_mask is not new_mask:
        yield "mask_key: the keys come from a Python function"
    if session.state is not State.OPEN:
        yield f"the connection is {session.state.name}: the rest is done in Python"
    if connection.sender.outbox is not None:
        yield "a message is being sent in fragments: messages sent now wait behind it, in Python"


def _of_compression(agreement: Agreement) -> Iterator[str]:
    engine = agreement.compressor.engine
    if replace.python_zlib:
        yield f"zlib is called by Python's zlib, and not directly: {replace.python_zlib}"
    if engine != "zlib":
        yield f"{engine} compresses: messages are compressed in Python"
    elif not agreement.send_takeover:
        yield "no context takeover: messages are compressed in Python"


def _of_stream(stream: Any) -> Iterator[str]:
    sock = stream.sock
    if type(stream) is Stream:
        if type(sock) is not socket.socket:
            yield f"the socket is a {type(sock).__module__}.{type(sock).__qualname__}"
    elif type(stream) is not TLSStream or type(sock) is not ssl.SSLSocket:
        yield f"the bytes go through a {type(stream).__name__} over a {type(sock).__name__}"
    elif replace.python_tls:
        yield f"{_PYTHON_TLS}{replace.python_tls}"
    elif type(stream._engine) is not OpenSSL:
        yield f"{_PYTHON_TLS}something about this socket, or its context, is not as expected"
