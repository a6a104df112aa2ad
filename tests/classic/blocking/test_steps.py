"""websocket-client's two steps of connecting, called by programs or replaced by them.

What a test with ``modules`` says holds for the genuine functions and for ours.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import reactor
from reactor.classic.blocking import steps

from ...support.certificates import Authority
from ...support.peers import Script, Serve, Talk, accept_for, answer, echo, http
from ...support.socks import OK5, read_socks5
from ...support.websocket_frames import TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(params=["reactor.websocket", "websocket"])
def modules(request: pytest.FixtureRequest) -> SimpleNamespace:
    """websocket-client's private modules, the genuine ones and ours."""
    names = ("core", "http", "handshake", "socket", "exceptions")
    found = {name: import_module(f"{request.param}._{name}") for name in names}
    return SimpleNamespace(**found)


def class_of_a_program(modules: SimpleNamespace) -> Any:
    """A class that connects by itself, as programs derive it."""

    class Own(modules.core.WebSocket):  # type: ignore[misc,name-defined]
        def connect(self, url: str, **options: Any) -> None:
            self.sock_opt.timeout = options.get("timeout", self.sock_opt.timeout)
            given = options.pop("socket", None)
            chosen = modules.http.proxy_info(**options)
            self.sock, place = modules.http.connect(url, self.sock_opt, chosen, given)
            self.handshake_response = modules.handshake.handshake(self.sock, url, *place, **options)
            self.connected = True

    return Own


@pytest.mark.parametrize("tls", [False, True])
def test_a_program_that_connects_by_itself(
    modules: SimpleNamespace, tls: bool, serve: Serve, authority: Authority
) -> None:
    peer = serve(echo, context=authority.server_context if tls else None)
    connection = class_of_a_program(modules)(sslopt=authority.sslopt)
    options = {"header": {"X-One": "1"}, "cookie": "a=b", "subprotocols": None}
    connection.connect(f"{peer.url}/path?q", timeout=5, **options)
    connection.send("hello")
    assert (connection.recv(), connection.getstatus()) == ("hello", 101)
    assert connection.gettimeout() == connection.sock.gettimeout() or tls
    connection.close()
    (head,) = peer.requests
    assert head.request_line == "GET /path?q HTTP/1.1"
    told = [head.headers[name] for name in ("x-one", "cookie", "connection")]
    assert told == ["1", "a=b", "Upgrade"]


def test_what_comes_behind_the_head_stays_in_the_socket(
    modules: SimpleNamespace, serve: Serve
) -> None:
    def script(talk: Talk) -> None:
        talk.upgrade(then=build_frame(TEXT, b"at once"))
        talk.until_closed()

    connection = class_of_a_program(modules)()
    connection.connect(serve(script).url, timeout=5)
    assert connection.recv() == "at once"
    connection.shutdown()


def through_http(talk: Talk) -> None:
    assert talk.head().request_line == "CONNECT host.invalid:80 HTTP/1.1"
    talk.send(http("HTTP/1.1 200 Connection established"))
    echo(talk)


def through_socks(talk: Talk) -> None:
    asked = read_socks5(talk, credentials=True)
    assert (asked.host, asked.port, asked.named) == ("host.invalid", 80, True)
    talk.send(OK5)
    echo(talk)


@pytest.mark.parametrize(("kind", "script"), [("http", through_http), ("socks5h", through_socks)])
def test_a_program_that_connects_through_a_proxy_by_itself(
    modules: SimpleNamespace, kind: str, script: Script, serve: Serve
) -> None:
    peer = serve(script)
    connection = class_of_a_program(modules)()
    connection.connect(
        "ws://host.invalid/",
        timeout=5,
        http_proxy_host="127.0.0.1",
        http_proxy_port=peer.port,
        http_proxy_auth=("user", "word"),
        proxy_type=kind,
    )
    connection.send("through")
    assert connection.recv() == "through"
    connection.close()
    if kind == "http":
        assert peer.requests[0].headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


def test_a_proxy_that_refuses(modules: SimpleNamespace, serve: Serve) -> None:
    peer = serve(answer("HTTP/1.1 403 Forbidden"))
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": peer.port, "proxy_type": "http"}
    with pytest.raises(modules.exceptions.WebSocketProxyException, match="via proxy status: 403"):
        modules.http.connect(
            "ws://host.invalid/",
            modules.core.sock_opt(None, None),
            modules.http.proxy_info(**options),
            None,
        )


