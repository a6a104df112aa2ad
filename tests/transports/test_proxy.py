"""Tunnels through proxies: what is sent, what is accepted, and what else may come back.

The proxies here are scripts on loopback, most of which misbehave; for real ones see
tests/test_proxy_peers.py. Every test runs under both drivers.
"""

from __future__ import annotations

import base64
import importlib.metadata
import inspect
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import (
    Reactor,
    WebSocketAddressException,
    WebSocketConnectException,
    WebSocketException,
    WebSocketProxyConnectException,
    WebSocketProxyConnectRefusedException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)
from reactor.client.proxy_choice import parse_proxy
from reactor.exceptions import WebSocketCertificateException, WebSocketTLSException
from reactor.loop.steps import now, sleep
from reactor.loop.tasks import Task, run_blocking
from reactor.timers import ManualClock
from reactor.transports.proxy import Proxy, dial_through

from ..support.certificates import Authority
from ..support.driving import drive, run_until
from ..support.peers import Script, ScriptedPeer, Talk, http, silence
from ..support.socks import (
    OK4,
    OK5,
    PLAIN_KINDS,
    Asked,
    accepting,
    read_request,
    read_socks4,
    read_socks5,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

T = TypeVar("T")
Serve = Callable[..., ScriptedPeer]
Run = Callable[[Coroutine[Any, Any, T]], T]
Result = tuple[socket.socket, bytes]

SOCKS = [kind for kind in PLAIN_KINDS if kind != "http"]
ESTABLISHED = http("HTTP/1.1 200 Connection established")


class Dial:
    """Dials through a proxy, by one of the drivers; closes what it has opened at the end."""

    def __init__(self, run: Run[Any], stack: ExitStack) -> None:
        self._run = run
        self._stack = stack

    def __call__(
        self,
        peer: ScriptedPeer,
        kind: str = "http",
        credentials: tuple[str, str] | None = None,
        *,
        host: str = "192.0.2.1",
        port: int = 443,
        seconds: float = 10.0,
    ) -> Result:
        proxy = Proxy(kind, "127.0.0.1", peer.port, *(credentials or ()))
        return self.through(proxy, host, port, seconds)

    def through(self, proxy: Proxy, host: str, port: int, seconds: float = 10.0) -> Result:
        async def dial() -> Result:
            return await dial_through(proxy, host, port, until=await now() + seconds)

        result: Result = self._run(dial())
        self._stack.enter_context(result[0])
        return result


@pytest.fixture(params=["blocking", "reactor"])
def dial(request: pytest.FixtureRequest) -> Iterator[Dial]:
    run = run_blocking if request.param == "blocking" else drive
    with ExitStack() as stack:
        yield Dial(run, stack)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this machine was asked to resolve. Every name has two addresses, IPv6 first."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, family: int = 0, *_: Any) -> list[Any]:
        asked.append(host)
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port)),
        ]
        return [entry for entry in found if family in (0, entry[0])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def after_request(kind: str, answer: bytes) -> Script:
    """Return the script of a proxy that answers the last request with this, and ends its side."""

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        talk.send(answer)
        talk.end()

    return script


def is_alive(sock: socket.socket, data: bytes = b"ping") -> bool:
    """Whether what we send comes back (with a peer that echoes)."""
    sock.settimeout(5)
    sock.sendall(data)
    return sock.recv(100) == data


def echo_raw(talk: Talk) -> None:
    while data := talk.recv():
        talk.send(data)


# --- HTTP CONNECT ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("host.example", "host.example:443"),
        ("192.0.2.1", "192.0.2.1:443"),
        ("2001:db8::1", "[2001:db8::1]:443"),
        ("fe80::1%eth0", "[fe80::1]:443"),
    ],
)
def test_the_request_names_the_target(
    serve: Serve, dial: Dial, names: list[str], host: str, authority: str
) -> None:
    peer = serve(accepting("http"))
    dial(peer, host=host)
    assert peer.requests[0].raw == http(f"CONNECT {authority} HTTP/1.1", f"Host: {authority}")
    assert names == []  # the proxy resolves


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://user:secret@", b"user:secret"),
        ("http://user:p%40ss%3Aw%2Ford@", b"user:p@ss:w/ord"),
        ("http://%C3%A9:%E2%82%AC@", "é:€".encode()),
        ("http://user@", b"user:"),
        ("http://:secret@", b":secret"),
    ],
)
def test_credentials_are_basic_authentication(
    serve: Serve, dial: Dial, url: str, plain: bytes
) -> None:
    peer = serve(accepting("http"))
    dial.through(parse_proxy(f"{url}127.0.0.1:{peer.port}"), "h", 80)
    sent = peer.requests[0].headers["proxy-authorization"]
    assert sent == f"Basic {base64.b64encode(plain).decode()}"


