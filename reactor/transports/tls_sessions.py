"""TLS sessions: what a server gave us to shorten the next handshake with it.

What it is: a bounded store of sessions, one for the whole process.

What it must not know: the event loop, HTTP, how a handshake is done.
"""

from __future__ import annotations

import ssl
import threading
from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["SessionCache", "session_cache"]


class SessionCache:
    """TLS sessions to resume (RFC 8446 section 2.2, RFC 5077): one round trip less, no certificate.

    The newest session of each (context, host, port), at most *limit* of them. A resumed session
    is not verified again, so one is only ever given to the context and the host name that it was
    verified for. May be used from any thread.

    Parameters:
        limit: how many sessions are kept; the one unused for longest goes first.
    """

    __slots__ = ("_limit", "_lock", "_sessions")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Hashable, ssl.SSLSession] = OrderedDict()

    def get(self, context: ssl.SSLContext, host: str | None, port: int) -> ssl.SSLSession | None:
        """Return the session to resume, or None.

        Parameters:
            context, host: what start_tls gets as context and as server_hostname.
            port: the port of the server.
        """
        key = self._key(context, host, port)
        with self._lock:
            session = self._sessions.get(key)
            if session is not None:
                self._sessions.move_to_end(key)
            return session

    def put(self, tls: ssl.SSLSocket, port: int | None = None) -> bool:
        """Remember the session of an open connection.

        TLS 1.3 servers send it after the handshake: to be called once data has been read.

        Parameters:
            tls: the connection, as start_tls returned it.
            port: the port of the server; None for that of the socket's peer, which through a
                tunnel is the proxy's.

        Returns whether there is a session that can be resumed. Raises OSError when *port* is
        None and the connection is gone.
        """
        session = tls.session
        # Until its ticket has come, a session of TLS 1.3 has neither ticket nor id.
        if session is None or not (session.has_ticket or session.id):
            return False
        if port is None:
            port = tls.getpeername()[1]
        key = self._key(tls.context, tls.server_hostname, port)
        with self._lock:
            self._sessions[key] = session
            self._sessions.move_to_end(key)
            if len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)
        return True

    def clear(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._sessions.clear()

    def __len__(self) -> int:
        return len(self._sessions)

    @staticmethod
    def _key(context: ssl.SSLContext, host: str | None, port: int) -> Hashable:
        # The context itself, not its id, so that no other can take its place; and how strictly
        # it verifies, because a context can be changed after a session was made with it.
        return context, context.verify_mode, context.check_hostname, host, port


#: The sessions of the whole process.
session_cache = SessionCache()
