"""TLS by calls of OpenSSL itself: what is particular about it.

tests/transports/test_tls_stream.py has what a stream over TLS does, whoever reads and writes.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import Reactor, explain_compiled
from reactor.compiled import replace
from reactor.loop.event_loop import EventLoop
from reactor.loop.tasks import run_blocking
from reactor.protocols.session import State
from reactor.transports import tls_stream
from reactor.transports.stream import READ_SIZE
from reactor.transports.tls.handshake import start_tls
from reactor.transports.tls_stream import TLSStream

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.sockets import Sockets
from ..support.tls_peer import TLSPeer, nested_pair, tls_pair
from ..support.witness import Witness
from .acting import Act, echo, run_program

tls = pytest.importorskip("reactor.compiled.tls", reason="not built")

pytestmark = [
    pytest.mark.skipif(bool(replace.python_tls), reason=f"not in use: {replace.python_tls}"),
    pytest.mark.usefixtures("no_leaks"),
]


@pytest.fixture
def way() -> str:
    """In the place of the package's fixture: here both ways are used in one test."""
    return "compiled"


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


class Case:
    """A stream over TLS and its far end."""

    def __init__(self, loop: EventLoop, sock: Any, peer: TLSPeer) -> None:
        self.loop, self.peer, self.witness = loop, peer, Witness()
        self.stream = TLSStream(loop, sock, self.witness, 1 << 20, 1000)
        self.stream.start_reading()
        self.turn()

    def turn(self, count: int = 2) -> None:
        for _ in range(count):
            self.loop.run_once(0)

    def end(self) -> None:
        self.stream.abort()
        self.turn()
        self.peer.close()


@pytest.fixture
def case(loop: EventLoop, authority: Authority) -> Iterator[Case]:
    case = Case(loop, *tls_pair(authority))
    assert is_direct(case.stream)
    yield case
    case.end()


def is_direct(stream: TLSStream) -> bool:
    return type(stream._engine).__name__ == "OpenSSL"


# --- for which sockets --------------------------------------------------------------------------


class OwnSocket(ssl.SSLSocket):
    """A class of a user's."""


def test_sockets_of_other_classes_are_left_to_python(loop: EventLoop, authority: Authority) -> None:
    pairs = [tls_pair(authority, OwnSocket), nested_pair(authority)]
    for pair in pairs:
        case = Case(loop, *pair)
        assert not is_direct(case.stream)
        case.end()


def test_a_context_that_shows_its_messages_to_a_function_is_left_to_python(
    loop: EventLoop, authority: Authority
) -> None:
    seen: list[Any] = []
    context = authority.client_context()
    context._msg_callback = lambda *args: seen.append(args)  # type: ignore[attr-defined]
    near, far = socket.socketpair()
    near.setblocking(False)
    sock = context.wrap_socket(near, server_hostname="localhost", do_handshake_on_connect=False)
    peer = TLSPeer(far, authority.server_context)
    peer.shake_hands(sock)
    case = Case(loop, sock, peer)
    assert not is_direct(case.stream)
    before = len(seen)
    peer.send(b"data")
    case.turn()
    assert case.witness.data == b"data"
    assert len(seen) > before
    case.end()


# --- reading ------------------------------------------------------------------------------------


def test_all_records_of_a_readiness_come_at_once(case: Case) -> None:
    records = [b"%d" % i * 20 for i in range(100)]
    case.peer.send_raw(b"".join(map(case.peer.encrypt, records)))
    case.turn()
    assert case.witness.events == [("data", b"".join(records))]


def test_a_read_is_bounded_and_the_rest_follows_without_the_poller(case: Case) -> None:
    """OpenSSL has read ahead: the kernel has nothing any more that would wake the poller."""
    case.peer.send_raw(b"".join(case.peer.encrypt(b"%05d" % i) for i in range(550)))  # 14 KiB
    case.stream._loop.poller.remove_reader(case.stream._fd)
    parts = []
    while case.stream._engine.pending() or not parts:
        parts.append(case.stream._engine.recv(100))
    assert b"".join(parts) == b"".join(b"%05d" % i for i in range(550))
    assert len(parts) > 10


def test_a_large_amount_is_taken_in_several_turns(case: Case) -> None:
    data = bytes(range(256)) * 4096
    sent = 0
    while sent < len(data):
        case.peer.send_raw(case.peer.encrypt(data[sent : sent + 16384]))
        sent += 16384
        case.loop.run_once(0)
    run_until(case.loop, lambda: len(case.witness.data) == len(data))
    assert case.witness.data == data
    assert max(len(event[1]) for event in case.witness.events) <= READ_SIZE


def test_what_was_read_ahead_when_reading_was_paused_is_not_lost(case: Case) -> None:
    records = [bytes([i]) * 16384 for i in range(10)]
    encrypted = b"".join(map(case.peer.encrypt, records))
    case.witness.actions["data"] = case.stream.pause_reading
    case.peer.send_raw(encrypted)
    case.turn()
    assert 0 < len(case.witness.data) < len(b"".join(records))
    for _ in range(10):
        case.stream.start_reading()
        case.turn()
    assert case.witness.data == b"".join(records)


