"""Through proxies that speak TLS: every face, whose certificate is verified how, and what may fail.

The proxies are scripts that connect to a real target. For proxies that nobody here wrote see
test_proxy_peers.py.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import (
    Reactor,
    WebSocketCertificateException,
    WebSocketException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from reactor.client.pipeline import ClientUpgrade
from reactor.timers import ManualClock
from reactor.transports.tls.nested import NestedTLS
from reactor.transports.tls.sessions import session_cache

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import Script, ScriptedPeer, Serve, Talk, answer, echo, greet, silence
from ..support.recorder import Recorder
from ..support.relay import relay

pytestmark = pytest.mark.usefixtures("no_leaks")

Open = Callable[..., ClientUpgrade]

LARGE = "0123456789" * 100_000


@pytest.fixture
def proxy(serve: Serve, authority: Authority) -> ScriptedPeer:
    """A proxy that speaks TLS."""
    return serve(relay, context=authority.server_context)


@pytest.fixture(params=["ws", "wss"])
def target(request: pytest.FixtureRequest, serve: Serve, authority: Authority) -> ScriptedPeer:
    """An echo server without TLS, and one with it."""
    return serve(echo, context=authority.server_context if request.param == "wss" else None)


def url_of(proxy: ScriptedPeer, credentials: str = "", scheme: str = "https") -> str:
    return f"{scheme}://{credentials}127.0.0.1:{proxy.port}"


# --- every face -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_native_face(
    proxy: ScriptedPeer,
    target: ScriptedPeer,
    loop: Reactor,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    options = {"proxy": url_of(proxy, "u:p@")} if by == "option" else {}
    monkeypatch.setenv("all_proxy", url_of(proxy, "u:p@"))
    protocol = loop.connect(target.url, Recorder, sslopt=authority.sslopt, **options)
    run_until(loop, lambda: protocol.names)
    for message in ("hello", b"\x00\xff", LARGE):
        protocol.send(message)
    run_until(loop, lambda: len(protocol.messages) == 3)
    protocol.close(1000, "bye")
    run_until(loop, lambda: protocol.closes)
    assert protocol.messages == ["hello", b"\x00\xff", LARGE]
    assert protocol.closes == [(1000, "bye")]
    assert protocol.errors == []
    assert proxy.requests[0].request_line == f"CONNECT 127.0.0.1:{target.port} HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic dTpw"
    assert "proxy-authorization" not in target.requests[0].headers


@pytest.mark.parametrize("by", ["option", "environment"])
def test_create_connection(
    proxy: ScriptedPeer,
    target: ScriptedPeer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    options: dict[str, Any] = {}
    if by == "option":
        options = {
            "http_proxy_host": "127.0.0.1",
            "http_proxy_port": proxy.port,
            "proxy_type": "https",
        }
    else:
        monkeypatch.setenv("http_proxy", url_of(proxy))
        monkeypatch.setenv("https_proxy", url_of(proxy))
    ws = reactor.create_connection(target.url, sslopt=authority.sslopt, timeout=20, **options)
    secure = target.url.startswith("wss")
    assert ws.is_ssl()
    assert isinstance(ws.sock, NestedTLS if secure else ssl.SSLSocket)
    for message in ("hello", LARGE):
        ws.send(message)
        assert ws.recv() == message
    ws.settimeout(0.01)
    with pytest.raises(WebSocketTimeoutException):
        ws.recv()
    ws.settimeout(20)
    ws.close()
    assert proxy.connections == 1


def test_two_threads_on_one_connection(
    proxy: ScriptedPeer, target: ScriptedPeer, authority: Authority
) -> None:
    ws = reactor.create_connection(
        target.url,
        sslopt=authority.sslopt,
        timeout=20,
        http_proxy_host="127.0.0.1",
        http_proxy_port=proxy.port,
        proxy_type="https",
    )
    messages = [f"{number} {LARGE[:20_000]}" for number in range(100)]

    def send() -> None:
        for message in messages:
            ws.send(message)

    thread = threading.Thread(target=send)
    thread.start()
    assert [ws.recv() for _ in messages] == messages
    thread.join()
    ws.close()


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_app(
    proxy: ScriptedPeer,
    target: ScriptedPeer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    seen: list[Any] = []

    def on_message(app: Any, message: str) -> None:
        seen.append(message)
        app.close()

    options: dict[str, Any] = {}
    if by == "option":
        options = {
            "http_proxy_host": "127.0.0.1",
            "http_proxy_port": proxy.port,
            "proxy_type": "https",
        }
    else:
        monkeypatch.setenv("http_proxy", url_of(proxy))
        monkeypatch.setenv("https_proxy", url_of(proxy))
    app = reactor.WebSocketApp(
        target.url,
        on_open=lambda app: app.send("hello"),
        on_message=on_message,
        on_error=lambda _, exc: seen.append(exc),
    )
    app.run_forever(sslopt=authority.sslopt, **options)
    assert seen == ["hello"]
    assert proxy.connections == 1


def test_bytes_behind_the_servers_head_are_not_lost(
    proxy: ScriptedPeer, serve: Serve, loop: Reactor, authority: Authority
) -> None:
    target = serve(greet, context=authority.server_context)
    protocol = loop.connect(target.url, Recorder, proxy=url_of(proxy), sslopt=authority.sslopt)
    run_until(loop, lambda: protocol.messages)
    assert protocol.events == [("open",), ("message", "hello")]


def test_the_socket_is_that_of_the_proxy_and_the_certificate_that_of_the_server(
    proxy: ScriptedPeer, serve: Serve, open_: Open, authority: Authority
) -> None:
    target = serve(echo, context=authority.issue("target.example", "127.0.0.1"))
    upgraded = open_(target.url, proxy=url_of(proxy), sslopt=authority.sslopt)
    assert isinstance(upgraded.sock, NestedTLS)
    assert upgraded.sock.getpeername()[1] == proxy.port
    assert ("DNS", "target.example") in upgraded.sock.getpeercert()["subjectAltName"]


def test_sessions_are_kept_for_the_proxy_and_for_the_server(
    proxy: ScriptedPeer, serve: Serve, open_: Open, authority: Authority
) -> None:
    session_cache.clear()
    target = serve(echo, context=authority.server_context)
    reused = []
    for _ in range(3):
        sock = open_(target.url, proxy=url_of(proxy), sslopt=authority.sslopt).sock
        assert isinstance(sock, NestedTLS)
        reused.append((sock.outer.session_reused, sock.session_reused))
    assert reused == [(False, False), (True, True), (True, True)]
    session_cache.clear()


# --- who is verified how --------------------------------------------------------------------------


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that signs for proxies only."""
    return Authority(tmp_path)


