"""Scripted peers: servers on loopback that send exactly the bytes that a test wants.

What it is: ``ScriptedPeer``, and ``Talk``, with which its scripts read and send. What it must not
know: how the package reads and writes, so that a fault there is not made good here.

How it works. A peer listens on a port of the system's choice and plays a script on each connection,
on a thread: a function that is given a Talk. The n-th connection gets the n-th script, further ones
the last. When a script returns, its connection is closed. Leaving the ``with`` block ends the
connections that are still open, joins all threads, and raises what a script raised, unless that is
only the client having gone away. Ready-made scripts are in faults.py.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from ..loop.poller import wait_for
from .frames import Frame, read_frames

__all__ = [
    "Head",
    "PeerFactory",
    "Script",
    "ScriptedPeer",
    "Talk",
    "accept_for",
    "closed_port",
    "http_response",
]

#: Real seconds after which a script that waits has failed: far more than any of them needs.
PATIENCE = 20.0

SWITCHING = "HTTP/1.1 101 Switching Protocols"


def accept_for(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()


def http_response(*lines: str, body: bytes = b"") -> bytes:
    """Return an HTTP response.

    Args:
        lines: the status line and the header lines, without their ends. Content-Length and the
            like are the caller's.
        body: what follows.
    """
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


class Head:
    """The head of a request.

    Args:
        raw: its bytes, the empty line included.

    Attributes:
        raw: those bytes.
        request_line: the first line (str).
        lines: the header lines, in order.
        headers: a dict by names in lower case; the last of repeated ones.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.request_line, *self.lines = (
            raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        )
        pairs = (line.split(": ", 1) for line in self.lines)
        self.headers = {name.lower(): value for name, value in pairs}

    def response(self, *lines: str, accept: str | None = None) -> bytes:
        """Return the head that accepts this upgrade.

        Args:
            lines: further header lines.
            accept: the value of Sec-WebSocket-Accept; None (default): the right one.
        """
        accept = accept_for(self.headers["sec-websocket-key"]) if accept is None else accept
        ours = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        return http_response(SWITCHING, *ours, *lines)


