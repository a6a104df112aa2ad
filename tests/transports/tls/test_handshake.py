from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from reactor.exceptions import (
    WebSocketCertificateException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from reactor.loop.poller import wait_for
from reactor.loop.steps import Turn, Wait
from reactor.loop.tasks import run_blocking
from reactor.transports.tls.contexts import make_context, make_server_context
from reactor.transports.tls.handshake import (
    accept_tls,
    connect_tls,
    describe_tls,
    speaks_no_tls,
    speaks_tls,
    start_tls,
)
from reactor.transports.tls.nested import NestedTLS

from ...support.certificates import Authority
from ...support.sockets import reset as reset_now
from ...support.threads import Background
from ...support.tls_peer import TLSPeer, Tunnel, tls_pair
from ...support.tls_servers import HOST, Files, Server, greeter, hello, shake

UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("new_contexts")


def test_a_good_certificate(files: Files, server: Server) -> None:
    with shake(server, make_context({"ca_certs": files.ca})) as sock:
        assert sock.getblocking() is False
        assert sock.server_hostname == HOST
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
        assert hello(sock) == b"hello"


def test_an_unknown_authority(server: Server) -> None:
    with pytest.raises(WebSocketCertificateException) as caught:
        shake(server, make_context())
    assert str(caught.value).startswith(f"the certificate of {HOST} cannot be verified: ")
    assert caught.value.verify_message in str(caught.value)
    assert caught.value.verify_code
    assert caught.value.reason == "CERTIFICATE_VERIFY_FAILED"
    assert isinstance(caught.value, ssl.SSLCertVerificationError)


def test_a_wrong_host(files: Files, server: Server) -> None:
    with pytest.raises(WebSocketCertificateException, match=r"(?i)of other\.example .*mismatch"):
        shake(server, make_context({"ca_certs": files.ca}), "other.example")


def test_an_expired_certificate(files: Files) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=UTC)
    cert, key = files.issue("expired", HOST, not_before=past, not_after=past.replace(month=2))
    with (
        Server(greeter(make_server_context(cert, key))) as server,
        pytest.raises(WebSocketCertificateException, match="expired"),
    ):
        shake(server, make_context({"ca_certs": files.ca}))


def test_an_address_as_host(files: Files) -> None:
    cert, key = files.issue("address", "127.0.0.1")
    with Server(greeter(make_server_context(cert, key))) as server:
        shake(server, make_context({"ca_certs": files.ca}), "127.0.0.1").close()


def test_a_certificate_that_is_not_looked_at(server: Server) -> None:
    with shake(server, make_context({"cert_reqs": ssl.CERT_NONE}), "other.example") as sock:
        assert hello(sock) == b"hello"


def test_without_a_name(server: Server) -> None:
    with shake(server, make_context({"cert_reqs": ssl.CERT_NONE}), None) as sock:
        assert sock.server_hostname is None


def test_a_name_that_is_not_checked(files: Files, server: Server) -> None:
    context = make_context({"ca_certs": files.ca, "check_hostname": False})
    shake(server, context, "other.example").close()


