"""TLS within TLS, over loopback and with both far ends in the test's hands.

test_stream_tls.py has streams over it, tests/test_https_proxies.py connections through proxies.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from itertools import repeat

import pytest

from reactor.classic.blocking.socket_io import TLSDuplex, shut_down
from reactor.transports.tls.nested import NestedTLS

from ...support.certificates import Authority
from ...support.tls_peer import TLSPeer, Tunnel, nested_pair, tls_pair

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def ends(authority: Authority) -> Iterator[tuple[NestedTLS, TLSPeer]]:
    sock, peer = nested_pair(authority)
    with sock:
        yield sock, peer
    peer.close()


Ends = tuple[NestedTLS, TLSPeer]


def received(sock: NestedTLS) -> bytes:
    """Read what there is."""
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except ssl.SSLWantReadError:
        pass
    return data


def test_bytes_go_both_ways(ends: Ends) -> None:
    sock, peer = ends
    assert sock.send(b"to the peer") == 11
    assert peer.look() == b"to the peer"
    peer.send(b"to us")
    assert received(sock) == b"to us"


def test_without_bytes_a_read_would_block(ends: Ends) -> None:
    received(ends[0])  # the tickets of TLS 1.3
    with pytest.raises(ssl.SSLWantReadError):
        ends[0].recv(100)
    assert ends[0].pending() == 0


def test_what_no_poller_sees_is_pending(ends: Ends) -> None:
    sock, peer = ends
    received(sock)
    peer.send_raw(peer.encrypt(b"first") + peer.encrypt(b"second"))  # one record around both
    assert sock.recv(3) == b"fir"
    assert sock.pending()  # decrypted
    assert sock.recv(100) == b"st"
    assert select.select([sock], [], [], 0)[0] == []
    assert sock.pending()  # between the two halves
    assert sock.recv(100) == b"second"
    assert not sock.pending()


def test_a_part_of_a_record_is_not_pending(ends: Ends) -> None:
    """Otherwise a stream would come back for it again and again."""
    sock, peer = ends
    received(sock)
    record = peer.encrypt(b"hello")
    peer.send_raw(record[:-1])
    with pytest.raises(ssl.SSLWantReadError):
        sock.recv(100)
    assert not sock.pending()
    peer.send_raw(record[-1:])
    assert sock.recv(100) == b"hello"


def test_a_write_that_the_kernel_does_not_take_is_repeated_and_sent_once(ends: Ends) -> None:
    sock, peer = ends
    data = memoryview(bytes(range(256)) * (1 << 14))  # 4 MiB
    sent = blocked = 0
    while sent < len(data):
        try:
            sent += sock.send(data[sent:])
        except ssl.SSLWantWriteError:
            blocked += 1
            peer.look()
    peer.look()
    assert blocked
    assert peer.received == data


def test_reading_goes_on_while_a_write_is_blocked(ends: Ends) -> None:
    sock, peer = ends
    for data in repeat(bytes(65536)):
        try:
            sock.send(data)
        except ssl.SSLWantWriteError:
            break
    peer.send(b"hello")
    assert received(sock) == b"hello"


def test_nothing_is_sent_for_no_bytes(ends: Ends) -> None:
    assert ends[0].send(b"") == 0


def test_a_large_write_is_done_in_parts(ends: Ends) -> None:
    assert 0 < ends[0].send(bytes(1 << 20)) < 1 << 20


def test_flags_are_refused(ends: Ends) -> None:
    with pytest.raises(ValueError, match="non-zero flags"):
        ends[0].recv(1, socket.MSG_PEEK)


# --- the end ------------------------------------------------------------------------------------


def test_close_notify_is_the_end(ends: Ends) -> None:
    sock, peer = ends
    peer.send(b"last")
    peer.end()
    assert sock.recv(100) == b"last"
    assert sock.recv(100) == b""
    assert sock.recv(100) == b""


@pytest.mark.parametrize("suppress", [True, False])
def test_an_end_without_close_notify(authority: Authority, suppress: bool) -> None:
    sock, peer = nested_pair(authority, suppress_ragged_eofs=suppress)
    peer.close()
    with sock:
        if suppress:
            assert received(sock) == b""
        else:
            with pytest.raises(ssl.SSLEOFError):
                received(sock)


def test_saying_goodbye(ends: Ends) -> None:
    sock, peer = ends
    with pytest.raises(ssl.SSLWantReadError):
        sock.unwrap()
    peer.look()
    assert peer.ended == "close_notify"
    peer.end()
    assert sock.unwrap() is sock.outer


def test_a_certificate_that_does_not_verify_is_told_to_the_server(authority: Authority) -> None:
    outer, far = tls_pair(authority)
    sock = NestedTLS(outer, ssl.create_default_context(), "localhost")
    peer = TLSPeer(Tunnel(far), authority.server_context)
    with sock:
        with pytest.raises(ssl.SSLCertVerificationError):
            peer.shake_hands(sock)
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            peer.look()
    peer.close()


# --- what can be looked at ----------------------------------------------------------------------


def test_it_is_the_socket_of_the_proxy_and_the_tls_of_the_server(ends: Ends) -> None:
    sock, _ = ends
    outer = sock.outer
    assert sock.fileno() == outer.fileno()
    assert sock.getpeername() == outer.getpeername()
    assert sock.getsockname() == outer.getsockname()
    assert (sock.family, sock.type, sock.proto) == (outer.family, outer.type, outer.proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert outer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ("DNS", "localhost") in sock.getpeercert()["subjectAltName"]
    assert sock.getpeercert(True) == ssl.PEM_cert_to_DER_cert(
        ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))
    )
    assert sock.version() in ("TLSv1.2", "TLSv1.3")
    assert sock.cipher() is not None
    assert sock.compression() is None
    assert sock.selected_alpn_protocol() is None
    assert sock.server_hostname == "localhost"
    assert sock.context is not outer.context
    assert (sock.session_reused, sock.server_side) == (False, False)
    assert sock.session is not None
    assert sock.get_channel_binding() != outer.get_channel_binding()


def test_its_timeout_is_that_of_the_socket(ends: Ends) -> None:
    sock, _ = ends
    assert (sock.gettimeout(), sock.getblocking()) == (0.0, False)
    sock.settimeout(0.01)
    assert sock.outer.gettimeout() == 0.01
    with pytest.raises(TimeoutError):
        sock.recv(100)
    sock.setblocking(False)
    assert sock.outer.gettimeout() == 0


# --- for callers that wait ----------------------------------------------------------------------


def test_a_blocking_read_waits_for_a_whole_record(ends: Ends) -> None:
    sock, peer = ends
    sock.settimeout(20)
    record = peer.encrypt(b"hello")
    peer.send_raw(record[:5])
    rest = threading.Timer(0, lambda: peer.send_raw(record[5:]))
    rest.start()
    assert sock.recv(100) == b"hello"
    rest.join()


def test_sending_all(ends: Ends) -> None:
    sock, peer = ends
    sock.sendall(b"x" * 100_000)
    peer.look()
    assert peer.received == b"x" * 100_000


def test_whoever_waits_wakes_up_when_another_thread_shuts_it_down(ends: Ends) -> None:
    sock, _ = ends
    received(sock)
    duplex = TLSDuplex(sock, 20.0)
    woken = threading.Event()

    def wait() -> None:
        select.select([sock], [], [], 20)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    shut_down(sock)
    thread.join()
    assert woken.is_set()
    assert duplex.recv(100) == b""
