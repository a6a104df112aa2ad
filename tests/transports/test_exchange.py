"""One request and one answer: when a response is waited for, and when it is read.

What the handshakes make of it has tests with the connect pipeline and with the proxies.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from reactor import Reactor
from reactor.exceptions import (
    WebSocketConnectException,
    WebSocketHandshakeException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from reactor.loop.steps import Wait
from reactor.loop.tasks import Task, run_blocking
from reactor.protocols.http.http11 import HeadLimits
from reactor.timers import ManualClock
from reactor.transports.exchange import (
    Sent,
    read_more,
    read_response,
    read_some,
    send_request,
    sooner,
    write_all,
)

from ..support.certificates import Authority
from ..support.peers import ScriptedPeer, Talk, http
from ..support.sockets import drain
from ..support.tls_peer import TLSPeer, tls_pair
from ..support.turns import CountedTLS, run_counted, told_singly

T = TypeVar("T")

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
    with pytest.raises(WebSocketTimeoutException, match=r"timed out in the opening .* host$"):
        coroutine.send(set())


# --- an answer in spite of a write that fails -----------------------------------------------------

LARGE = bytes(8 << 20)  # more than the kernel takes

BUSY = http("HTTP/1.1 503 Busy", "Content-Length: 0")


async def ask(sock: socket.socket, request: bytes, until: float | None = None) -> int:
    """Return the status of the answer."""
    sent = await send_request(sock, request, until, "host")
    response, _ = await read_response(sock, until, "host", HeadLimits(), sent=sent)
    return response.status


def finish(coroutine: Coroutine[Any, Any, T], meanwhile: Callable[[], object] = int) -> T:
    """Go on as if the socket were always ready, to the end; return the result."""
    while True:
        meanwhile()
        try:
            coroutine.send({True})
        except StopIteration as stop:
            result: T = stop.value
            return result


def wait_for_reset(sock: socket.socket) -> None:
    """Write to a peer that has closed until the kernel knows, below TLS if there is any."""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    socket.socket.send(sock, b"x")
    assert poll.poll(5000)


@pytest.fixture
def closed_with_an_answer() -> Iterator[socket.socket]:
    """A connection whose peer has answered, and has closed so that a write fails."""

    def script(talk: Talk) -> None:
        talk.send(BUSY)
        talk.end()

    with ScriptedPeer(script) as peer, socket.create_connection(("127.0.0.1", peer.port)) as sock:
        sock.setblocking(False)
        select.select([sock], [], [], 5)
        sock.shutdown(socket.SHUT_WR)
        yield sock


def test_an_answer_is_read_though_the_request_cannot_be_written(
    closed_with_an_answer: socket.socket,
) -> None:
    assert run_blocking(ask(closed_with_an_answer, b"GET / HTTP/1.1\r\n\r\n")) == 503


def test_without_an_answer_the_error_of_the_write_counts(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = pair
    peer.close()
    with pytest.raises(WebSocketConnectException, match="Broken pipe") as caught:
        run_blocking(ask(ours, b"GET / HTTP/1.1\r\n\r\n"))
    assert caught.value.errno == errno.EPIPE


@pytest.mark.parametrize("exact", [False, True])
def test_an_answer_ends_a_request_that_nobody_reads(
    pair: tuple[socket.socket, socket.socket], exact: bool
) -> None:
    ours, peer = pair

    async def exchange() -> tuple[int, bytes]:
        sent = await send_request(ours, LARGE, None, "host")
        response, parser = await read_response(
            ours, None, "host", HeadLimits(), sent=sent, exact=exact
        )
        return response.status, parser.leftover

    coroutine = exchange()
    fd = ours.fileno()
    assert coroutine.send(None) == Wait((fd,), (fd,), None)
    peer.send(BUSY + b"behind")
    assert finish(coroutine) == (503, b"" if exact else b"behind")
    if exact:
        assert ours.recv(100) == b"behind"


def test_a_request_that_nobody_reads_is_given_up_at_the_deadline(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    coroutine = send_request(pair[0], LARGE, 5.0, "host")
    coroutine.send(None)
    with pytest.raises(WebSocketTimeoutException, match=r"timed out in the opening .* host$"):
        coroutine.send(set())


def test_a_large_request_is_written_as_the_peer_reads_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = pair
    coroutine = send_request(ours, LARGE, None, "host")
    coroutine.send(None)
    received: list[bytes] = []
    assert finish(coroutine, lambda: received.append(peer.recv(1 << 20))) == Sent()
    peer.setblocking(False)
    assert sum(map(len, received)) + drain(peer) == len(LARGE)


def test_a_peer_that_ends_its_side_while_a_request_is_written_has_not_answered(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, peer = pair
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(WebSocketHandshakeException):
        run_blocking(ask(ours, LARGE))


# --- the same over TLS ----------------------------------------------------------------------------


def tls_connection(authority: Authority, server: ssl.SSLContext) -> tuple[ssl.SSLSocket, TLSPeer]:
    """Both ends of a connection over TCP, whose handshake is done for the client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    near.setblocking(False)
    sock = authority.client_context().wrap_socket(
        near, server_hostname="localhost", do_handshake_on_connect=False
    )
    return sock, TLSPeer(far, server)


