"""What a connection's role decides: how it comes to be, and what follows on its end.

What it is: :class:`Lifecycle`, which every connection has. The client's is in client/lifecycle.py:
attempts, and reconnects; the server's in server/lifecycle.py: the listener's books.

What it must not know: who sends and reads, and how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..protocols.session import Role, WebSocketSession

if TYPE_CHECKING:
    from ..protocols.http.http11 import Request, Response
    from .connection import Connection

__all__ = ["Lifecycle"]


class Lifecycle(Protocol):
    """What a connection asks of its role, and tells it. All on the loop's thread."""

    @property
    def role(self) -> Role:
        """Client or server."""

    @property
    def url(self) -> str:
        """See WebSocketProtocol."""

    @property
    def place(self) -> str:
        """The same as error messages and the log show it."""

    @property
    def request(self) -> Request | None:
        """See WebSocketProtocol."""

    @property
    def response(self) -> Response | None:
        """See WebSocketProtocol."""

    @property
    def session_class(self) -> type[WebSocketSession]:
        """Of what class the next session is."""

    @property
    def lenient(self) -> bool:
        """See WebSocketSession."""

    @property
    def new_mask(self) -> Callable[[], bytes | str]:
        """See WebSocketSession."""

    def start(self, connection: Connection) -> None:
        """Begin the life of *connection*. Any thread, while nobody runs the loop."""

    def pinging(self) -> None:
        """The keep-alive is about to send a ping."""

    def retire(self) -> None:
        """The user has ended the connection for good, whatever it is doing."""

    def give_up(self) -> None:
        """The user has ended it while there was no stream."""

    def reconnect(self, delay: float | None, reason: str) -> None:
        """See WebSocketProtocol. Any thread."""

    def over(self, code: int, reason: str, error: Exception | None) -> None:
        """The stream has ended, or is about to: see what comes next, and tell the handlers."""

    def when_closed(self) -> Callable[[], object] | None:
        """Return what to call when the socket is closed, which may be later than the end."""

    def forked(self) -> None:
        """In a forked child: the connection is over, and nobody is told."""

    def let_go(self) -> None:
        """In a forked child: close the copies of sockets that are not the stream's."""
