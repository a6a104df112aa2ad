from __future__ import annotations

import datetime
import errno
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from reactor.exceptions import (
    WebSocketCertificateException,
    WebSocketException,
    WebSocketTimeoutException,
    WebSocketTLSException,
    WebSocketTLSOptionException,
)
from reactor.poller import wait_for
from reactor.tasks import Wait, run_blocking
from reactor.transports import tls
from reactor.transports.tls import (
    SessionCache,
    make_context,
    make_server_context,
    server_hostname,
    start_tls,
)

from ..support.sockets import reset as reset_now

HOST = "example.org"
UTC = datetime.timezone.utc


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in tls.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    tls._contexts.clear()
    yield
    tls._contexts.clear()


class Files:
    """A certificate authority, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self.issue("good", HOST)

    def issue(self, name: str, host: str, **options: Any) -> tuple[str, str]:
        leaf = self.authority.issue_cert(host, **options)
        cert, key = str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")
        leaf.private_key_pem.write_to_path(key)
        Path(cert).write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return cert, key


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


class Server:
    """One thread that serves one connection after the other, on loopback.

    Parameters:
        serve: called with each connection.
    """

    def __init__(self, serve: Callable[[socket.socket], object]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(30)
        self._stopping = False
        self.address = self._listening.getsockname()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            sock, _ = self._listening.accept()
            with sock:
                if self._stopping:
                    return
                sock.settimeout(30)
                try:
                    self._serve(sock)
                except OSError:
                    pass  # the client went away, or did not like us

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping = True
        self.connect().close()
        self._thread.join()
        self._listening.close()


def greeter(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Serves TLS: says hello, then waits for the client to leave."""

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as wrapped:
            wrapped.sendall(b"hello")
            wrapped.recv(1)

    return serve


def shake(
    server: Server,
    context: ssl.SSLContext,
    host: str | None = HOST,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    return run_blocking(start_tls(server.connect(), context, host, None, session))


def hello(sock: ssl.SSLSocket) -> bytes:
    sock.settimeout(30)
    return sock.recv(5)


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    with Server(greeter(make_server_context(files.cert, files.key))) as server:
        yield server


# --- contexts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sslopt", [None, {}, {"ca_certs": None, "context": None}])
def test_the_default_context_verifies(sslopt: dict[str, Any] | None) -> None:
    context = make_context(sslopt)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.protocol == ssl.PROTOCOL_TLS_CLIENT


def test_a_given_context_is_returned_as_it_is() -> None:
    context = ssl.create_default_context()
    assert make_context({"context": context, "cert_reqs": ssl.CERT_NONE}) is context
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_context_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"sslopt\['context'\] is not an ssl.SSLContext: 'yes'"):
        make_context({"context": "yes"})


@pytest.mark.parametrize("sslopt", [{"ca_cert": "x"}, {"context": None, "ca_cert": "x", "b": 1}])
def test_an_unknown_key_is_named(sslopt: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'ca_cert'"):
        make_context(sslopt)


def test_the_keys_of_the_single_connection_do_not_make_another_context() -> None:
    sslopt = {
        "server_hostname": "a.example",
        "suppress_ragged_eofs": False,
        "do_handshake_on_connect": True,
    }
    assert make_context(sslopt) is make_context()


@pytest.mark.parametrize(
    ("sslopt", "verify_mode", "check_hostname"),
    [
        ({"cert_reqs": ssl.CERT_NONE}, ssl.CERT_NONE, False),
        ({"cert_reqs": 0}, ssl.CERT_NONE, False),
        ({"cert_reqs": ssl.CERT_NONE, "check_hostname": False}, ssl.CERT_NONE, False),
        ({"check_hostname": False}, ssl.CERT_REQUIRED, False),
        ({"cert_reqs": ssl.CERT_OPTIONAL}, ssl.CERT_OPTIONAL, True),
        ({"cert_reqs": ssl.CERT_REQUIRED, "check_hostname": True}, ssl.CERT_REQUIRED, True),
    ],
)
def test_verification_options(
    sslopt: dict[str, Any], verify_mode: ssl.VerifyMode, check_hostname: bool
) -> None:
    context = make_context(sslopt)
    assert (context.verify_mode, context.check_hostname) == (verify_mode, check_hostname)


def test_a_host_name_cannot_be_checked_without_a_certificate() -> None:
    with pytest.raises(WebSocketException, match=r"check_hostname=True.*CERT_NONE"):
        make_context({"cert_reqs": ssl.CERT_NONE, "check_hostname": True})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_version_that_is_asked_for_is_used() -> None:
    context = make_context({"ssl_version": ssl.PROTOCOL_TLSv1_2})
    assert context.protocol == ssl.PROTOCOL_TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_old_name_for_any_version_means_tls_1_2_too() -> None:
    context = make_context({"ssl_version": ssl.PROTOCOL_TLS})
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_the_minimum_is_raised_but_never_lowered(
    system: ssl.TLSVersion, wanted: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = system
    tls._require_tls_1_2(context)
    assert context.minimum_version == wanted


def test_ciphers(files: Files) -> None:
    context = make_context({"ciphers": "ECDHE-RSA-AES128-GCM-SHA256"})
    old = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert old == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ciphers", "NO-SUCH-CIPHER"),
        ("ecdh_curve", "no-such-curve"),
        ("ssl_version", "TLS 7"),
        ("cert_reqs", "please"),
        ("cert_reqs", 17),
        ("ca_certs", "/no/such/file"),
        ("ca_certs", 5),
        ("certfile", "/no/such/file"),
    ],
)
def test_a_value_that_openssl_refuses_is_named(key: str, value: object) -> None:
    with pytest.raises(WebSocketTLSOptionException, match=key):
        make_context({key: value})


