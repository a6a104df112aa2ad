"""What users of asyncio ask of a transport, answered for a connection's socket.

What it is: :class:`Transport`, what ``connection.transport`` is.

What it must not know: messages.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from ..protocols.session import State
from ..protocols.websocket import WebSocketProtocol

__all__ = ["Transport"]


class Transport:
    """See the module. The names and meanings are those of ``asyncio.Transport``.

    Args:
        protocol: the protocol object of the connection.
        sock: returns its socket; raises AttributeError if there is none.
        end: ends the connection, or the attempt, without a closing handshake.
    """

    def __init__(
        self, protocol: WebSocketProtocol, sock: Callable[[], Any], end: Callable[[], object]
    ) -> None:
        self._protocol = protocol
        self._sock = sock
        self._end = end

    def abort(self) -> None:
        """End the connection without a closing handshake."""
        self._end()

    #: What is queued is not waited for: use ``connection.close()`` for an orderly end.
    close = abort

    def is_closing(self) -> bool:
        """Whether the connection is closing, or closed."""
        return self._protocol.state in (State.CLOSING, State.CLOSED)

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that were sent and have not left the process."""
        return self._protocol.buffered_amount

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the socket, or the default.

        Args:
            name: "socket", "sockname", "peername"; with TLS "ssl_object", "sslcontext", "cipher",
                "compression", "peercert".
            default: if it is not known.
        """
        find = INFO.get(name)
        try:
            found = None if find is None else find(self._sock())
        except (AttributeError, OSError, ValueError):
            found = None  # no socket any more, or no TLS
        return default if found is None else found


def _tls(sock: Any) -> Any:
    return sock if isinstance(sock, (ssl.SSLSocket, ssl.SSLObject)) else None


INFO: dict[str, Callable[[Any], Any]] = {
    "socket": lambda sock: sock,
    "sockname": lambda sock: sock.getsockname(),
    "peername": lambda sock: sock.getpeername(),
    "ssl_object": _tls,
    "sslcontext": lambda sock: sock.context,
    "cipher": lambda sock: sock.cipher(),
    "compression": lambda sock: sock.compression(),
    "peercert": lambda sock: sock.getpeercert(),
}
