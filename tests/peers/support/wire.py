"""How many bytes a connection really sent and received, as the kernel has counted them."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any, NamedTuple

import pytest

#: tcpi_bytes_acked and tcpi_bytes_received, of Linux' struct tcp_info.
_COUNTERS, _OFFSET = "=QQ", 120


class Traffic(NamedTuple):
    """Bytes since the TCP connection was made.

    Attributes:
        sent: those that the peer's kernel has acknowledged.
        received: those that have come.
    """

    sent: int
    received: int

    def since(self, before: Traffic) -> Traffic:
        """Return what has come to it."""
        return Traffic(self.sent - before.sent, self.received - before.received)


def traffic(sock: Any) -> Traffic:
    """Return what a TCP socket has sent and received; skip the test where the kernel is silent."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells how many bytes a connection has sent")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return Traffic(*struct.unpack_from(_COUNTERS, info, _OFFSET))