def test_a_proxy_that_hangs_up(modules: SimpleNamespace, serve: Serve) -> None:
    def hang_up(talk: Talk) -> None:
        talk.head()
        talk.end()

    peer = serve(hang_up)
    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": peer.port, "proxy_type": "http"}
    with pytest.raises(modules.exceptions.WebSocketProxyException, match="was lost"):
        modules.http.connect(
            "ws://host.invalid/",
            modules.core.sock_opt(None, None),
            modules.http.proxy_info(**options),
            None,
        )


def test_a_kind_of_proxy_that_there_is_not(modules: SimpleNamespace) -> None:
    with pytest.raises(modules.http.ProxyError, match="Only http, socks4, socks5 proxy protocols"):
        modules.http.proxy_info(http_proxy_host="p.example", proxy_type="gopher")


def test_a_socks_proxy_needs_a_port(modules: SimpleNamespace) -> None:
    options = {"http_proxy_host": "p.example", "http_proxy_port": 0, "proxy_type": "socks5"}
    with pytest.raises(modules.exceptions.WebSocketProxyException, match="Cannot use port 0"):
        modules.http.connect(
            "ws://a.example/",
            modules.core.sock_opt(None, None),
            modules.http.proxy_info(**options),
            None,
        )


def test_a_program_may_say_that_python_socks_is_not_there(modules: SimpleNamespace) -> None:
    options = {"http_proxy_host": "p.example", "http_proxy_port": 1080, "proxy_type": "socks5"}
    with (
        mock.patch.object(modules.http, "HAVE_PYTHON_SOCKS", False),
        pytest.raises(modules.exceptions.WebSocketException, match="Python Socks is needed"),
    ):
        modules.http.connect(
            "ws://a.example/",
            modules.core.sock_opt(None, None),
            modules.http.proxy_info(**options),
            None,
        )


def test_a_host_behind_a_socks_proxy_whose_certificate_does_not_verify(
    serve: Serve, authority: Authority
) -> None:
    """Nothing is left open; theirs leaves its socket."""

    def script(talk: Talk) -> None:
        read_socks5(talk)
        talk.send(OK5)
        with contextlib.suppress(OSError):
            authority.server_context.wrap_socket(talk.sock, server_side=True)

    options = {"http_proxy_host": "127.0.0.1", "http_proxy_port": serve(script).port}
    module = import_module("reactor.websocket._http")
    with pytest.raises(ssl.SSLCertVerificationError):
        module.connect(
            "wss://localhost/",
            import_module("reactor.websocket._core").sock_opt(None, None),
            module.proxy_info(**options, proxy_type="socks5h"),
            None,
        )


def test_a_name_without_addresses(modules: SimpleNamespace) -> None:
    with (
        mock.patch.object(modules.http, "_get_addrinfo_list", return_value=([], False, None)),
        pytest.raises(modules.exceptions.WebSocketException, match=r"Host not found.*a\.example"),
    ):
        modules.http.connect(
            "ws://a.example/", modules.core.sock_opt(None, None), modules.http.proxy_info(), None
        )


def test_a_host_that_refuses_or_is_not_there(modules: SimpleNamespace) -> None:
    settings, direct = modules.core.sock_opt(None, None), modules.http.proxy_info()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as refused:
        modules.http.connect(f"ws://127.0.0.1:{port}/", settings, direct, None)
    assert refused.value.errno == errno.ECONNREFUSED
    with pytest.raises(modules.exceptions.WebSocketAddressException):
        modules.http.connect("ws://host.invalid/", settings, direct, None)


def test_a_certificate_that_does_not_verify(
    modules: SimpleNamespace, serve: Serve, authority: Authority
) -> None:
    peer = serve(echo, context=authority.server_context)
    settings = modules.core.sock_opt(None, None)
    with pytest.raises(ssl.SSLCertVerificationError):
        modules.http.connect(peer.url, settings, modules.http.proxy_info(), None)


def test_a_socket_that_was_given_is_used_as_it_is(modules: SimpleNamespace) -> None:
    given = object()
    connected = modules.http.connect("ws://a.example:81/r", None, modules.http.proxy_info(), given)
    assert connected == (given, ("a.example", 81, "/r"))