@pytest.mark.parametrize("url", ["http://", "http://:@"])
def test_without_credentials_there_is_no_such_header(serve: Serve, dial: Dial, url: str) -> None:
    peer = serve(accepting("http"))
    dial.through(parse_proxy(f"{url}127.0.0.1:{peer.port}"), "h", 80)
    assert list(peer.requests[0].headers) == ["host"]


@pytest.mark.parametrize(
    "answer",
    [
        ESTABLISHED,
        http("HTTP/1.1 200"),
        http("HTTP/1.0 200 OK", "Proxy-Agent: x", "Connection: close"),
        http("HTTP/1.1 204 No Content"),
        http("HTTP/1.1 299 Strange"),
        # RFC 9110 section 9.3.6: to be ignored
        http("HTTP/1.1 200 OK", "Content-Length: 1000"),
        http("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
        # RFC 9110 section 15.2: interim responses come first
        http("HTTP/1.1 100 Continue") + http("HTTP/1.1 102 Processing") + ESTABLISHED,
    ],
)
@pytest.mark.parametrize("singly", [False, True])
def test_every_2xx_opens_the_tunnel(serve: Serve, dial: Dial, answer: bytes, singly: bool) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        (talk.send_singly if singly else talk.send)(answer)
        echo_raw(talk)

    sock, early = dial(serve(script))
    assert early == b""
    assert not sock.getblocking()
    assert is_alive(sock)


@pytest.mark.parametrize("cut", [1, 20, len(ESTABLISHED) - 1, len(ESTABLISHED)])
def test_bytes_behind_the_head_belong_to_the_target(serve: Serve, dial: Dial, cut: int) -> None:
    whole = ESTABLISHED + b"early"

    def script(talk: Talk) -> None:
        talk.head()
        talk.send(whole[:cut])
        talk.send(whole[cut:])
        talk.end()

    sock, early = dial(serve(script))
    sock.setblocking(True)
    rest = b"".join(iter(lambda: sock.recv(100), b""))
    assert early + rest == b"early"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("HTTP/1.1 407 Proxy Authentication Required", 407),
        ("HTTP/1.1 403 Forbidden", 403),
        ("HTTP/1.0 502 Bad Gateway", 502),
        ("HTTP/1.1 503 Service Unavailable", 503),
        ("HTTP/1.1 302 Found", 302),
        ("HTTP/1.1 101 Switching Protocols", 101),
        ("HTTP/1.1 599", 599),
    ],
)
@pytest.mark.parametrize("singly", [False, True])
def test_a_refusal_comes_with_its_status(
    serve: Serve, dial: Dial, line: str, status: int, singly: bool
) -> None:
    answer = http(line, "Content-Length: 4", body=b"body")

    def script(talk: Talk) -> None:
        talk.head()
        (talk.send_singly if singly else talk.send)(answer)
        talk.until_closed()

    peer = serve(script)
    with pytest.raises(WebSocketProxyException) as caught:
        dial(peer)
    words = line.partition(" ")[2]
    assert str(caught.value) == (
        f"failed CONNECT via proxy status: {words} (http://127.0.0.1:{peer.port})"
    )
    assert caught.value.status_code == status


