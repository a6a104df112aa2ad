"""Talking to a WebSocket library that nobody here wrote: websockets, as server and as client."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from reactor import Backoff, Reactor, WebSocketConnectionClosedException

from .support.certificates import Authority
from .support.driving import run_until
from .support.recorder import Recorder

pytestmark = [pytest.mark.usefixtures("no_leaks", "quiet")]
if sys.version_info < (3, 11):
    # asyncio's TLS transports of that time do not notice that the peer has closed them.
    UNCLOSED = "ignore:unclosed transport <asyncio.sslproto:ResourceWarning"
    pytestmark.append(pytest.mark.filterwarnings(UNCLOSED))

T = TypeVar("T")
Handler = Callable[[ServerConnection], Awaitable[object]]

MESSAGES: dict[str, str | bytes] = {
    "text": "hello",
    "not ASCII": "gr\u00fc\u00dfe \U0001f600",
    "empty text": "",
    "binary": b"\x00\xff\x80",
    "empty binary": b"",
    "125 bytes": "x" * 125,
    "126 bytes": "x" * 126,
    "64 KiB - 1": os.urandom(65535),
    "64 KiB": os.urandom(65536),
    "1 MiB": os.urandom(1 << 20),
    "1 MiB of text": "\u00e9" * (1 << 19),
}

CODES = [(1000, ""), (1001, "going away"), (3000, "x" * 123), (4000, "gr\u00fc\u00dfe")]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep what websockets logs, and asyncio warns of, within the test that caused it."""
    logging.getLogger("websockets").addHandler(handler := logging.NullHandler())
    yield
    logging.getLogger("websockets").removeHandler(handler)
    if sys.version_info < (3, 11):
        gc.collect()


