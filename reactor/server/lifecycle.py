"""The life of the connections that clients have opened.

What it is: :class:`ServerLifecycle`, which every connection that came in has: what the client's
request says, and the listener's books.

What it must not know: how a listener counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..base.printable import printable, quoted, without_secrets
from ..exceptions import WebSocketStateException
from ..protocols.frames import new_mask
from ..protocols.history import Step, read
from ..protocols.http.http11 import parse_again
from ..protocols.session import Role, WebSocketSession
from ..transports.dial.reach import peer_name
from ..transports.tls.handshake import describe_tls
from ..transports.tls.nested import is_tls
from .pipeline import ServerUpgrade

if TYPE_CHECKING:
    from ..connection.connection import Connection
    from ..protocols.http.http11 import Request
    from ..protocols.websocket import WebSocketProtocol
    from .listener import Listener

__all__ = ["ServerLifecycle"]

logger = logging.getLogger("reactor.server")


class ServerLifecycle:
    """The lifecycle of one connection. See the module. The loop's thread only.

    Args:
        listener: where the connection came in.
        head: the client's request, as it came.
        address: the client's IP address (for IPv6, its network), if connections are counted by it.
    """

    __slots__ = ("_address", "_connection", "_head", "_listener")

    role = Role.SERVER
    response = None
    session_class = WebSocketSession
    lenient = False
    new_mask = staticmethod(new_mask)

    _connection: Connection

    def __init__(self, listener: Listener[Any], head: bytes, address: str | None) -> None:
        self._listener = listener
        self._head = head
        self._address = address

    def start(self, connection: Connection) -> None:
        """See Lifecycle."""
        self._connection = connection

    def open(self, upgrade: ServerUpgrade) -> None:
        """The upgrade is complete."""
        connection = self._connection
        connection.host = self._listener.place
        tls = f" over {describe_tls(upgrade.sock)}" if is_tls(upgrade.sock) else ""
        connection.note(Step.OPENED, f"{peer_name(upgrade.sock)}{tls}")
        connection.subprotocol = upgrade.subprotocol
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s is open", self._described)
        on_open = connection.protocol.on_open
        connection.attach(upgrade.sock, upgrade.leftover, on_open, upgrade.agreement)

    @property
    def url(self) -> str:
        """The target of the client's request."""
        # The first space is the one after the method (RFC 9112 section 3).
        return self._head.split(b" ", 2)[1].decode("ascii")

    @property
    def place(self) -> str:
        """The target without its query, as the log shows it."""
        return printable(without_secrets(self.url))

    @property
    def _described(self) -> str:
        """The target, and the client's address."""
        opened = (each for each in read(self._connection.history) if each.step is Step.OPENED)
        client = next((each.text.partition(" ")[0] for each in opened), "")
        return f"{self.place} from {client}" if client else self.place

    @property
    def request(self) -> Request:
        """The client's request."""
        # Parsed on demand: a parsed head takes two to ten times the memory of its bytes.
        return parse_again("request", self._head)

    def over(self, code: int, reason: str, error: Exception | None) -> None:
        """See Lifecycle. It is over for good."""
        if logger.isEnabledFor(logging.INFO):
            why = quoted(error) if error is not None else f"{code} {printable(reason)}".strip()
            logger.info("%s ended: %s", self._described, why)
        connection = self._connection
        connection.ending = connection.describe_end(code, reason, error)
        connection.note_end(connection.ending)
        connection.note(Step.OVER)
        connection.finish()
        try:
            connection.tell(code, reason, error)
        finally:  # KeyboardInterrupt and SystemExit pass through
            self._listener.connection_over(connection)
            del self._listener  # its factory may lead to the protocol objects

    def when_closed(self) -> Callable[[], object]:
        """See Lifecycle. The client is counted until then."""
        return partial(self._listener.leave, self._address)  # it keeps nothing else alive

    def reconnect(
        self,
        connection: Connection,
        protocol: WebSocketProtocol,
        delay: float | None,
        reason: str,
    ) -> None:
        """See Lifecycle."""
        raise WebSocketStateException(
            "a server's connection cannot be opened again: only the client can do that"
        )

    # -- parts of Lifecycle with nothing to do ---------------------------------------------

    def pinging(self) -> None:
        """See Lifecycle."""

    def retire(self) -> None:
        """See Lifecycle. There is never another attempt."""

    def give_up(self) -> None:
        """See Lifecycle. Without a stream, the connection is over."""

    def forked(self) -> None:
        """See Lifecycle."""

    def let_go(self) -> None:
        """See Lifecycle."""
