"""The connect pipeline through proxies: options, TLS, redirects, the deadline, other connections.

The proxies are scripts that also play the server behind them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import (
    Reactor,
    WebSocketBadStatusException,
    WebSocketProxyConnectRefusedException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)
from reactor.client.options import ClientOptions
from reactor.client.pipeline import ClientUpgrade
from reactor.timers import ManualClock
from reactor.transports.proxy import Proxy
from reactor.transports.tls.contexts import make_context
from reactor.transports.tls.sessions import session_cache

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.peers import Script, ScriptedPeer, Talk, answer, echo, greet, http, silence
from ..support.recorder import Recorder
from ..support.socks import PLAIN_KINDS, accepting, read_request
from ..support.websocket_frames import PING, TEXT, build_frame

pytestmark = pytest.mark.usefixtures("no_leaks")

Open = Callable[..., ClientUpgrade]
Serve = Callable[..., ScriptedPeer]

ESTABLISHED = http("HTTP/1.1 200 Connection established")

#: A target that only the script of the proxy plays.
TARGET = "ws://192.0.2.1/path"


def url_of(peer: ScriptedPeer, kind: str = "http") -> str:
    return f"{kind}://127.0.0.1:{peer.port}"


def tls(authority: Authority, kind: str, then: Script) -> Script:
    """Return the script of a proxy that accepts, and plays a target that speaks TLS."""

    def play(talk: Talk) -> None:
        with authority.server_context.wrap_socket(talk.sock, server_side=True) as wrapped:
            then(Talk(talk.peer, wrapped))

    return accepting(kind, play)


# --- through each kind ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_connection(serve: Serve, loop: Reactor, kind: str) -> None:
    peer = serve(accepting(kind, echo))
    protocol = loop.connect(TARGET, Recorder, proxy=url_of(peer, kind))
    run_until(loop, lambda: protocol.names == ["open"])
    protocol.send("hello")
    run_until(loop, lambda: protocol.messages)
    protocol.close()
    run_until(loop, lambda: protocol.closes)
    assert protocol.events == [("open",), ("message", "hello"), ("close", 1000, "")]
    assert peer.requests[-1].request_line == "GET /path HTTP/1.1"
    assert peer.requests[-1].headers["host"] == "192.0.2.1"


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_connection_with_tls(
    serve: Serve, loop: Reactor, authority: Authority, kind: str
) -> None:
    peer = serve(tls(authority, kind, greet))
    protocol = loop.connect(
        "wss://127.0.0.1:9", Recorder, proxy=url_of(peer, kind), sslopt=authority.sslopt
    )
    run_until(loop, lambda: protocol.messages)
    assert protocol.events == [("open",), ("message", "hello")]


def test_credentials_for_the_proxy_and_for_the_server_are_apart(serve: Serve, open_: Open) -> None:
    peer = serve(accepting("http", greet))
    open_("ws://alice:a@192.0.2.1", proxy=f"http://bob:b@127.0.0.1:{peer.port}")
    to_proxy, to_server = (head.headers for head in peer.requests)
    assert to_proxy["proxy-authorization"] == "Basic Ym9iOmI="
    assert "authorization" not in to_proxy
    assert to_server["authorization"] == "Basic YWxpY2U6YQ=="
    assert "proxy-authorization" not in to_server


def test_headers_of_the_user_are_not_shown_to_the_proxy(serve: Serve, open_: Open) -> None:
    peer = serve(accepting("http", greet))
    open_(TARGET, {"X-Token": "secret"}, proxy=url_of(peer), cookie="c", host="virtual.example")
    assert list(peer.requests[0].headers) == ["host"]
    assert peer.requests[0].headers["host"] == "192.0.2.1:80"
    assert peer.requests[1].headers["x-token"] == "secret"
    assert peer.requests[1].headers["host"] == "virtual.example"


# --- bytes behind the head of the proxy -----------------------------------------------------------


def test_what_came_behind_the_proxys_head_is_read_as_the_servers(serve: Serve, open_: Open) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        # Of the server's answer, what does not depend on the request.
        start = b"HTTP/1.1 101 Switching Protocols\r\nX-Early: yes\r\nUpg"
        talk.send(ESTABLISHED + start)
        rest = talk.head().response().partition(b"\r\nUpg")[2]
        talk.send(rest + build_frame(TEXT, b"hello"))
        talk.until_closed()

    upgraded = open_(TARGET, proxy=url_of(serve(script)))
    assert upgraded.response.headers["X-Early"] == "yes"


@pytest.mark.parametrize(("size", "options"), [(20_000, {}), (200_000, {"max_head_size": 1 << 18})])
def test_the_limits_of_heads_hold_for_the_proxys_as_well(
    serve: Serve, open_: Open, size: int, options: dict[str, int]
) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(http("HTTP/1.1 200 OK", f"Proxy-Info: {'x' * size}"))
        greet(talk)

    peer = serve(script)
    open_(TARGET, proxy=f"http://127.0.0.1:{peer.port}", **options)
    with pytest.raises(WebSocketProxyException, match=r"max_head_size \(1000 bytes\)"):
        open_(TARGET, proxy=f"http://127.0.0.1:{peer.port}", max_head_size=1000)


def test_a_whole_answer_behind_the_proxys_head(serve: Serve, open_: Open) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        early = http("HTTP/1.1 503 Busy", "Content-Length: 5", body=b"later")
        talk.send(ESTABLISHED + early)
        talk.until_closed()

    with pytest.raises(WebSocketBadStatusException) as caught:
        open_(TARGET, proxy=url_of(serve(script)))
    assert (caught.value.status_code, caught.value.resp_body) == (503, b"later")


def test_bytes_before_tls_are_an_error(serve: Serve, open_: Open, authority: Authority) -> None:
    def script(talk: Talk) -> None:
        talk.head()
        talk.send(ESTABLISHED + b"SSH-2.0-OpenSSH")
        talk.until_closed()

    with pytest.raises(WebSocketProxyException, match=r"^15 bytes .* before TLS with 192\.0\.2\.1"):
        open_("wss://192.0.2.1", proxy=url_of(serve(script)), sslopt=authority.sslopt)


# --- which proxy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", [None, False])
def test_without_a_proxy_the_environment_does_not_count(
    serve: Serve, open_: Open, monkeypatch: pytest.MonkeyPatch, proxy: Any
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    open_(serve(greet).url, proxy=proxy)


def test_by_default_the_environment_counts(
    serve: Serve, open_: Open, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = serve(accepting("http", greet))
    secure = serve(tls(authority, "socks5", greet))
    monkeypatch.setenv("http_proxy", url_of(plain))
    monkeypatch.setenv("HTTPS_PROXY", url_of(secure, "socks5"))
    open_(TARGET)
    open_("wss://127.0.0.1:9", sslopt=authority.sslopt)
    assert (plain.connections, secure.connections) == (1, 1)


def test_what_no_proxy_names_is_reached_directly(
    serve: Serve, open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serve(greet)
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    open_(peer.url, no_proxy=["127.0.0.0/8"])
    open_(peer.url, proxy="http://127.0.0.1:9", no_proxy=["127.0.0.1"])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    open_(peer.url)
    assert peer.connections == 3


def test_a_proxy_object(serve: Serve, open_: Open) -> None:
    peer = serve(accepting("socks4a", greet))
    open_(TARGET, proxy=Proxy("socks4a", "127.0.0.1", peer.port))


def test_a_unix_socket_is_reached_directly(
    serve: Serve, open_: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)  # the path to the socket must be short
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("s")
    listening.listen()

    with listening:
        accepted: list[socket.socket] = []

        def play() -> None:
            sock, _ = listening.accept()
            accepted.append(sock)
            head = Talk(serve(silence), sock).head()
            sock.sendall(head.response())

        thread = threading.Thread(target=play)
        thread.start()
        open_("ws://h", unix_path="s")
        thread.join()
        accepted[0].close()


@pytest.mark.parametrize("value", ["ftp://p", "http://p:x"])
def test_a_variable_that_is_no_proxy_is_named(
    open_: Open, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(WebSocketProxyException, match="variable ALL_PROXY"):
        open_(TARGET)


@pytest.mark.parametrize("proxy", ["ftp://p", "http://p:x", "", b"http://p", 3128])
def test_a_wrong_option_is_an_error_of_the_call(loop: Reactor, proxy: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^proxy "):
        loop.connect(TARGET, Recorder, proxy=proxy)
    assert loop.stats().connecting == 0


def test_a_single_str_is_no_list_of_hosts(loop: Reactor) -> None:
    with pytest.raises(TypeError, match="no_proxy is a list of hosts"):
        loop.connect(TARGET, Recorder, no_proxy="localhost")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5"])
def test_a_timeout_that_is_none(loop: Reactor, seconds: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^proxy_timeout must be"):
        loop.connect(TARGET, Recorder, proxy_timeout=seconds)


def test_options_do_not_show_the_credentials() -> None:
    assert "secret" not in repr(ClientOptions(proxy="http://user:secret@h"))


def test_a_redirect_chooses_again(serve: Serve, open_: Open) -> None:
    direct = serve(greet)
    location = f"Location: ws://127.0.0.1:{direct.port}/there"
    moved = answer("HTTP/1.1 302 Found", location, "Content-Length: 0")
    proxy = serve(accepting("http", moved))
    upgraded = open_(TARGET, proxy=url_of(proxy), no_proxy=["127.0.0.1"])
    assert upgraded.url.resource == "/there"
    assert (proxy.connections, direct.connections) == (1, 1)


def test_a_redirect_goes_through_the_proxy_as_well(serve: Serve, open_: Open) -> None:
    moved = answer("HTTP/1.1 302 Found", "Location: ws://192.0.2.2:81/", "Content-Length: 0")
    proxy = serve(accepting("http", moved), accepting("http", greet))
    open_(TARGET, proxy=url_of(proxy))
    lines = [head.request_line for head in proxy.requests if "CONNECT" in head.request_line]
    assert lines == ["CONNECT 192.0.2.1:80 HTTP/1.1", "CONNECT 192.0.2.2:81 HTTP/1.1"]


def test_sessions_of_tls_are_kept_for_the_server_not_for_the_proxy(
    serve: Serve, open_: Open, authority: Authority
) -> None:
    session_cache.clear()
    reused: list[bool] = []

    def script(talk: Talk) -> None:
        reused.append(talk.sock.session_reused)  # type: ignore[attr-defined]
        greet(talk)

    proxy = serve(tls(authority, "http", script))
    options = {"proxy": url_of(proxy), "sslopt": authority.sslopt}
    for port in (9, 9, 10):
        open_(f"wss://127.0.0.1:{port}", **options)
    assert reused == [False, True, False]
    context = make_context(authority.sslopt)
    assert session_cache.begin(context, "127.0.0.1", proxy.port).session is None
    session_cache.clear()


# --- refusals, as the handlers see them -----------------------------------------------------------


def test_a_refusal_is_reported(serve: Serve, loop: Reactor) -> None:
    peer = serve(answer("HTTP/1.1 407 Proxy Authentication Required", "Content-Length: 0"))
    protocol = loop.connect(TARGET, Recorder, proxy=url_of(peer))
    run_until(loop, lambda: protocol.closes)
    assert protocol.names == ["error", "close"]
    (error,) = protocol.errors
    assert isinstance(error, WebSocketProxyException)
    assert str(error).startswith("failed CONNECT via proxy status: 407 ")
    assert error.status_code == 407


def test_a_refusal_of_the_proxy_before_the_request_is_wholly_written(
    serve: Serve, open_: Open
) -> None:
    def script(talk: Talk) -> None:
        talk.exactly(10)
        talk.send(http("HTTP/1.1 407 Proxy Authentication Required", "Content-Length: 0"))
        talk.reset()

    url = f"http://{'u' * (1 << 20)}:p@127.0.0.1:{serve(script).port}"
    with pytest.raises(WebSocketProxyException, match="status: 407"):
        open_(TARGET, proxy=url, sockopt=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)])


def test_reconnecting_through_a_proxy_that_comes_back(serve: Serve, loop: Reactor) -> None:
    refuse = answer("HTTP/1.1 503 Service Unavailable", "Content-Length: 0")
    peer = serve(refuse, accepting("http", greet))
    protocol = loop.connect(TARGET, Recorder, proxy=url_of(peer), reconnect=0.01)
    run_until(loop, lambda: protocol.messages)
    assert protocol.names == ["error", "close", "open", "message"]


def test_a_proxy_that_is_not_there_is_reported(loop: Reactor) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = f"socks5h://127.0.0.1:{nobody.getsockname()[1]}"
        protocol = loop.connect(TARGET, Recorder, proxy=proxy)
        run_until(loop, lambda: protocol.closes)
    (error,) = protocol.errors
    assert isinstance(error, WebSocketProxyConnectRefusedException)
    assert proxy in str(error)


# --- time -----------------------------------------------------------------------------------------


def mute(kind: str, heard: threading.Event) -> Script:
    """Return the script of a proxy that reads the request and says no more."""

    def script(talk: Talk) -> None:
        read_request(talk, kind)
        heard.set()
        silence(talk)

    return script


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"connect_timeout": 10}, 10),
        ({"connect_timeout": 10, "proxy_timeout": 3}, 3),
        ({"connect_timeout": 3, "proxy_timeout": 10}, 3),
        ({"connect_timeout": None, "proxy_timeout": 3}, 3),
    ],
)
@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_the_deadlines(serve: Serve, kind: str, options: dict[str, Any], expected: float) -> None:
    heard = threading.Event()
    proxy = url_of(serve(mute(kind, heard)), kind)
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        protocol = loop.connect(TARGET, Recorder, proxy=proxy, **options)
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


def test_the_timeout_of_the_proxy_does_not_hold_for_the_server(serve: Serve) -> None:
    heard = threading.Event()

    def play(talk: Talk) -> None:
        talk.head()
        heard.set()
        silence(talk)

    proxy = url_of(serve(accepting("http", play)))
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        protocol = loop.connect(TARGET, Recorder, proxy=proxy, proxy_timeout=3, connect_timeout=10)
        run_until(loop, heard.is_set)
        clock.advance(9)
        for _ in range(3):
            loop.run_once(0.01)
        assert protocol.events == []
        clock.advance(1)
        run_until(loop, lambda: protocol.closes)
    (error,) = protocol.errors
    assert "192.0.2.1" in str(error)


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_silent_proxy_does_not_delay_another_connection(serve: Serve, kind: str) -> None:
    """Its keep-alive pings go out on time, and its messages come in."""
    heard = threading.Event()
    pinged: list[bytes] = []

    def play(talk: Talk) -> None:
        talk.upgrade()
        while True:
            frame = talk.frame()
            if frame.opcode == PING:
                pinged.append(frame.payload)
                talk.send(build_frame(TEXT, b"%d" % len(pinged)))

    silent = url_of(serve(mute(kind, heard)), kind)
    lively = serve(play)
    clock = ManualClock()
    with Reactor(clock=clock) as loop:
        waiting = loop.connect(TARGET, Recorder, proxy=silent, connect_timeout=60)
        protocol = loop.connect(lively.url, Recorder, ping_interval=1, ping_timeout=None)
        run_until(loop, lambda: heard.is_set() and protocol.names)
        for count in range(1, 6):
            clock.advance(1)
            run_until(loop, lambda: len(protocol.messages) == count)  # noqa: B023
        assert waiting.events == []
    assert protocol.messages == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("kind", PLAIN_KINDS)
@pytest.mark.parametrize("way", ["close", "abort", "reactor"])
def test_giving_up_leaves_nothing_behind(serve: Serve, loop: Reactor, kind: str, way: str) -> None:
    heard = threading.Event()
    proxy = url_of(serve(mute(kind, heard)), kind)
    protocol = loop.connect(TARGET, Recorder, proxy=proxy, reconnect=1.0)
    run_until(loop, heard.is_set)
    for _ in range(3):
        loop.run_once(0.01)
    if way == "reactor":
        loop.close()
    else:
        getattr(protocol, way)()
        run_until(loop, lambda: protocol.events)
    assert protocol.events == [("close", 1006, "")]