def test_the_proxy_is_verified_by_its_own_name(
    serve: Serve, target: ScriptedPeer, open_: Open, authority: Authority
) -> None:
    proxy = serve(relay, context=authority.issue("target.example"))
    with pytest.raises(WebSocketCertificateException, match=f"the proxy {url_of(proxy)}"):
        open_(target.url, proxy=url_of(proxy), sslopt=authority.sslopt)
    assert target.connections == 0
    assert proxy.requests == []


def test_a_name_that_is_given_for_the_server_is_not_that_of_the_proxy(
    proxy: ScriptedPeer, serve: Serve, open_: Open, authority: Authority
) -> None:
    target = serve(echo, context=authority.issue("target.example"))
    sslopt = {**authority.sslopt, "server_hostname": "target.example"}
    open_(target.url, proxy=url_of(proxy), sslopt=sslopt)


def test_options_of_its_own_for_the_proxy(
    serve: Serve, target: ScriptedPeer, open_: Open, authority: Authority, stranger: Authority
) -> None:
    proxy = serve(relay, context=stranger.issue("proxy.example"))
    given = {"proxy": url_of(proxy), "sslopt": authority.sslopt}
    with pytest.raises(WebSocketCertificateException):
        open_(target.url, **given)
    own = {**stranger.sslopt, "server_hostname": "proxy.example"}
    open_(target.url, **given, proxy_sslopt=own)
    open_(target.url, **given, proxy_sslopt={"cert_reqs": ssl.CERT_NONE})


def test_options_for_the_proxy_do_not_hold_for_the_server(
    proxy: ScriptedPeer, serve: Serve, open_: Open, authority: Authority, stranger: Authority
) -> None:
    target = serve(echo, context=stranger.server_context)
    with pytest.raises(WebSocketCertificateException, match="certificate of 127"):
        open_(
            target.url,
            proxy=url_of(proxy),
            sslopt=authority.sslopt,
            proxy_sslopt={"cert_reqs": ssl.CERT_NONE},
        )


