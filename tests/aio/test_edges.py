"""Connections at awkward moments: what waits, what is refused, and what is known at the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from reactor import State, WebSocketException
from reactor.asyncio import (
    ClientConnection,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    OpenTimeout,
    Server,
    ServerConnection,
    connect,
    serve,
    unix_connect,
    unix_serve,
)
from reactor.asyncio.exceptions import CloseFrames
from reactor.asyncio.hosts import get_host
from reactor.asyncio.pieces import as_pieces

from ..support.asyncio_loops import Run
from ..support.certificates import Authority
from .serving import echo, url_of


@asynccontextmanager
async def talking(handler: Any = echo, **options: Any) -> AsyncIterator[tuple[Any, Server]]:
    """Yield a client's connection, and the server."""
    async with serve(handler, "127.0.0.1", 0) as server, connect(url_of(server), **options) as ws:
        yield ws, server


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go on until something is true that makes no event."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Deaf:
    """A handler that reads nothing, so that no ping is answered, until the test ends it.

    Attributes:
        began, end: events: it reads nothing any more; it shall end.
        ws: its connection.
    """

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(self, ws: Any) -> None:
        ws._protocol.pause_reading()
        self.ws = ws
        self.began.set()
        await self.end.wait()
        self.leave(ws)

    def leave(self, ws: Any) -> None:
        """End the connection."""
        ws._protocol.abort()


@asynccontextmanager
async def unheard() -> AsyncIterator[tuple[Any, Deaf]]:
    """Yield a client's connection, and the handler that does not hear it."""
    deaf = Deaf()
    async with talking(deaf) as (ws, _server):
        await deaf.began.wait()
        try:
            yield ws, deaf
        finally:
            deaf.end.set()


# -- sending ---------------------------------------------------------------------------------------


def test_no_limit_for_messages_is_no_limit(run: Run) -> None:
    async def main() -> None:
        async with (
            serve(echo, "127.0.0.1", 0, max_size=None) as server,
            connect(url_of(server), max_size=None) as ws,
        ):
            await ws.send(bytes(3 << 20))
            assert await ws.recv() == bytes(3 << 20)

    run(main())


#: Fragments that are more than a unix socket takes.
LARGE = [b"x" * 1_000_000] * 3


def test_fragments_wait_for_room_and_others_wait_for_them(run: Run, unix_path: str) -> None:
    heard: list[Any] = []

    class Patient(Deaf):
        def leave(self, ws: Any) -> None:
            ws._protocol.resume_reading()

    async def handler(ws: Any) -> None:
        await patient(ws)
        heard.extend([await ws.recv() for _ in range(3)])

    patient = Patient()

    async def main() -> None:
        async with (
            unix_serve(handler, unix_path, max_size=None),
            unix_connect(unix_path, compression=None) as ws,
        ):
            await patient.began.wait()
            sends = [asyncio.ensure_future(ws.send(each)) for each in (LARGE, [b"b", b"c"], b"d")]
            await until(lambda: ws._room or sends[0].done())
            patient.end.set()
            await asyncio.gather(*sends)
            await ws.wait_closed()

    run(main())
    assert sorted(map(len, heard)) == [1, 2, 3_000_000]


def test_a_connection_that_ends_while_fragments_wait_says_so(run: Run, unix_path: str) -> None:
    async def main() -> None:
        deaf = Deaf()
        async with (
            unix_serve(deaf, unix_path),
            unix_connect(unix_path, compression=None) as ws,
        ):
            await deaf.began.wait()
            sends = [asyncio.ensure_future(ws.send(each)) for each in (LARGE, "next", ["in", "2"])]
            await until(lambda: ws._room or sends[0].done())
            ws.transport.abort()
            ends = await asyncio.gather(*sends, return_exceptions=True)
            deaf.end.set()
        assert [type(each) for each in ends] == [ConnectionClosedError] * 3

    run(main())