def test_a_redirect_is_an_answer(modules: SimpleNamespace) -> None:
    wire = Wire(http("HTTP/1.1 302 Found", "Location: ws://b.example/"))
    found = modules.handshake.handshake(wire, "ws://a.example/", "a.example", 80, "/")
    assert (found.status, found.headers, found.subprotocol) == (
        302,
        {"location": "ws://b.example/"},
        None,
    )
    assert wire.sent.startswith(b"GET / HTTP/1.1\r\n")


def test_an_answer_to_another_key_is_refused(modules: SimpleNamespace) -> None:
    lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: other")
    wire = Wire(http("HTTP/1.1 101 Switching Protocols", *lines))
    with pytest.raises(modules.exceptions.WebSocketException, match="Invalid WebSocket Header"):
        modules.handshake.handshake(wire, "ws://a.example/", "a.example", 80, "/")


def test_a_refusal_without_a_length_has_no_body(modules: SimpleNamespace) -> None:
    wire = Wire(http("HTTP/1.1 403 Forbidden", body=b"behind"))
    with pytest.raises(modules.exceptions.WebSocketBadStatusException) as caught:
        modules.handshake._get_resp_headers(wire)
    assert (caught.value.resp_body, wire.data) == (None, b"behind")


def test_another_answer_than_101(modules: SimpleNamespace, serve: Serve) -> None:
    peer = serve(answer("HTTP/1.1 403 Forbidden", "Content-Length: 4", body=b"stop"))
    connection = class_of_a_program(modules)()
    with pytest.raises(modules.exceptions.WebSocketBadStatusException) as caught:
        connection.connect(peer.url, timeout=5)
    error = caught.value
    assert (error.status_code, error.resp_body, error.status_message) == (403, b"stop", "Forbidden")
    assert str(error).startswith("Handshake status 403 Forbidden -+-+- {'content-length': '4'}")
    connection.shutdown()