class Library:
    """A server of websockets, on a thread of its own.

    Parameters:
        handler: called with each connection; what it raises, but for the end of the connection,
            fails the test.
        context: for TLS, or None.
        port: 0 for any.
        options: of websockets' serve().
    """

    def __init__(
        self, handler: Handler, context: ssl.SSLContext | None, port: int = 0, **options: Any
    ) -> None:
        self._handler = handler
        self._failures: list[Exception] = []
        self._options = options | {"ssl": context, "compression": None, "max_size": None}
        self._sock = socket.create_server(("127.0.0.1", port))
        self.port = self._sock.getsockname()[1]
        self.url = f"{'ws' if context is None else 'wss'}://127.0.0.1:{self.port}"
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(20)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with serve(self._handle, sock=self._sock, **self._options):
            self._started.set()
            await self._stop.wait()

    async def _handle(self, connection: ServerConnection) -> None:
        try:
            await self._handler(connection)
        except ConnectionClosed:
            pass
        except Exception as exc:
            self._failures.append(exc)

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._failures:
            raise AssertionError("the handler of the server failed") from self._failures[0]

    def stop(self) -> None:
        """Close all connections (1001, going away), and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
            assert not self._thread.is_alive()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture(params=["tcp", "tls"])
def secure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


# --- our client, their server ---------------------------------------------------------------------


class Near:
    """Our side as the client. Parameters: what the fixtures give."""

    def __init__(self, stack: ExitStack, authority: Authority, secure: bool) -> None:
        self._stack = stack
        self._authority = authority
        self.context = authority.server_context if secure else None
        self.loop = Reactor()

    def serve(self, handler: Handler, **options: Any) -> Library:
        """Start their server."""
        return self._stack.enter_context(Library(handler, self.context, **options))

    def open(self, url: str, protocol: Any = Recorder, **options: Any) -> Any:
        """Connect to it, and wait until the connection is open."""
        handlers = self.loop.connect(url, protocol, sslopt=self._authority.sslopt, **options)
        self.until(lambda: handlers.events)
        assert handlers.names[0] == "open", handlers.events
        return handlers

    def until(self, condition: Callable[[], object]) -> None:
        run_until(self.loop, condition, 20.0)


@pytest.fixture
def near(authority: Authority, secure: bool) -> Iterator[Near]:
    with ExitStack() as stack:
        near = Near(stack, authority, secure)
        try:
            yield near
        finally:
            near.loop.close()  # before their servers, which wait for our close frames


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_client_messages_of_every_size(near: Near, message: str | bytes) -> None:
    client = near.open(near.serve(echo).url)
    client.send(message)
    near.until(lambda: client.messages)
    assert client.messages == [message]
    assert type(client.messages[0]) is type(message)


def test_client_two_hundred_messages_in_order(near: Near) -> None:
    client = near.open(near.serve(echo).url)
    messages = [f"{i} " + "x" * (i * 37 % 3000) for i in range(200)]
    for message in messages:
        client.send(message)
    near.until(lambda: len(client.messages) == 200)
    assert client.messages == messages


def test_client_gets_fragmented_messages(near: Near) -> None:
    parts = [os.urandom(70000), b"", b"x", os.urandom(300)]

    async def handler(connection: ServerConnection) -> None:
        await connection.send(["frag", "", "men", "t\u00e9", "d"])
        await connection.send(iter(parts))
        await connection.send("whole")
        await connection.recv()

    client = near.open(near.serve(handler).url)
    near.until(lambda: len(client.messages) == 3)
    assert client.messages == ["fragment\u00e9d", b"".join(parts), "whole"]


def test_client_sends_fragmented_messages(near: Near) -> None:
    client = near.open(near.serve(echo).url)
    text = "gr\u00fc\u00dfe".encode()
    client.send_frame(1, text[:3], fin=False)  # within a character
    client.ping(b"between")
    client.send_frame(0, text[3:])
    near.until(lambda: client.messages)
    assert client.messages == ["gr\u00fc\u00dfe"]
    assert client.of("pong") == [(b"between",)]


def test_client_pings(near: Near) -> None:
    client = near.open(near.serve(echo).url)
    client.ping(b"one")
    client.ping(b"x" * 125)
    client.ping()
    near.until(lambda: len(client.of("pong")) == 3)
    assert client.of("pong") == [(b"one",), (b"x" * 125,), (b"",)]


def test_client_keep_alive(near: Near) -> None:
    client = near.open(near.serve(echo, ping_interval=None).url, ping_interval=0.05)
    near.until(lambda: len(client.of("pong")) >= 2)
    assert client.latency is not None
    assert 0 < client.latency < 5
    assert client.errors == []


def test_client_answers_pings(near: Near) -> None:
    async def handler(connection: ServerConnection) -> None:
        await (await connection.ping(b"there?"))
        await connection.send("pong has come")
        await connection.recv()

    client = near.open(near.serve(handler).url)
    near.until(lambda: client.messages)
    assert client.of("ping") == [(b"there?",)]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_client_closes(near: Near, code: int, reason: str) -> None:
    seen: list[tuple[Any, Any]] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.append((connection.protocol.close_code, connection.protocol.close_reason))

    client = near.open(near.serve(handler).url)
    client.close(code, reason)
    near.until(lambda: client.closes and seen)
    assert seen == [(code, reason)]
    assert client.events == [("open",), ("close", code, reason)]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_client_is_closed(near: Near, code: int, reason: str) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(code, reason)
        assert connection.protocol.close_code == code

    client = near.open(near.serve(handler).url)
    near.until(lambda: client.closes)
    assert client.events == [("open",), ("message", "last"), ("close", code, reason)]


def test_client_hears_that_the_server_has_refused_a_frame(near: Near) -> None:
    client = near.open(near.serve(echo).url)
    client.send_frame(3, b"an opcode that nobody knows")
    near.until(lambda: client.closes)
    assert client.closes[0][0] == 1002


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [(["v2", "v1"], ["v1"], "v1"), (["v2", "v1"], None, None), ([], None, None)],
)
def test_client_subprotocol(
    near: Near, ours: list[str], theirs: list[str] | None, chosen: str | None
) -> None:
    names = None if theirs is None else [Subprotocol(name) for name in theirs]
    client = near.open(near.serve(echo, subprotocols=names).url, subprotocols=ours)
    assert client.subprotocol == chosen


def test_client_headers_are_seen(near: Near) -> None:
    async def handler(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        names = ("X-Client", "Cookie", "Origin", "Authorization")
        await connection.send("|".join(str(request.headers.get(name)) for name in names))
        await connection.recv()

    url = near.serve(handler).url.replace("://", "://me:pass@")
    client = near.open(url, header={"X-Client": "7"}, cookie="a=1", origin="https://app.example")
    near.until(lambda: client.messages)
    assert client.messages == ["7|a=1|https://app.example|Basic bWU6cGFzcw=="]


class Subscriber(Recorder):
    """Subscribes whenever it is open; keeps whether its TLS session was a resumed one."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: list[bool] = []

    def _subscribe(self) -> None:
        self.resumed.append(bool(getattr(self.sock, "session_reused", False)))
        self.send("subscribe")

    def on_open(self) -> None:
        super().on_open()
        self._subscribe()

    def on_reconnect(self) -> None:
        super().on_reconnect()
        self._subscribe()


