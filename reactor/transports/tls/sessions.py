"""TLS sessions: what a server gave us to shorten the next handshake with it.

What it is: a bounded store of sessions (RFC 8446 section 2.2, RFC 5077), one for the whole
process: one round trip less, no certificate.

What it must not know: the event loop, HTTP, how a handshake is done.

How it works. Before a handshake, :meth:`SessionCache.begin` gives a :class:`Resumption`: the
session to offer, if there is one. After it, :meth:`Resumption.finish` sees what became of that,
and keeps a new session where one is needed.

A resumed session is not verified again. So it is only ever offered for the context, the host
name and the port that it was verified for, by a context that is as strict as it was then.

CPython's ``session`` attribute leaks one session, some 6.5 KB, whenever it is read (3.10 to
3.13, at least). So it is read only after a full handshake with a server of which no usable session
is kept, and the session is offered again and again from then on, although RFC 8446 appendix C.4
would rather see each ticket used once. How often it is read is limited besides, for servers that
never resume: see :class:`_Reads`.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from ...base.locks import ProcessLock
from .contexts import strictness

__all__ = ["Resumption", "SessionCache", "session_cache"]

#: Reads for a server that was not resumed yet, and resumptions that pay for a further one.
READS = 3
RESUMPTIONS_PER_READ = 8


class _Reads:
    """How often a session may be read: some times, and again for what reading has been good for."""

    __slots__ = ("_left", "_resumptions")

    def __init__(self, count: int) -> None:
        self._left = count
        self._resumptions = 0

    def __bool__(self) -> bool:
        return self._left > 0

    def spend(self) -> None:
        """One read is made."""
        self._left -= 1

    def earn(self) -> None:
        """One session was resumed."""
        self._resumptions += 1
        if self._resumptions == RESUMPTIONS_PER_READ:
            self._resumptions = 0
            self._left += 1


class _Entry:
    """What is known of one server: its session, if it is worth an offer."""

    __slots__ = ("reads", "session")

    def __init__(self) -> None:
        self.session: ssl.SSLSession | None = None
        self.reads = _Reads(READS)


class Resumption:
    """One handshake's part in the cache.

    Attributes:
        session: what to offer to the server; None: nothing.
    """

    __slots__ = ("_cache", "_key", "session")

    def __init__(self, cache: SessionCache, key: Hashable, session: ssl.SSLSession | None) -> None:
        self._cache = cache
        # Of the time before the handshake: what the context has become since was not applied.
        self._key = key
        self.session = session

    def finish(self, tls: ssl.SSLSocket | ssl.SSLObject | Any) -> None:
        """See whether the session was resumed; if not, keep the one of this connection.

        TLS 1.3 servers send it after the handshake: to be called once data has been read.

        Args:
            tls: the connection, as start_tls returned it.
        """
        self._cache._finish(self._key, self.session, tls)


class SessionCache:
    """The sessions of many servers: see the module. May be used from any thread.

    Args:
        limit: how many servers are remembered; the one unused for longest goes first. No more
            sessions than that are read at first, either.
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
            context, host: what start_tls gets as context and as server_hostname.
            port: the port of the server.
        """
        key = (context, strictness(context), host, port)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return Resumption(self, key, None if entry is None else entry.session)

    def _finish(self, key: Hashable, offered: ssl.SSLSession | None, tls: Any) -> None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
                if len(self._entries) > self._limit:
                    self._entries.popitem(last=False)
            if tls.session_reused:
                entry.reads.earn()
                self._reads.earn()
            elif entry.session is offered:  # else another connection has brought one meanwhile
                entry.session = self._read(entry, tls)

    def _read(self, entry: _Entry, tls: Any) -> ssl.SSLSession | None:
        """Return the session of a connection if it can be resumed, and may be read."""
        if not (entry.reads and self._reads):
            return None
        entry.reads.spend()
        self._reads.spend()
        session: ssl.SSLSession | None = tls.session
        # Until its ticket has come, a session of TLS 1.3 has neither ticket nor id.
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