class Wire:
    """What only looks like a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = b""

    def gettimeout(self) -> None:
        return None

    def recv(self, size: int) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        return piece

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


def test_a_head_is_read_and_no_byte_more(modules: SimpleNamespace) -> None:
    head = http(
        "HTTP/1.1 101 Switching Protocols", "A: 1", "a: 2", "Set-Cookie: x", "set-cookie: y"
    )
    wire = Wire(head + b"frames")
    status, headers, reason = modules.http.read_headers(wire)
    assert (status, reason, wire.data) == (101, "Switching Protocols", b"frames")
    assert headers == {"a": "2", "set-cookie": "x; y"}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"garbage\r\n\r\n", "Invalid status line"),
        (b"HTTP/1.1 XX no\r\n\r\n", "Invalid status line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "Invalid header"),
        (b"HTTP/1.1\xff 101 x\r\n\r\n", "not valid UTF-8 at byte 8"),
    ],
)
def test_what_is_no_head(modules: SimpleNamespace, head: bytes, words: str) -> None:
    with pytest.raises(modules.exceptions.WebSocketException, match=words):
        modules.http.read_headers(Wire(head))


def test_a_head_without_end_is_given_up() -> None:
    endless = Wire(b"HTTP/1.1 200 OK\r\n" + b"x: y" * 10_000 + b"\r\n")
    too_long = pytest.raises(reactor.WebSocketException, match="longer than 1000 bytes")
    with mock.patch.object(steps.legacy_http, "MAX_HEAD", 1000), too_long:
        steps.legacy_http.read_headers(endless)


def test_a_length_that_is_no_number(modules: SimpleNamespace) -> None:
    wire = Wire(http("HTTP/1.1 400 Bad", "Content-Length: abc"))
    with pytest.raises(modules.exceptions.WebSocketException, match="Invalid content-length"):
        modules.handshake._get_resp_headers(wire)


def test_a_body_without_end_is_cut() -> None:
    wire = Wire(http("HTTP/1.1 400 Bad", f"Content-Length: {10**9}", body=bytes(100_000)))
    with pytest.raises(reactor.WebSocketBadStatusException) as caught:
        steps.legacy_handshake._get_resp_headers(wire)
    assert caught.value.resp_body == bytes(65536)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"suppress_host": True},
        {"suppress_origin": True},
        {"host": "h.example", "origin": "o.example"},
        {"header": ["X: 1", "Y: 2"], "cookie": "c=d", "subprotocols": ["a", "b"]},
        {"header": {"Sec-WebSocket-Key": "k9kFAUWNAMmf5OEMfTlOEA=="}},
        {"connection": "Connection: keep-alive, Upgrade"},
    ],
)
@pytest.mark.parametrize("place", [("wss", "a.example", 443), ("ws", "2a03::1", 8080)])
def test_the_lines_of_a_request(place: tuple[str, str, int], options: dict[str, Any]) -> None:
    scheme, host, port = place

    def lines(module: Any) -> tuple[list[str], bool]:
        given = dict(options)
        found, key = module._get_handshake_headers("/p?q", f"{scheme}://x/", host, port, given)
        # A header of the user's that we send as well takes the place of ours here.
        return sorted(line for line in found if key not in line), any(key in line for line in found)

    ours, theirs = (
        import_module("reactor.websocket._handshake"),
        import_module("websocket._handshake"),
    )
    assert lines(ours) == lines(theirs)


KEY = "c6b8hTg4EeGb2gQMztV1/g=="
RIGHT = {"upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}


@pytest.mark.parametrize(
    ("headers", "subprotocols", "expected"),
    [
        ({}, None, (True, None)),
        ({"sec-websocket-protocol": "B"}, ["a", "b"], (True, "b")),
        ({"sec-websocket-protocol": "c"}, ["a", "b"], (False, None)),
        ({}, ["a"], (False, None)),
        ({"upgrade": "h2c"}, None, (False, None)),
        ({"connection": "close"}, None, (False, None)),
        ({"sec-websocket-accept": "other"}, None, (False, None)),
        ({"sec-websocket-accept": ""}, None, (False, None)),
    ],
)
def test_headers_of_an_answer(
    modules: SimpleNamespace, headers: dict[str, str], subprotocols: Any, expected: object
) -> None:
    given = {**RIGHT, "sec-websocket-accept": accept_for(KEY), **headers}
    assert modules.handshake._validate(given, KEY, subprotocols) == expected


# --- steps that a program has replaced -----------------------------------------------------------


@contextmanager
def replaced(
    connect: Callable[..., Any] | list[Any], responses: Iterable[Any]
) -> Iterator[tuple[mock.Mock, mock.Mock]]:
    """Put mocks in the place of the two steps."""
    core = import_module("reactor.websocket._core")
    first = mock.patch.object(core, "connect", side_effect=connect)
    with (
        first as connecting,
        mock.patch.object(core, "handshake", side_effect=responses) as shaking,
    ):
        yield connecting, shaking
    assert not steps.is_replaced()


def test_as_a_rule_the_pipeline_connects(serve: Serve) -> None:
    assert not steps.is_replaced()
    with mock.patch.object(steps, "open_in_steps") as in_steps:
        connection = reactor.create_connection(serve(echo).url, timeout=5)
    connection.close()
    in_steps.assert_not_called()


def test_a_test_of_a_program_connects_to_nothing() -> None:
    wire = mock.Mock()
    response = SimpleNamespace(status=101, headers={"a": "b"}, subprotocol="sub")
    with replaced([(wire, ("h", 80, "/"))], [response]) as (connect, handshake):
        connection = reactor.create_connection("ws://h/", timeout=3, header=["A: 1"])
    assert (connection.sock, connection.connected) == (wire, True)
    assert (connection.headers, connection.subprotocol) == ({"a": "b"}, "sub")
    assert connect.call_args.args[0] == "ws://h/"
    assert handshake.call_args.args == (wire, "ws://h/", "h", 80, "/")
    assert handshake.call_args.kwargs["header"] == ["A: 1"]
    wire.settimeout.assert_called_with(3)
    connection.shutdown()


def redirect(location: str | None) -> SimpleNamespace:
    headers = {} if location is None else {"location": location}
    return SimpleNamespace(status=302, headers=headers, subprotocol=None)


def test_redirects_are_followed_step_by_step() -> None:
    wires = [mock.Mock(), mock.Mock()]
    connected = [(wire, ("h", 80, "/")) for wire in wires]
    answers = [redirect("ws://other/"), SimpleNamespace(status=101, headers={}, subprotocol=None)]
    with replaced(connected, answers) as (connect, _):
        connection = reactor.create_connection("ws://h/")
    assert [call.args[0] for call in connect.call_args_list] == ["ws://h/", "ws://other/"]
    wires[0].close.assert_called_once_with()
    assert connection.sock is wires[1]
    connection.shutdown()


@pytest.mark.parametrize(
    ("location", "goes_along"), [("ws://h/other", True), ("ws://h:81/", False), ("wss://h/", False)]
)
def test_secrets_stay_with_the_origin_that_they_are_meant_for(
    location: str, goes_along: bool
) -> None:
    given = {
        "header": {"Authorization": "secret", "X-Name": "d\u00e9"},
        "cookie": "a=b",
        "host": "h",
        "subprotocols": ["chat", "token." + "Zq9" * 20],
    }
    certificate = {"certfile": "c.pem", "ca_certs": "ca.pem"}
    answers = [redirect(location), SimpleNamespace(status=101, headers={}, subprotocol=None)]
    wires = iter([mock.Mock(), mock.Mock()])
    with replaced(lambda *_: (next(wires), ("h", 80, "/")), answers) as (connect, handshake):
        reactor.create_connection("ws://h/", sslopt=certificate, timeout=3, **given).shutdown()
    options = handshake.call_args.kwargs
    settings = connect.call_args.args[1]
    assert settings.timeout == 3
    if goes_along:
        assert {name: options[name] for name in given} == given
        assert settings.sslopt == certificate
        return
    assert options["header"] == [("X-Name", "d\u00e9")]
    assert not options["cookie"]
    assert not options["host"]
    assert options["subprotocols"] == ["chat"]
    assert settings.sslopt == {"ca_certs": "ca.pem"}


def test_no_redirect_leads_from_tls_to_a_connection_without() -> None:
    wire = mock.Mock()
    refused = pytest.raises(reactor.WebSocketException, match="from wss to ws, without TLS")
    with replaced(lambda *_: (wire, ("h", 443, "/")), [redirect("ws://h/")]), refused:
        reactor.create_connection("wss://h/")
    wire.close.assert_called_once_with()


@pytest.mark.parametrize(
    ("locations", "words"),
    [
        (["ws://a/", "ws://b/", "ws://c/"], "Redirect limit exhausted"),
        ([None], "without Location header, status 302"),
        (["https://a/"], "Invalid redirect target 'https://a/'"),
    ],
)
def test_redirects_that_lead_nowhere_leave_no_socket(
    locations: list[str | None], words: str
) -> None:
    wires = []

    def connect(url: str, *_: object) -> Any:
        if url.startswith("http"):
            raise ValueError("scheme https is invalid")
        wires.append(mock.Mock())
        return wires[-1], ("h", 80, "/")

    refused = pytest.raises(reactor.WebSocketException, match=words)
    with replaced(connect, map(redirect, locations)), refused:
        reactor.create_connection("ws://h/", redirect_limit=2)
    for wire in wires:
        wire.close.assert_called_once_with()


def test_a_program_that_chooses_the_address(serve: Serve) -> None:
    """As programs do to stay away from IPv6."""
    peer, module = serve(echo), import_module("reactor.websocket._http")
    original = module._get_addrinfo_list

    def chosen(hostname: str, port: int, is_secure: bool, proxy: Any) -> Any:
        return original("127.0.0.1", peer.port, is_secure, proxy)

    with mock.patch.object(module, "_get_addrinfo_list", chosen):
        assert steps.is_replaced()
        connection = reactor.create_connection("ws://host.invalid/path", timeout=5)
    connection.send("hello")
    assert connection.recv() == "hello"
    connection.close()
    assert peer.requests[0].headers["host"] == "host.invalid"
    assert not steps.is_replaced()


def test_a_program_that_does_something_before_tls(serve: Serve, authority: Authority) -> None:
    peer = serve(echo, context=authority.server_context)
    module = import_module("reactor.websocket._http")
    original, seen = module._wrap_sni_socket, []

    def patched(sock: Any, sslopt: Any, hostname: str, check_hostname: bool) -> Any:
        seen.append((sock.gettimeout(), hostname, check_hostname))
        return original(sock, sslopt, hostname, check_hostname)

    with mock.patch.object(module, "_wrap_sni_socket", patched):
        connection = reactor.create_connection(peer.url, timeout=5, sslopt=authority.sslopt)
    connection.send("hello")
    assert (connection.recv(), seen) == ("hello", [(5, "127.0.0.1", True)])
    connection.close()


def test_a_head_that_a_program_reads_itself(serve: Serve) -> None:
    module = import_module("reactor.websocket._handshake")
    original = module.read_headers

    def patched(sock: Any) -> Any:
        status, headers, reason = original(sock)
        return status, {**headers, "x-added": "yes"}, reason

    with mock.patch.object(module, "read_headers", patched):
        connection = reactor.create_connection(serve(echo).url, timeout=5)
    assert connection.headers["x-added"] == "yes"  # type: ignore[index]
    connection.close()
