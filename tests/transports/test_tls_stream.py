"""Streams over NestedTLS, and over ordinary ``ssl.SSLSocket``s, which they look into: ``_Engine``.

And over those of which OpenSSL is called directly, where that is possible; tests/compiled/test_tls
has what is particular about them.

test_stream.py has the rest, over sockets that are watched and made to fail; such a subclass is
asked for every byte.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise

import pytest

from reactor.loop.event_loop import EventLoop
from reactor.transports import tls_stream
from reactor.transports.stream import WRITE_SIZE, StreamState
from reactor.transports.tls.nested import NestedTLS
from reactor.transports.tls_stream import TLS_SIZE, TLSStream, make_stream

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.sockets import drain, take_number
from ..support.tls_peer import TLSPeer, nested_pair, tls_pair
from ..support.witness import Witness

pytestmark = pytest.mark.usefixtures("no_leaks")

HIGH, LOW = 1000, 100
MEGABYTE = 1 << 20


class Case:
    """A TLS stream over an ordinary socket, and its far end."""

    def __init__(self, loop: EventLoop, sock: ssl.SSLSocket | NestedTLS, peer: TLSPeer) -> None:
        self.peer = peer
        self.loop = loop
        self.sock = sock
        self.witness = Witness()
        stream = make_stream(loop, sock, self.witness, HIGH, LOW)
        assert isinstance(stream, TLSStream)
        self.stream = stream
        stream.start_reading()
        self.turn()  # the tickets of TLS 1.3 are read

    def turn(self) -> None:
        for _ in range(2):
            self.loop.run_once(0)


def python_pair(authority: Authority) -> tuple[ssl.SSLSocket, TLSPeer]:
    """A pair of which Python's ssl reads and writes."""
    tls_stream.direct_engine = None
    return tls_pair(authority)


@pytest.fixture(params=[tls_pair, python_pair, nested_pair])
def case(
    request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Case]:
    monkeypatch.setattr(tls_stream, "direct_engine", tls_stream.direct_engine)  # to be put back
    loop = EventLoop()
    case = Case(loop, *request.param(authority))
    yield case
    case.stream.abort()
    case.turn()
    case.peer.close()
    loop.close()


def test_what_a_stream_needs_of_the_private_object_is_there(authority: Authority) -> None:
    sock, peer = tls_pair(authority)
    for name in ("read", "write", "pending"):
        assert callable(getattr(sock._sslobj, name))
    sock.close()
    peer.close()


def test_bytes_go_both_ways(case: Case) -> None:
    case.peer.send(b"to us")
    case.turn()
    case.stream.write(b"to the peer")
    assert case.witness.data == b"to us"
    assert case.peer.look() == b"to the peer"
    assert case.witness.names == ["data"]


def test_several_records_come_together(case: Case) -> None:
    for i in range(3):
        case.peer.send(bytes([i]) * 16384)
    case.turn()
    assert case.witness.data == b"".join(bytes([i]) * 16384 for i in range(3))
    assert len(case.witness.names) == 1


