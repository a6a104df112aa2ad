"""Scripted peers: servers on loopback that send exactly the bytes that a test wants.

A :class:`ScriptedPeer` listens on a port of the system's choice, and plays a script on each
connection, on a thread: a function that is given a :class:`Talk` and reads and sends with it. The
n-th connection gets the n-th script, further ones the last. When a script returns, its connection
is closed. Leaving the ``with`` block ends the connections that are still open, joins all threads,
and raises what a script raised, unless that is only the client having gone away.

Nothing here uses `reactor`, so that a fault there is not made good here.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

from .sockets import reset
from .websocket_frames import CLOSE, PING, PONG, TEXT, Frame, build_frame, read_frames

#: Seconds after which a script that waits has failed: far more than any of them needs.
PATIENCE = 20.0

SWITCHING = "HTTP/1.1 101 Switching Protocols"


def accept_for(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2)."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()


class Head:
    """The head of a request, as lines.

    Attributes: raw (bytes), request_line (str), lines (the header lines, in order), headers (a
    dict of lower-case names; the last of repeated ones).
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.request_line, *self.lines = (
            raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        )
        pairs = (line.split(": ", 1) for line in self.lines)
        self.headers = {name.lower(): value for name, value in pairs}

    def response(self, *lines: str, accept: str | None = None) -> bytes:
        """Return the head that accepts this upgrade, with further *lines*."""
        accept = accept_for(self.headers["sec-websocket-key"]) if accept is None else accept
        ours = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        return http(SWITCHING, *ours, *lines)


def http(*lines: str, body: bytes = b"") -> bytes:
    """Return a response of these lines; Content-Length and the like are the caller's."""
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


class Talk:
    """One connection of a scripted peer.

    Attributes:
        sock: the socket.
        peer: the ScriptedPeer.
    """

    def __init__(self, peer: ScriptedPeer, sock: socket.socket) -> None:
        self.peer = peer
        self.sock = sock
        self._unread = b""

    def recv(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        data, self._unread = self._unread, b""
        return data or self.sock.recv(65536)

    def exactly(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        data = b""
        while len(data) < count:
            more = self.recv()
            if not more:
                raise ConnectionResetError(f"the client left within {count} bytes: {data!r}")
            data += more
        data, self._unread = data[:count], data[count:]
        return data

    def head(self) -> Head:
        """Read the head of a request, and note it down in ``peer.requests``."""
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
        """Read one frame."""
        raw = self.exactly(2)
        size = raw[1] & 127
        if size > 125:
            extended = self.exactly(2 if size == 126 else 8)
            raw, size = raw + extended, int.from_bytes(extended, "big")
        raw += self.exactly(size + (4 if raw[1] & 128 else 0))
        return read_frames(raw)[0]

    def send(self, data: bytes) -> None:
        """Send all of *data*."""
        self.sock.sendall(data)

    def send_singly(self, data: bytes) -> None:
        """Send *data* in segments of one byte."""
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def upgrade(self, *lines: str, then: bytes = b"") -> Head:
        """Read a request and accept it; *then* follows within the same segment."""
        head = self.head()
        self.send(head.response(*lines) + then)
        return head

    def until_closed(self) -> bytes:
        """Read until the client has closed its side; return what came."""
        data = b""
        while more := self.recv():
            data += more
        return data

    def end(self) -> None:
        """End our side, and wait for the client to end its own."""
        self.sock.shutdown(socket.SHUT_WR)
        self.until_closed()

    def hold(self) -> None:
        """Do nothing, and read nothing, until the test ends the peer."""
        self.peer.ending.wait(PATIENCE)

    def reset(self) -> None:
        """Close with a reset (RST) in place of a FIN."""
        reset(self.sock)


Script = Callable[[Talk], object]


class ScriptedPeer:
    """A server that plays scripts. See the module.

    Parameters:
        scripts: one for each connection, the last for all further ones.
        context: TLS is done before the script begins.
        listening: a listening socket to use; default: one on 127.0.0.1.

    Attributes:
        requests: the heads that the scripts have read.
        connections: how many were accepted.
        ending: set when the test is over.
    """

    def __init__(
        self,
        *scripts: Script,
        context: ssl.SSLContext | None = None,
        listening: socket.socket | None = None,
    ) -> None:
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
        poll = select.poll()  # takes no descriptor of its own, and any number of one
        poll.register(self._listening, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while self._stopped.fileno() not in dict(poll.poll()):
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
        except Exception as exc:
            # Other errors of the system mean that the client has gone, or does not like us.
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
        assert not any(thread.is_alive() for thread in self._threads), "a script hangs"
        if self._failures and value is None:
            raise AssertionError("a script failed") from self._failures[0]


#: What starts peers: called with what ScriptedPeer takes.
Serve = Callable[..., ScriptedPeer]


# --- scripts that several tests play -------------------------------------------------------------


def echo(talk: Talk) -> None:
    """Accept the upgrade, echo data frames, answer pings and the close frame."""
    talk.upgrade()
    while True:
        frame = talk.frame()
        if frame.opcode == PING:
            talk.send(build_frame(PONG, frame.payload))
        elif frame.opcode == CLOSE:
            talk.send(build_frame(CLOSE, frame.payload))
            return talk.end()
        elif frame.opcode != PONG:
            talk.send(build_frame(frame.opcode, frame.payload, fin=frame.fin))


def greet(talk: Talk) -> None:
    """Accept the upgrade with a message glued to it, then wait until the client has gone."""
    talk.upgrade(then=build_frame(TEXT, b"hello"))
    talk.until_closed()


def answer(*lines: str, body: bytes = b"") -> Script:
    """Return a script that answers a request with this, and ends its side."""

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http(*lines, body=body))
        talk.end()

    return script


def silence(talk: Talk) -> None:
    """Say nothing until the client has gone."""
    talk.until_closed()
