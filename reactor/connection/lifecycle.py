"""What the role of a connection decides: how it is opened, and what follows when it has ended.

What it is: :class:`Lifecycle`, the interface of an object that every connection has. That of a
client is in client/lifecycle.py (attempts, and reconnecting); that of a server is in
server/lifecycle.py (what the listener keeps count of).

What it must not know: how a connection sends and reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..protocols.session import Role, WebSocketSession

if TYPE_CHECKING:
    from ..protocols.http.http11 import Request, Response
    from ..protocols.websocket import WebSocketProtocol
    from .connection import Connection

__all__ = ["Lifecycle"]


class Lifecycle(Protocol):
    """What a connection asks and tells its role. The loop's thread only, unless a method says so.

    "See WebSocketProtocol" means that the user reads it there, under the same name.

    Attributes:
        _connection: the connection; an Over once it is over (see over.py, which assigns it).
    """

    _connection: Connection

    @property
    def role(self) -> Role:
        """Whether we are the client or the server."""

    @property
    def url(self) -> str:
        """See WebSocketProtocol."""

    @property
    def place(self) -> str:
        """The URL or address, as error messages and the log show it."""

    @property
    def request(self) -> Request | None:
        """See WebSocketProtocol."""

    @property
    def response(self) -> Response | None:
        """See WebSocketProtocol."""

    @property
    def session_class(self) -> type[WebSocketSession]:
        """The class of the next session."""

    @property
    def lenient(self) -> bool:
        """See WebSocketSession."""

    @property
    def new_mask(self) -> Callable[[], bytes | str]:
        """See WebSocketSession."""

    def start(self, connection: Connection) -> None:
        """Begin the life of a connection. Any thread, while the loop does not run.

        Args:
            connection: the connection that has this lifecycle.
        """

    def pinging(self) -> None:
        """Called when the keep-alive is about to send a ping."""

    def retire(self) -> None:
        """Called when the user ends the connection for good, in any phase."""

    def give_up(self) -> None:
        """Called after :meth:`retire` when there is no stream: end it now."""

    def reconnect(
        self,
        connection: Connection,
        protocol: WebSocketProtocol,
        delay: float | None,
        reason: str,
    ) -> None:
        """See WebSocketProtocol. Any thread.

        Args:
            connection: the connection, of which the lifecycle knows no more if it is over.
            protocol: its protocol object, likewise.
            delay: see WebSocketProtocol.
            reason: see WebSocketProtocol.
        """

    def over(self, code: int, reason: str, error: Exception | None) -> None:
        """Called when the stream ends: decide what comes next, and tell the handlers.

        Args:
            code: for ``on_close``.
            reason: for ``on_close``.
            error: for ``on_error``; None if nothing went wrong.
        """

    def when_closed(self) -> Callable[[], object] | None:
        """Return a function to call when the socket is closed, or None.

        The socket may be closed later than the connection ends (see transports/linger.py).
        """

    def forked(self) -> None:
        """In a forked child, end the connection. No handler is called."""

    def let_go(self) -> None:
        """In a forked child, close the copies of sockets that are not the stream's."""
