"""Recorders: connections -> a pcapng file, for Wireshark and for a replay.

What it is: :func:`record`, and :class:`Recorder`, which listens to connections and has what they
say written to files.

What it must not know: how packets and blocks look, how files are written.

How it works. A recorder is a wiretap (connection/wiretap.py): it is told of opening handshakes and
of open connections, and taps the streams of those. Everything but writing is done on the loop's
thread, while the connection says it: so the times are right, and there is nothing to be locked.
One thread writes (writer.py). An exception in here ends the recording, and never a connection.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.mistakes import check_number
from ...base.printable import printable
from ...client.url import parse_url
from ...connection.phase import ATTACHED
from ...connection.subject import Subject, subject_of
from ...feeds.feed import Feed
from ...protocols.events import Role
from ...reactor import Reactor
from ...transports.tapped import add_tap, remove_tap
from ...transports.tls.nested import is_tls
from .conversation import MADE_UP, Conversation
from .heads import FEED, Topics, ends_of, feed_of, invented_heads
from .packets import Endpoint
from .pcapng import beginning, statistics
from .redact import redact_head, redact_parameters, redact_url
from .taps import Handshake, StreamTap
from .writer import Writer

if TYPE_CHECKING:
    from os import PathLike

    from ...asyncio import ClientConnection, ServerConnection
    from ...classic.app.app import WebSocketApp
    from ...connection.connection import Connection
    from ...connection.wiretap import HandshakeTap
    from ...feeds.links.link import Link
    from ...loop.event_loop import EventLoop
    from ...protocols.websocket import WebSocketProtocol
    from ...transports.tls.nested import AnySocket

__all__ = ["Recorder", "record"]

logger = logging.getLogger("reactor.monitor")

#: The server's port in every file: Wireshark takes what is said there for HTTP. Comments have the
#: real one.
HTTP = 80

#: Bytes that may wait for the disk.
MAX_QUEUE = 32 * 1024 * 1024

#: The least that a file may be limited to: the heads of a few handshakes.
LEAST = 64 * 1024

#: Handshakes that may be going on before one is looked for whose socket is closed.
MANY = 1024

FIRST_PORT, LAST_PORT = 1024, 65535


def record(
    target: Reactor
    | WebSocketProtocol
    | WebSocketApp
    | ClientConnection
    | ServerConnection
    | Link
    | Feed,
    path: str | PathLike[str],
    *,
    credentials: bool = False,
    max_bytes: int | None = None,
    keep: int | None = None,
    max_queue: int = MAX_QUEUE,
    overwrite: bool = False,
) -> Recorder:
    """Record what connections say, in the clear, to a file that Wireshark opens.

    Recording begins with the call, also for connections that are open, and ends with
    ``recorder.close()``. Connections that are recorded use the Python code, not the compiled one.
    Any thread may call this.

    Args:
        target: a Reactor: all its connections, in both roles, future ones included. A protocol
            object, also before it is connected: its connections. A WebSocketApp: those of all its
            runs. A connection of reactor.asyncio, or a link of a Feed. A Feed: those of its links.
        path: the file, ``feed.pcapng``. With ``.zst`` behind it, it is compressed, for which the
            package zstandard is needed.
        credentials: True: credentials in heads and URLs are recorded as they are. False (default):
            they are blacked out. What is in messages is never blacked out.
        max_bytes: the size of a file, before it is compressed, at which the next one begins: they
            are named ``feed.00001.pcapng`` and so on. None (default): there is one file.
        keep: with *max_bytes*: how many of them stay, the latest ones; None (default): all.
        max_queue: bytes that may wait to be written; what comes then is dropped, and counted.
        overwrite: whether a file that exists is replaced. False (default): it is an error.

    Returns:
        The Recorder.

    Raises:
        FileExistsError: the file exists.
        OSError: it cannot be written to.
        ImportError: it is to be compressed, and zstandard is not installed.
        TypeError, ValueError: an argument cannot be used; the message names it.
    """
    listened: Reactor | Feed | Subject
    if isinstance(target, (Reactor, Feed)):
        listened = target
    else:
        listened = subject_of(target, "record", "a Reactor or a Feed")
    recorder = Recorder(listened, path, credentials, max_bytes, keep, max_queue, overwrite)
    recorder.start()
    return recorder


class Recorder:
    """Made by :func:`record`. A context manager: leaving it closes it.

    Attributes:
        path: the file that is written now (a Path).
        packets: how many packets there were, with those that were dropped.
        dropped: how many of them are in no file, because the disk was too slow, or has failed.
        error: what has ended the recording before its time, or None.
    """

    def __init__(
        self,
        target: Reactor | Feed | Subject,
        path: str | PathLike[str],
        credentials: bool,
        max_bytes: int | None,
        keep: int | None,
        max_queue: int,
        overwrite: bool,
    ) -> None:
        for name, number, least in (
            ("max_bytes", max_bytes, LEAST),
            ("keep", keep, 1),
            ("max_queue", max_queue, LEAST),
        ):
            if number is not None:
                check_number(name, number, f"{least} or greater")
                if number < least:
                    raise ValueError(f"{name} must be {least} or greater, not {number!r}")
        if keep is not None and max_bytes is None:
            raise ValueError("keep needs max_bytes, without which there is one file")
        self._target = target
        self._credentials = credentials
        self._max_bytes = max_bytes
        self._keep = keep
        self._name = Path(path)
        self.file = 1
        self.packets = self.dropped = 0
        self._size = 0
        self._fault: Exception | None = None
        self._closed = False
        self._numbers = itertools.count(1)
        self._ports = itertools.cycle(range(FIRST_PORT, LAST_PORT + 1))
        self._used: set[tuple[bytes, int, bytes]] = set()
        # Conversations whose opening handshake goes on, by the socket, which is kept alive.
        self._begun: dict[int, tuple[Any, Conversation]] = {}
        self._taps: set[StreamTap] = set()
        # Wall-clock time that does not jump while the recording goes on.
        self._zero = time.time_ns() - time.monotonic_ns()
        self._writer = Writer(self._path_of(1), max_queue, overwrite)

    # -- for users ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """See the class."""
        return self._writer.path

    @property
    def error(self) -> Exception | None:
        """See the class."""
        return self._fault or self._writer.error

    def close(self, timeout: float = 5.0) -> bool:
        """Record no more, and have what waits written. Any thread; idempotent.

        The connections go on.

        Args:
            timeout: seconds to wait for the disk.

        Returns:
            Whether everything is written.
        """
        if not self._closed:
            self._closed = True
            self._listen(False)
            self._put(statistics(self.now(), self.packets, self.dropped))
        return self._writer.close(timeout)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self.error else "open"
        return f"<Recorder {str(self.path)!r} {state}, {self.packets} packets>"

    # -- beginning and ending ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to record."""
        self._writer.start()
        self._put(beginning("reactor"), must=True)
        self._listen(True)

    def _listen(self, on: bool) -> None:
        """Be told of connections, or no longer; and see to those that there are."""
        target = self._target
        owner: Any
        loop: EventLoop | None
        if isinstance(target, (Reactor, Feed)):
            owner = loop = (target.loop if isinstance(target, Feed) else target).loop
            name = "wiretaps"
        else:
            owner, name = target, "_reactor_wiretaps"
            loop = target._reactor_connection.loop if _is_connected(target) else None
        others = tuple(each for each in getattr(owner, name) if each is not self)
        setattr(owner, name, (*others, self) if on else others)
        step = self._tap_open if on else self._untap
        if loop is None or threading.get_ident() == loop.thread_id or not loop.running:
            step()
        else:
            loop.call_soon_threadsafe(step)

    def _tap_open(self) -> None:
        target = self._target
        connections: list[Any]
        if isinstance(target, (Reactor, Feed)):
            connections = list((target.loop if isinstance(target, Feed) else target).connections)
        else:
            connections = [target._reactor_connection] if _is_connected(target) else []
        for connection in connections:
            if connection.phase is ATTACHED and self._wants(connection):
                self.guard(self._tap_late, connection)

    def _untap(self) -> None:
        for tap in list(self._taps):
            remove_tap(tap.stream, tap)
        self._taps.clear()
        self._begun.clear()

    def guard(self, step: Callable[..., object], *args: Any) -> None:
        """Do a step of recording; what it raises ends the recording."""
        if self._closed or self._fault is not None:
            return
        try:
            step(*args)
        except Exception as exc:
            self._fault = exc
            logger.exception("the recording to %s has ended", self.path)

    # -- where packets go: see Output --------------------------------------------------------

    def now(self) -> int:
        """See Output."""
        return self._zero + time.monotonic_ns()

    def put(self, data: bytes, count: int) -> bool:
        """See Output."""
        self.packets += count
        if self._put(data):
            return True
        self.dropped += count
        return False

    def turn_over(self) -> None:
        """See Output."""
        if self._max_bytes is None or self._size < self._max_bytes or not self._writer.has_room:
            return
        self._put(statistics(self.now(), self.packets, self.dropped))
        self.file += 1
        old = None
        if self._keep is not None and self.file > self._keep:
            old = self._path_of(self.file - self._keep)
        self._writer.turn_to(self._path_of(self.file), old)
        self._size = 0
        self._put(beginning("reactor"), must=True)

    def _put(self, data: bytes, must: bool = False) -> bool:
        self._size += len(data)
        return self._writer.put(data, must)

    def _path_of(self, number: int) -> Path:
        if self._max_bytes is None:
            return self._name
        name = self._name
        compressed = ".zst" if name.suffix == ".zst" else ""
        plain = name.with_suffix("") if compressed else name
        return name.with_name(f"{plain.stem}.{number:05}{plain.suffix}{compressed}")

    # -- connections: see Wiretap ------------------------------------------------------------

    def handshake(self, connection: Connection | None) -> HandshakeTap | None:
        """See Wiretap."""
        if self._closed:
            return None
        if connection is None:
            return Handshake(self, None) if isinstance(self._target, Reactor) else None
        return Handshake(self, connection) if self._wants(connection) else None

    def attached(self, connection: Connection, leftover: bytes) -> None:
        """See Wiretap."""
        if self._wants(connection):
            self.guard(self._attached, connection, leftover)

    def _wants(self, connection: Connection) -> bool:
        target = self._target
        if isinstance(target, Feed):
            link = feed_of(connection.protocol)
            return link is not None and link.feed is target
        return isinstance(target, Reactor) or connection is target._reactor_connection

    def _attached(self, connection: Connection, leftover: bytes) -> None:
        sock, conversation = self._begun.pop(id(connection.stream.sock), (None, None))
        if conversation is None:
            self._tap_late(connection)
        else:
            self._tap(connection, conversation)
        del sock
        if leftover:
            tap = next(tap for tap in self._taps if tap.stream is connection.stream)
            tap.conversation.say(False, leftover)

    def _tap_late(self, connection: Connection) -> None:
        """Tap a connection whose opening handshake we have not heard."""
        session, stream = connection.session, connection.stream
        if any(tap.stream is stream for tap in self._taps):
            return
        we_asked = connection.lifecycle.role is Role.CLIENT
        place = str(parse_url(connection.url)) if we_asked else ""
        conversation = self.begin(stream.sock, place, connection, MADE_UP)
        request, answer = invented_heads(connection, self._credentials)
        conversation.head(we_asked, request)
        conversation.head(not we_asked, answer)
        conversation.skip(True, stream.unsent)
        conversation.skip(False, session.missing)
        self._tap(connection, conversation)
        if session.begun:
            conversation.say(False, session.begun)

    def _tap(self, connection: Connection, conversation: Conversation) -> None:
        link = feed_of(connection.protocol)
        conversation.notes = None if link is None else Topics(link)
        tap = StreamTap(self, connection.stream, conversation)
        self._taps.add(tap)
        add_tap(connection.stream, tap)

    def begin(
        self, sock: AnySocket, place: str, connection: Connection | None, *comments: str
    ) -> Conversation:
        """Begin a conversation.

        Args:
            sock: its socket.
            place: the URL; "": we are the server.
            connection: the connection, if there is one already.
            comments: what else is to be said of it.
        """
        ours, theirs = ends_of(sock)
        client, server = (ours, theirs) if place else (theirs, ours)
        title = [
            f"url: {place if self._credentials else redact_url(place)}"
            if place
            else "recorded by the server",
            f"{'wss' if is_tls(sock) else 'ws'}, port of the server: {server.port or 'none'}",
            *comments,
        ]
        link = None if connection is None else feed_of(connection.protocol)
        if link is not None:
            title.append(FEED + type(link.feed).__name__)
        client = self._own_port(client, server.host)
        server = server._replace(port=HTTP)
        ours, theirs = (client, server) if place else (server, client)
        title = [printable(line, 4000) for line in title]
        return Conversation(self, ours, theirs, bool(place), next(self._numbers), title)

    def _own_port(self, client: Endpoint, server: bytes) -> Endpoint:
        """Return a client's end; with another port, if a conversation has it already."""
        while not client.port or (*client, server) in self._used:
            client = client._replace(port=next(self._ports))
            if len(self._used) > LAST_PORT:
                self._used.clear()
        self._used.add((*client, server))
        return client

    def connected(self, sock: AnySocket, conversation: Conversation) -> None:
        """An opening handshake begins on a socket."""
        if len(self._begun) >= MANY:
            gone = [key for key, (other, _) in self._begun.items() if other.fileno() < 0]
            for key in gone:
                self.ended(self._begun.pop(key)[1])
        self._begun[id(sock)] = sock, conversation
        conversation.begin()

    def refused(self, sock: AnySocket) -> None:
        """It has led to nothing, and the socket is closed."""
        _, conversation = self._begun.pop(id(sock), (None, None))
        if conversation is not None:
            conversation.end(True)
            self.ended(conversation)

    def ended(self, conversation: Conversation) -> None:
        """A conversation is over: its port may be used again."""
        client, server = conversation.ends
        self._used.discard((*client, server.host))

    def shown(self, data: bytes, is_head: bool) -> bytes:
        """Return a head, or a piece of a body, as it may be recorded."""
        if self._credentials:
            return data
        if is_head:
            return redact_head(data)
        # An answer that refuses a request may quote it.
        return redact_parameters(data.decode("latin-1")).encode("latin-1")

    def untap(self, tap: StreamTap) -> None:
        """The stream of a tap is closed."""
        self._taps.discard(tap)
        tap.conversation.end(True)
        self.ended(tap.conversation)


def _is_connected(subject: Subject) -> bool:
    return hasattr(subject._reactor_connection, "session")