@pytest.mark.parametrize("value", [["only one"], 5, ("a", "b", "c", "d"), "abc"])
def test_a_chain_has_three_parts(value: object) -> None:
    with pytest.raises(ValueError, match=r"^cert_chain must be a tuple/list of \(certfile,"):
        make_context({"cert_chain": value})


def test_the_errno_of_a_missing_file_is_kept() -> None:
    with pytest.raises(WebSocketTLSException, match="No such file") as caught:
        make_context({"ca_certs": "/no/such/file"})
    assert caught.value.errno == errno.ENOENT


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing here\n")
    with pytest.raises(WebSocketTLSException, match=r"empty\.pem'.*: no certificate"):
        make_context({"ca_certs": str(path)})


def test_a_keyfile_alone_is_an_error(files: Files) -> None:
    with pytest.raises(WebSocketTLSException, match="keyfile, but no certfile"):
        make_context({"keyfile": files.key})


def test_an_elliptic_curve_can_be_chosen() -> None:
    assert make_context({"ecdh_curve": "prime256v1"}) is not make_context()


# --- one context per content --------------------------------------------------------------------


def test_the_same_content_is_the_same_context(files: Files) -> None:
    sslopt = {"ca_certs": files.ca, "check_hostname": False}
    context = make_context(sslopt)
    assert make_context(dict(reversed(sslopt.items()))) is context
    assert make_context({**sslopt, "keyfile": None}) is context
    assert make_context({"ca_certs": files.ca}) is not context


def test_values_that_cannot_be_hashed_are_fine(files: Files) -> None:
    class Unhashable(str):
        __slots__ = ()
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError("such values are known by their identity")

    chain = [files.cert, files.key, bytearray(b"unused")]
    context = make_context({"cert_chain": chain})
    assert make_context({"cert_chain": list(chain)}) is context
    assert make_context({"cert_chain": [files.cert, files.key, bytearray(b"other")]}) is not context

    ciphers = Unhashable("DEFAULT")
    context = make_context({"ciphers": ciphers})
    assert make_context({"ciphers": ciphers}) is context
    assert make_context({"ciphers": Unhashable("DEFAULT")}) is not context


