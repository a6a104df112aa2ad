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
from reactor.transports.exchange import read_response

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
    with pytest.raises(
        WebSocketTimeoutException, match="timed out in the opening handshake with host"
    ):
        coroutine.send(set())


def test_a_socket_that_somebody_has_closed_is_an_error_of_the_connect(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].close()
    with pytest.raises(WebSocketConnectException):
        run_blocking(read_response(pair[0], None, "host", HeadLimits()))
