"""TLS sessions: what a server sends to shorten the next handshake with it.

What it is: a bounded store of sessions (RFC 8446 section 2.2, RFC 5077), one for the whole
process. A resumed session saves one round trip and the certificate.

What it must not know: the event loop, HTTP, how a handshake is done.

How it works. Before a handshake, :meth:`SessionCache.begin` returns a :class:`Resumption`: the
session to offer, if there is one. After it, :meth:`Resumption.finish` checks whether the session
was resumed, and keeps a new one if it is needed.

A resumed session is not verified again. So it is only offered for the context, the host name and
the port for which it was verified, by a context that is as strict as it was then.

Where OpenSSL can be called directly (:data:`newest_session`), the newest session of each connection
takes the place of the one before. So a ticket is used once (RFC 8446 appendix C.4), except by
connections that begin at the same time.

Elsewhere there is only CPython's ``session`` attribute, which leaks one session, some 6.5 KB,
whenever it is read (at least in 3.10 to 3.13). So it is read only after a full handshake with a
server for which no usable session is kept, and that session is then offered every time. In
addition, the number of reads is limited, for servers that never resume: see :class:`_Reads`.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from ...base.locks import ProcessLock
from .contexts import strictness

__all__ = ["AnySession", "DirectSession", "Resumption", "SessionCache", "session_cache"]

#: Reads for a server before its first resumption, and resumptions that earn a further read.
READS = 3
RESUMPTIONS_PER_READ = 8


class DirectSession(Protocol):
    """A session that was taken from OpenSSL directly: Session of compiled/tls.pyx."""

    def offer(self, tls: Any) -> None:
        """Offer it in the handshake of *tls*, which has not begun. Raises ValueError, SSLError."""


#: What can be offered to a server.
AnySession = ssl.SSLSession | DirectSession

#: Returns the newest session of a connection, or None if it cannot be resumed. It is
#: compiled/replace.py that puts it here; None: OpenSSL cannot be called directly.
newest_session: Callable[[Any], DirectSession | None] | None = None


class _Reads:
    """How often a session may be read: a few times, and again after enough resumptions."""

    __slots__ = ("_left", "_resumptions")

    def __init__(self, count: int) -> None:
        self._left = count
        self._resumptions = 0

    def __bool__(self) -> bool:
        return self._left > 0

    def spend(self) -> None:
        """Count one read."""
        self._left -= 1

    def earn(self) -> None:
        """Count one resumption."""
        self._resumptions += 1
        if self._resumptions == RESUMPTIONS_PER_READ:
            self._resumptions = 0
            self._left += 1


class _Entry:
    """What is known about one server: its session, if it can be offered."""

    __slots__ = ("reads", "session")

    def __init__(self) -> None:
        self.session: AnySession | None = None
        self.reads = _Reads(READS)


class Resumption:
    """The link between one handshake and the cache.

    Attributes:
        session: the session to offer to the server, or None.
    """

    __slots__ = ("_cache", "_key", "session")

    def __init__(self, cache: SessionCache, key: Hashable, session: AnySession | None) -> None:
        self._cache = cache
        # The key before the handshake: later changes of the context were not applied to it.
        self._key = key
        self.session = session

    def finish(self, tls: ssl.SSLSocket | ssl.SSLObject | Any) -> None:
        """Check whether the session was resumed; if not, keep the session of this connection.

        Call this once data has been read: TLS 1.3 servers send the session after the handshake.

        Args:
            tls: the connection, as start_tls returned it.
        """
        self._cache._finish(self._key, self.session, tls)


class SessionCache:
    """The sessions of many servers: see the module. May be used from any thread.

    Args:
        limit: how many servers are remembered (default 256); the least recently used one is dropped
            first. It also limits how many sessions are read at first.
    """

    __slots__ = ("_entries", "_limit", "_lock", "_reads")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._lock = ProcessLock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._reads = _Reads(limit)

    def begin(self, context: ssl.SSLContext, host: str | None, port: int) -> Resumption:
        """Return what can be resumed in a handshake.

        Args:
            context, host: the context and the server_hostname that are given to start_tls.
            port: the port of the server.

        Returns:
            The session to offer, if any, and the object to tell about the outcome.
        """
        key = (context, strictness(context), host, port)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return Resumption(self, key, None if entry is None else entry.session)

    def _finish(self, key: Hashable, offered: AnySession | None, tls: Any) -> None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
                if len(self._entries) > self._limit:
                    self._entries.popitem(last=False)
            if newest_session is not None:
                session = newest_session(tls)
                if session is not None or entry.session is offered:
                    entry.session = session
            elif tls.session_reused:
                entry.reads.earn()
                self._reads.earn()
            elif entry.session is offered:  # else another connection has stored one meanwhile
                entry.session = self._read(entry, tls)

    def _read(self, entry: _Entry, tls: Any) -> ssl.SSLSession | None:
        """Return the session of a connection if it can be resumed, and may be read."""
        if not (entry.reads and self._reads):
            return None
        entry.reads.spend()
        self._reads.spend()
        session: ssl.SSLSession | None = tls.session
        # Until its ticket is received, a session of TLS 1.3 has neither ticket nor id.
        return session if session is not None and (session.has_ticket or session.id) else None

    def clear(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._entries.clear()
            self._reads = _Reads(self._limit)

    def __len__(self) -> int:
        return sum(entry.session is not None for entry in self._entries.values())


#: The sessions of the whole process.
session_cache = SessionCache()
