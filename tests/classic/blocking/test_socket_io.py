"""recv, recv_line and send over a socket; and TLS that two threads use."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import Any

import pytest

from reactor import (
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketTimeoutException,
    recv,
    recv_line,
    send,
)
from reactor.classic.blocking.socket_io import LIMITED_WRITE, TLSDuplex, shut_down

from ...support.certificates import Authority
from ...support.sockets import Sockets
from ...support.threads import Background

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def pair(sockets: Sockets) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, both with a time-out."""
    ours, theirs = sockets.pair()
    ours.settimeout(10)
    theirs.settimeout(10)
    return ours, theirs


Pair = tuple[socket.socket, socket.socket]


class Raising:
    """A socket whose calls raise."""

    def __init__(self, error: Exception, timeout: float | None = None) -> None:
        self._error = error
        self._timeout = timeout

    def recv(self, _size: int) -> bytes:
        raise self._error

    def send(self, _data: Any) -> int:
        raise self._error

    def gettimeout(self) -> float | None:
        return self._timeout


# -- for both libraries -------------------------------------------------------------------------


def test_what_there_is_is_received(library: Any, pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"hello")
    assert library.recv(ours, 3) == b"hel"
    assert library.recv(ours, 3) == b"lo"


def test_a_line_is_received_and_nothing_behind_it(library: Any, pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"one\r\ntwo\n\nrest")
    assert [library.recv_line(ours) for _ in range(3)] == [b"one\r\n", b"two\n", b"\n"]
    assert ours.recv(100) == b"rest"


@pytest.mark.parametrize("data", ["Grüße", "Grüße".encode(), bytearray("Grüße".encode())])
def test_text_is_sent_as_utf_8(library: Any, pair: Pair, data: Any) -> None:
    ours, theirs = pair
    assert library.send(ours, data) == 7
    assert theirs.recv(100) == "Grüße".encode()


def test_as_much_is_sent_as_goes(library: Any, pair: Pair) -> None:
    ours, _ = pair
    ours.setblocking(False)
    assert 0 < library.send(ours, bytes(10**8)) < 10**8


def test_the_end_is_an_exception(library: Any, pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(library.WebSocketConnectionClosedException) as caught:
        library.recv(ours, 1)
    assert str(caught.value) == "Connection to remote host was lost."


def test_a_time_out_is_an_exception(library: Any, pair: Pair) -> None:
    ours, _ = pair
    ours.settimeout(0.01)
    with pytest.raises(library.WebSocketTimeoutException) as caught:
        library.recv(ours, 1)
    assert str(caught.value) == "Connection timed out"


@pytest.mark.parametrize("call", ["recv", "recv_line", "send"])
def test_no_socket_is_a_closed_one(library: Any, call: str) -> None:
    arguments = [] if call == "recv_line" else [1 if call == "recv" else b"x"]
    with pytest.raises(library.WebSocketConnectionClosedException) as caught:
        getattr(library, call)(None, *arguments)
    assert str(caught.value) == "socket is already closed."


def test_the_end_of_tls_is_a_closed_socket(library: Any) -> None:
    with pytest.raises(library.WebSocketConnectionClosedException) as caught:
        library.send(Raising(ssl.SSLEOFError(8, "EOF")), b"x")
    assert str(caught.value) == "socket is already closed."


@pytest.mark.parametrize("call", ["recv", "send"])
def test_a_time_out_of_tls_is_a_time_out(library: Any, call: str) -> None:
    sock = Raising(ssl.SSLError("The read operation timed out"), 5)
    with pytest.raises(library.WebSocketTimeoutException, match="The read operation timed out"):
        getattr(library, call)(sock, 1 if call == "recv" else b"x")


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "reset"),
        BrokenPipeError(errno.EPIPE, "broken"),
        ssl.SSLError(1, "[SSL] bad record"),
    ],
)
def test_a_broken_connection_is_what_it_was(library: Any, call: str, error: OSError) -> None:
    with pytest.raises(type(error)) as caught:
        getattr(library, call)(Raising(error, 5), 1 if call == "recv" else b"x")
    assert caught.value.errno == error.errno


def test_a_time_out_of_the_kernel_is_a_time_out(library: Any) -> None:
    error = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
    with pytest.raises(library.WebSocketTimeoutException, match=r"^Connection timed out$"):
        library.recv(Raising(error, 5), 1)


# -- ours alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_full_socket_is_a_time_out(sockets: Sockets, timeout: float) -> None:
    ours, _ = sockets.stuffed()
    ours.settimeout(timeout)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        send(ours, b"x")


def test_a_time_out_of_zero_is_one_at_once(pair: Pair) -> None:
    ours, _ = pair
    ours.setblocking(False)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        recv(ours, 1)