def test_the_certificate_of_the_client(files: Files) -> None:
    context = make_server_context(files.cert, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    sslopt = {"ca_certs": files.ca, "certfile": files.cert, "keyfile": files.key}
    with Server(greeter(context)) as server:
        with shake(server, make_context(sslopt)) as sock:
            assert hello(sock) == b"hello"
        with shake(server, make_context({"ca_certs": files.ca})) as sock, pytest.raises(OSError):
            hello(sock)  # TLS 1.3: the refusal comes after the handshake


@pytest.mark.parametrize("name", ["", ".example.org", "x" * 64 + ".org", "a..b"])
def test_a_name_that_cannot_be_sent_closes_the_socket(server: Server, name: str) -> None:
    sock = server.connect()
    descriptor = sock.fileno()
    with pytest.raises(WebSocketTLSException, match="the TLS handshake with"):
        run_blocking(start_tls(sock, make_context(), name, None))
    assert sock.fileno() == -1
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_server_hostname_that_is_no_name_is_an_error_of_the_options() -> None:
    with pytest.raises(ValueError) as caught:
        make_context({"server_hostname": "a\u200db"})
    assert str(caught.value).startswith("sslopt['server_hostname'] is invalid: 'a\\u200db': Joiner")
    with pytest.raises(TypeError, match="must be a str, not bytes"):
        make_context({"server_hostname": b"a.example"})


def close_at_once(sock: socket.socket) -> None:
    sock.recv(10000)  # all of the client's first flight: otherwise closing is a reset


def reset(sock: socket.socket) -> None:
    sock.recv(1)
    reset_now(sock)


@pytest.mark.parametrize("serve", [close_at_once, reset])
def test_a_peer_that_leaves_in_the_handshake(serve: Callable[[socket.socket], object]) -> None:
    with Server(serve) as server, pytest.raises(WebSocketTLSException) as caught:
        shake(server, make_context())
    assert f"connection was lost in the TLS handshake with {HOST}: " in str(caught.value)
    assert not isinstance(caught.value, WebSocketCertificateException)


def test_a_peer_that_had_left_before(server: Server) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(WebSocketTLSException, match=f"in the TLS handshake with {HOST}"):
        run_blocking(start_tls(ours, make_context(), HOST, None))


class Optimist(socket.socket):
    """Believes that it is connected."""

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 443


# Up to Python 3.12, ssl leaves closing to the destructor of its socket, which then warns.
LATE = pytest.param(Optimist, marks=pytest.mark.filterwarnings("ignore::ResourceWarning"))


@pytest.mark.parametrize("kind", [socket.socket, LATE])
def test_a_peer_that_resets_just_before_the_handshake(kind: type[socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = kind()
        sock.connect(server.getsockname())
        reset_now(server.accept()[0])
    wait_for((sock.fileno(),), (), 30)
    descriptor = sock.fileno()
    with pytest.raises(WebSocketTLSException) as caught:
        run_blocking(start_tls(sock, make_context(), HOST, None))
    with pytest.raises(OSError):
        os.fstat(descriptor)
    assert HOST in str(caught.value)  # and the exception is alive until here


def test_a_socket_that_is_not_connected_is_closed() -> None:
    sock = socket.socket()
    descriptor = sock.fileno()
    with pytest.raises(WebSocketTLSException, match=HOST):
        run_blocking(start_tls(sock, make_context(), HOST, None))
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_server_that_speaks_no_tls() -> None:
    def serve(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        sock.recv(10000)

    with Server(serve) as server, pytest.raises(WebSocketTLSException) as caught:
        shake(server, make_context())
    assert f"the TLS handshake with {HOST} failed: " in str(caught.value)
    assert "does the server speak TLS on this port?" in str(caught.value)


def test_no_version_in_common(files: Files) -> None:
    old = make_server_context(files.cert, files.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    context = ssl.create_default_context(cafile=files.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with Server(greeter(old)) as server, pytest.raises(WebSocketTLSException) as caught:
        shake(server, context)
    assert "protocol version" in str(caught.value)
    assert "_ssl.c" not in str(caught.value)


def test_a_silent_server_is_a_timeout(files: Files) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        coroutine = start_tls(ours, make_context(), HOST, 7.5)
        request = coroutine.send(None)
        assert isinstance(request, Wait)
        assert (len(request.reads), request.writes, request.until) == (1, (), 7.5)
        with pytest.raises(WebSocketTimeoutException) as caught:
            coroutine.send(set())
        assert str(caught.value) == f"timed out in the TLS handshake with {HOST}"
        with pytest.raises(OSError):
            os.fstat(request.reads[0])


def test_no_time_to_compute_is_a_timeout(files: Files) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        coroutine = connect_tls(ours, None, HOST, 443, 7.5)
        assert coroutine.send(None) == Turn(7.5)
        with pytest.raises(WebSocketTimeoutException, match="timed out in the TLS handshake"):
            coroutine.send(set())


def test_each_step_of_the_handshake_waits_for_time_to_compute() -> None:
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(connect_tls(ours, None, HOST, 443, 7.5)) as coroutine:
        assert coroutine.send(None) == Turn(7.5)
        request = coroutine.send(True)
        assert isinstance(request, Wait)
        assert coroutine.send(set(request.reads)) == Turn(7.5)


@pytest.mark.parametrize("resumed", [False, True])
def test_what_counts_is_the_context_of_the_moment_when_there_is_time(
    files: Files, resumed: bool
) -> None:
    """Somebody may change it before: it, and what was resumed with it, verify in another way."""
    context = ssl.create_default_context(cafile=files.ca)
    sslopt = {"context": context}
    with Server(greeter(make_server_context(files.cert, files.key))) as server:
        tls, resumption = run_blocking(connect_tls(server.connect(), sslopt, HOST, 443, None))
        assert isinstance(tls, ssl.SSLSocket)
        with tls:
            hello(tls)
            resumption.finish(tls)
        sock = server.connect()
        coroutine = connect_tls(sock, sslopt, HOST, 443, None)
        assert coroutine.send(None) == Turn(None)
        if not resumed:
            context.options |= ssl.OP_NO_TICKET
        value: object = True
        try:
            while True:
                request = coroutine.send(value)
                value = isinstance(request, Turn) or wait_for(request.reads, request.writes, 30)
        except StopIteration as stop:
            tls, _ = stop.value
        with tls:
            assert tls.session_reused is resumed


def test_cancelling_closes_the_socket() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        coroutine = start_tls(ours, make_context(), HOST, None)
        (descriptor,) = coroutine.send(None).reads
        coroutine.close()
        with pytest.raises(OSError):
            os.fstat(descriptor)
        theirs.settimeout(30)
        theirs.recv(10000)
        assert theirs.recv(1) == b""


def test_a_full_send_buffer_is_waited_for(files: Files) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        stuffing = 0
        while True:
            try:
                stuffing += ours.send(b"x" * 1024)
            except BlockingIOError:
                break
        coroutine = start_tls(ours, make_context(), HOST, None)
        request = coroutine.send(None)
        assert (request.reads, len(request.writes)) == ((), 1)
        while stuffing:
            stuffing -= len(theirs.recv(stuffing))
        assert coroutine.send(set(request.writes)) == Turn(None)
        request = coroutine.send(True)
        assert (len(request.reads), request.writes) == (1, ())
        coroutine.close()


@pytest.mark.parametrize("suppress", [True, False])
def test_an_end_without_close_notify(files: Files, suppress: bool) -> None:
    context = make_server_context(files.cert, files.key)

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True):
            pass  # closes the socket, says no close_notify

    with Server(serve) as server:
        coroutine = start_tls(
            server.connect(),
            make_context({"ca_certs": files.ca}),
            HOST,
            None,
            suppress_ragged_eofs=suppress,
        )
        with run_blocking(coroutine) as sock:
            if suppress:
                assert hello(sock) == b""
            else:
                with pytest.raises(ssl.SSLEOFError):
                    hello(sock)


# --- what a socket is, and what a failure says ----------------------------------------------------


def test_sockets_that_speak_tls_are_known_by_what_they_have(files: Files, server: Server) -> None:
    with socket.socket() as plain, shake(server, make_context({"ca_certs": files.ca})) as tls:
        assert not speaks_tls(plain)
        assert speaks_tls(tls)
        assert describe_tls(tls) == "TLSv1.3"
    of_another_library = SimpleNamespace(get_peer_certificate=None)
    assert speaks_tls(of_another_library)
    assert describe_tls(of_another_library) == "TLS"
    resumed = SimpleNamespace(version=lambda: "TLSv1.2", session_reused=True)
    assert describe_tls(resumed) == "TLSv1.2 resumed"


def failure_of(server: Server, **sslopt: object) -> WebSocketTLSException:
    with pytest.raises(WebSocketTLSException) as caught:
        shake(server, make_context(sslopt))
    return caught.value


def test_a_failure_may_mean_that_the_peer_speaks_no_tls(server: Server) -> None:
    def plain(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        sock.recv(10000)

    assert not speaks_no_tls(failure_of(server))  # its certificate is not trusted
    with Server(plain) as another:
        assert speaks_no_tls(failure_of(another))
    with Server(close_at_once) as another:
        assert speaks_no_tls(failure_of(another))


# --- the server's side, TLS within TLS, and what is resumed ---------------------------------------


def test_a_server_does_its_side(files: Files) -> None:
    ours, theirs = socket.socketpair()
    client = Background(
        make_context({"ca_certs": files.ca}).wrap_socket, theirs, False, True, True, HOST
    )
    context = make_server_context(files.cert, files.key)
    with run_blocking(accept_tls(ours, context, None)) as sock, client.result() as other:
        assert (sock.server_side, sock.getblocking()) == (True, False)
        sock.send(b"hello")
        assert hello(other) == b"hello"


def test_a_client_that_speaks_no_tls(files: Files) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(WebSocketTLSException, match="with the client failed"):
            run_blocking(accept_tls(ours, make_server_context(files.cert, files.key), None))
    assert ours.fileno() == -1


def test_a_server_without_time_to_compute_is_a_timeout(files: Files) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        coroutine = accept_tls(ours, make_server_context(files.cert, files.key), 7.5)
        assert coroutine.send(None) == Turn(7.5)
        with pytest.raises(WebSocketTimeoutException, match="handshake with the client"):
            coroutine.send(set())


class Offered:
    """A session that was taken from OpenSSL directly, as it is offered.

    Attributes:
        to: the sockets that it was offered for.
    """

    def __init__(self, fault: Exception | None = None) -> None:
        self.to: list[object] = []
        self._fault = fault

    def offer(self, tls: object) -> None:
        self.to.append(tls)
        if self._fault is not None:
            raise self._fault


def test_tls_within_tls(authority: Authority) -> None:
    outer, far = tls_pair(authority)
    inner = TLSPeer(Tunnel(far), authority.server_context)
    session = Offered()
    coroutine = start_tls(outer, authority.client_context(), "localhost", None, session)
    value: object = None
    try:
        while True:
            request = coroutine.send(value)
            value = True if isinstance(request, Turn) else set(request.reads)
            inner.step()
    except StopIteration as stop:
        sock = stop.value
    assert isinstance(sock, NestedTLS)
    assert session.to == [sock]
    inner.step()
    sock.send(b"through both")
    assert inner.look() == b"through both"
    sock.close()
    inner.close()


def test_a_session_is_offered_before_the_handshake(files: Files, server: Server) -> None:
    session = Offered()
    with shake(server, make_context({"ca_certs": files.ca}), session=session) as sock:
        assert session.to == [sock]


def test_a_session_that_cannot_be_offered_closes_the_socket(server: Server) -> None:
    plain = server.connect()
    descriptor = plain.fileno()
    session = Offered(ValueError("of another context"))
    with pytest.raises(WebSocketTLSException, match="of another context"):
        run_blocking(start_tls(plain, make_context(), HOST, None, session))
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_socket_that_has_lost_its_setting_never_blocks(files: Files, server: Server) -> None:
    """As that of eventlet does when it is wrapped."""

    class Forgetful(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
            wrapped = super().wrap_socket(*args, **options)
            wrapped.setblocking(True)
            return wrapped

    context = Forgetful(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    with shake(server, context) as sock:
        assert not sock.getblocking()