def endless(piece: bytes, start: bytes = b"") -> Script:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(start)
        while True:
            talk.send(piece)

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(after_request("http", b"hello\r\n\r\n"), id="garbage"),
        pytest.param(after_request("http", bytes(range(256)) * 4), id="binary garbage"),
        pytest.param(after_request("http", OK5), id="SOCKS"),
        pytest.param(after_request("http", b"\x15\x03\x01\x00\x02\x02\x46\n"), id="TLS"),
        pytest.param(after_request("http", b""), id="end at once"),
        pytest.param(after_request("http", ESTABLISHED[:-1]), id="end in mid-reply"),
        pytest.param(after_request("http", http("HTTP/1.1 100 Continue")), id="end after interim"),
        pytest.param(endless(b"x"), id="endless line"),
        pytest.param(endless(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"), id="endless head"),
        pytest.param(endless(http("HTTP/1.1 100 Continue")), id="endless interim responses"),
    ],
)
def test_what_is_no_answer_names_the_proxy(serve: Serve, dial: Dial, script: Script) -> None:
    peer = serve(script)
    with pytest.raises(WebSocketProxyException, match=f"proxy http://127.0.0.1:{peer.port}") as e:
        dial(peer)
    assert e.value.status_code is None
    assert e.value.__cause__ is not None


# --- SOCKS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "host", "sent"),
    [
        ("socks4", "192.0.2.1", b"\x04\x01\x01\xbb\xc0\x00\x02\x01\x00"),
        ("socks4a", "192.0.2.1", b"\x04\x01\x01\xbb\xc0\x00\x02\x01\x00"),
        ("socks4", "h.example", b"\x04\x01\x01\xbb\xc0\x00\x02\x07\x00"),
        ("socks4a", "h.example", b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00h.example\x00"),
    ],
)
def test_the_bytes_of_socks4(
    serve: Serve, dial: Dial, names: list[str], kind: str, host: str, sent: bytes
) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        got.append(talk.exactly(len(sent)))
        talk.send(OK4)
        got.append(talk.until_closed())

    with ExitStack() as stack:
        peer = stack.enter_context(ScriptedPeer(script))
        dial(peer, kind, host=host)[0].close()
    assert got == [sent, b""]