def test_a_record_that_comes_in_pieces_is_waited_for(case: Case) -> None:
    case.peer.send(b"whole")
    record = case.peer.encrypt(b"x" * 1000)
    case.peer.send_raw(record[:500])
    case.turn()
    assert case.witness.data == b"whole"
    assert not case.stream._engine.pending()  # it would be read again and again
    case.peer.send_raw(record[500:])
    case.turn()
    assert case.witness.data == b"whole" + b"x" * 1000


def test_what_comes_with_the_end_is_handed_up_before_it(case: Case) -> None:
    case.peer.send_raw(case.peer.encrypt(b"one") + case.peer.encrypt(b"two"))
    case.peer.end()
    case.turn()
    assert case.witness.events == [("data", b"onetwo"), ("eof",)]


def test_what_comes_after_our_close_notify_is_handed_up(case: Case) -> None:
    case.stream.close()
    case.peer.send_raw(case.peer.encrypt(b"one") + case.peer.encrypt(b"two"))
    case.turn(4)
    assert case.witness.data == b"onetwo"
    case.peer.end()
    case.turn(4)
    assert case.witness.names[-1] == "lost"


# --- errors are those of Python -----------------------------------------------------------------


def refuse(peer: TLSPeer) -> None:
    """Send a record that cannot be deciphered."""
    record = bytearray(peer.encrypt(b"data"))
    record[-1] ^= 1
    peer.send_raw(bytes(record))


def be_plain(peer: TLSPeer) -> None:
    peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def claim_too_much(peer: TLSPeer) -> None:
    peer.send_raw(b"\x17\x03\x03\xff\xff" + bytes(100))


