from __future__ import annotations

import gc
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor.exceptions import WebSocketTLSException
from reactor.loop.tasks import run_blocking
from reactor.transports.tls import sessions
from reactor.transports.tls.contexts import make_context, make_server_context
from reactor.transports.tls.handshake import start_tls
from reactor.transports.tls.sessions import READS, RESUMPTIONS_PER_READ, SessionCache

from ...support.tls_servers import HOST, Files, Server, greeter, hello, shake

pytestmark = pytest.mark.usefixtures("new_contexts")

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def resuming(request: pytest.FixtureRequest, files: Files) -> Iterator[Server]:
    context = make_server_context(files.cert, files.key)
    context.minimum_version = context.maximum_version = request.param
    with Server(greeter(context)) as server:
        yield server


@contextmanager
def connection(
    cache: SessionCache, server: Server, context: ssl.SSLContext, port: int = 443
) -> Iterator[ssl.SSLSocket]:
    """A connection that has read something, and whose session is kept then if it is needed."""
    resumption = cache.begin(context, HOST, port)
    with shake(server, context, session=resumption.session) as sock:
        assert hello(sock) == b"hello"
        resumption.finish(sock)
        yield sock


def connect(
    cache: SessionCache, server: Server, context: ssl.SSLContext, port: int = 443
) -> bool | None:
    """Make a connection, and return whether it has resumed a session."""
    with connection(cache, server, context, port) as sock:
        return sock.session_reused


def has(
    cache: SessionCache, context: ssl.SSLContext, host: str | None = HOST, port: int = 443
) -> bool:
    return cache.begin(context, host, port).session is not None


# --- what is resumed ----------------------------------------------------------------------------


def test_a_session_is_resumed(files: Files, resuming: Server) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    assert [connect(cache, resuming, context) for _ in range(4)] == [False, True, True, True]


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
        with connection(cache, server, context) as sock:
            sock.unwrap().close()
        assert connect(cache, server, context) is True


def test_before_its_ticket_has_come_a_session_of_tls_1_3_is_not_kept(files: Files) -> None:
    server_context = make_server_context(files.cert, files.key)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    with Server(greeter(server_context)) as server, shake(server, context) as sock:
        cache.begin(context, HOST, 443).finish(sock)
        assert not has(cache, context)
        hello(sock)
        cache.begin(context, HOST, 443).finish(sock)
        assert has(cache, context)
    assert len(cache) == 1


def test_a_session_belongs_to_its_context_host_and_port(files: Files, resuming: Server) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    connect(cache, resuming, context)
    assert has(cache, context)
    assert not has(cache, ssl.create_default_context(cafile=files.ca))
    assert not has(cache, make_context({"ca_certs": files.ca, "check_hostname": False}))
    assert not has(cache, context, "other.example")
    assert not has(cache, context, None)
    assert not has(cache, context, port=444)


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


def test_the_cache_is_bounded_and_forgets_what_was_unused_for_longest(
    files: Files, resuming: Server
) -> None:
    cache, context = SessionCache(limit=2), make_context({"ca_certs": files.ca})
    connect(cache, resuming, context, 1)
    connect(cache, resuming, context, 2)
    connect(cache, resuming, context, 1)
    connect(cache, resuming, context, 3)
    assert has(cache, context, port=1)
    assert not has(cache, context, port=2)
    cache.clear()
    assert len(cache) == 0
    assert not has(cache, context, port=1)


def test_a_session_that_the_server_has_forgotten_is_replaced(files: Files) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    old, new = (greeter(make_server_context(files.cert, files.key)) for _ in range(2))
    with Server(old) as server:
        connect(cache, server, context)
    with Server(new) as server:
        assert [connect(cache, server, context) for _ in range(2)] == [False, True]


# --- what was verified --------------------------------------------------------------------------


def test_a_session_that_was_not_verified_is_not_used_by_who_verifies(resuming: Server) -> None:
    cache = SessionCache()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connect(cache, resuming, context)
    assert has(cache, context)
    context.verify_mode = ssl.CERT_REQUIRED
    assert not has(cache, context)
    context.check_hostname = True
    assert not has(cache, context)


def add_crl(context: ssl.SSLContext, files: Files) -> None:
    context.load_verify_locations(cafile=files.crl())