@pytest.mark.parametrize(
    ("kind", "host", "sent"),
    [
        ("socks5", "192.0.2.1", b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"),
        ("socks5h", "192.0.2.1", b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"),
        ("socks5", "h.example", b"\x05\x01\x00\x01\xc0\x00\x02\x07\x01\xbb"),
        ("socks5h", "h.example", b"\x05\x01\x00\x03\x09h.example\x01\xbb"),
        ("socks5", "2001:db8::1", b"\x05\x01\x00\x04 \x01\r\xb8" + bytes(11) + b"\x01\x01\xbb"),
        ("socks5h", "2001:db8::1", b"\x05\x01\x00\x04 \x01\r\xb8" + bytes(11) + b"\x01\x01\xbb"),
        ("socks5h", "fe80::1%x", b"\x05\x01\x00\x04\xfe\x80" + bytes(13) + b"\x01\x01\xbb"),
    ],
)
def test_the_bytes_of_socks5(
    serve: Serve, dial: Dial, names: list[str], kind: str, host: str, sent: bytes
) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> None:
        got.append(talk.exactly(3))
        talk.send(b"\x05\x00")
        got.append(talk.exactly(len(sent)))
        talk.send(OK5)
        got.append(talk.until_closed())

    with ExitStack() as stack:
        peer = stack.enter_context(ScriptedPeer(script))
        dial(peer, kind, host=host)[0].close()
    assert got == [b"\x05\x01\x00", sent, b""]


@pytest.mark.parametrize(
    ("kind", "asked_here"),
    [("http", []), ("socks4", ["h.example"]), ("socks4a", []), ("socks5", ["h.example"]),
     ("socks5h", [])],
)  # fmt: skip
def test_who_resolves_the_name(
    serve: Serve, dial: Dial, names: list[str], kind: str, asked_here: list[str]
) -> None:
    peer = serve(accepting(kind))
    dial(peer, kind, host="h.example")
    assert names == asked_here


def test_an_address_of_ipv6_where_there_is_no_other(
    serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", 443, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    asked: list[Asked] = []

    def script(talk: Talk) -> None:
        asked.append(read_socks5(talk))
        talk.send(OK5)
        silence(talk)

    dial(serve(script), "socks5", host="h.example")
    assert asked == [Asked("2001:db8::7", 443)]


def test_a_name_that_does_not_resolve_here_is_an_error_before_the_proxy_is_dialled(
    serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    peer = serve(silence)
    with pytest.raises(WebSocketAddressException, match=r"cannot resolve 'h\.example'"):
        dial(peer, "socks5", host="h.example")
    assert peer.connections == 0


def test_socks4_has_no_ipv6(serve: Serve, dial: Dial) -> None:
    with pytest.raises(WebSocketAddressException, match="2001:db8::1"):
        dial(serve(silence), "socks4", host="2001:db8::1")


@pytest.mark.parametrize("kind", SOCKS)
def test_credentials_of_socks(serve: Serve, dial: Dial, kind: str) -> None:
    asked: list[Asked] = []

    def script(talk: Talk) -> None:
        if kind.startswith("socks4"):
            asked.append(read_socks4(talk))
            talk.send(OK4)
        else:
            asked.append(read_socks5(talk, credentials=True))
            talk.send(OK5)
        silence(talk)

    dial(serve(script), kind, ("us er", "p:w\\%@"))
    password = "p:w\\%@" if kind.startswith("socks5") else ""
    assert asked == [Asked("192.0.2.1", 443, False, "us er", password)]


@pytest.mark.parametrize("kind", SOCKS)
@pytest.mark.parametrize("singly", [False, True])
def test_what_comes_behind_the_answer_of_socks_stays_in_the_stream(
    serve: Serve, dial: Dial, kind: str, singly: bool
) -> None:
    answer = (OK4 if kind.startswith("socks4") else OK5) + b"early"

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        (talk.send_singly if singly else talk.send)(answer)
        echo_raw(talk)

    sock, early = dial(serve(script), kind)
    assert early == b""
    sock.settimeout(5)
    got = b""
    while len(got) < 5:
        got += sock.recv(5 - len(got))
    assert got == b"early"
    assert is_alive(sock)


@pytest.mark.parametrize(
    "bound",
    [
        b"\x01\x00\x00\x00\x00\x00\x00",
        b"\x04" + bytes(18),
        b"\x03\x00\x00\x00",
        b"\x03\xff" + b"x" * 255 + b"\x00\x50",
    ],
    ids=["IPv4", "IPv6", "no name", "long name"],
)
@pytest.mark.parametrize("singly", [False, True])
def test_every_form_of_an_answer_of_socks5(
    serve: Serve, dial: Dial, bound: bytes, singly: bool
) -> None:
    def script(talk: Talk) -> None:
        read_socks5(talk)
        (talk.send_singly if singly else talk.send)(b"\x05\x00\x00" + bound)
        echo_raw(talk)

    assert is_alive(dial(serve(script), "socks5")[0])


def after_methods(answer: bytes) -> Script:
    """Return the script of a SOCKS5 proxy that answers the methods with this."""

    def script(talk: Talk) -> None:
        talk.exactly(talk.exactly(2)[1])
        talk.send(answer)
        talk.end()

    return script


def after_credentials(answer: bytes) -> Script:
    """Return the script of a SOCKS5 proxy that answers username and password with this."""

    def script(talk: Talk) -> None:
        talk.exactly(talk.exactly(2)[1])
        talk.send(b"\x05\x02")
        talk.exactly(talk.exactly(2)[1])
        talk.exactly(talk.exactly(1)[0])
        talk.send(answer)
        talk.end()

    return script


@pytest.mark.parametrize(
    ("kind", "script", "reason"),
    [
        ("socks4", after_request("socks4", b"\x00\x5b" + bytes(6)), "rejected or failed"),
        ("socks4a", after_request("socks4", b"\x00\x5c" + bytes(6)), "identd"),
        ("socks4", after_request("socks4", b"\x00\x5d" + bytes(6)), "user-ids"),
        ("socks4", after_request("socks4", b"\x00\xff" + bytes(6)), "Invalid reply code"),
        ("socks4", after_request("socks4", b"HTTP/1.1 400 Bad Request\r\n\r\n"), "version"),
        ("socks4", after_request("socks4", b""), "0 of 8 bytes were received"),
        ("socks4a", after_request("socks4", OK4[:-1]), "7 of 8 bytes were received"),
        ("socks5", after_request("socks5", b"\x05\x01\x00" + bytes(7)), "General SOCKS server"),
        ("socks5", after_request("socks5", b"\x05\x02\x00" + bytes(7)), "not allowed"),
        ("socks5h", after_request("socks5", b"\x05\x04\x00" + bytes(7)), "Host unreachable"),
        ("socks5h", after_request("socks5", b"\x05\x05\x00" + bytes(7)), "refused"),
        ("socks5", after_request("socks5", b"\x05\x63\x00" + bytes(7)), "Invalid reply code"),
        ("socks5", after_request("socks5", b"\x05\x00\x00\x09" + bytes(7)), "address type"),
        ("socks5", after_request("socks5", b"\x05\x00\x00\x03\x01\xff\x00\x50"), "decode"),
        ("socks5", after_request("socks5", b"HTTP/1.1"), "version"),
        ("socks5", after_request("socks5", b""), "0 of"),
        ("socks5", after_request("socks5", OK5[:-1]), "5 of 6 bytes were received"),
        ("socks5", after_methods(b""), "0 of 2 bytes were received"),
        ("socks5", after_methods(b"\x05"), "1 of 2 bytes were received"),
        ("socks5", after_methods(b"\x05\xff"), "No acceptable authentication methods"),
        ("socks5", after_methods(b"\x05\x02"), "authentication method"),  # not offered
        ("socks5", after_methods(b"\x05\x01"), "authentication method"),
        ("socks5", after_methods(b"\x05\x77"), "authentication method"),
        ("socks5", after_methods(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "version number: 72"),
    ],
)  # fmt: skip
def test_a_refusal_of_socks_names_proxy_and_reason(
    serve: Serve, dial: Dial, kind: str, script: Script, reason: str
) -> None:
    peer = serve(script)
    with pytest.raises(WebSocketProxyException, match=re.escape(reason)) as caught:
        dial(peer, kind)
    assert f"the proxy {kind}://127.0.0.1:{peer.port} " in str(caught.value)
    assert type(caught.value) is WebSocketProxyException


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x01\x01", "authentication failure"),
        (b"\x05\x00", "Invalid authentication response"),
        (b"\x01", "1 of 2 bytes were received"),
    ],
)
def test_wrong_credentials(serve: Serve, dial: Dial, answer: bytes, reason: str) -> None:
    with pytest.raises(WebSocketProxyException, match=reason) as caught:
        dial(serve(after_credentials(answer)), "socks5", ("user", "secret"))
    assert "secret" not in str(caught.value)


def test_a_name_that_is_too_long_for_socks5(serve: Serve, dial: Dial) -> None:
    def script(talk: Talk) -> None:
        talk.exactly(3)
        talk.send(b"\x05\x00")
        silence(talk)

    with pytest.raises(WebSocketProxyException, match="did not connect to x"):
        dial(serve(script), "socks5h", host=".".join(["x" * 60] * 5))


@settings(max_examples=40)
@given(data=st.binary(max_size=40), kind=st.sampled_from(sorted(PLAIN_KINDS)))
def test_no_answer_raises_anything_else(data: bytes, kind: str) -> None:
    def script(talk: Talk) -> None:
        talk.recv()
        talk.send(data)
        talk.end()

    with ScriptedPeer(script) as peer:
        proxy = Proxy(kind, "127.0.0.1", peer.port)
        try:
            sock, _ = run_blocking(dial_through(proxy, "192.0.2.1", 1, until=None))
        except WebSocketProxyException as exc:
            said = str(exc)
        else:
            said = str(proxy)
            sock.close()
        assert str(peer.port) in said


# --- TLS with the proxy itself --------------------------------------------------------------------


def through_tls(peer: ScriptedPeer, authority: Authority) -> Result:
    proxy = Proxy("https", "127.0.0.1", peer.port)
    sslopt = authority.sslopt
    return run_blocking(dial_through(proxy, "192.0.2.1", 443, until=None, sslopt=sslopt))


def test_a_proxy_that_speaks_tls(serve: Serve, authority: Authority) -> None:
    def script(talk: Talk) -> None:
        assert talk.head().request_line == "CONNECT 192.0.2.1:443 HTTP/1.1"
        talk.send(ESTABLISHED + b"early")
        talk.until_closed()

    sock, early = through_tls(serve(script, context=authority.server_context), authority)
    with sock:
        assert isinstance(sock, ssl.SSLSocket)
        assert early == b"early"


def test_a_proxy_whose_certificate_does_not_verify(serve: Serve, authority: Authority) -> None:
    peer = serve(accepting("http"), context=authority.issue("other.example"))
    with pytest.raises(WebSocketCertificateException, match=f"proxy https://127.0.0.1:{peer.port}"):
        through_tls(peer, authority)


def test_a_proxy_whose_tls_breaks(serve: Serve, authority: Authority) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        socket.socket.send(talk.sock, b"these bytes are not a record")
        talk.sock.recv(1)

    peer = serve(script, context=authority.server_context)
    with pytest.raises(WebSocketTLSException, match=f"proxy https://127.0.0.1:{peer.port}"):
        through_tls(peer, authority)


# --- what can be a proxy --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (("gopher", "h", 80), "the kind 'gopher' is not one of"),
        (("http", "", 80), "it has no host"),
        (("http", "h", 0), "port 0 must be 1 to 65535"),
        (("http", "h", 65536), "port 65536 must be 1 to 65535"),
        (("http", "h", "80"), "port '80' must be 1 to 65535"),
        (("http", "h", 80, "a:b", "c"), "the username for an http proxy holds a colon"),
        (("socks4", "h", 80, "\xe9"), "the username for socks4 must be ASCII"),
        (("socks5", "h", 80, "a", "\0"), "the password for socks5 must be ASCII"),
        (("socks5h", "h", 80, "a" * 256, "b"), "the username for socks5h is longer than 255 bytes"),
        (("socks5", "h", 80, "a"), "socks5 needs both username and password, or neither"),
        (("socks5", "h", 80, None, "b"), "socks5 needs both username and password, or neither"),
    ],
)
def test_what_cannot_be_a_proxy(given: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=f"^proxy is invalid: {fault}"):
        Proxy(*given)


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = Proxy("socks5", "2001:db8::1", 1080, "user", "secret")
    assert str(proxy) == "socks5://[2001:db8::1]:1080"
    assert "secret" not in repr(proxy)


# --- all kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_connection_that_is_lost(serve: Serve, dial: Dial, kind: str) -> None:
    def script(talk: Talk) -> None:
        read_request(talk, kind)
        talk.reset()

    peer = serve(script)
    with pytest.raises(WebSocketProxyConnectException, match="was lost") as caught:
        dial(peer, kind)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, WebSocketProxyException)
    assert f"the proxy {kind}://127.0.0.1:{peer.port} " in str(caught.value)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_proxy_that_is_not_there(dial: Dial, kind: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(WebSocketProxyConnectRefusedException) as caught:
            dial.through(Proxy(kind, "127.0.0.1", port), "192.0.2.1", 80)
    error = caught.value
    assert isinstance(error, ConnectionRefusedError)
    assert isinstance(error, WebSocketProxyException)
    assert isinstance(error, WebSocketConnectException)
    assert error.strerror == (
        f"cannot reach the proxy {kind}://127.0.0.1:{port}: "
        f"connection to 127.0.0.1 port {port} refused"
    )
    assert error.errno == error.__cause__.errno  # type: ignore[union-attr]


def test_a_proxy_that_cannot_be_reached(dial: Dial) -> None:
    # A broadcast address: connect() fails on the spot, and not by a refusal.
    with pytest.raises(WebSocketProxyConnectException, match="cannot reach the proxy") as caught:
        dial.through(Proxy("http", "255.255.255.255", 9), "h", 80)
    assert not isinstance(caught.value, ConnectionRefusedError)
    assert caught.value.errno


def test_a_proxy_whose_name_does_not_resolve(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(WebSocketProxyException) as caught:
        dial.through(Proxy("socks5h", "proxy.example", 1), "h", 80)
    assert str(caught.value) == (
        "cannot reach the proxy socks5h://proxy.example:1: cannot resolve 'proxy.example': "
        "Name or service not known"
    )


def test_the_connection_to_the_proxy_is_dialled_as_any_other(serve: Serve) -> None:
    peer = serve(accepting("http"))
    proxy = Proxy("http", "127.0.0.1", peer.port)
    sock, _ = run_blocking(
        dial_through(
            proxy,
            "h",
            80,
            until=None,
            sockopt=[(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)],
            source_address=("127.0.0.1", 0),
        )
    )
    with sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()


def mute(kind: str) -> Script:
    """Return the script of a proxy that reads the request and says no more."""

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        silence(talk)

    return script


@pytest.mark.parametrize("kind", PLAIN_KINDS)
@pytest.mark.parametrize("script", [silence, mute], ids=["silent", "mute"])
def test_a_silent_proxy_ends_at_the_deadline(
    serve: Serve, dial: Dial, kind: str, script: Any
) -> None:
    peer = serve(script if script is silence else script(kind))
    with pytest.raises(WebSocketTimeoutException, match=f"proxy {kind}://127.0.0.1:{peer.port}"):
        dial(peer, kind, seconds=0.05)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_proxy_that_does_not_answer_the_syn(dial: Dial, kind: str) -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        proxy = Proxy(kind, *listening.getsockname())
        with pytest.raises(WebSocketTimeoutException, match=f"cannot reach the proxy {proxy}: "):
            dial.through(proxy, "192.0.2.1", 80, seconds=0.05)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_bytes_that_trickle_do_not_move_the_deadline(serve: Serve, kind: str) -> None:
    answers = {"http": ESTABLISHED, "socks4": OK4, "socks4a": OK4}
    ready = threading.Semaphore(0)
    heard = threading.Event()

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        answer = answers.get(kind, OK5)
        for i in range(len(answer) - 1):
            talk.send(answer[i : i + 1])
            heard.set()
            ready.acquire(timeout=0.1)
        silence(talk)

    peer = serve(script)
    clock = ManualClock()
    ends: list[Any] = []
    with Reactor(clock=clock) as loop:
        proxy = Proxy(kind, "127.0.0.1", peer.port)
        Task(
            loop.loop,
            dial_through(proxy, "192.0.2.1", 80, until=5.0),
            lambda *end: ends.append(end),
        )
        run_until(loop, heard.is_set)
        while not ends:
            clock.advance(1)
            assert clock.now() <= 6
            ready.release()
            loop.run_once(0.05)
    assert clock.now() >= 5
    ((_, error),) = ends
    assert isinstance(error, WebSocketTimeoutException)
    assert str(proxy) in str(error)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
@pytest.mark.parametrize("script", [silence, mute], ids=["silent", "mute"])
def test_a_cancelled_dial_leaves_nothing_behind(
    serve: Serve, loop: Reactor, kind: str, script: Any
) -> None:
    heard = threading.Event()

    def play(talk: Talk) -> None:
        if script is mute:
            read_request(talk, kind)
        heard.set()
        silence(talk)

    peer = serve(play)
    ends: list[Any] = []
    proxy = Proxy(kind, "127.0.0.1", peer.port)
    task = Task(
        loop.loop, dial_through(proxy, "192.0.2.1", 80, until=None), lambda *end: ends.append(end)
    )
    run_until(loop, heard.is_set)
    for _ in range(3):
        loop.run_once(0.01)
    task.cancel()
    assert (loop.stats().readers, loop.stats().writers, loop.stats().timers) == (0, 0, 0)
    loop.run_once(0)
    assert ends == []


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_silent_proxy_does_not_hold_up_the_loop(serve: Serve, loop: Reactor, kind: str) -> None:
    heard = threading.Event()

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        heard.set()
        silence(talk)

    proxy = Proxy(kind, "127.0.0.1", serve(script).port)
    ticks: list[float] = []

    async def tick() -> None:
        for _ in range(20):
            await sleep(0.001)
            ticks.append(await now())

    async def until_cancelled() -> None:
        await dial_through(proxy, "192.0.2.1", 80, until=None)

    waiting = Task(loop.loop, until_cancelled(), lambda *_: None)
    run_until(loop, heard.is_set)
    Task(loop.loop, tick(), lambda *_: None)
    run_until(loop, lambda: len(ticks) == 20)
    assert not waiting.done
    waiting.cancel()


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_many_dials_on_one_thread(serve: Serve, loop: Reactor, kind: str) -> None:
    # Each proxy answers when all have been asked: one after the other would never end.
    count = 40
    barrier = threading.Barrier(count)

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        barrier.wait(10)
        talk.send({"http": ESTABLISHED}.get(kind) or (OK4 if "4" in kind else OK5))
        silence(talk)

    proxy = Proxy(kind, "127.0.0.1", serve(script).port)
    ends: list[tuple[Any, Any]] = []
    for _ in range(count):
        Task(
            loop.loop,
            dial_through(proxy, "192.0.2.1", 80, until=None),
            lambda *end: ends.append(end),
        )
    run_until(loop, lambda: len(ends) == count, timeout=15)
    for result, error in ends:
        assert error is None
        result[0].close()


# --- the contract with python-socks ---------------------------------------------------------------


def test_python_socks_has_the_names_that_are_used() -> None:
    """They are private to it: when this fails, transports/proxy.py needs another way in."""
    from python_socks import ProxyType
    from python_socks._connectors.factory_async import create_connector

    parameters = inspect.signature(create_connector).parameters
    assert list(parameters) == ["proxy_type", "username", "password", "rdns", "resolver"]
    create: Any = create_connector
    for proxy_type in (ProxyType.SOCKS4, ProxyType.SOCKS5):
        connector = create(proxy_type, username="u", password="p", rdns=True, resolver=None)
        assert list(inspect.signature(connector.connect).parameters) == ["stream", "host", "port"]
        assert inspect.iscoroutinefunction(connector.connect)


class OnlyFour:
    """A stream with the methods that the two major versions call, and no others."""

    def __init__(self, answers: bytes) -> None:
        self.answers = answers
        self.sent = b""

    async def write(self, data: bytes) -> None:
        self.sent += data

    async def read_exactly(self, size: int) -> bytes:
        data, self.answers = self.answers[:size], self.answers[size:]
        assert len(data) == size
        return data

    write_all = write
    read_exact = read_exactly


@pytest.mark.parametrize(
    ("version", "answers"), [("SOCKS4", OK4), ("SOCKS5", b"\x05\x02\x01\x00" + OK5)]
)
def test_python_socks_awaits_nothing_but_the_stream(version: str, answers: bytes) -> None:
    from python_socks import ProxyType
    from python_socks._connectors.factory_async import create_connector

    create: Any = create_connector
    connector = create(ProxyType[version], username="u", password="p", rdns=True, resolver=None)
    stream = OnlyFour(answers)
    coroutine = connector.connect(stream, "h.example", 443)
    with pytest.raises(StopIteration):
        coroutine.send(None)  # at the first step: there was nothing to wait for
    assert stream.answers == b""
    assert stream.sent.endswith(b"h.example\x00" if version == "SOCKS4" else b"h.example\x01\xbb")


def test_python_socks_is_of_the_range_that_is_declared() -> None:
    major, minor = importlib.metadata.version("python-socks").split(".")[:2]
    assert (2, 5) <= (int(major), int(minor)) < (4, 0)


def test_a_python_socks_without_these_names_is_a_clear_error(
    serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_socks._connectors", None)
    with pytest.raises(WebSocketProxyException, match="Python Socks is needed for SOCKS") as e:
        dial(serve(silence), "socks5")
    assert isinstance(e.value, WebSocketException)
    dial(serve(accepting("http")))  # HTTP needs none of it
