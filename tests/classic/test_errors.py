"""What programs get when something goes wrong: the very types of websocket-client, and its words.

Programs test ``type(e) == ConnectionRefusedError``, and search texts. Whatever gets the fixture
``library`` is played with this package and with websocket-client.
"""

from __future__ import annotations

import copy
import errno
import pickle
import re
import socket
import ssl
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import reactor
from reactor.classic.errors import of_socket, public
from reactor.connection.closing import describe_loss
from reactor.exceptions import (
    WebSocketConnectException,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketProxyConnectRefusedException,
    WebSocketProxyException,
    WebSocketQueueFullException,
    WebSocketTimeoutException,
    WebSocketTLSOptionException,
)

from ..support.apps import RecordedApp
from ..support.certificates import Authority
from ..support.classic import Clients, clients_of
from ..support.peers import Script, Talk, answer, echo
from ..support.threads import Background
from ..support.websocket_frames import CLOSE, CONT, PING, TEXT, build_frame, close_payload

pytestmark = pytest.mark.usefixtures("sockets_of_websocket_client")

notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes yet")


@pytest.fixture
def clients(library: Any) -> Iterator[Clients]:
    yield from clients_of(library)
    library.setdefaulttimeout(None)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def from_create_connection(clients: Clients, url: str, **options: Any) -> BaseException:
    """Return what create_connection raises."""
    with pytest.raises(Exception) as caught:
        clients.library.create_connection(url, timeout=10, **options)
    return caught.value


def from_app(clients: Clients, url: str, **options: Any) -> BaseException:
    """Return what on_error gets."""
    seen: list[BaseException] = []
    closes: list[Any] = []
    app = clients.library.WebSocketApp(
        url,
        on_error=lambda _app, exc: seen.append(exc),
        on_close=lambda _app, *args: closes.append(args),
    )
    if "http_proxy_host" in options:
        options = {"proxy_type": "http", **options}
    assert app.run_forever(**options) is True
    assert app.has_errored is True
    assert closes == [(None, None)]
    (error,) = seen
    return error


FACES = pytest.mark.parametrize("error_of", [from_create_connection, from_app])


def kind_of(library: Any, name: str) -> type:
    """Return the class with this name: websocket-client's, or one of Python."""
    return getattr(library, name, None) or getattr(ssl, name, None) or __builtins__[name]


def check(library: Any, error: BaseException, name: str, text: str) -> None:
    """Check the very type of an error, and how its text begins."""
    assert type(error) is kind_of(library, name), repr(error)
    assert str(error).startswith(text)


# --- connecting -----------------------------------------------------------------------------------


@FACES
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_that_refuses(clients: Clients, nobody: int, error_of: Any, host: str) -> None:
    error = error_of(clients, f"ws://{host}:{nobody}")
    check(clients.library, error, "ConnectionRefusedError", "")
    assert str(error) == "[Errno 111] Connection refused"
    assert error.args == (errno.ECONNREFUSED, "Connection refused")
    assert (error.errno, error.strerror) == (errno.ECONNREFUSED, "Connection refused")
    assert error.remote_ip in ("127.0.0.1", "::1")