def test_a_socket_that_somebody_has_closed(pair: Pair) -> None:
    ours, _ = pair
    ours.close()
    with pytest.raises(WebSocketConnectionClosedException, match=r"^socket is already closed\.$"):
        recv(ours, 1)
    with pytest.raises(WebSocketConnectionClosedException, match=r"^socket is already closed\.$"):
        send(ours, b"x")


def test_a_line_without_an_end_has_a_limit(pair: Pair) -> None:
    ours, theirs = pair
    sending = Background(theirs.sendall, b"x" * 65537)
    with pytest.raises(WebSocketException, match="longer than 65536 bytes"):
        recv_line(ours)
    sending.result()


def test_whoever_waits_is_woken(pair: Pair) -> None:
    ours, theirs = pair
    waiting = Background(recv, ours, 1)
    shut_down(ours)
    with pytest.raises(WebSocketConnectionClosedException):
        waiting.result()
    shut_down(ours)
    theirs.close()
    shut_down(ours)
    shut_down(object())


class Busy:
    """A socket whose first calls would have blocked, in one way or the other."""

    def __init__(self, sock: socket.socket, *errors: OSError) -> None:
        self._sock = sock
        self._errors = list(errors)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._sock, name)
        return partial(self._try, call) if name in ("recv", "send") else call

    def _try(self, call: Callable[[Any], Any], argument: Any) -> Any:
        if self._errors:
            raise self._errors.pop()
        return call(argument)


class Again(OSError):
    """What a socket that is not the system's may raise."""


@pytest.mark.parametrize("until", [None, inf])
@pytest.mark.parametrize(
    "error",
    [
        BlockingIOError(errno.EAGAIN, "again"),
        Again(errno.EWOULDBLOCK, "again"),
        ssl.SSLWantReadError(2, "want read"),
        ssl.SSLWantWriteError(3, "want write"),
    ],
)
def test_a_call_that_would_have_blocked_is_repeated(
    pair: Pair, error: OSError, until: float | None
) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    assert send(Busy(ours, error), b"y", until) == 1
    assert recv(Busy(ours, error, error), 1, until) == b"x"


def test_a_point_in_time_limits_a_call_in_place_of_the_time_out(pair: Pair) -> None:
    ours, theirs = pair  # their time-out is ten seconds
    past = time.monotonic() - 1
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        recv(ours, 1, past)
    theirs.send(b"x")
    assert recv(ours, 1, past) == b"x"
    assert send(ours, b"y", past) == 1


def test_who_would_have_blocked_waits_for_what_the_call_wants(pair: Pair) -> None:
    ours, theirs = pair
    ours.settimeout(0.01)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        recv(Busy(ours, BlockingIOError(errno.EAGAIN, "again")), 1)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        send(Busy(ours, ssl.SSLWantReadError(2, "want read")), b"y")
    theirs.send(b"x")
    assert send(Busy(ours, ssl.SSLWantReadError(2, "want read")), b"y") == 1


def test_who_wants_to_write_before_he_reads_does_not_wait_for_bytes(pair: Pair) -> None:
    class Renegotiating(Busy):
        def recv(self, _size: int) -> bytes:
            if self._errors:
                raise self._errors.pop()
            return b"x"

    ours, _ = pair
    ours.settimeout(0.01)
    assert recv(Renegotiating(ours, ssl.SSLWantWriteError(3, "want write")), 1) == b"x"


# -- TLS ----------------------------------------------------------------------------------------


@pytest.fixture
def tls_pair(pair: Pair, authority: Authority) -> Iterator[tuple[TLSDuplex, ssl.SSLSocket]]:
    """The client's end as a TLSDuplex with a time-out, and the server's, which blocks."""
    ours, theirs = pair
    server = Background(authority.server_context.wrap_socket, theirs, True)
    client = authority.client_context().wrap_socket(ours, server_hostname="localhost")
    with client, server.result() as accepted:
        accepted.settimeout(10)
        yield TLSDuplex(client, 10.0), accepted


TLSPair = tuple[TLSDuplex, ssl.SSLSocket]


