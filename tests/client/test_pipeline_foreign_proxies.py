"""Through proxies that nobody here wrote: pproxy, proxy.py and tiny-proxy, as child processes.

Each kind, with and without credentials, plain and with TLS, with the target and with the proxy. See
tests/support/foreign_proxies.py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reactor import Reactor, WebSocketException, WebSocketHandshakeException
from reactor import WebSocketProxyException as ProxyException
from reactor.client.options import ClientOptions
from reactor.client.pipeline import connect
from reactor.loop.tasks import run_blocking
from reactor.transports import proxy as transport

from ..support.certificates import Authority
from ..support.driving import run_until
from ..support.foreign_proxies import PEERS, ForeignProxy
from ..support.peers import ScriptedPeer, echo
from ..support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("no_leaks")

USER, PASSWORD = "us er", "p@ss/word"
ENCODED = "us%20er:p%40ss%2Fword"

EACH_KIND = [
    pytest.param(name, kind, id=f"{name}-{kind}") for name in PEERS for kind in PEERS[name]
]

Foreign = Callable[..., ForeignProxy]


@pytest.fixture(scope="module")
def foreign(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """Every proxy twice: one open to all, and one demanding credentials."""
    certificate = authority.write(tmp_path_factory.mktemp("proxies"))
    with ExitStack() as stack:
        running = {
            (name, demanding): stack.enter_context(
                ForeignProxy(name, *((USER, PASSWORD) if demanding else (None, None)), certificate)
            )
            for name in PEERS
            for demanding in (False, True)
        }
        yield lambda name, demanding=False: running[name, demanding]


def credentials_for(name: str, kind: str) -> str:
    """Return what a proxy accepts, as a URL has it."""
    if name == "pproxy" and kind == "socks4":
        # SOCKS 4 has no password: pproxy wants both as the one user id.
        return "us%20er%3Ap%40ss%2Fword"
    return ENCODED


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets that this process has resolved."""
    asked: list[str] = []
    look_up = transport.look_up

    async def noting(host: str, *args: Any) -> Any:
        asked.append(host)
        return await look_up(host, *args)

    monkeypatch.setattr(transport, "look_up", noting)
    return asked


@pytest.fixture(params=["ws", "wss"])
def target(request: pytest.FixtureRequest, authority: Authority) -> Iterator[ScriptedPeer]:
    context = authority.server_context if request.param == "wss" else None
    with ScriptedPeer(echo, context=context) as peer:
        yield peer


@pytest.mark.parametrize(("name", "kind"), EACH_KIND)
@pytest.mark.parametrize("demanding", [False, True], ids=["open", "demanding"])
def test_a_conversation(
    foreign: Foreign,
    target: ScriptedPeer,
    loop: Reactor,
    authority: Authority,
    names: list[str],
    name: str,
    kind: str,
    demanding: bool,
) -> None:
    proxy = foreign(name, demanding)
    protocol = loop.connect(
        target.url.replace("127.0.0.1", "localhost"),
        Recorder,
        proxy=proxy.url(kind, credentials_for(name, kind) if demanding else ""),
        sslopt=authority.sslopt,
    )
    run_until(loop, lambda: protocol.events)
    assert protocol.events == [("open",)]
    large = "0123456789" * 30_000
    protocol.send("hello")
    protocol.send(b"\x00\xff")
    protocol.send(large)
    run_until(loop, lambda: len(protocol.messages) == 3)
    assert protocol.messages == ["hello", b"\x00\xff", large]
    protocol.close(1000, "bye")
    run_until(loop, lambda: protocol.closes)
    assert protocol.closes == [(1000, "bye")]
    assert protocol.errors == []
    # With socks4 and socks5 it is this process that resolves, else the proxy.
    assert names == (["localhost"] if kind in ("socks4", "socks5") else [])


@pytest.mark.parametrize(("name", "kind"), EACH_KIND)
def test_the_blocking_driver(
    foreign: Foreign, target: ScriptedPeer, authority: Authority, name: str, kind: str
) -> None:
    proxy = foreign(name)
    options = ClientOptions(proxy=proxy.url(kind), sslopt=authority.sslopt)
    upgraded = run_blocking(connect(target.url, options))
    with upgraded.sock as sock:
        assert sock.getpeername()[1] == proxy.port(kind)  # so it was not reached directly
        assert upgraded.response.status == 101


@pytest.mark.parametrize(("name", "kind"), EACH_KIND)
def test_by_the_environment(
    foreign: Foreign,
    target: ScriptedPeer,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: str,
) -> None:
    proxy = foreign(name, True)
    url = proxy.url(kind, credentials_for(name, kind))
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.setenv("https_proxy", url)
    upgraded = run_blocking(connect(target.url, ClientOptions(sslopt=authority.sslopt)))
    with upgraded.sock as sock:
        assert sock.getpeername()[1] == proxy.port(kind)


@pytest.mark.parametrize(("name", "kind"), EACH_KIND)
@pytest.mark.parametrize("credentials", ["", "us%20er:wrong"])
def test_without_the_right_credentials(
    foreign: Foreign,
    target: ScriptedPeer,
    authority: Authority,
    name: str,
    kind: str,
    credentials: str,
) -> None:
    if name == "tiny-proxy" and kind.startswith("socks4") and credentials:
        credentials = "wrong"  # the user id is all that it looks at
    proxy = foreign(name, True)
    options = ClientOptions(proxy=proxy.url(kind, credentials), sslopt=authority.sslopt)
    with pytest.raises(ProxyException) as caught:
        run_blocking(connect(target.url, options))
    assert f"{kind}://127.0.0.1:{proxy.port(kind)}" in str(caught.value)
    if kind in ("http", "https"):
        status = 401 if name == "tiny-proxy" else 407
        assert str(caught.value).startswith(f"failed CONNECT via proxy status: {status} ")
        assert caught.value.status_code == status
    assert target.connections == 0


@pytest.mark.parametrize(("name", "kind"), EACH_KIND)
def test_a_target_that_nobody_listens_on(
    foreign: Foreign, authority: Authority, name: str, kind: str
) -> None:
    proxy = foreign(name)
    options = ClientOptions(proxy=proxy.url(kind), sslopt=authority.sslopt)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(WebSocketException) as caught:
            run_blocking(connect(url, options))
    if name == "pproxy" and kind != "http":
        # It says yes before it has tried, and then ends the connection.
        assert isinstance(caught.value, (WebSocketHandshakeException, OSError))
    else:
        assert isinstance(caught.value, ProxyException)
        assert str(proxy.port(kind)) in str(caught.value)


@pytest.mark.parametrize("kind", PEERS["tiny-proxy"])
def test_many_connections_through_one_proxy(foreign: Foreign, loop: Reactor, kind: str) -> None:
    proxy = foreign("tiny-proxy", True).url(kind, ENCODED)
    with ScriptedPeer(echo) as target:
        protocols = [loop.connect(target.url, Recorder, proxy=proxy) for _ in range(30)]
        run_until(loop, lambda: all(p.names == ["open"] for p in protocols), timeout=15)
        for protocol in protocols:
            protocol.close()
        run_until(loop, lambda: all(p.closes for p in protocols), timeout=15)
    assert all(p.errors == [] for p in protocols)