@FACES
def test_a_name_that_does_not_resolve(
    clients: Clients, error_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = error_of(clients, "ws://nowhere.example/")
    check(clients.library, error, "WebSocketAddressException", "[Errno -2] Name or service not")
    assert type(error.args[0]) is socket.gaierror
    assert error.args[0].errno == socket.EAI_NONAME


@FACES
def test_a_certificate_that_does_not_verify(
    clients: Clients, authority: Authority, error_of: Any
) -> None:
    peer = clients.serve(echo, context=authority.server_context)
    error = error_of(clients, peer.url)
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    check(clients.library, error, "SSLCertVerificationError", text)
    assert error.verify_message
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"
    sslopt = {**authority.sslopt, "server_hostname": "other.example"}
    error = error_of(clients, peer.url, sslopt=sslopt)
    check(clients.library, error, "SSLCertVerificationError", f"{text}Hostname mismatch")


@FACES
def test_a_server_that_speaks_no_tls(clients: Clients, error_of: Any) -> None:
    def ssh(talk: Talk) -> None:
        talk.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        talk.until_closed()

    error = error_of(clients, clients.serve(ssh).url.replace("ws:", "wss:"))
    check(clients.library, error, "SSLError", "[SSL: ")


def leaves_with_a_reset(talk: Talk) -> None:
    talk.head()
    talk.reset()


def leaves(talk: Talk) -> None:
    talk.head()


def leaves_within_its_head(talk: Talk) -> None:
    talk.head()
    talk.send(b"HTTP/1.1 101 Swi")


def says(data: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(data)
        talk.end()

    return script


@FACES
@pytest.mark.parametrize(
    ("script", "name", "text"),
    [
        (leaves_with_a_reset, "ConnectionResetError", "[Errno 104] Connection reset by peer"),
        (leaves, "WebSocketConnectionClosedException", "Connection to remote host was lost."),
        (
            leaves_within_its_head,
            "WebSocketConnectionClosedException",
            "Connection to remote host was lost.",
        ),
        (says(b"SSH-2.0\r\n\r\n"), "WebSocketException", "Invalid status line: "),
        (says(b"HTTP/1.1 abc def\r\n\r\n"), "WebSocketException", "Invalid status line: "),
        (says(b"HTTP/1.1 101 OK\r\nfoo\r\n\r\n"), "WebSocketException", "Invalid header"),
        (says(b"HTTP/1.1 101 OK\r\n\r\n"), "WebSocketException", "Invalid WebSocket Header"),
        (
            says(b"HTTP/1.1 302 Found\r\nLocation: ftp://x\r\n\r\n"),
            "WebSocketException",
            "Invalid redirect target 'ftp://x': scheme ftp is invalid",
        ),
        (
            answer("HTTP/1.1 403 No", "Content-Length: 0"),
            "WebSocketBadStatusException",
            "Handshake status 403 No -+-+- {'content-length': '0'} -+-+- None",
        ),
    ],
)
def test_an_answer_that_is_none(
    clients: Clients, error_of: Any, script: Script, name: str, text: str
) -> None:
    check(clients.library, error_of(clients, clients.serve(script).url), name, text)


NOWHERE = "/no/such/file"
NO_FILE = "failed: [Errno 2] No such file or directory"


@FACES
@pytest.mark.parametrize(
    ("sslopt", "name", "text"),
    [
        ({"ca_certs": NOWHERE}, "WebSocketException", f"SSL CA certificate loading {NO_FILE}"),
        ({"ca_certs": __file__}, "WebSocketException", "SSL CA certificate loading failed: [X509"),
        ({"ca_certs": "/"}, "IsADirectoryError", "[Errno 21] Is a directory"),
        ({"certfile": NOWHERE}, "WebSocketException", f"SSL client certificate loading {NO_FILE}"),
        (
            {"cert_chain": (NOWHERE, None, None)},
            "WebSocketException",
            f"SSL client certificate configuration {NO_FILE}",
        ),
        ({"ciphers": "none"}, "WebSocketException", "SSL cipher configuration failed: ('No cip"),
        ({"ciphers": 5}, "TypeError", "set_ciphers() argument must be str, not int"),
        (
            {"ecdh_curve": "none"},
            "WebSocketException",
            "SSL ECDH curve configuration failed: unknown elliptic curve name 'none'",
        ),
        (
            {"check_hostname": True, "cert_reqs": ssl.CERT_NONE},
            "WebSocketException",
            "SSL certificate verification configuration failed: check_hostname cannot be enabled",
        ),
        (
            {"cert_chain": ("a", "b")},
            "ValueError",
            "cert_chain must be a tuple/list of (certfile, keyfile, password)",
        ),
    ],
)
def test_an_option_for_tls_that_cannot_be(
    clients: Clients, authority: Authority, error_of: Any, sslopt: Any, name: str, text: str
) -> None:
    peer = clients.serve(echo, context=authority.server_context)
    error = error_of(clients, peer.url, sslopt={**authority.sslopt, **sslopt})
    check(clients.library, error, name, text)


@FACES
@pytest.mark.parametrize("library", ["reactor"], indirect=True)  # theirs leaves its socket open
def test_a_socket_option_that_there_is_not(clients: Clients, error_of: Any) -> None:
    error = error_of(clients, clients.serve(echo).url, sockopt=[(socket.SOL_SOCKET, 999, 1)])
    check(clients.library, error, "OSError", "[Errno 92] Protocol not available")


def test_a_server_that_does_not_answer(clients: Clients) -> None:
    peer = clients.serve(lambda talk: talk.hold())
    with pytest.raises(clients.library.WebSocketTimeoutException) as caught:
        clients.library.create_connection(peer.url, timeout=0.1)
    check(clients.library, caught.value, "WebSocketTimeoutException", "Connection timed out")


def test_a_server_that_does_not_begin_with_tls(clients: Clients) -> None:
    peer = clients.serve(lambda talk: talk.hold())
    with pytest.raises(TimeoutError, match="timed out") as caught:
        clients.library.create_connection(peer.url.replace("ws:", "wss:"), timeout=0.1)
    assert type(caught.value) is TimeoutError


def test_a_time_out_of_tls_has_the_words_of_ssl() -> None:
    error = WebSocketTimeoutException("timed out in the TLS handshake with h")
    error.connecting = True
    known = public(error)
    assert (type(known), known.args) == (TimeoutError, ("The handshake operation timed out",))


def test_a_host_that_does_not_answer(clients: Clients) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(TimeoutError) as caught:
            clients.library.create_connection(f"ws://127.0.0.1:{address[1]}", timeout=0.1)
    assert type(caught.value) is TimeoutError


@FACES
def test_a_proxy_that_is_not_there(clients: Clients, nobody: int, error_of: Any) -> None:
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": nobody}
    error = error_of(clients, "ws://server.example/", **options)
    check(clients.library, error, "ConnectionRefusedError", "[Errno 111] Connection refused")


@FACES
def test_a_proxy_whose_name_does_not_resolve(
    clients: Clients, error_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    options = {"http_proxy_host": "proxy.example", "http_proxy_port": 8080}
    error = error_of(clients, "ws://127.0.0.1/", **options)
    check(clients.library, error, "WebSocketAddressException", "[Errno -2] Name or service not")


@FACES
def test_a_proxy_that_refuses(clients: Clients, error_of: Any) -> None:
    peer = clients.serve(answer("HTTP/1.1 407 No"))
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": peer.port}
    error = error_of(clients, "ws://server.example/", **options)
    text = "failed CONNECT via proxy status: 407"
    check(clients.library, error, "WebSocketProxyException", text)


@FACES
@pytest.mark.parametrize(
    ("script", "text"),
    [
        (lambda talk: talk.send(talk.head() and b"garbage\r\n\r\n"), "Invalid status line: "),
        (answer("HTTP/1.1 200 OK", "no colon"), "Invalid header"),
        (lambda talk: talk.head(), "Connection to remote host was lost."),
        (lambda talk: leaves_with_a_reset(talk), "[Errno 104] Connection reset by peer"),
    ],
    ids=["garbage", "header", "gone", "reset"],
)
def test_a_proxy_whose_answer_is_none(
    clients: Clients, error_of: Any, script: Script, text: str
) -> None:
    peer = clients.serve(script)
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": peer.port}
    error = error_of(clients, "ws://server.example/", **options)
    check(clients.library, error, "WebSocketProxyException", text)


def test_a_proxy_that_does_not_answer(clients: Clients) -> None:
    peer = clients.serve(lambda talk: talk.hold())
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": peer.port, "timeout": 0.1}
    with pytest.raises(clients.library.WebSocketProxyException, match=r"^Connection timed out"):
        clients.library.create_connection("ws://server.example/", **options)


@FACES
@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("port", [{}, {"http_proxy_port": None}, {"http_proxy_port": 0}])
def test_a_proxy_without_a_port(clients: Clients, error_of: Any, port: Any, kind: str) -> None:
    options = {"http_proxy_host": "127.0.0.1", "proxy_type": kind, **port}
    error = error_of(clients, "ws://server.example/", **options)
    text = "Cannot use port 0 when proxy_host specified"
    check(clients.library, error, "WebSocketProxyException", text)


@FACES
@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("http://p:abc", "Port could not be cast to integer value as 'abc'"),
        ("http://p:99999", "Port out of range 0-65535"),
        ("http://[::1", "Invalid IPv6 URL"),
    ],
)
def test_a_proxy_of_the_environment_that_cannot_be(
    clients: Clients, error_of: Any, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv("http_proxy", variable)
    check(clients.library, error_of(clients, "ws://127.0.0.1:1/"), "ValueError", text)


def test_a_proxy_of_the_environment_without_a_scheme_does_not_count(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "p:3")
    assert clients.connect(echo).connected
    opened: list[bool] = []
    app = clients.library.WebSocketApp(
        clients.serve(echo).url, on_open=lambda app: (opened.append(True), app.close())
    )
    app.run_forever()
    assert opened == [True]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ws://h:99999/", "Port out of range 0-65535"),
        ("ws://h:abc/", "Port could not be cast to integer value as 'abc'"),
        ("ws://h:-1/", "Port could not be cast to integer value as '-1'"),
        ("ws://[::1", "Invalid IPv6 URL"),
        ("ws:///path", "hostname is invalid"),
        ("http://h/", "scheme http is invalid"),
        ("h", "url is invalid"),
    ],
)
def test_a_url_that_is_none(library: Any, url: str, text: str) -> None:
    for use in (
        library.create_connection,
        lambda url: library.WebSocketApp(url).run_forever(),
        import_module(
            f"{library.__name__}.{'' if library is not reactor else 'websocket.'}_url"
        ).parse_url,
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            use(url)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (WebSocketProxyException("the proxy socks5://p did not connect"), "ProxyError"),
        (
            WebSocketProxyConnectRefusedException(111, "cannot reach the proxy socks5://p: no"),
            "ProxyConnectionError",
        ),
        (
            WebSocketTimeoutException("Connection timed out with the proxy socks5://p"),
            "ProxyTimeoutError",
        ),
    ],
)
def test_what_goes_wrong_with_a_socks_proxy_is_of_python_socks_too(
    error: Exception, name: str
) -> None:
    theirs = getattr(import_module("python_socks"), name)
    known = public(error)
    assert type(known).__name__ == name
    assert isinstance(known, theirs)
    assert isinstance(known, type(error))
    assert isinstance(known, WebSocketProxyException)
    assert (str(known), known.args) == (str(error), error.args)
    copied = pickle.loads(pickle.dumps(known))
    assert (type(copied), copied.args) == (type(error), error.args)