async def publish(connection: ServerConnection) -> None:
    assert await connection.recv() == "subscribe"
    await connection.send("news")
    await connection.recv()


def test_client_reconnects_after_a_restart_and_subscribes_again(near: Near) -> None:
    server = near.serve(publish)
    client = near.open(server.url, Subscriber, reconnect=Backoff.fixed(0.02))
    near.until(lambda: client.messages)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    near.until(lambda: not stopping.is_alive())
    near.until(lambda: len(client.closes) >= 3)  # some attempts are refused
    near.serve(publish, port=server.port)
    near.until(lambda: len(client.messages) == 2)
    assert client.names[:3] == ["open", "message", "close"]
    assert client.closes[0][0] == 1001
    assert client.names[-2:] == ["reconnect", "message"]
    assert set(client.names[3:-2]) == {"error", "close"}
    assert len(client.closes) == len(client.errors) + 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("secure", [True], indirect=True, ids=["tls"])
def test_client_resumes_its_tls_session_when_it_reconnects(
    near: Near, authority: Authority, version: ssl.TLSVersion, secure: bool
) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(1012, "restart")

    near.context = authority.issue("127.0.0.1")
    near.context.maximum_version = version
    client = near.open(near.serve(handler).url, Subscriber, reconnect=Backoff.fixed(0.01))
    near.until(lambda: len(client.closes) >= 3)
    assert client.resumed[:3] == [False, True, True]
    assert client.names.count("reconnect") >= 2


# --- their client, our server ---------------------------------------------------------------------


class Echo(Recorder):
    def on_message(self, message: str | bytes) -> None:
        super().on_message(message)
        self.send(message)


class Far:
    """Our side as the server. Parameters: what the fixtures give."""

    def __init__(self, loop: Reactor, authority: Authority, secure: bool) -> None:
        self.loop = loop
        self._secure = secure
        self._authority = authority
        self.served: list[Any] = []
        self.factory: Callable[[], Any] = Echo

    def _make(self) -> Any:
        self.served.append(self.factory())
        return self.served[-1]

    def listen(self, **options: Any) -> str:
        """Start our server; return its URL."""
        context = self._authority.server_context if self._secure else None
        listener = self.loop.listen("127.0.0.1", 0, self._make, ssl=context, **options)
        return f"{'wss' if self._secure else 'ws'}://127.0.0.1:{listener.port}"

    def client(
        self, url: str, use: Callable[[ClientConnection], Awaitable[T]], **options: Any
    ) -> T:
        """Connect their client on a thread; return what *use* returns."""
        context = self._authority.client_context() if self._secure else None
        options |= {"ssl": context, "compression": None, "max_size": None}
        results: list[T] = []
        failures: list[BaseException] = []

        async def main() -> None:
            async with connect(url, **options) as connection:
                results.append(await use(connection))

        def run() -> None:
            try:
                asyncio.run(main())
            except BaseException as exc:
                failures.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        run_until(self.loop, lambda: not thread.is_alive(), 20.0)
        if failures:
            raise failures[0]
        return results[0]


@pytest.fixture
def far(loop: Reactor, authority: Authority, secure: bool) -> Far:
    return Far(loop, authority, secure)


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_server_messages_of_every_size(far: Far, message: str | bytes) -> None:
    async def use(connection: ClientConnection) -> str | bytes:
        await connection.send(message)
        return await connection.recv()

    answer = far.client(far.listen(), use)
    assert answer == message
    assert far.served[0].messages == [message]


def test_server_two_hundred_messages_in_order(far: Far) -> None:
    messages = [f"{i} " + "x" * (i * 37 % 3000) for i in range(200)]

    async def use(connection: ClientConnection) -> list[Any]:
        for message in messages:
            await connection.send(message)
        return [await connection.recv() for _ in messages]

    assert far.client(far.listen(), use) == messages