def test_tls_is_read_and_written(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    assert send(duplex, b"ping") == 4
    assert server.recv(10) == b"ping"
    server.send(b"pong")
    assert (recv(duplex, 2), recv(duplex, 10)) == (b"po", b"ng")


def test_tls_is_not_blocking_and_has_a_time_out_all_the_same(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    assert duplex.gettimeout() == 10
    duplex.settimeout(0.01)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        recv(duplex, 1)
    assert duplex.sock.gettimeout() == 0
    duplex.settimeout(0)
    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        recv(duplex, 1)
    duplex.settimeout(None)
    waiting = Background(recv, duplex, 1)
    server.send(b"x")
    assert waiting.result() == b"x"


def test_tls_that_never_blocks_has_a_time_out_all_the_same(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    duplex.sock.setblocking(False)
    another = TLSDuplex(duplex.sock, 0.01)
    assert (another.gettimeout(), another.sock.gettimeout()) == (0.01, 0)
    with pytest.raises(WebSocketTimeoutException):
        recv(another, 1)
    server.send(b"pong")
    another.settimeout(10)
    assert recv(another, 10) == b"pong"


def test_a_tls_socket_blocks_until_it_is_used(tls_pair: TLSPair) -> None:
    """For a program that attaches it and does the opening handshake itself."""
    duplex, server = tls_pair
    assert duplex.sock.gettimeout() == duplex.gettimeout() == 10
    duplex.settimeout(9)
    assert duplex.sock.gettimeout() == 9
    waiting = Background(duplex.sock.recv, 1)
    server.send(b"xy")
    assert waiting.result() == b"x"
    assert recv(duplex, 1) == b"y"
    assert (duplex.sock.gettimeout(), duplex.gettimeout()) == (0, 9)


def test_a_time_out_set_at_the_socket_itself_counts(tls_pair: TLSPair) -> None:
    duplex, _ = tls_pair
    duplex.sock.settimeout(0.01)
    with pytest.raises(WebSocketTimeoutException):
        recv(duplex, 1)
    assert duplex.gettimeout() == 0.01
    assert duplex.sock.gettimeout() == 0


def test_a_full_tls_connection_is_a_time_out(tls_pair: TLSPair) -> None:
    duplex, _ = tls_pair
    duplex.settimeout(0)
    data = bytes(16384)

    def send_for_ever() -> None:
        while True:
            send(duplex, data)

    with pytest.raises(WebSocketTimeoutException, match=r"^Connection timed out$"):
        send_for_ever()


def test_one_thread_reads_tls_while_another_one_writes(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    total = 4 * 1024 * 1024

    def write() -> None:
        rest = memoryview(bytes(total))
        while rest:
            rest = rest[send(duplex, rest[:10_000]) :]

    def echo() -> None:
        count = 0
        while count < total:
            data = server.recv(65536)
            server.sendall(data)
            count += len(data)

    echoing, writing = Background(echo), Background(write)
    count = 0
    while count < total:
        count += len(recv(duplex, 65536))
    writing.result()
    echoing.result()


def test_who_waits_for_tls_does_not_keep_others_from_writing(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    waiting = Background(recv, duplex, 1)
    for _ in range(3):
        assert send(duplex, b"x") == 1
        assert server.recv(1) == b"x"
    assert waiting.running
    server.send(b"y")
    assert waiting.result() == b"y"


def test_who_waits_for_tls_is_woken(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    waiting = Background(recv, duplex, 1)
    send(duplex, b"x")
    assert server.recv(1) == b"x"
    shut_down(duplex.sock)
    with pytest.raises(WebSocketConnectionClosedException):
        waiting.result()
    # Without its TLS layer the socket would have given away the peer's bytes as they are.
    assert duplex.sock.cipher() is not None


def test_tls_says_goodbye_and_never_waits_for_the_answer(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    duplex.settimeout(None)
    duplex.say_goodbye()
    assert server.recv(1) == b""
    server.unwrap()
    duplex.say_goodbye()
    duplex.sock.close()
    duplex.say_goodbye()


def test_the_end_without_a_goodbye_is_an_end(tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    socket.socket.shutdown(server, socket.SHUT_RDWR)
    with pytest.raises(WebSocketConnectionClosedException, match="lost"):
        recv(duplex, 1)


def test_bytes_that_are_no_tls(sockets: Sockets, tls_pair: TLSPair) -> None:
    duplex, server = tls_pair
    fd = server.fileno()
    with socket.socket(fileno=socket.dup(fd)) as raw:
        raw.send(b"this is no record of TLS at all")
        with pytest.raises(ssl.SSLError, match=r"WRONG_VERSION|RECORD_LAYER"):
            recv(duplex, 1)


# -- with a point in time -----------------------------------------------------------------------


class Reluctant:
    """Looks like TLS over a socket: wants to write first, and then the same bytes again."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.writes: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.writes.append(data)
        if len(self.writes) == 1:
            raise ssl.SSLWantWriteError
        return len(data)

    def fileno(self) -> int:
        return self._sock.fileno()


def test_a_limited_write_to_tls_is_not_cut(pair: Pair) -> None:
    tls = Reluctant(pair[0])
    data = bytes(4 * LIMITED_WRITE)
    assert send(tls, data, time.monotonic() + 10) == len(data)
    assert tls.writes == [data, data]


def test_a_limited_write_to_a_connection_of_tls_is_not_cut(tls_pair: TLSPair) -> None:
    data = bytes(4 * LIMITED_WRITE)
    assert send(tls_pair[0], data, time.monotonic() + 10) == len(data)


def test_a_limited_write_to_a_socket_is_cut_to_what_goes_at_once(pair: Pair) -> None:
    assert send(pair[0], bytes(4 * LIMITED_WRITE), time.monotonic() + 10) == LIMITED_WRITE
    assert len(pair[1].recv(4 * LIMITED_WRITE)) == LIMITED_WRITE
