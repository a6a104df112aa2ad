"""The far end of a TLS connection, without a thread: it moves when the test says so."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from reactor.transports.tls.nested import NestedTLS

from .certificates import Authority


class TLSPeer:
    """The far end of a TLS connection, which has its bytes in its own hands.

    Attributes:
        received: what was received and looked at.
        ended: "" until the end is seen; then "close_notify", or "EOF" if there was none.
    """

    def __init__(self, sock: Any, context: ssl.SSLContext) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.received = b""
        self.ended = ""

    def shake_hands(self, near: ssl.SSLSocket | NestedTLS) -> None:
        """Do the handshake, to the end of both sides."""
        done: set[object] = set()
        while len(done) < 2:
            for end in (near, self._tls):
                try:
                    end.do_handshake()
                    done.add(end)
                except ssl.SSLWantReadError:
                    pass
                self.push()
                self._pull()

    def step(self) -> None:
        """Go on with the handshake as far as that is possible."""
        self._pull()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.push()

    def _pull(self) -> None:
        try:
            while data := self._sock.recv(1 << 16):
                self._incoming.write(data)
            self._incoming.write_eof()
        except BlockingIOError:
            pass

    def push(self) -> None:
        """Send what TLS has to say."""
        if self._outgoing.pending:
            self.send_raw(self._outgoing.read())

    def encrypt(self, data: bytes) -> bytes:
        """Return the records that carry *data*."""
        self._tls.write(data)
        return self._outgoing.read()

    def send_raw(self, data: bytes) -> None:
        """Send bytes below TLS."""
        assert self._sock.send(data) == len(data)

    def send(self, data: bytes) -> None:
        self.send_raw(self.encrypt(data))

    def look(self) -> bytes:
        """Return what has come since the last look."""
        self._pull()
        before = len(self.received)
        try:
            while data := self._tls.read(1 << 16):
                self.received += data
            self.ended = "close_notify"
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = "close_notify"
        except ssl.SSLEOFError:
            self.ended = "EOF"
        return self.received[before:]

    def end(self) -> None:
        """Say close_notify."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.push()

    def close(self) -> None:
        """Close the socket, without a word."""
        self._sock.close()


def tls_pair(
    authority: Authority, kind: type[ssl.SSLSocket] = ssl.SSLSocket, **wrap: Any
) -> tuple[Any, TLSPeer]:
    """Return a non-blocking socket of this class and its far end, with TLS between them."""
    near, far = socket.socketpair()
    near.setblocking(False)
    context = authority.client_context()
    context.sslsocket_class = kind
    sock = context.wrap_socket(
        near, server_hostname="localhost", do_handshake_on_connect=False, **wrap
    )
    assert type(sock) is kind
    peer = TLSPeer(far, authority.server_context)
    peer.shake_hands(sock)
    return sock, peer


class Tunnel:
    """What TLSPeer asks of a socket, over the far end of another TLS connection."""

    def __init__(self, outer: TLSPeer) -> None:
        self.outer = outer

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def recv(self, _: int) -> bytes:
        data = self.outer.look()
        if not data and not self.outer.ended:
            raise BlockingIOError
        return data

    def send(self, data: bytes) -> int:
        self.outer.send(data)
        return len(data)

    def close(self) -> None:
        self.outer.close()


def nested_pair(authority: Authority, **nested: Any) -> tuple[NestedTLS, TLSPeer]:
    """Return a non-blocking NestedTLS and its far end, with TLS between them in both layers."""
    outer, far = tls_pair(authority)
    sock = NestedTLS(outer, authority.client_context(), "localhost", **nested)
    peer = TLSPeer(Tunnel(far), authority.server_context)
    peer.shake_hands(sock)
    return sock, peer