def test_server_gets_fragmented_messages(far: Far) -> None:
    parts = [os.urandom(70000), b"", b"x", os.urandom(300)]

    async def use(connection: ClientConnection) -> list[Any]:
        await connection.send(["frag", "", "men", "t\u00e9", "d"])
        await connection.send(iter(parts))
        return [await connection.recv(), await connection.recv()]

    assert far.client(far.listen(), use) == ["fragment\u00e9d", b"".join(parts)]


def test_server_sends_fragmented_messages(far: Far) -> None:
    class Fragments(Recorder):
        def on_open(self) -> None:
            self.send_frame(1, b"gr\xc3", fin=False)
            self.ping(b"between")
            self.send_frame(0, b"\xbc", fin=False)
            self.send_frame(0, b"n")

    far.factory = Fragments
    assert far.client(far.listen(), ClientConnection.recv) == "gr\u00fcn"
    assert far.served[0].of("pong") == [(b"between",)]


def test_server_ping_and_pong(far: Far) -> None:
    class Pings(Echo):
        def on_open(self) -> None:
            self.ping(b"from the server")

    async def use(connection: ClientConnection) -> Any:
        await (await connection.ping(b"from the client"))
        await connection.send("done")
        return await connection.recv()

    far.factory = Pings
    assert far.client(far.listen(), use) == "done"
    assert far.served[0].of("ping") == [(b"from the client",)]
    assert far.served[0].of("pong") == [(b"from the server",)]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_server_is_closed(far: Far, code: int, reason: str) -> None:
    async def use(connection: ClientConnection) -> Any:
        await connection.close(code, reason)
        return connection.protocol.close_code, connection.protocol.close_reason

    assert far.client(far.listen(), use) == (code, reason)
    run_until(far.loop, lambda: far.served[0].closes)
    assert far.served[0].closes == [(code, reason)]
    assert far.served[0].errors == []


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_server_closes(far: Far, code: int, reason: str) -> None:
    class Closes(Recorder):
        def on_message(self, message: str | bytes) -> None:
            self.send("last")
            self.close(code, reason)

    async def use(connection: ClientConnection) -> Any:
        await connection.send("go")
        assert await connection.recv() == "last"
        await connection.wait_closed()
        return connection.protocol.close_code, connection.protocol.close_reason

    far.factory = Closes
    assert far.client(far.listen(), use) == (code, reason)
    run_until(far.loop, lambda: far.served[0].closes)
    assert far.served[0].events[-1] == ("close", code, reason)


def test_server_that_stops_says_going_away(far: Far) -> None:
    class Stops(Recorder):
        def on_message(self, message: str | bytes) -> None:
            for listener in list(far.loop.listeners):
                listener.close()

    async def use(connection: ClientConnection) -> Any:
        await connection.send("stop")
        await connection.wait_closed()
        return connection.protocol.close_code

    far.factory = Stops
    assert far.client(far.listen(), use) == 1001


def test_server_refuses_a_message_over_the_limit(far: Far) -> None:
    async def use(connection: ClientConnection) -> Any:
        await connection.send("x" * 1001)
        await connection.wait_closed()
        return connection.protocol.close_code, connection.protocol.close_reason

    code, reason = far.client(far.listen(max_message_size=1000), use)
    assert code == 1009
    assert "max_message_size=1000" in reason


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [(["v2", "v1"], ["v1", "v2"], "v2"), (["v2"], ["v1"], None), ([], ["v1"], None)],
)
def test_server_subprotocol(
    far: Far, ours: list[str], theirs: list[str], chosen: str | None
) -> None:
    names = [Subprotocol(name) for name in theirs]
    url = far.listen(subprotocols=ours)

    async def use(connection: ClientConnection) -> str | None:
        return connection.subprotocol

    assert far.client(url, use, subprotocols=names) == chosen
    assert far.served[0].subprotocol == chosen


def test_server_hears_of_a_client_that_vanishes(far: Far) -> None:
    async def use(connection: ClientConnection) -> None:
        await connection.send("last")
        assert await connection.recv() == "last"
        connection.transport.abort()

    far.client(far.listen(), use)
    run_until(far.loop, lambda: far.served[0].closes)
    assert far.served[0].closes == [(1006, "")]
    assert type(far.served[0].errors[0]) is WebSocketConnectionClosedException