def test_the_alert_of_a_server_that_misses_our_certificate_is_told(authority: Authority) -> None:
    """In TLS 1.3 it comes when our handshake is over, and our request fails to be written."""
    server = authority.issue("localhost")
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.ca_file)
    sock, peer = tls_connection(authority, server)
    with sock:
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            peer.shake_hands(sock)
        peer.push()
        peer.close()
        wait_for_reset(sock)
        with pytest.raises(WebSocketTLSException, match=r"host .* certificate required") as caught:
            run_blocking(ask(sock, b"GET / HTTP/1.1\r\n\r\n"))
    assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_an_answer_over_tls_is_read_though_the_request_cannot_be_written(
    authority: Authority,
) -> None:
    sock, peer = tls_connection(authority, authority.server_context)
    with sock:
        peer.shake_hands(sock)
        peer.send(BUSY)
        peer.close()
        wait_for_reset(sock)
        assert run_blocking(ask(sock, b"GET / HTTP/1.1\r\n\r\n")) == 503


def test_an_answer_over_tls_ends_a_request_that_nobody_reads(authority: Authority) -> None:
    sock, peer = tls_connection(authority, authority.server_context)
    with sock:
        peer.shake_hands(sock)
        coroutine = ask(sock, LARGE)
        coroutine.send(None)
        peer.send(BUSY)
        select.select([sock], [], [], 5)
        assert finish(coroutine) == 503
        peer.close()


# --- sockets that would block, in either direction ------------------------------------------------


class Moody:
    """A socket whose calls raise what a script says, one after the other, and work then."""

    def __init__(self, *moods: Exception) -> None:
        self.moods = list(moods)
        self.sent = b""

    def fileno(self) -> int:
        return 7

    def _be_moody(self) -> None:
        if self.moods:
            raise self.moods.pop(0)

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._be_moody()
        return b"data"

    def send(self, data: Any) -> int:
        self._be_moody()
        part = bytes(data[:3])
        self.sent += part
        return len(part)


READS, WRITES = Wait([7], (), 5.0), Wait((), [7], 5.0)


def steps_of(coroutine: Coroutine[Any, Any, T]) -> tuple[list[Wait], T]:
    """Return what a coroutine has waited for, and its result; everything is ready at once."""
    waits: list[Wait] = []
    answer: object = None
    while True:
        try:
            waits.append(coroutine.send(answer))
            answer = {7}
        except StopIteration as stop:
            return waits, stop.value


@pytest.mark.parametrize(
    ("mood", "wait"),
    [
        (BlockingIOError(), READS),
        (InterruptedError(), READS),
        (ssl.SSLWantReadError(), READS),
        (ssl.SSLWantWriteError(), WRITES),
    ],
)
def test_a_read_waits_for_what_the_socket_wants(mood: Exception, wait: Wait) -> None:
    sock: Any = Moody(mood, mood)
    assert steps_of(read_some(sock, 5.0, "host")) == ([wait, wait], b"data")


@pytest.mark.parametrize(
    ("mood", "wait"),
    [
        (BlockingIOError(), WRITES),
        (InterruptedError(), WRITES),
        (ssl.SSLWantWriteError(), WRITES),
        (ssl.SSLWantReadError(), READS),
    ],
)
def test_a_write_waits_for_what_the_socket_wants(mood: Exception, wait: Wait) -> None:
    sock: Any = Moody(mood)
    assert steps_of(write_all(sock, b"all of it", 5.0, "host")) == ([wait], None)
    assert sock.sent == b"all of it"