CHANGES: dict[str, Callable[[ssl.SSLContext, Files], object]] = {
    "a CRL": add_crl,
    "a CA": lambda context, files: context.load_verify_locations(files.other_ca()),
    "flags": lambda context, _: setattr(context, "verify_flags", ssl.VERIFY_CRL_CHECK_LEAF),
    "the lowest version": lambda context, _: setattr(
        context, "minimum_version", ssl.TLSVersion.TLSv1_3
    ),
    "the highest version": lambda context, _: setattr(
        context, "maximum_version", ssl.TLSVersion.TLSv1_2
    ),
    "options": lambda context, _: setattr(context, "options", context.options | ssl.OP_NO_TICKET),
    "the common name": lambda context, _: setattr(
        context, "hostname_checks_common_name", not context.hostname_checks_common_name
    ),
    "the level of ciphers": lambda context, _: context.set_ciphers("DEFAULT@SECLEVEL=0"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_session_is_not_used_by_a_context_that_verifies_in_another_way(
    files: Files, resuming: Server, change: Callable[[ssl.SSLContext, Files], object]
) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    connect(cache, resuming, context)
    assert has(cache, context)
    change(context, files)
    assert not has(cache, context)


def test_what_a_context_became_during_the_handshake_does_not_count(
    files: Files, resuming: Server
) -> None:
    """OpenSSL verifies as the context says when the connection is made."""
    cache, context = SessionCache(), ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connection(cache, resuming, context):
        context.verify_mode = ssl.CERT_REQUIRED
    assert not has(cache, context)


# --- what is read -------------------------------------------------------------------------------


@pytest.fixture
def leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions come from Python's ssl."""
    monkeypatch.setattr(sessions, "newest_session", None)


class Memory:
    """TLS connections within the process, without a socket. Reads of sessions are counted."""

    def __init__(self, files: Files, **server: Any) -> None:
        self.cache = SessionCache()
        self.client = make_context({"ca_certs": files.ca})
        self.server = make_server_context(files.cert, files.key)
        for name, value in server.items():
            setattr(self.server, name, value)
        self.reads = 0

    def connect(self, port: int = 443) -> bool:
        memory = self

        class Counting(ssl.SSLObject):
            @property
            def session(self) -> Any:
                memory.reads += 1
                return super().session

            @session.setter
            def session(self, value: Any) -> None:
                self._sslobj.session = value  # type: ignore[attr-defined]

        self.client.sslobject_class = Counting
        resumption = self.cache.begin(self.client, HOST, port)
        down, up = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = resumption.session
        if session is None or isinstance(session, ssl.SSLSession):
            near = self.client.wrap_bio(down, up, server_hostname=HOST, session=session)
        else:
            near = self.client.wrap_bio(down, up, server_hostname=HOST)
            session.offer(near)
        far = self.server.wrap_bio(up, down, server_side=True)
        for end in (near, far, near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
        far.write(b"x")
        assert near.read(1) == b"x"
        resumption.finish(near)
        return bool(near.session_reused)


@pytest.mark.usefixtures("leaking")
def test_a_session_is_read_once_for_many_resumptions(files: Files) -> None:
    memory = Memory(files)
    assert [memory.connect() for _ in range(10)] == [False] + [True] * 9
    assert memory.reads == 1


@pytest.mark.usefixtures("leaking")
@pytest.mark.parametrize(
    "server",
    [
        {"num_tickets": 0},
        {"maximum_version": ssl.TLSVersion.TLSv1_2, "options": ssl.OP_NO_TICKET},
    ],
    ids=["no tickets", "no tickets, TLS 1.2"],
)
def test_of_a_server_that_never_resumes_few_sessions_are_read(
    files: Files, server: dict[str, Any]
) -> None:
    memory = Memory(files, **server)
    for _ in range(20):
        memory.connect()
    assert memory.reads <= READS


@pytest.mark.usefixtures("leaking")
def test_of_servers_with_keys_of_their_own_behind_one_name_few_sessions_are_read(
    files: Files,
) -> None:
    memory = Memory(files)
    for _ in range(20):
        memory.server = make_server_context(files.cert, files.key)
        assert memory.connect() is False
    assert memory.reads == READS


@pytest.mark.usefixtures("leaking")
def test_a_server_that_resumes_has_its_session_renewed(files: Files) -> None:
    """Tickets expire, and servers are restarted, as often as the process lives."""
    memory = Memory(files)
    for _ in range(3 * READS):
        memory.server = make_server_context(files.cert, files.key)
        resumed = [memory.connect() for _ in range(1 + RESUMPTIONS_PER_READ)]
        assert resumed == [False] + [True] * RESUMPTIONS_PER_READ


@pytest.mark.usefixtures("leaking")
def test_of_any_number_of_servers_as_many_sessions_are_read_as_are_kept(files: Files) -> None:
    memory = Memory(files)
    memory.cache = SessionCache(limit=5)
    for port in range(20):
        memory.connect(port)
    assert memory.reads == 5


def resident() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell")
@pytest.mark.parametrize("way", ["direct", "leaking"])
def test_2000_reconnects_take_no_memory(
    request: pytest.FixtureRequest, files: Files, way: str
) -> None:
    if way == "leaking":
        request.getfixturevalue("leaking")
    memory = Memory(files, maximum_version=ssl.TLSVersion.TLSv1_2)  # the quickest to resume
    for _ in range(200):
        memory.connect()
    gc.collect()
    before = resident()
    for _ in range(2000):
        memory.connect()
    gc.collect()
    assert resident() - before < 2_000_000  # with a session each it would be 13 MB


# --- what is taken from OpenSSL directly --------------------------------------------------------

direct = pytest.mark.skipif(
    sessions.newest_session is None, reason="OpenSSL cannot be called directly"
)


@direct
def test_no_session_is_read_if_it_can_be_taken(files: Files) -> None:
    memory = Memory(files)
    assert [memory.connect() for _ in range(10)] == [False] + [True] * 9
    assert memory.reads == 0


@direct
def test_a_session_is_offered_once_if_there_is_a_newer_one(files: Files) -> None:
    memory = Memory(files)
    offered = []
    for _ in range(3):
        memory.connect()
        offered.append(memory.cache.begin(memory.client, HOST, 443).session)
    assert len(set(map(id, offered))) == 3


@direct
def test_of_servers_with_keys_of_their_own_each_session_is_replaced(files: Files) -> None:
    memory = Memory(files)
    for _ in range(20):
        memory.server = make_server_context(files.cert, files.key)
        assert [memory.connect() for _ in range(2)] == [False, True]


@direct
def test_a_connection_that_breaks_off_does_not_spoil_the_session_that_it_has_resumed(
    files: Files, resuming: Server
) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    connect(cache, resuming, context)
    session = cache.begin(context, HOST, 443).session
    for _ in range(3):
        with shake(resuming, context, session=session) as sock:
            assert hello(sock) == b"hello"
            assert sock.session_reused


@direct
@pytest.mark.parametrize(
    "server",
    [{"num_tickets": 0}, {"maximum_version": ssl.TLSVersion.TLSv1_2, "options": ssl.OP_NO_TICKET}],
)
def test_a_server_that_never_resumes_is_offered_nothing_that_spoils_the_handshake(
    files: Files, server: dict[str, Any]
) -> None:
    memory = Memory(files, **server)
    for _ in range(5):
        assert memory.connect() is False


@direct
def test_a_session_taken_directly_is_refused_by_another_context(
    files: Files, resuming: Server
) -> None:
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    connect(cache, resuming, context)
    session = cache.begin(context, HOST, 443).session
    plain = resuming.connect()
    descriptor = plain.fileno()
    with pytest.raises(WebSocketTLSException, match=HOST):
        run_blocking(start_tls(plain, make_context(), HOST, None, session))
    with pytest.raises(OSError):
        os.fstat(descriptor)


# --- the same without OpenSSL's help: which session is kept ---------------------------------------


def test_where_the_newest_session_is_known_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr(sessions, "newest_session", taken.get)
    cache, context = SessionCache(), make_context()

    def finish(tls: str, session: object) -> object:
        """A connection with this name has this session in the end; return what is offered next."""
        resumption = cache.begin(context, HOST, 443)
        taken[tls] = session
        resumption.finish(tls)
        return cache.begin(context, HOST, 443).session

    assert finish("first", None) is None
    assert finish("second", "a ticket") == "a ticket"
    assert finish("third", "a newer one") == "a newer one"
    assert finish("fourth", None) is None  # what was offered does not serve any more


def test_a_session_that_another_connection_has_stored_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: dict[str, Any] = {"quick": "a ticket", "slow": None}
    monkeypatch.setattr(sessions, "newest_session", taken.get)
    cache, context = SessionCache(), make_context()
    slow, quick = (cache.begin(context, HOST, 443) for _ in range(2))
    quick.finish("quick")
    slow.finish("slow")
    assert cache.begin(context, HOST, 443).session == "a ticket"


def test_of_two_connections_at_once_the_first_has_its_session_read(
    files: Files, resuming: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "newest_session", None)
    cache, context = SessionCache(), make_context({"ca_certs": files.ca})
    resumptions = [cache.begin(context, HOST, 443) for _ in range(2)]
    for resumption in resumptions:
        with shake(resuming, context) as sock:
            hello(sock)
            resumption.finish(sock)
            kept = cache.begin(context, HOST, 443).session
            assert (kept == sock.session) is (resumption is resumptions[0])