def test_without_python_socks_it_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "python_socks", raising=False)
    error = WebSocketProxyException("the proxy socks5://p did not connect")
    assert public(error) is error


# --- an open connection ---------------------------------------------------------------------------


def reset_after_a_frame(talk: Talk) -> None:
    talk.upgrade()
    talk.frame()
    talk.reset()


def test_a_reset_in_recv_and_what_comes_then(clients: Clients) -> None:
    ws = clients.connect(reset_after_a_frame)
    ws.send("go on")
    with pytest.raises(ConnectionResetError) as caught:
        ws.recv()
    check(clients.library, caught.value, "ConnectionResetError", "[Errno 104] Connection reset by")
    # The program's reconnecting begins with one of these, according to which thread is first.
    with pytest.raises(BrokenPipeError) as broken:
        ws.send("more")
    check(clients.library, broken.value, "BrokenPipeError", "[Errno 32] Broken pipe")
    with pytest.raises(clients.library.WebSocketConnectionClosedException, match="was lost"):
        ws.recv()
    assert (ws.sock, ws.connected) == (None, False)
    with pytest.raises(clients.library.WebSocketConnectionClosedException, match="already closed"):
        ws.send("too late")


def test_a_reset_that_an_app_hears_of(clients: Clients) -> None:
    peer = clients.serve(reset_after_a_frame)
    recorded = RecordedApp(clients.library, peer.url, reactions={"open": lambda app: app.send("x")})
    seen: list[BaseException] = []
    recorded.app.on_error = lambda _app, exc: seen.append(exc)
    recorded.run()
    check(clients.library, seen[0], "ConnectionResetError", "[Errno 104] Connection reset by peer")
    assert recorded.result is True