def test_what_the_kernel_does_not_take_follows_in_order(case: Case) -> None:
    data = bytes(range(256)) * (MEGABYTE // 64)  # 4 MiB
    case.stream.write(data[:MEGABYTE])
    case.stream.write(data[MEGABYTE:])
    assert case.stream.queued > HIGH

    def all_there() -> bool:
        case.peer.look()
        return len(case.peer.received) == len(data)

    run_until(case.loop, all_there)
    assert case.peer.received == data
    assert case.stream.queued == 0
    assert case.witness.names == ["drained"]


def test_close_notify_is_the_end(case: Case) -> None:
    case.peer.send(b"last")
    case.peer.end()
    case.turn()
    assert case.witness.names == ["data", "eof"]


def test_an_end_without_close_notify_is_the_end_too(case: Case) -> None:
    case.peer.send(b"last")
    case.peer.close()
    case.turn()
    assert case.witness.names == ["data", "eof"]


def test_what_is_no_record_is_an_error(case: Case) -> None:
    case.peer.send_raw(b"GET / HTTP/1.1")
    case.turn()
    assert case.witness.names == ["lost"]
    assert isinstance(case.witness.losses[0], ssl.SSLError)


def test_a_write_to_a_peer_that_is_gone_is_an_error(case: Case) -> None:
    case.stream.pause_reading()
    case.peer.close()
    case.stream.write(b"nobody is there")
    assert case.stream.state is StreamState.UNWRITABLE
    case.turn()
    assert case.witness.names == []
    case.stream.start_reading()
    case.turn()
    assert case.witness.names == ["lost"]
    assert isinstance(case.witness.losses[0], OSError)


@pytest.mark.parametrize("action", ["read", "write"])
def test_a_socket_that_somebody_else_has_closed_does_not_lead_to_another_one(
    case: Case, action: str
) -> None:
    ours, theirs = socket.socketpair()
    number = case.sock.fileno()
    case.sock.close()
    theirs.setblocking(False)
    ours.send(b"not for us")
    stranger = take_number(theirs, number)
    try:
        if action == "read":
            assert case.stream.read_now()
        else:
            case.stream.write(b"not for them")
        case.turn()
        assert case.witness.names == ["lost"]
        lost = case.witness.losses[0]
        assert isinstance(lost, OSError)
        assert lost.errno == errno.EBADF
        assert drain(stranger) == len(b"not for us")
        ours.setblocking(False)
        assert drain(ours) == 0
    finally:
        for sock in (ours, theirs, stranger):
            sock.close()


@pytest.mark.parametrize("paused", [False, True])
def test_what_came_before_a_failed_write_is_handed_up(case: Case, paused: bool) -> None:
    records = [bytes([i]) * 16384 for i in range(12)]
    for record in records:
        case.peer.send(record)
    case.peer.close()
    if paused:
        case.stream.pause_reading()
    case.stream.write(b"nobody is there")
    assert case.stream.state is StreamState.UNWRITABLE
    case.stream.start_reading()
    run_until(case.loop, lambda: case.witness.losses)
    assert case.witness.data == b"".join(records)
    assert isinstance(case.witness.losses[0], OSError)


def test_the_progress_of_a_large_write_shows(case: Case) -> None:
    """It is a sign of life, and OpenSSL tells of none before it has written all it was given."""
    size = 8 * MEGABYTE
    case.stream.write(bytes(size))
    left = [case.stream.queued]
    assert left[0] > size // 2

    def all_there() -> bool:
        case.peer.look()
        left.append(case.stream.queued)
        return not left[-1]

    run_until(case.loop, all_there)
    steps = [before - after for before, after in pairwise(left)]
    assert max(steps) <= WRITE_SIZE
    assert len([step for step in steps if step]) > 10


def test_the_memory_of_openssl_is_told_to_be_free(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[int] = []
    monkeypatch.setattr("reactor.transports.memory.released", freed.append)
    case.stream.abort()
    assert freed == [TLS_SIZE]


def test_close_says_close_notify_and_waits_for_the_peers(case: Case) -> None:
    case.stream.close()
    case.turn()
    case.peer.look()
    assert case.peer.ended == "close_notify"
    assert case.witness.names == []
    case.peer.end()
    case.turn()
    assert case.witness.names == ["lost"]


def test_an_engine_that_calls_openssl_directly_takes_the_place_of_the_socket(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one of the compiled twins that brings it."""

    class Direct(tls_stream._Pieces):
        __slots__ = ()

    monkeypatch.setattr(tls_stream, "direct_engine", Direct)
    loop = EventLoop()
    case = Case(loop, *tls_pair(authority))
    assert isinstance(case.stream._engine, Direct)
    case.peer.send(b"hello")
    case.turn()
    assert case.witness.data == b"hello"
    case.stream.abort()
    case.turn()
    case.peer.close()
    loop.close()