class Talk:
    """One connection of a scripted peer, as its script sees it. Every method may block.

    Attributes:
        sock: the socket.
        peer: the ScriptedPeer.
    """

    def __init__(self, peer: ScriptedPeer, sock: socket.socket) -> None:
        self.peer = peer
        self.sock = sock
        self._unread = b""

    # -- reading ---------------------------------------------------------------------------------

    def recv(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        data, self._unread = self._unread, b""
        return data or self.sock.recv(65536)

    def exactly(self, count: int) -> bytes:
        """Return the next *count* bytes.

        Raises:
            ConnectionResetError: The client has left before.
        """
        data = b""
        while len(data) < count:
            more = self.recv()
            if not more:
                raise ConnectionResetError(f"the client left within {count} bytes: {data!r}")
            data += more
        data, self._unread = data[:count], data[count:]
        return data

    def head(self) -> Head:
        """Read the head of a request, and note it down in ``peer.requests``.

        Raises:
            ConnectionResetError: The client has left before its end.
        """
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.recv()
            if not more:
                raise ConnectionResetError(f"the client left within its head: {data!r}")
            data += more
        end = data.index(b"\r\n\r\n") + 4
        self._unread = data[end:]
        head = Head(data[:end])
        self.peer.requests.append(head)
        return head

    def frame(self) -> Frame:
        """Read one frame, of any kind."""
        raw = self.exactly(2)
        size = raw[1] & 127
        if size > 125:
            extended = self.exactly(2 if size == 126 else 8)
            raw, size = raw + extended, int.from_bytes(extended, "big")
        raw += self.exactly(size + (4 if raw[1] & 128 else 0))
        return read_frames(raw)[0]

    def until_closed(self) -> bytes:
        """Read until the client has closed its side; return what came."""
        data = b""
        while more := self.recv():
            data += more
        return data

    # -- writing ---------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self.sock.sendall(data)

    def send_singly(self, data: bytes) -> None:
        """Send *data* in segments of one byte."""
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def upgrade(self, *lines: str, then: bytes = b"") -> Head:
        """Read a request and accept it.

        Args:
            lines: further header lines of the answer.
            then: bytes that follow within the same segment.

        Returns:
            The head of the request.
        """
        head = self.head()
        self.send(head.response(*lines) + then)
        return head

    # -- ends ------------------------------------------------------------------------------------

    def end(self) -> None:
        """End our side, and wait for the client to end its own."""
        self.sock.shutdown(socket.SHUT_WR)
        self.until_closed()

    def hold(self) -> None:
        """Do nothing, and read nothing, until the test ends the peer."""
        self.peer.ending.wait(PATIENCE)

    def pause(self, seconds: float) -> bool:
        """Wait for so many real seconds, or until the test ends the peer.

        Returns:
            Whether the test has ended it.
        """
        return self.peer.ending.wait(seconds)

    def reset(self) -> None:
        """Close with a reset (RST) in place of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


#: What a peer plays on a connection.
Script = Callable[[Talk], Any]


class ScriptedPeer:
    """A server on 127.0.0.1 that plays scripts. See the module. A context manager.

    Args:
        scripts: one for each connection, the last for all further ones; at least one.
        context: an ``ssl.SSLContext`` of a server: TLS is done before the script begins. None
            (default): no TLS.
        listening: a listening socket to use; None (default): one on a port of the system's choice.

    Attributes:
        requests: the heads that the scripts have read.
        connections: how many were accepted.
        ending: a ``threading.Event``, set when the test is over.
    """

    def __init__(
        self,
        *scripts: Script,
        context: ssl.SSLContext | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        if not scripts:
            raise TypeError("a ScriptedPeer needs at least one script")
        self.requests: list[Head] = []
        self.connections = 0
        self._scripts = scripts
        self._context = context
        self._listening = listening or socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._failures: list[Exception] = []
        self.ending = threading.Event()
        self._stop, self._stopped = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        """The URL of the peer, without a path."""
        return f"{'ws' if self._context is None else 'wss'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        descriptors = [self._listening.fileno(), self._stopped.fileno()]
        while self._stopped.fileno() not in wait_for(descriptors, [], None):
            sock, _ = self._listening.accept()
            with self._lock:
                self._open.add(sock)
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        wrapped = sock
        try:
            sock.settimeout(PATIENCE)
            if self._context is not None:
                with self._lock:
                    self._open.discard(sock)
                    wrapped = self._context.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                    self._open.add(wrapped)
                wrapped.do_handshake()
            script(Talk(self, wrapped))
        except Exception as exc:  # noqa: BLE001 - raised by __exit__
            # Other errors of the system mean that the client has left, or has rejected the peer.
            is_clients = isinstance(exc, OSError) and not isinstance(exc, TimeoutError)
            if not is_clients and not self.ending.is_set():
                self._failures.append(exc)
        finally:
            with self._lock:
                self._open.discard(wrapped)
                wrapped.close()

    def __enter__(self) -> ScriptedPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ending.set()
        self._stop.send(b"x")
        self._threads[0].join(PATIENCE)
        with self._lock:
            for sock in self._open:
                try:
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                except OSError:
                    pass  # the client was faster
        for thread in self._threads:
            thread.join(PATIENCE)
        for sock in (self._listening, self._stop, self._stopped):
            sock.close()
        if value is not None:
            return  # that exception says more than those that follow from it
        if any(thread.is_alive() for thread in self._threads):
            raise AssertionError("a script hangs")
        if self._failures:
            raise AssertionError("a script failed") from self._failures[0]


@contextmanager
def closed_port() -> Iterator[str]:
    """A URL on loopback whose port refuses TCP connections, and is reserved meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{sock.getsockname()[1]}"


class PeerFactory(Protocol):
    """The type of the pytest fixture ``reactor_peer``: it starts a ScriptedPeer.

    The peer ends with the test. Without a script, it is an echo server.
    """

    def __call__(
        self,
        *scripts: Script,
        context: ssl.SSLContext | None = None,
        listening: socket.socket | None = None,
    ) -> ScriptedPeer:
        """See :class:`ScriptedPeer`."""
        ...