def test_a_renewed_file_gives_a_new_context(files: Files, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    shutil.copy(files.ca, bundle)
    sslopt = {"ca_certs": bundle}
    context = make_context(sslopt)
    assert make_context(sslopt) is context
    trustme.CA().cert_pem.write_to_path(str(bundle))
    os.utime(bundle, ns=(1, 1))
    renewed = make_context(sslopt)
    assert renewed is not context
    assert renewed.get_ca_certs() != context.get_ca_certs()


def test_a_renewed_file_of_a_certificate_chain_gives_a_new_context(
    files: Files, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "cert.key"
    shutil.copy(files.cert, cert)
    shutil.copy(files.key, key)
    chain = (str(cert), str(key), None)
    context = make_context({"cert_chain": chain})
    os.utime(key, ns=(1, 1))
    assert make_context({"cert_chain": chain}) is not context


def test_the_cache_is_bounded_and_forgets_what_was_unused_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls, "MAX_CONTEXTS", 2)
    first = make_context({"ciphers": "DEFAULT"})
    second = make_context({"ciphers": "HIGH"})
    assert make_context({"ciphers": "DEFAULT"}) is first
    make_context({"ciphers": "ALL"})
    assert make_context({"ciphers": "DEFAULT"}) is first
    assert make_context({"ciphers": "HIGH"}) is not second
    assert len(tls._contexts) == 2


def test_a_failure_is_not_remembered(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "late.pem"
    with pytest.raises(WebSocketTLSException):
        make_context({"ca_certs": str(path)})
    shutil.copy(files.ca, path)
    assert make_context({"ca_certs": str(path)}).get_ca_certs()


# --- the environment ----------------------------------------------------------------------------


def test_a_bundle_of_the_environment(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make_context()
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", files.ca)
    context = make_context()
    assert context is not before
    assert len(context.get_ca_certs()) == 1


def test_a_directory_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(tmp_path))
    context = make_context()
    assert context.get_ca_certs() == []
    with pytest.raises(WebSocketCertificateException):
        shake(server, context)


def test_the_caller_goes_before_the_environment(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", "/no/such/bundle")
    assert len(make_context({"ca_certs": files.ca}).get_ca_certs()) == 1
    assert make_context({"cert_reqs": ssl.CERT_NONE}).get_ca_certs() == []


def test_a_bundle_of_the_environment_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", "/no/such/bundle")
    with pytest.raises(WebSocketTLSException, match="WEBSOCKET_CLIENT_CA_BUNDLE=/no/such/bundle"):
        make_context()


def test_the_key_log(
    files: Files, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    shake(server, make_context({"ca_certs": files.ca})).close()
    assert "CLIENT_" in log.read_text()


def test_a_key_log_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no" / "keys.log"))
    with pytest.raises(WebSocketTLSException, match="SSLKEYLOGFILE="):
        make_context()


# --- private keys -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encrypted_key(files: Files) -> str:
    path = str(files.folder / "encrypted.key")
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    Path(path).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, secret
        )
    )
    return path


@pytest.mark.parametrize("password", ["secret", b"secret", bytearray(b"secret"), lambda: "secret"])
def test_a_password(files: Files, encrypted_key: str, password: Any) -> None:
    make_server_context(files.cert, encrypted_key, password)
    make_context({"certfile": files.cert, "keyfile": encrypted_key, "password": password})
    make_context({"cert_chain": (files.cert, encrypted_key, password)})


def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    files: Files, encrypted_key: str
) -> None:
    with pytest.raises(WebSocketTLSException, match=r"encrypted\.key") as caught:
        make_server_context(files.cert, encrypted_key, "hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_missing_password_is_not_asked_for_on_the_terminal(
    files: Files, encrypted_key: str
) -> None:
    with pytest.raises(WebSocketTLSException, match="there is no password"):
        make_server_context(files.cert, encrypted_key)


def test_a_server_file_that_is_missing_is_named() -> None:
    with pytest.raises(WebSocketTLSException, match="/no/such/cert"):
        make_server_context("/no/such/cert")


def test_the_server_context_is_for_servers_and_tls_1_2(files: Files) -> None:
    context = make_server_context(files.cert, files.key)
    assert context.protocol == ssl.PROTOCOL_TLS_SERVER
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


# --- the handshake ------------------------------------------------------------------------------


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
    assert str(caught.value).startswith(f"the certificate of {HOST} does not verify: ")
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


def test_server_hostname_of_the_options() -> None:
    assert server_hostname({"server_hostname": "a.example"}, HOST) == "a.example"
    assert server_hostname({"server_hostname": None}, HOST) == HOST
    assert server_hostname({}, HOST) == HOST
    assert server_hostname(None, HOST) == HOST
    assert server_hostname(None, "fe80::1%eth0") == "fe80::1"


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
        request = coroutine.send(set(request.writes))
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


# --- session resumption -------------------------------------------------------------------------


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