def garbage_within_tls(talk: Talk) -> None:
    talk.upgrade()
    talk.frame()
    socket.socket.send(talk.sock, b"this is no record of TLS at all")
    talk.hold()


def test_tls_that_breaks(clients: Clients, authority: Authority) -> None:
    peer = clients.serve(garbage_within_tls, context=authority.server_context)
    ws = clients.connect_to(peer.url, sslopt=authority.sslopt)
    ws.send("go on")
    with pytest.raises(ssl.SSLError) as caught:
        ws.recv()
    check(clients.library, caught.value, "SSLError", "[SSL: ")
    seen: list[BaseException] = []
    app = clients.library.WebSocketApp(
        peer.url, on_open=lambda app: app.send("x"), on_error=lambda _app, exc: seen.append(exc)
    )
    app.run_forever(sslopt=authority.sslopt)
    check(clients.library, seen[0], "SSLError", "[SSL: ")


@pytest.mark.parametrize(
    ("frame", "name", "text"),
    [
        (build_frame(TEXT, b"x", rsv=4), "WebSocketProtocolException", "rsv is not implemented,"),
        (build_frame(3, b"x"), "WebSocketProtocolException", "Invalid opcode 3"),
        (build_frame(CONT, b"x"), "WebSocketProtocolException", "Illegal frame"),
        (build_frame(TEXT, b"x", fin=False) + build_frame(TEXT), "WebSocketProtocolException", ""),
        (build_frame(PING, b"x", fin=False), "WebSocketProtocolException", "Invalid ping frame."),
        (build_frame(PING, bytes(126)), "WebSocketProtocolException", "Ping message is too long"),
        (build_frame(CLOSE, b"x"), "WebSocketProtocolException", "Invalid close frame."),
        (
            build_frame(CLOSE, close_payload(5)),
            "WebSocketProtocolException",
            "Invalid close opcode 5",
        ),
        (build_frame(TEXT, b"\xff"), "WebSocketPayloadException", "cannot decode: "),
    ],
)
def test_what_the_server_must_not_send(
    clients: Clients, frame: bytes, name: str, text: str
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=frame)
        talk.frame()

    error = from_app(clients, clients.serve(script).url)
    check(clients.library, error, name, text)
    with pytest.raises(clients.library.WebSocketException) as caught:
        clients.connect(script).recv()
    check(clients.library, caught.value, name, text)