@pytest.mark.parametrize("end", [ssl.SSLEOFError(), ssl.SSLZeroReturnError()])
def test_the_end_of_tls_reads_as_nothing(end: Exception) -> None:
    sock: Any = Moody(end)
    assert run_blocking(read_some(sock, None, "host")) == b""


@pytest.mark.parametrize("call", [read_some, lambda *given: write_all(given[0], b"x", *given[1:])])
def test_what_is_not_ready_by_the_deadline_or_is_lost_is_an_error(call: Any) -> None:
    coroutine = call(Moody(BlockingIOError()), 5.0, "host")
    coroutine.send(None)
    with pytest.raises(WebSocketTimeoutException, match=r"timed out in the opening .* host$"):
        coroutine.send(set())
    with pytest.raises(WebSocketConnectException, match="connection to host was lost") as caught:
        run_blocking(call(Moody(ConnectionResetError(errno.ECONNRESET, "reset")), None, "host"))
    assert caught.value.errno == errno.ECONNRESET


def test_a_request_whose_answer_cannot_be_looked_for_is_waited_for() -> None:
    """The socket is ready for one direction, and it is not known for which."""
    want = ssl.SSLWantReadError()
    sock: Any = Moody(want, want)
    waits, sent = steps_of(send_request(sock, b"request", 5.0, "host"))
    assert (len(waits), sent, sock.sent) == (1, Sent(), b"request")


@pytest.mark.parametrize(
    ("end", "is_failure"),
    [(ssl.SSLZeroReturnError(), False), (ConnectionResetError(errno.ECONNRESET, "reset"), True)],
)
def test_a_connection_that_ends_while_a_request_is_written(end: OSError, is_failure: bool) -> None:
    sock: Any = Moody(BlockingIOError(), end)
    _, sent = steps_of(send_request(sock, b"request", 5.0, "host"))
    assert (sent.failure is not None) is is_failure
    assert sock.sent == b""


@pytest.mark.parametrize(
    ("until", "seconds", "expected"), [(5.0, None, 5.0), (None, 3.0, 4.0), (3.5, 3.0, 3.5)]
)
def test_the_earlier_of_two_points_in_time(
    until: float | None, seconds: float | None, expected: float
) -> None:
    async def at_one() -> float | None:
        return await sooner(until, seconds)

    clock = ManualClock(1.0)
    ends: list[Any] = []
    with Reactor(clock=clock) as loop:
        Task(loop.loop, at_one(), lambda *end: ends.append(end))
        loop.run_once(0)
    assert ends == [(expected, None)]


def test_an_answer_over_tls_is_read_byte_by_byte_where_the_rest_is_not_ours(
    authority: Authority,
) -> None:
    sock, peer = tls_pair(authority)
    with sock:
        peer.send(HEAD + b"frames")
        response, parser = run_blocking(read_response(sock, None, "host", HeadLimits(), exact=True))
        assert (response.status, parser.leftover, sock.recv(100)) == (101, b"", b"frames")
    peer.close()


def test_an_answer_that_is_cut_off_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.send(HEAD[:-5])
    peer.close()
    with pytest.raises(WebSocketHandshakeException, match=r"before the head .* was complete"):
        run_blocking(read_response(ours, None, "host", HeadLimits()))


def test_a_server_does_not_put_us_off_for_ever(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 9)
    with pytest.raises(WebSocketHandshakeException, match="host sent 9 interim responses"):
        run_blocking(read_response(ours, None, "host", HeadLimits()))


def test_a_reset_before_the_answer_is_told_as_the_failure_of_the_request() -> None:
    failure = WebSocketConnectException(errno.EPIPE, "the request was not written")
    sock: Any = Moody(ConnectionResetError(errno.ECONNRESET, "reset"))
    sock.fileno = lambda: -1
    coroutine = read_response(sock, None, "host", HeadLimits(), sent=Sent(failure=failure))
    with pytest.raises(WebSocketConnectException, match="the request was not written"):
        run_blocking(coroutine)