def test_the_proxy_is_not_shown_the_certificate_for_the_server(
    serve: Serve, open_: Open, authority: Authority, tmp_path: Path
) -> None:
    shown: list[Any] = []

    def noting(talk: Talk) -> None:
        assert isinstance(talk.sock, ssl.SSLSocket)
        shown.append(bool(talk.sock.getpeercert()))
        relay(talk)

    context = authority.issue("127.0.0.1")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.ca_file)
    proxy = serve(noting, context=context)
    target = serve(echo, context=context)
    certfile, keyfile = authority.write(tmp_path)
    ours = {"certfile": certfile, "keyfile": keyfile}
    given = {"proxy": url_of(proxy), "sslopt": {**authority.sslopt, **ours}}
    open_(target.url, **given)
    open_(target.url, **given, proxy_sslopt={**authority.sslopt, **ours})
    assert shown == [False, True]


@pytest.mark.parametrize("sslopt", [{"no_such_key": 1}, {"ca_certs": "/no/such/file"}])
def test_wrong_options_for_the_proxy_are_an_error_of_the_call(
    loop: Reactor, sslopt: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, WebSocketTLSException), match=r"no.such"):
        loop.connect("ws://h", Recorder, proxy="https://p", proxy_sslopt=sslopt)


# --- what fails -----------------------------------------------------------------------------------


def test_a_refusal(serve: Serve, target: ScriptedPeer, open_: Open, authority: Authority) -> None:
    refuse = answer("HTTP/1.1 407 Proxy Authentication Required", "Content-Length: 0")
    proxy = serve(refuse, context=authority.server_context)
    with pytest.raises(WebSocketProxyException, match=url_of(proxy)) as caught:
        open_(target.url, proxy=url_of(proxy), sslopt=authority.sslopt)
    assert caught.value.status_code == 407


def test_a_proxy_that_speaks_no_tls(serve: Serve, open_: Open, authority: Authority) -> None:
    proxy = serve(plain)
    with pytest.raises(WebSocketTLSException, match=f"the proxy {url_of(proxy)} failed"):
        open_("ws://192.0.2.1", proxy=url_of(proxy), sslopt=authority.sslopt)


def test_a_proxy_that_misses_a_certificate(
    serve: Serve, target: ScriptedPeer, open_: Open, authority: Authority
) -> None:
    context = authority.issue("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    proxy = serve(relay, context=context)
    with pytest.raises(WebSocketTLSException, match=r"the proxy .* certificate required"):
        open_(target.url, proxy=url_of(proxy), sslopt=authority.sslopt)


def test_a_proxy_that_breaks_off_within_the_tls_of_the_server(
    serve: Serve, open_: Open, authority: Authority
) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        talk.recv()

    proxy = serve(script, context=authority.server_context)
    with pytest.raises(WebSocketTLSException, match=r"192\.0\.2\.1"):
        open_("wss://192.0.2.1", proxy=url_of(proxy), sslopt=authority.sslopt)


def test_a_connection_that_the_proxy_breaks_off_is_lost(
    serve: Serve, loop: Reactor, authority: Authority
) -> None:
    def leave(talk: Talk) -> None:
        talk.upgrade()
        talk.frame()

    proxy = serve(relay, context=authority.server_context)
    target = serve(leave, context=authority.server_context)
    protocol = loop.connect(target.url, Recorder, proxy=url_of(proxy), sslopt=authority.sslopt)
    run_until(loop, lambda: protocol.names)
    protocol.send("x")
    run_until(loop, lambda: protocol.closes)
    assert protocol.closes == [(1006, "")]


def mute(heard: threading.Event, context: ssl.SSLContext | None = None) -> Script:
    """Return the script of a proxy that falls silent: within TLS, or after it."""

    def script(talk: Talk) -> None:
        if context is None:
            talk.recv()
        else:
            talk.head()
        heard.set()
        silence(talk)

    return script


@pytest.mark.parametrize("after_tls", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"connect_timeout": 10}, 10),
        ({"connect_timeout": 10, "proxy_timeout": 3}, 3),
        ({"connect_timeout": None, "proxy_timeout": 3}, 3),
    ],
)
def test_the_deadlines(
    serve: Serve,
    authority: Authority,
    after_tls: bool,
    options: dict[str, Any],
    expected: float,
) -> None:
    heard = threading.Event()
    context = authority.server_context if after_tls else None
    proxy = url_of(serve(mute(heard, context), context=context))
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        protocol = loop.connect(
            "wss://192.0.2.1", Recorder, proxy=proxy, sslopt=authority.sslopt, **options
        )
        run_until(loop, heard.is_set)
        while not protocol.closes:
            clock.advance(1)
            assert clock.now() <= expected
            loop.run_once(0.01)
            loop.run_once(0.01)
    assert clock.now() == expected
    (error,) = protocol.errors
    assert type(error) is WebSocketTimeoutException
    assert proxy in str(error)


