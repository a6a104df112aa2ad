from __future__ import annotations

import datetime
import os
import socket
import ssl
from collections.abc import Iterator

import pytest

from reactor.exceptions import (
    WebSocketTLSException,
)
from reactor.tasks import run_blocking
from reactor.transports.tls import start_tls
from reactor.transports.tls_contexts import make_context, make_server_context
from reactor.transports.tls_sessions import SessionCache

from ..support.tls_servers import HOST, Files, Server, greeter, hello, shake

UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("new_contexts")


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def resuming(request: pytest.FixtureRequest, files: Files) -> Iterator[Server]:
    context = make_server_context(files.cert, files.key)
    context.minimum_version = context.maximum_version = request.param
    with Server(greeter(context)) as server:
        yield server


def test_a_session_is_resumed(files: Files, resuming: Server) -> None:
    cache, context, port = SessionCache(), make_context({"ca_certs": files.ca}), 443
    assert cache.get(context, HOST, port) is None
    with shake(resuming, context) as sock:
        assert sock.session_reused is False
        assert hello(sock) == b"hello"
        assert cache.put(sock, port) is True
    with shake(resuming, context, session=cache.get(context, HOST, port)) as sock:
        assert sock.session_reused is True
        assert hello(sock) == b"hello"
        assert cache.put(sock, port) is True
    with shake(resuming, context, session=cache.get(context, HOST, port)) as sock:
        assert sock.session_reused is True


def test_a_session_without_ticket_is_resumed_by_its_id(files: Files) -> None:
    server_context = make_server_context(files.cert, files.key)
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    server_context.options |= ssl.OP_NO_TICKET

    def serve(sock: socket.socket) -> None:
        with server_context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.sendall(b"hello")
            wrapped.recv(1)
            wrapped.unwrap()  # OpenSSL forgets the session of a connection that just breaks off

    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    with Server(serve) as server:
        with shake(server, context) as sock:
            hello(sock)
            assert cache.put(sock, 443) is True
            sock.unwrap().close()
        with shake(server, context, session=cache.get(context, HOST, 443)) as sock:
            assert sock.session_reused is True


def test_before_its_ticket_has_come_a_session_of_tls_1_3_is_not_kept(files: Files) -> None:
    context = make_server_context(files.cert, files.key)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    cache = SessionCache()
    with (
        Server(greeter(context)) as server,
        shake(server, make_context({"ca_certs": files.ca})) as sock,
    ):
        assert cache.put(sock) is False
        hello(sock)
        assert cache.put(sock) is True
    assert len(cache) == 1


def test_the_port_of_the_peer_is_the_default(files: Files, resuming: Server) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    with shake(resuming, context) as sock:
        hello(sock)
        cache.put(sock)
    assert cache.get(context, HOST, resuming.address[1]) is not None
    assert cache.get(context, HOST, resuming.address[1] + 1) is None


def test_a_session_belongs_to_its_context_and_host(files: Files, resuming: Server) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    other = make_context({"ca_certs": files.ca, "check_hostname": False})
    with shake(resuming, context) as sock:
        hello(sock)
        cache.put(sock, 443)
    twin = ssl.create_default_context(cafile=files.ca)
    assert cache.get(context, HOST, 443) is not None
    assert cache.get(twin, HOST, 443) is None
    assert cache.get(other, HOST, 443) is None
    assert cache.get(context, "other.example", 443) is None
    assert cache.get(context, None, 443) is None


def test_a_session_that_was_not_verified_is_not_used_by_who_verifies(resuming: Server) -> None:
    cache = SessionCache()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with shake(resuming, context) as sock:
        hello(sock)
        cache.put(sock, 443)
    assert cache.get(context, HOST, 443) is not None
    context.verify_mode = ssl.CERT_REQUIRED
    assert cache.get(context, HOST, 443) is None
    context.check_hostname = True
    assert cache.get(context, HOST, 443) is None


def test_a_session_of_another_context_is_refused_and_the_socket_closed(
    files: Files, resuming: Server
) -> None:
    with shake(resuming, make_context({"ca_certs": files.ca})) as sock:
        hello(sock)
        session = sock.session
    plain = resuming.connect()
    descriptor = plain.fileno()
    coroutine = start_tls(plain, make_context(), HOST, None, session)
    with pytest.raises(WebSocketTLSException, match=HOST):
        run_blocking(coroutine)
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_the_session_cache_is_bounded_and_forgets_what_was_unused_for_longest(
    files: Files, resuming: Server
) -> None:
    cache, context = SessionCache(limit=2), make_context({"ca_certs": files.ca})
    with shake(resuming, context) as sock:
        hello(sock)
        for port in (1, 2):
            cache.put(sock, port)
        cache.get(context, HOST, 1)
        cache.put(sock, 3)
    assert len(cache) == 2
    assert cache.get(context, HOST, 1) is not None
    assert cache.get(context, HOST, 2) is None
    cache.clear()
    assert len(cache) == 0
    assert cache.get(context, HOST, 1) is None


def test_a_session_that_the_server_has_forgotten_costs_a_full_handshake(files: Files) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    old, new = (greeter(make_server_context(files.cert, files.key)) for _ in range(2))
    with Server(old) as server, shake(server, context) as sock:
        hello(sock)
        cache.put(sock, 443)
    session = cache.get(context, HOST, 443)
    with Server(new) as server, shake(server, context, session=session) as sock:
        assert sock.session_reused is False
        assert hello(sock) == b"hello"