@pytest.mark.parametrize("fin", [True, False])
def test_text_that_nobody_has_looked_at(clients: Clients, fin: bool) -> None:
    frames = [build_frame(TEXT, b"\xff", fin=fin), *([] if fin else [build_frame(CONT, b"x")])]

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(frames))
        talk.hold()

    ws = clients.connect(script, skip_utf8_validation=True)
    with pytest.raises(UnicodeDecodeError):
        ws.recv()


def test_text_that_is_none_is_a_wrong_value_too() -> None:
    assert issubclass(reactor.WebSocketPayloadException, ValueError)


# --- what we know besides -------------------------------------------------------------------------


@FACES
@pytest.mark.parametrize("library", ["reactor"], indirect=True)
def test_the_exception_of_the_native_api_is_the_cause(
    clients: Clients, nobody: int, error_of: Any
) -> None:
    error = error_of(clients, f"ws://127.0.0.1:{nobody}")
    assert type(error.__cause__) is reactor.WebSocketConnectRefusedException
    shown = "".join(traceback.format_exception(error))
    assert f"connection to 127.0.0.1 port {nobody} refused" in shown


@notes
@FACES
@pytest.mark.parametrize("library", ["reactor"], indirect=True)
def test_what_we_know_is_a_note(clients: Clients, nobody: int, error_of: Any) -> None:
    error = error_of(clients, f"ws://127.0.0.1:{nobody}")
    assert error.__notes__ == [f"[Errno 111] connection to 127.0.0.1 port {nobody} refused"]


def test_each_program_gets_an_exception_of_its_own() -> None:
    reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    loss = describe_loss(reset)
    one, two = public(loss), public(loss)
    assert type(one) is type(two) is ConnectionResetError
    assert one is not two
    assert one is not reset
    assert not hasattr(reset, "__notes__")


def test_an_exception_that_cannot_be_copied_has_another_name() -> None:
    class Odd(OSError):
        def __init__(self, sock: object, what: str) -> None:
            super().__init__(errno.EIO, what)

        def __copy__(self) -> Odd:
            raise TypeError

    error = public(describe_loss(Odd(None, "broken in a wrapper")))
    assert (type(error), error.errno) == (OSError, errno.EIO)
    assert "broken in a wrapper" in str(error)