def test_what_follows_a_large_message_waits_for_room_too(run: Run, unix_path: str) -> None:
    async def main() -> None:
        deaf = Deaf()
        async with (
            unix_serve(deaf, unix_path),
            unix_connect(unix_path, compression=None) as ws,
        ):
            await deaf.began.wait()
            messages = (b"".join(LARGE), ["in", "two"], "next")
            sends = [asyncio.ensure_future(ws.send(each)) for each in messages]
            await until(lambda: ws._room or sends[0].done())
            await asyncio.sleep(0)
            assert not any(each.done() for each in sends)
            ws.transport.abort()
            ends = await asyncio.gather(*sends, return_exceptions=True)
            deaf.end.set()
        assert [type(each) for each in ends] == [ConnectionClosedError] * 3

    run(main())


def test_a_certificate_may_have_another_name_than_the_uri(authority: Authority) -> None:
    context = authority.client_context()
    made = connect("wss://a.example/", ssl=context, server_hostname="b.example")
    assert made._options["sslopt"] == {"context": context, "server_hostname": "b.example"}


def test_a_host_that_is_not_reached_in_time_is_a_timeout(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(OpenTimeout, match="timed out during opening handshake"):
            await connect("ws://a.example/", host="127.0.0.1", port=9, open_timeout=1e-6)

    run(main())


def test_an_attempt_that_is_given_up_is_an_error(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            connecting = asyncio.ensure_future(
                connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/")._open()
            )
            await until(lambda: get_host().connections)
            for connection in list(get_host().connections):
                connection.protocol.abort()
            with pytest.raises(WebSocketException, match="the attempt to connect was given up"):
                await connecting

    run(main())


def test_a_unix_socket_with_tls_has_a_uri_that_says_so(authority: Authority) -> None:
    options: Any = {"ssl": authority.client_context()}
    assert unix_connect("/a/path", **options)._uri == "wss://localhost/"
    assert unix_connect("/a/path")._uri == "ws://localhost/"


def test_an_iterable_that_goes_on_after_the_end_is_not_sent(run: Run) -> None:
    async def main() -> None:
        async def pieces() -> AsyncIterator[str]:
            yield "one"
            await ws.close()
            yield "two"

        async with talking() as (ws, _server):
            with pytest.raises(ConnectionClosedOK):
                await ws.send(pieces())

    run(main())


def test_nothing_can_be_sent_at_the_end(run: Run) -> None:
    async def main() -> None:
        async with talking() as (ws, _server):
            await ws.close()
            for refused in (ws.send("x"), ws.send(["x"]), ws.ping(), ws.pong()):
                with pytest.raises(ConnectionClosedOK):
                    await refused

    run(main())


def pieces_of(message: Any, text: bool | None) -> list[Any]:
    async def collect() -> list[Any]:
        return [piece async for piece in as_pieces(message, text)]

    return asyncio.run(collect())


def test_fragments_are_of_the_type_that_is_asked_for() -> None:
    euro = "€".encode()
    assert pieces_of(["a", "b"], None) == ["a", "b"]
    assert pieces_of([b"a", euro[:1], euro[1:]], True) == ["a", "", "€"]
    assert pieces_of(["a", "€"], False) == [b"a", euro]
    assert pieces_of(["a"], True) == ["a"]


@pytest.mark.parametrize(
    ("message", "text", "fault"),
    [
        (5, None, "an iterable of either, not int"),
        ([5], None, "a fragment is str or bytes, not int"),
        (["a", b"b"], None, "all str, or all bytes"),
    ],
)
def test_what_cannot_be_fragments(message: Any, text: bool | None, fault: str) -> None:
    with pytest.raises(TypeError, match=fault):
        pieces_of(message, text)


def test_text_that_is_cut_within_a_character_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        pieces_of(["€".encode()[:2]], True)


# -- receiving -------------------------------------------------------------------------------------


def test_a_message_of_which_only_a_part_was_taken_leaves_nothing_to_others(run: Run) -> None:
    async def main() -> None:
        async with talking() as (ws, _server):
            await ws.send(["a", "b"])

            async def handler_sends_pieces() -> None:
                pieces = ws.recv_streaming()
                assert await pieces.__anext__() == "ab"
                await pieces.aclose()

            await handler_sends_pieces()
            await ws.send("next")
            assert await ws.recv() == "next"

    run(main())


def test_an_iterator_that_is_left_in_the_middle_keeps_the_connection_to_itself(run: Run) -> None:
    async def in_two(ws: Any) -> None:
        await ws.send(["a", "b"])
        await ws.wait_closed()

    async def main() -> None:
        async with talking(in_two) as (ws, _server):
            pieces = ws.recv_streaming()
            assert await pieces.__anext__() == "a"
            await pieces.aclose()
            with pytest.raises(ConcurrencyError):
                await ws.recv()

    run(main())


def test_reading_goes_on_when_fragments_are_taken(run: Run) -> None:
    count = 50

    async def talkative(ws: Any) -> None:
        for number in range(count):
            await ws.send([str(number), "!"])
        await ws.wait_closed()

    async def main() -> None:
        async with talking(talkative, max_queue=(4, 2)) as (ws, _server):
            await until(lambda: ws._received.inbox.paused)
            for number in range(count):
                pieces = [piece async for piece in ws.recv_streaming() if piece]
                assert pieces == [str(number), "!"]

    run(main())


# -- pings -----------------------------------------------------------------------------------------


def test_random_payloads_of_pings_differ(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with unheard() as (ws, _):
            payloads: Iterator[bytes] = iter([b"same", b"same", b"next"])
            with monkeypatch.context() as patch:
                source = SimpleNamespace(urandom=lambda _size: next(payloads))
                patch.setattr("reactor.asyncio.pings.os", source)
                await ws.ping()
                await ws.ping()
            assert list(ws._pings._waiting) == [b"same", b"next"]
            with pytest.raises(ConcurrencyError, match="waiting for its pong already"):
                await ws.ping("next")
            ws.transport.abort()

    run(main())


def test_a_pong_answers_earlier_pings_too_and_one_that_nobody_awaits_does_no_harm(run: Run) -> None:
    async def main() -> None:
        async with unheard() as (ws, deaf):
            first, given_up, second = [await ws.ping(each) for each in ("first", "x", "second")]
            third = await ws.ping("third")
            cancelled = await ws.ping("fourth")
            given_up.cancel()
            cancelled.cancel()
            await deaf.ws.pong(b"unknown")
            await deaf.ws.pong(b"second")
            assert await first >= await second >= 0
            assert ws.latency == await second
            assert not third.done()
            ws.transport.abort()
            with pytest.raises(ConnectionClosed):
                await third

    run(main())


# -- what is known ---------------------------------------------------------------------------------


def test_before_its_end_a_connection_has_no_close_code(run: Run) -> None:
    async def main() -> None:
        async with talking() as (ws, _server):
            assert (ws.close_code, ws.close_reason) == (None, None)
            assert ws.id == ws.id
            await ws.close(4000, "enough")
            assert (ws.close_code, ws.close_reason) == (4000, "enough")

        async with unheard() as (ws, _):
            ws.transport.abort()
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1006, "")

    run(main())


def test_an_end_is_described_by_what_was_said() -> None:
    from reactor.asyncio.exceptions import Close

    received, sent = Close(1001, "bye"), Close(1000, "")
    said = [
        str(CloseFrames(*given).error())
        for given in [
            (None, None, None),
            (None, sent, None),
            (received, None, None),
            (received, sent, True),
            (received, sent, False),
        ]
    ]
    assert said == [
        "no close frame received or sent",
        "sent 1000 (OK); no close frame received",
        "received 1001 (going away) bye; no close frame sent",
        "received 1001 (going away) bye; then sent 1000 (OK)",
        "sent 1000 (OK); then received 1001 (going away) bye",
    ]


class Gone(socket.socket):
    """A socket whose peer has gone before it could be asked for."""

    def getpeername(self) -> Any:
        raise OSError("not connected")


def test_a_peer_that_has_gone_has_no_address(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            plain = socket.create_connection(("127.0.0.1", int(url_of(server).split(":")[2][:-1])))
            sock = Gone(plain.family, plain.type, plain.proto, plain.detach())
            async with connect(url_of(server), sock=sock) as ws:
                assert ws.remote_address is None
                assert "None" in repr(ws)

    run(main())


# -- opening ---------------------------------------------------------------------------------------


def test_a_host_that_refuses_on_all_its_addresses_is_the_systems_error(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await connect("ws://a.example/", host="127.0.0.1", port=sock.getsockname()[1])

    run(main())


def test_a_host_without_addresses_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nothing, raising=False)
        with pytest.raises(OSError, match=r"a\.example has no address"):
            await connect("ws://a.example/", port=80)

    try:
        run(main())
    except AttributeError:
        pytest.skip("this loop's methods cannot be replaced")


def test_no_user_agent_is_sent_where_none_is_wanted(run: Run) -> None:
    async def main() -> None:
        for options, expected in [
            ({"user_agent_header": None}, None),
            ({"additional_headers": {"User-Agent": "Mine"}}, "Mine"),
        ]:
            async with talking(**options) as (ws, _server):
                assert ws.request.headers.get("User-Agent") == expected

    run(main())


def test_the_uri_of_a_unix_socket_may_be_given(run: Run, unix_path: str) -> None:
    async def main() -> None:
        reactor = serve(echo, unix_path=unix_path)
        async with reactor, unix_connect(unix_path, "ws://name.example/path") as ws:
            assert ws.request.path == "/path"
            assert ws.request.headers["Host"] == "name.example"

    run(main())


# -- servers ---------------------------------------------------------------------------------------


def test_a_server_is_closed_by_its_own_block(run: Run) -> None:
    async def main() -> None:
        server = await serve(echo, "127.0.0.1", 0)
        async with server:
            await server.start_serving()
            async with connect(url_of(server)) as ws:
                assert ws.state is State.OPEN
        assert not server.is_serving()

    run(main())


def test_a_port_that_is_taken_on_one_host_leaves_no_other_open(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                await serve(echo, ["127.0.0.2", "127.0.0.1"], port)
            socket.create_server(("127.0.0.2", port)).close()

    run(main())


def test_a_handler_that_is_cancelled_closes_its_connection(run: Run) -> None:
    async def main() -> None:
        async with talking() as (ws, server):
            await until(lambda: server._handlers)
            (task,) = server._handlers.values()
            task.cancel()
            with pytest.raises(ConnectionClosedOK) as caught:
                await ws.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001

    run(main())


def test_a_transport_of_a_server_aborts_what_is_open_and_does_so_once(run: Run) -> None:
    async def main() -> None:
        ends: list[Any] = []

        async def handler(ws: Any) -> None:
            transport = ws.transport
            transport.abort()
            await ws.wait_closed()
            transport.abort()
            ends.append(ws.close_code)

        async with talking(handler) as (ws, _server):
            with pytest.raises(ConnectionClosedError):
                await ws.recv()
        assert ends == [1006]

    run(main())


def test_a_client_that_is_a_class_of_ones_own(run: Run) -> None:
    class Own(ClientConnection):
        """With something of the program's."""

    async def main() -> None:
        async with talking(create_connection=Own) as (ws, _server):
            assert type(ws) is Own

    run(main())


def test_a_client_that_has_gone_before_it_was_asked_for_its_address_has_none(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            sock = Gone()
            request: Any = None
            assert ServerConnection(server, request, sock).remote_address is None
            sock.close()

    run(main())
