"""Connected sockets in any number, which are closed at the end."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from contextlib import ExitStack


class Sockets(ExitStack):
    """Makes sockets, and closes all of them when the block is left."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two connected, non-blocking sockets."""
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            self.enter_context(sock)
        return ours, theirs

    def readable(self) -> socket.socket:
        """Return a socket from which one byte can be read."""
        ours, theirs = self.pair()
        theirs.send(b"x")
        return ours

    def stuffed(self) -> tuple[socket.socket, socket.socket]:
        """Return two connected sockets, the first of which can be neither read nor written."""
        ours, theirs = self.pair()
        fill(ours)
        return ours, theirs

    def high(self, sock: socket.socket, least: int = 1100) -> socket.socket:
        """Return a duplicate of *sock* whose number is beyond what select() can take."""
        number = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, least)
        duplicate = self.enter_context(socket.socket(fileno=number))
        duplicate.setblocking(False)
        return duplicate


def fill(sock: socket.socket) -> None:
    """Write to a non-blocking socket until the kernel takes no more."""
    try:
        while True:
            sock.send(bytes(65536))
    except BlockingIOError:
        pass


def received(sock: socket.socket) -> bytes:
    """Read from a non-blocking socket what there is, and return it."""
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


def drain(sock: socket.socket) -> int:
    """Read from a non-blocking socket what there is; return the number of bytes."""
    return len(received(sock))


def reset(sock: socket.socket) -> None:
    """Close a TCP socket with a reset (RST) in place of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def closed_number() -> int:
    """Return a descriptor's number that nobody has open, at least for the moment."""
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number


def take_number(sock: socket.socket, number: int) -> socket.socket:
    """Return the same connection under the descriptor *number*, which must not be open."""
    try:
        os.fstat(number)
    except OSError:
        pass
    else:
        raise AssertionError(f"descriptor {number} is in use")
    os.dup2(sock.fileno(), number)
    taken = socket.socket(fileno=number)
    taken.setblocking(False)
    return taken