def test_a_time_out_of_the_kernel_on_an_open_connection_is_a_time_out() -> None:
    error = public(describe_loss(TimeoutError(errno.ETIMEDOUT, "Connection timed out")))
    assert type(error) is reactor.WebSocketTimeoutException
    assert str(error) == "Connection timed out"


@pytest.mark.parametrize(
    "error",
    [
        WebSocketConnectionClosedException("Connection to remote host was lost."),
        WebSocketConnectionLostException("lost", errno.EPIPE),
        WebSocketQueueFullException("full"),
        LookupError("of the user"),
    ],
)
def test_what_has_no_other_name_stays_what_it_is(error: Exception) -> None:
    if isinstance(error, OSError):
        assert type(public(error)) is BrokenPipeError
    else:
        assert public(error) is error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TimeoutError("timed out"), reactor.WebSocketTimeoutException, "Connection timed out"),
        (OSError(errno.EBADF, "bad"), WebSocketConnectionClosedException, "already closed"),
        (ssl.SSLError("read timed out"), reactor.WebSocketTimeoutException, "read timed out"),
    ],
)
def test_what_a_socket_raises_may_have_another_name(
    error: OSError, kind: type[Exception], text: str
) -> None:
    assert type(of_socket(error)) is kind
    assert text in str(of_socket(error))


@pytest.mark.parametrize("error", [ssl.SSLError(), ssl.SSLError(1, "[SSL]"), BrokenPipeError()])
def test_what_a_socket_raises_is_passed_on_otherwise(error: OSError) -> None:
    assert of_socket(error) is None


def test_a_fault_in_the_options_for_tls_is_told_in_our_words_if_they_have_none() -> None:
    odd = WebSocketTLSOptionException(None, "sslopt['colour'] is not known")
    assert type(public(odd)) is reactor.WebSocketException
    assert str(public(odd)) == "sslopt['colour'] is not known"


def test_a_certificate_of_a_chain_that_is_not_one_is_a_wrong_value() -> None:
    odd = WebSocketTLSOptionException(None, "certfile 'a': cannot be loaded")
    odd.__cause__ = ValueError("not a certificate")
    assert type(public(odd, {"cert_chain": ("a", "b")})) is ValueError
    chosen = public(odd, {"certfile": "a"})
    assert str(chosen) == "SSL client certificate loading failed: not a certificate"


def test_an_error_without_a_cause_gets_the_name_of_its_number() -> None:
    error = public(WebSocketConnectException(errno.ECONNREFUSED, "refused"))
    assert type(error) is ConnectionRefusedError
    assert error.args == (errno.ECONNREFUSED, "refused")


@FACES
@pytest.mark.parametrize("library", ["reactor"], indirect=True)
def test_it_can_be_copied_and_pickled(
    clients: Clients, authority: Authority, error_of: Any
) -> None:
    peer = clients.serve(echo, context=authority.server_context)
    error = error_of(clients, peer.url)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is ssl.SSLCertVerificationError
        assert str(twin) == str(error)
        assert twin.verify_message == error.verify_message


@pytest.mark.parametrize(
    ("args", "options"),
    [((), {}), (("x",), {}), (("x", 1), {}), (("x",), {"status_code": 1000, "reason": "bye"})],
)
def test_an_exception_has_the_arguments_that_it_was_given(
    library: Any, args: Any, options: Any
) -> None:
    kind = library.WebSocketConnectionClosedException
    if library is reactor or not options:
        assert kind(*args, **options).args == args
        assert str(kind(*args, **options)) == str(Exception(*args))


def test_a_program_that_looks_at_the_very_type_reconnects(clients: Clients, nobody: int) -> None:
    """As published programs do, in a thread of their own."""
    names: list[str] = []
    closed = clients.library.WebSocketConnectionClosedException
    urls = [f"ws://127.0.0.1:{nobody}", clients.serve(reset_after_a_frame).url, None]

    def connect() -> None:
        url = urls.pop(0)
        if url is not None:
            app = clients.library.WebSocketApp(
                url, on_open=lambda app: app.send("x"), on_error=on_error
            )
            app.run_forever()

    def on_error(_app: Any, error: BaseException) -> None:
        kind = type(error)
        if kind in (ConnectionRefusedError, ConnectionResetError, closed):
            names.append(kind.__name__)
            Background(connect).result()

    connect()
    assert names == ["ConnectionRefusedError", "ConnectionResetError"]