@pytest.mark.parametrize("fault", [refuse, be_plain, claim_too_much])
def test_a_fault_of_the_peer(
    loop: EventLoop, authority: Authority, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    seen = []
    for _ in range(2):
        case = Case(loop, *tls_pair(authority))
        case.peer.send(b"before")
        fault(case.peer)
        case.turn()
        assert case.witness.names == ["data", "lost"]
        [lost] = case.witness.losses
        assert isinstance(lost, ssl.SSLError)
        seen.append((type(lost), lost.reason, lost.library, lost.args[0]))
        case.end()
        monkeypatch.setattr(tls_stream, "direct_engine", None)
    assert seen[0] == seen[1]


def test_an_alert_of_the_peer(
    loop: EventLoop, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS 1.3, a server refuses a client without a certificate after the handshake."""
    server = authority.issue("localhost")
    server.load_verify_locations(authority.ca_file)
    server.verify_mode = ssl.CERT_REQUIRED
    seen = []
    for _ in range(2):
        near, far = socket.socketpair()
        near.setblocking(False)
        sock = authority.client_context().wrap_socket(
            near, server_hostname="localhost", do_handshake_on_connect=False
        )
        peer = TLSPeer(far, server)
        with pytest.raises(ssl.SSLError):
            peer.shake_hands(sock)
        peer.push()
        case = Case(loop, sock, peer)
        case.turn()
        [lost] = case.witness.losses
        assert isinstance(lost, ssl.SSLError)
        assert "CERTIFICATE_REQUIRED" in str(lost.reason)
        seen.append((type(lost), lost.reason, lost.library))
        case.end()
        monkeypatch.setattr(tls_stream, "direct_engine", None)
    assert seen[0] == seen[1]


def test_after_an_error_other_connections_work(loop: EventLoop, authority: Authority) -> None:
    """OpenSSL has one queue of errors for each thread: what is left there would be theirs."""
    cases = [Case(loop, *tls_pair(authority)) for _ in range(2)]
    be_plain(cases[0].peer)
    cases[1].peer.send(b"data")
    for case in cases:
        case.turn()
    assert cases[1].witness.events == [("data", b"data")]
    for case in cases:
        case.end()


def test_an_error_that_openssl_forgets_when_it_is_asked_again_is_told(
    sockets: Sockets, authority: Authority
) -> None:
    """OpenSSL 3.6 does, where no alert follows from an error."""
    near, far = sockets.pair()
    near.setblocking(True)
    sock = authority.client_context().wrap_socket(
        near, server_hostname="localhost", do_handshake_on_connect=False
    )
    sockets.enter_context(sock)
    sock.setblocking(False)
    engine = tls.engine_of(sock)
    far.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError) as raised:
        engine.recv(100)
    assert (raised.value.library, raised.value.reason) == ("SSL", "HTTP_REQUEST")


# --- with OpenSSL's own server ------------------------------------------------------------------


class OpenSSLServer:
    """``openssl s_server``, which does on command what Python's ssl cannot be told to do."""

    def __init__(self, authority: Authority, folder: Path, *options: str) -> None:
        certificate, key = authority.write(folder)
        self.process = subprocess.Popen(
            [
                *("openssl", "s_server", "-naccept", "1", "-accept", "127.0.0.1:0"),
                *("-cert", certificate, "-key", key, *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self.process.stdout is not None
        while not (line := self.process.stdout.readline()).startswith(b"ACCEPT"):
            assert line
        self.port = int(line.rpartition(b":")[2])
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = b""

    def has_said(self, text: bytes) -> bool:
        """Return whether the text has been in its output."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.read(1 << 16) or b""
        return text in self.said

    def say(self, text: bytes) -> None:
        """Give it a line: a command, or something to be sent."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
@pytest.mark.parametrize(
    ("version", "commands"),
    [("-tls1_3", [b"k", b"K"]), ("-tls1_2", [b"r"])],
    ids=["KeyUpdate", "renegotiation"],
)
def test_new_keys_in_the_midst_of_data(
    loop: EventLoop, authority: Authority, tmp_path: Path, version: str, commands: list[bytes]
) -> None:
    server = OpenSSLServer(authority, tmp_path, version)
    try:
        plain = socket.create_connection(("127.0.0.1", server.port))
        sock = run_blocking(start_tls(plain, authority.client_context(), "127.0.0.1", None))
        witness = Witness()
        stream = TLSStream(loop, sock, witness, 1000, 100)
        assert is_direct(stream)
        stream.start_reading()
        for number, command in enumerate(commands * 2):
            server.say(command + b"\n")
            stream.write(b"go on %d\n" % number)  # the command is obeyed before this is read
            run_until(loop, lambda n=number: server.has_said(b"go on %d\n" % n))  # type: ignore[misc]
            server.say(b"hello %d\n" % number)
            run_until(loop, lambda n=number: witness.data.endswith(b"hello %d\n" % n))  # type: ignore[misc]
            stream.write(b"answer %d\n" % number)
            run_until(loop, lambda n=number: server.has_said(b"answer %d\n" % n))  # type: ignore[misc]
        stream.abort()
        loop.run_once(0)
        assert witness.names.count("lost") == 1
    finally:
        server.close()


# --- what is told about it ----------------------------------------------------------------------


def test_a_connection_says_nothing_of_it_if_all_is_well(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REACTOR_BACKEND", raising=False)
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, echo, ssl=authority.server_context)
        url = f"wss://127.0.0.1:{listener.port}/"
        client = loop.connect(url, Act(), sslopt=authority.sslopt, proxy=None)
        run_until(loop, lambda: client.state is State.OPEN)
        assert explain_compiled(client) == "compiled"
        sock = client.sock
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
        assert sock.cipher() is not None
        assert sock.getpeercert()
        assert sock.selected_alpn_protocol() in (None, "http/1.1")


def test_a_connection_says_if_its_socket_is_left_to_python(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_stream, "direct_engine", None)
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, echo, ssl=authority.server_context)
        url = f"wss://127.0.0.1:{listener.port}/"
        client = loop.connect(url, Act(), sslopt=authority.sslopt, proxy=None)
        run_until(loop, lambda: client.state is State.OPEN)
        assert "OpenSSL is called by Python's ssl" in explain_compiled(client)
        client.send("hello")
        run_until(loop, lambda: client.messages)
        assert client.messages == ["hello"]


CHANGES = {
    "import os; os.environ['REACTOR_PYTHON_TLS'] = '1'": "REACTOR_PYTHON_TLS is set",
    "import ssl; ssl.OPENSSL_VERSION = 'LibreSSL 4.0'": "LibreSSL 4.0 is not known",
    "import ssl; ssl.OPENSSL_VERSION_NUMBER = 0x50000000": "is not known",
    "import ssl; ssl.OPENSSL_VERSION_NUMBER += 16": "another OpenSSL than Python's",
    "import ssl; ssl._ssl.__file__ = '/no/such/library'": "can be opened",
    "import ssl, zlib; ssl._ssl.__file__ = __import__('_ctypes').__file__": (
        "is not among the symbols"
    ),
    "import ssl; del ssl._ssl._SSLSocket": "no _SSLSocket",
    "import ssl; ssl._ssl._SSLSocket = int": "is a _SSLSocket",
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.items(), ids=list(CHANGES.values()))
def test_what_is_not_as_expected_is_refused_with_its_reason(change: str, reason: str) -> None:
    done = run_program(f"{change}\nimport reactor\nprint(reactor.explain_compiled())\n", "compiled")
    first, second = done.stdout.splitlines()
    assert first == "compiled", done.stderr
    assert second.startswith("OpenSSL is called by Python's ssl, and not directly: ")
    assert reason in second
    assert done.stderr == ""


def test_the_package_says_that_it_is_in_use() -> None:
    assert reactor.explain_compiled() == "compiled"
