"""What a coroutine of a handshake does within one turn: how often it reads before it waits."""

from __future__ import annotations

import ssl
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.loop.steps import Now, Turn

from .certificates import Authority
from .tls_peer import tls_pair


class CountedTLS(ssl.SSLSocket):
    """A socket with TLS that counts its reads."""

    reads = 0

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.reads += 1
        return super().recv(buflen, flags)


@contextmanager
def told_singly(authority: Authority, data: bytes) -> Iterator[CountedTLS]:
    """A socket to whose peer each byte was worth a TLS record of its own; all are there already."""
    sock, peer = tls_pair(authority, CountedTLS)
    try:
        octets = [data[start : start + 1] for start in range(len(data))]
        peer.send_raw(b"".join(map(peer.encrypt, octets)))
        yield sock
    finally:
        sock.close()
        peer.close()


def run_counted(coroutine: Coroutine[Any, Any, Any], sock: CountedTLS) -> tuple[Any, list[int]]:
    """Run a coroutine whose sockets are always ready, on a clock that stands still.

    Returns its result, or the exception that it ends in, and the reads of each turn.
    """
    value: Any = None
    turns = [0]
    while True:
        before = sock.reads
        try:
            request = coroutine.send(value)
        except StopIteration as end:
            return end.value, turns
        except Exception as exc:  # of the peer's making: the test looks at it
            return exc, turns
        finally:
            turns[-1] += sock.reads - before
        if isinstance(request, Now):
            value = 0.0
        elif isinstance(request, Turn):
            value = True
        else:
            value = set(request.reads) | set(request.writes)
            turns.append(0)