@pytest.mark.parametrize("after_tls", [False, True])
@pytest.mark.parametrize("way", ["close", "abort", "reactor"])
def test_giving_up_leaves_nothing_behind(
    serve: Serve, loop: Reactor, authority: Authority, after_tls: bool, way: str
) -> None:
    heard = threading.Event()
    context = authority.server_context if after_tls else None
    proxy = url_of(serve(mute(heard, context), context=context))
    protocol = loop.connect(
        "wss://192.0.2.1", Recorder, proxy=proxy, sslopt=authority.sslopt, reconnect=1.0
    )
    run_until(loop, heard.is_set)
    if way == "reactor":
        loop.close()
    else:
        getattr(protocol, way)()
        run_until(loop, lambda: protocol.events)
    assert protocol.events == [("close", 1006, "")]


# --- a proxy that does not do what its URL says ---------------------------------------------------


def plain(talk: Talk) -> None:
    """A proxy that speaks plain HTTP, and answers what is none as proxies do."""
    there = talk.sock.recv(1, socket.MSG_PEEK)
    if there == b"\x16":  # a TLS record
        talk.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        talk.end()
    else:
        relay(talk)


def silent_about_it(talk: Talk) -> None:
    """One that closes without a word."""
    if talk.sock.recv(1, socket.MSG_PEEK) == b"\x16":
        talk.reset()
    else:
        relay(talk)


@pytest.mark.parametrize("script", [plain, silent_about_it])
def test_the_faces_of_websocket_client_go_on_without_tls_if_the_environment_says_https(
    serve: Serve,
    target: ScriptedPeer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: Script,
) -> None:
    proxy = serve(script)
    monkeypatch.setenv("all_proxy", url_of(proxy, "u:p@"))
    ws = reactor.create_connection(target.url, sslopt=authority.sslopt, timeout=20)
    ws.send("hello")
    assert ws.recv() == "hello"
    ws.close()
    assert proxy.connections == 2
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert url_of(proxy) in record.message
    assert "plain HTTP" in record.message
    assert "u:p" not in record.message


def test_they_do_not_if_the_program_says_https(serve: Serve, authority: Authority) -> None:
    proxy = serve(plain)
    with pytest.raises(ssl.SSLError) as caught:
        reactor.create_connection(
            "ws://192.0.2.1/",
            sslopt=authority.sslopt,
            timeout=20,
            http_proxy_host="127.0.0.1",
            http_proxy_port=proxy.port,
            proxy_type="https",
        )
    assert "the proxy" in str(caught.value.__cause__)
    assert proxy.connections == 1


def test_they_do_not_if_the_certificate_is_not_the_proxys(
    serve: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(relay, context=authority.issue("elsewhere.example"))
    monkeypatch.setenv("all_proxy", url_of(proxy))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        reactor.create_connection("ws://192.0.2.1/", sslopt=authority.sslopt, timeout=20)
    assert "the proxy" in str(caught.value.__cause__)
    assert proxy.requests == []


def test_they_do_not_if_the_proxy_answers_in_tls(
    serve: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = authority.issue("127.0.0.1")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    proxy = serve(relay, context=old)
    context = authority.client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    monkeypatch.setenv("all_proxy", url_of(proxy))
    with pytest.raises(ssl.SSLError, match="protocol version") as caught:
        reactor.create_connection("ws://192.0.2.1/", sslopt={"context": context}, timeout=20)
    assert "the proxy" in str(caught.value.__cause__)
    assert proxy.connections == 1


def test_they_do_not_if_the_options_are_wrong(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(plain)
    monkeypatch.setenv("all_proxy", url_of(proxy))
    # The name of the file is in a note, since there are notes (Python 3.11).
    with pytest.raises(WebSocketException, match="SSL CA certificate loading failed"):
        reactor.create_connection(
            "ws://192.0.2.1/", sslopt={"ca_certs": "/no/such/file"}, timeout=20
        )
    assert proxy.connections == 0


def test_the_native_face_does_not(
    serve: Serve, open_: Open, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(plain)
    monkeypatch.setenv("all_proxy", url_of(proxy))
    with pytest.raises(WebSocketTLSException, match="the proxy"):
        open_("ws://192.0.2.1", sslopt=authority.sslopt)
    assert proxy.connections == 1
