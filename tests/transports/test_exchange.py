"""One request and one answer: when a response is waited for, and when it is read.

What the handshakes make of it has tests with the connect pipeline and with the proxies.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from reactor.exceptions import WebSocketConnectException, WebSocketTimeoutException
from reactor.protocols.http11 import HeadLimits
from reactor.tasks import Wait, run_blocking
from reactor.transports.exchange import read_more, read_response

from ..support.certificates import Authority
from ..support.tls_peer import tls_pair
from ..support.turns import CountedTLS, run_counted, told_singly

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    with ours, peer:
        yield ours, peer


@pytest.mark.parametrize("exact", [False, True])
def test_the_answer_is_waited_for_before_it_is_read(
    pair: tuple[socket.socket, socket.socket], exact: bool
) -> None:
    ours, peer = pair
    peer.send(HEAD)
    coroutine = read_response(ours, 5.0, "host", HeadLimits(), exact=exact)
    assert coroutine.send(None) == Wait([ours.fileno()], (), 5.0)
    with pytest.raises(StopIteration) as ended:
        coroutine.send({ours.fileno()})
    response, parser = ended.value.value
    assert (response.status, parser.raw) == (101, HEAD)


def test_what_has_been_read_already_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    response, _ = run_blocking(read_response(pair[0], None, "host", HeadLimits(), HEAD))
    assert response.headers["A"] == "b"


def test_no_answer_by_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    coroutine = read_response(pair[0], 5.0, "host", HeadLimits())
    coroutine.send(None)
    with pytest.raises(WebSocketTimeoutException, match="opening handshake with host timed out"):
        coroutine.send(set())


def test_a_socket_that_somebody_has_closed_is_an_error_of_the_connect(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].close()
    with pytest.raises(WebSocketConnectException):
        run_blocking(read_response(pair[0], None, "host", HeadLimits()))


def test_an_answer_in_the_smallest_records_of_tls_is_read_record_by_record_each_turn(
    authority: Authority,
) -> None:
    with told_singly(authority, HEAD) as sock:
        result, reads = run_counted(read_response(sock, 5.0, "host", HeadLimits()), sock)
    assert result[0].status == 101
    assert sum(reads) == len(HEAD)
    assert max(reads) == 1


def test_interim_responses_in_the_smallest_records_are_so_too(authority: Authority) -> None:
    heads = b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + HEAD
    with told_singly(authority, heads) as sock:
        result, reads = run_counted(read_response(sock, 5.0, "host", HeadLimits()), sock)
    assert result[0].status == 101
    assert max(reads) == 1


def test_what_tls_holds_back_of_a_record_is_read_in_the_next_turn(authority: Authority) -> None:
    sock, peer = tls_pair(authority, CountedTLS)
    with sock:
        peer.send(b"abcdef")
        assert sock.recv(2) == b"ab"
        coroutine = read_more(sock, 5.0, "host", 3)
        assert coroutine.send(None).__class__.__name__ == "Now"
        assert coroutine.send(1.0) == Wait((), (), 1.0)
        with pytest.raises(StopIteration) as ended:
            coroutine.send(set())
        assert ended.value.value == b"cde"
    peer.close()


def test_more_that_does_not_come_by_the_deadline(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    coroutine = read_more(pair[0], 5.0, "host")
    coroutine.send(None)
    with pytest.raises(WebSocketTimeoutException, match="opening handshake with host timed out"):
        coroutine.send(set())
