"""Through a proxy: HTTP CONNECT (RFC 9110 section 9.3.6), SOCKS 4, 4a and 5 (RFC 1928).

What it is: the way from a proxy and a target to a connected socket whose peer is the target. It is
the only importer of python_socks.

What it must not know: which proxy is chosen and why (client/proxy_choice.py), TLS with the target,
WebSocket.

How it works. The proxy is dialled like any other host; then it is told where to connect to.
CONNECT is written here and its answer is read with our own parser: python-socks takes a single read
for the whole answer. SOCKS is spoken by python-socks: its connectors await only what
:class:`_Stream` gives them, so they run in a coroutine of loop/tasks.py as they do under
asyncio. They are private names of that package; a test checks that they exist.

The kinds differ in who resolves the name of the target: for socks4 and socks5 it is this machine,
before the proxy is dialled; for the others it is the proxy. https is http within TLS with the
proxy, whose certificate is verified against the proxy's own name.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.addresses import host_and_port
from ..base.printable import printable
from ..exceptions import (
    WebSocketConnectException,
    WebSocketException,
    WebSocketHandshakeException,
    WebSocketProxyConnectException,
    WebSocketProxyConnectRefusedException,
    WebSocketProxyException,
    WebSocketTimeoutException,
    WebSocketTLSException,
)
from ..protocols.http.headers import build_head
from ..protocols.http.http11 import DEFAULT_LIMITS, HeadLimits
from .dial.reach import reach
from .dial.resolver import Answer, forget_answer, look_up
from .exchange import NOTHING_AMISS, read_response, read_some, send_request
from .tls.handshake import connect_tls

__all__ = ["KINDS", "Proxy", "dial_through", "tunnel"]

#: The kinds of proxies, each with its default port.
KINDS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
HTTP = ("http", "https")

#: RFC 1929 section 2: the length of a username or password is one byte.
_MAX_SOCKS5_CREDENTIAL = 255


@dataclass(frozen=True, slots=True)
class Proxy:
    """The address of a proxy, and how to speak to it.

    Args:
        kind: "http", "https", "socks4", "socks4a", "socks5" or "socks5h".
        host: name or address; an IPv6 address without brackets.
        port: 1 to 65535.
        username, password: the credentials; None (default): none. SOCKS 4 has no password: it is
            not sent.

    Raises:
        ValueError: a value is invalid, or cannot be sent to that kind of proxy.
    """

    kind: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            kinds = ", ".join(KINDS)
            raise ValueError(f"proxy is invalid: the kind {self.kind!r} is not one of {kinds}")
        if not self.host:
            raise ValueError("proxy is invalid: it has no host")
        if not isinstance(self.port, int) or not 0 < self.port < 65536:
            raise ValueError(f"proxy is invalid: port {self.port!r} must be 1 to 65535")
        check = _check_basic if self.kind in HTTP else _check_socks
        check(self)

    def __str__(self) -> str:
        """Return the URL of the proxy without username and password."""
        return f"{self.kind}://{host_and_port(self.host, self.port)}"


def _check_basic(proxy: Proxy) -> None:
    if ":" in (proxy.username or ""):
        # RFC 7617 section 2: everything after the first colon is the password.
        raise ValueError(f"proxy is invalid: the username for an {proxy.kind} proxy holds a colon")


def _check_socks(proxy: Proxy) -> None:
    is_5 = proxy.kind.startswith("socks5")
    for name in ("username", "password") if is_5 else ("username",):
        value = getattr(proxy, name) or ""
        if not value.isascii() or "\0" in value:
            raise ValueError(f"proxy is invalid: the {name} for {proxy.kind} must be ASCII")
        if is_5 and len(value) > _MAX_SOCKS5_CREDENTIAL:
            raise ValueError(
                f"proxy is invalid: the {name} for {proxy.kind} is longer than "
                f"{_MAX_SOCKS5_CREDENTIAL} bytes"
            )
    if is_5 and bool(proxy.username) != bool(proxy.password):
        raise ValueError(
            f"proxy is invalid: {proxy.kind} needs both username and password, or neither"
        )


async def dial_through(
    proxy: Proxy,
    host: str,
    port: int,
    *,
    until: float | None,
    sockopt: Iterable[tuple[Any, ...]] = (),
    source_address: tuple[Any, ...] | None = None,
    limits: HeadLimits = DEFAULT_LIMITS,
    sslopt: Mapping[str, Any] | None = None,
) -> tuple[socket.socket, bytes]:
    """Connect to a host through a proxy.

    Args:
        proxy: the proxy.
        host, port: the target; an IPv6 address without brackets.
        until: point in time (seconds of the driver's clock) at which to give up, or None.
        sockopt, source_address: for the connection to the proxy, see :func:`~.dial.race.dial`.
        limits: how large the answer of an HTTP proxy may be.
        sslopt: for TLS with an https proxy, see :func:`~.tls.contexts.make_context`.

    Returns:
        A connected, non-blocking socket, and the bytes that the target has already sent (almost
        always b"", since clients speak first).

    Raises:
        WebSocketProxyConnectRefusedException, WebSocketProxyConnectException: the proxy cannot be
            connected to.
        WebSocketAddressException: the target's name must be resolved here, and cannot be.
        WebSocketException: what :func:`~.tls.handshake.connect_tls` raises for the proxy, and what
            :func:`tunnel` raises.
    """
    host = host.partition("%")[0]  # the zone of an IPv6 address means nothing to other machines
    answers = []
    if proxy.kind in ("socks4", "socks5"):
        answer = await look_up(host, port, until, socket.AF_INET if proxy.kind == "socks4" else 0)
        host = _best(answer)
        answers.append(answer)
    sock, answer = await _dial(proxy, until, sockopt, source_address)
    answers.append(answer)
    try:
        if proxy.kind != "https":
            return sock, await tunnel(sock, proxy, host, port, until, limits)
        name = f"the proxy {proxy}"
        tls, resumption = await connect_tls(sock, sslopt, proxy.host, proxy.port, until, peer=name)
        assert isinstance(tls, ssl.SSLSocket)
        sock = tls
        early = await tunnel(sock, proxy, host, port, until, limits)
        resumption.finish(sock)
        return sock, early
    except WebSocketException:
        sock.close()
        for answer in answers:  # the next attempt resolves both names again
            forget_answer(answer)
        raise
    except BaseException:  # also when the coroutine is cancelled
        sock.close()
        raise


async def tunnel(
    sock: socket.socket,
    proxy: Proxy,
    host: str,
    port: int,
    until: float | None,
    limits: HeadLimits = DEFAULT_LIMITS,
) -> bytes:
    """Ask a proxy, to which *sock* is connected, to connect to a target.

    Args:
        sock: the socket. It is never closed here.
        proxy, host, port, until, limits: see :func:`dial_through`; for socks4, *host* must be an
            IPv4 address.

    Returns:
        The bytes after the proxy's answer: the first bytes of the target.

    Raises:
        WebSocketProxyException: the proxy refuses (``status_code`` is an HTTP proxy's), or its
            answer is invalid.
        WebSocketProxyConnectException: the connection to the proxy is lost.
        WebSocketTLSException: TLS with the proxy fails.
        WebSocketTimeoutException: *until* is reached. Each message names the proxy.
    """
    try:
        if proxy.kind in HTTP:
            return await _connect_http(sock, proxy, host, port, until, limits)
        await _connect_socks(sock, proxy, host, port, until)
        return b""  # SOCKS answers have a known length: no byte after them is read
    except WebSocketTLSException:
        raise
    except WebSocketConnectException as exc:
        raise WebSocketProxyConnectException(exc.errno, exc.strerror) from exc


def _best(answer: Answer) -> str:
    """Return the address for a proxy that does not resolve the name."""
    # There is only one attempt: if there is a choice, IPv4, which most proxies can reach.
    best = min(answer.addresses, key=lambda address: address.family != socket.AF_INET)
    return str(best.sockaddr[0])


async def _dial(
    proxy: Proxy,
    until: float | None,
    sockopt: Iterable[tuple[Any, ...]],
    source_address: tuple[Any, ...] | None,
) -> tuple[socket.socket, Answer]:
    """Return a socket that is connected to the proxy itself, and the resolver's answer."""
    words = f"cannot reach the proxy {proxy}"
    try:
        return await reach(
            *(proxy.host, proxy.port),
            until=until,
            sockopt=sockopt,
            source_address=source_address,
        )
    except WebSocketConnectException as exc:
        refused = isinstance(exc, ConnectionRefusedError)
        kind = WebSocketProxyConnectRefusedException if refused else WebSocketProxyConnectException
        raise kind(exc.errno, f"{words}: {exc.strerror}") from exc
    except WebSocketTimeoutException as exc:
        raise WebSocketTimeoutException(f"{words}: {exc}") from exc
    except WebSocketException as exc:  # its name cannot be resolved
        raise WebSocketProxyException(f"{words}: {exc}") from exc


# --- HTTP -----------------------------------------------------------------------------------------


async def _connect_http(
    sock: socket.socket,
    proxy: Proxy,
    host: str,
    port: int,
    until: float | None,
    limits: HeadLimits,
) -> bytes:
    name = f"the proxy {proxy}"
    sent = await send_request(sock, _connect_request(proxy, host, port), until, name)
    try:
        response, parser = await read_response(sock, until, name, limits, sent=sent)
    except WebSocketHandshakeException as exc:
        raise WebSocketProxyException(f"{name} did not answer CONNECT in HTTP: {exc}") from exc
    if not 200 <= response.status < 300:
        status = f"{response.status} {printable(response.reason)}".strip()
        error = WebSocketProxyException(f"failed CONNECT via proxy status: {status} ({proxy})")
        error.status_code = response.status
        raise error
    # RFC 9110 section 9.3.6: such a response has no body, even if its headers announce one.
    return parser.leftover


def _connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    authority = host_and_port(host, port)
    headers = [("Host", authority)]
    if proxy.username or proxy.password:
        # RFC 7617; the charset that the proxy expects cannot be known before it has refused.
        token = b64encode(f"{proxy.username or ''}:{proxy.password or ''}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    return build_head(f"CONNECT {authority} HTTP/1.1", headers)


# --- SOCKS ----------------------------------------------------------------------------------------


async def _connect_socks(
    sock: socket.socket, proxy: Proxy, host: str, port: int, until: float | None
) -> None:
    connector = _make_connector(proxy)
    try:
        await connector.connect(_Stream(sock, proxy, until), host, port)
    except WebSocketException:
        raise
    except Exception as exc:  # python-socks' own, and any that garbage in the answer makes it raise
        raise WebSocketProxyException(
            f"the proxy {proxy} did not connect to {host_and_port(host, port)}: "
            f"{printable(str(exc))}"
        ) from exc


def _make_connector(proxy: Proxy) -> Any:
    try:
        # Imported when it is needed: a release without these names breaks nothing else.
        from python_socks import ProxyType
        from python_socks._connectors import factory_async

        create_connector: Any = factory_async.create_connector
    except (ImportError, AttributeError) as exc:
        raise WebSocketProxyException(
            f"Python Socks is needed for SOCKS proxying but is not available: {exc}"
        ) from exc
    return create_connector(
        ProxyType.SOCKS4 if proxy.kind in ("socks4", "socks4a") else ProxyType.SOCKS5,
        username=proxy.username,
        password=proxy.password,
        # The host is an address, or a name that the proxy resolves: no resolver is needed.
        rdns=True,
        resolver=None,
    )


class _Stream:
    """The stream that python-socks' connectors read from and write to."""

    __slots__ = ("_name", "_sent", "_sock", "_until")

    def __init__(self, sock: socket.socket, proxy: Proxy, until: float | None) -> None:
        self._sock = sock
        self._name = f"the proxy {proxy}"
        self._until = until
        self._sent = NOTHING_AMISS

    async def write(self, data: bytes) -> None:
        """Send all of *data*. If that fails, the next read raises the error, or has the reason."""
        self._sent = await send_request(self._sock, data, self._until, self._name)

    async def read_exactly(self, size: int) -> bytes:
        """Return the next *size* bytes."""
        (data, failure), self._sent = self._sent, NOTHING_AMISS
        while len(data) < size:
            more = await self._read(size - len(data), failure)
            if not more:
                raise WebSocketProxyException(
                    f"{self._name} closed the connection instead of answering: "
                    f"{len(data)} of {size} bytes were received"
                )
            data += more
        return data

    async def _read(self, size: int, failure: WebSocketConnectException | None) -> bytes:
        try:
            data = await read_some(self._sock, self._until, self._name, size)
        except WebSocketConnectException as exc:
            if failure is None:
                raise
            raise failure from exc
        if not data and failure is not None:
            raise failure
        return data

    # The names of these methods in version 2.
    write_all = write
    read_exact = read_exactly
