"""A raw client in the test's own thread: sends bytes, and turns the loop until the answer is there.

It shares the thread with the server that it talks to, so a test knows at each moment who has done
what, and needs no threads and no waiting.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from types import TracebackType
from typing import Any

from reactor.loop.event_loop import EventLoop

from .driving import run_until
from .sockets import reset
from .websocket_frames import KEY, Frame, build_frame, read_frames

#: The key, and what answers it, of the example in RFC 6455 section 1.3.
SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SAMPLE_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

REQUEST = (
    "GET /chat?x=1 HTTP/1.1",
    "Host: server.example",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    f"Sec-WebSocket-Key: {SAMPLE_KEY}",
    "Sec-WebSocket-Version: 13",
)


def head(*lines: str) -> bytes:
    """Return a head of these lines."""
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"


class RawClient:
    """One connection to a server on *loop*.

    Parameters:
        loop: turned while the client waits.
        address: of the server: what ``Listener.address`` says.
        family: of the socket.

    Attributes:
        data: what came and was not taken yet.
        ended: "" while the connection is up, then how it ended: "EOF" or "reset".
    """

    def __init__(
        self, loop: EventLoop, address: Any, family: int = socket.AF_INET, receive: int = 0
    ) -> None:
        self.data = b""
        self.ended = ""
        self._loop = loop
        self.sock = socket.socket(family)
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        # The kernel does this without the server: the connection is in the backlog then.
        self.sock.connect(address)
        self.sock.setblocking(False)

    def send(self, data: bytes) -> None:
        """Send all of *data*, turning the loop when the server is behind."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                self._loop.run_once(0.01)

    def send_frame(self, opcode: int, payload: bytes = b"", **options: Any) -> None:
        """Send a frame, masked unless ``key=None``."""
        options.setdefault("key", KEY)
        self.send(build_frame(opcode, payload, **options))

    def pump(self) -> None:
        """Take what has come."""
        try:
            while more := self.sock.recv(65536):
                self.data += more
            self.ended = "EOF"
        except BlockingIOError:
            pass
        except ConnectionError:
            self.ended = "reset"

    def wait_for(self, count: int) -> None:
        """Turn the loop until *count* bytes have come."""

        def enough() -> bool:
            self.pump()
            assert not self.ended or len(self.data) >= count, f"{self.ended} after {self.data!r}"
            return len(self.data) >= count

        run_until(self._loop, enough)

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes."""
        self.wait_for(count)
        data, self.data = self.data[:count], self.data[count:]
        return data

    def head(self) -> list[str]:
        """Return the lines of the head that comes next."""
        while b"\r\n\r\n" not in self.data:
            self.wait_for(len(self.data) + 1)
        return self.take(self.data.index(b"\r\n\r\n") + 4)[:-4].decode().split("\r\n")

    def upgrade(self, *lines: str) -> list[str]:
        """Send a good request with further *lines*; return the lines of the answer."""
        self.send(head(*REQUEST, *lines))
        answer = self.head()
        assert answer[0] == "HTTP/1.1 101 Switching Protocols", answer
        return answer

    def frame(self) -> Frame:
        """Return the frame that comes next."""
        self.wait_for(2)
        size = self.data[1] & 127
        if size > 125:
            extended = 2 if size == 126 else 8
            self.wait_for(2 + extended)
            size = extended + int.from_bytes(self.data[2 : 2 + extended], "big")
        return read_frames(self.take(2 + size))[0]

    def until_closed(self) -> bytes:
        """Turn the loop until the server has closed; return what came before."""

        def closed() -> str:
            self.pump()
            return self.ended

        run_until(self._loop, closed)
        data, self.data = self.data, b""
        return data

    def end(self) -> None:
        """End our side (FIN)."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset (RST)."""
        reset(self.sock)

    def close(self) -> None:
        """Close, if that is not done."""
        with contextlib.suppress(OSError):
            self.sock.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RawTLSClient(RawClient):
    """The same over TLS.

    Parameters:
        context: says whom it trusts.
    """

    def __init__(self, loop: EventLoop, address: Any, context: ssl.SSLContext) -> None:
        super().__init__(loop, address)
        self.sock: ssl.SSLSocket = context.wrap_socket(
            self.sock, server_hostname=address[0], do_handshake_on_connect=False
        )
        run_until(loop, self._shake_hands)

    def _shake_hands(self) -> bool:
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def pump(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            super().pump()
