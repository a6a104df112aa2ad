"""The opening handshake by reactor.asyncio: what may be asked of it, and what goes wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from reactor import State
from reactor.asyncio import (
    ClientConnection,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    Request,
    Response,
    ServerConnection,
    connect,
    process_exception,
    serve,
    unix_connect,
    unix_serve,
)

from ..support.asyncio_loops import Run
from ..support.certificates import Authority
from .serving import echo, url_of


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.ca_file)


# -- hooks of the server ---------------------------------------------------------------------


def modify(ws: ServerConnection, request: Request, response: Response) -> None:
    response.headers["X-Path"] = request.path
    del response.headers["Server"]


def replace(ws: ServerConnection, request: Request, response: Response) -> Response:
    headers = response.headers.copy()
    headers["X-Path"] = request.path
    return dataclasses.replace(response, headers=headers)


async def replace_later(ws: ServerConnection, request: Request, response: Response) -> Response:
    await asyncio.sleep(0.001)
    return replace(ws, request, response)


@pytest.mark.parametrize("hook", [modify, replace, replace_later])
def test_the_answer_may_be_changed(run: Run, hook: Any) -> None:
    async def handler(ws: ServerConnection) -> None:
        assert ws.response is not None
        await ws.send(ws.response.headers["X-Path"])

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, process_response=hook) as server:  # noqa: SIM117
            async with connect(url_of(server)) as ws:
                assert await ws.recv() == "/"
                assert ws.response is not None
                assert list(ws.response.headers.raw_items())[-1] == ("X-Path", "/")
                assert ("Server" in ws.response.headers) is (hook is not modify)

    run(main())


def test_a_server_knows_what_it_has_answered(run: Run) -> None:
    async def handler(ws: ServerConnection) -> None:
        assert ws.response is not None
        await ws.send(f"{ws.response.status_code} {ws.response.headers['Server']}")

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, server_header="Neo") as server:  # noqa: SIM117
            async with connect(url_of(server)) as ws:
                assert await ws.recv() == "101 Neo"

    run(main())


def refuse(ws: ServerConnection, request: Request, response: Response) -> Response:
    return ws.respond(409, "taken")


def fail(ws: ServerConnection, request: Request, response: Response) -> None:
    raise LookupError("of the hook")


def mistake(ws: ServerConnection, request: Request, response: Response) -> Any:
    return 101


@pytest.mark.parametrize(("hook", "status"), [(refuse, 409), (fail, 500), (mistake, 500)])
def test_instead_of_the_answer_a_refusal(run: Run, hook: Any, status: int) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, process_response=hook) as server:
            with pytest.raises(InvalidStatus) as caught:
                await connect(url_of(server))
            assert caught.value.response.status_code == status
            if status == 409:
                assert caught.value.response.body == b"taken"
                assert caught.value.response.headers["Content-Length"] == "5"
                assert str(caught.value) == "server rejected WebSocket connection: HTTP 409"
            assert not server.connections

    run(main())


def test_the_server_may_choose_the_subprotocol_by_the_connection(run: Run) -> None:
    def choose(ws: ServerConnection, offered: Sequence[str]) -> str | None:
        assert ws.request is not None
        if ws.request.headers.get("X-Version") is None:
            raise NegotiationError("which version?")
        return offered[-1] if offered else None

    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, select_subprotocol=choose) as server:
            url = url_of(server)
            with pytest.raises(InvalidStatus) as caught:
                await connect(url, subprotocols=["v1"])
            assert caught.value.status_code == 400
            assert b"which version?" in caught.value.response.body
            headers = {"X-Version": "2"}
            for offered in (["v1", "v2"], []):
                async with connect(url, subprotocols=offered, additional_headers=headers) as ws:
                    assert ws.subprotocol == (offered[-1] if offered else None)

    run(main())


def test_connections_may_be_of_a_class_of_ones_own(run: Run) -> None:
    class Counting(ServerConnection):
        count = 1

    class Mine(ClientConnection):
        async def ask(self) -> str | bytes:
            await self.send("?")
            return await self.recv()

    async def handler(ws: ServerConnection) -> None:
        await ws.recv()
        await ws.send(f"{type(ws).__name__} {ws.count}")  # type: ignore[attr-defined]

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, create_connection=Counting) as server:  # noqa: SIM117
            async with connect(url_of(server), create_connection=Mine) as ws:
                assert isinstance(ws, Mine)
                assert await ws.ask() == "Counting 1"

    run(main())


def test_a_transport_ends_a_client_that_is_not_accepted_yet(run: Run) -> None:
    def drop(ws: ServerConnection, request: Request) -> None:
        assert ws.transport.get_extra_info("peername")[0] == "127.0.0.1"
        ws.transport.close()

    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, process_request=drop) as server:
            with pytest.raises((InvalidHandshake, OSError)):
                await connect(url_of(server))

    run(main())


# -- the transport ---------------------------------------------------------------------------


def test_what_a_transport_knows(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, ssl=authority.server_context) as server:
            ws = await connect(url_of(server, scheme="wss"), ssl=trusting(authority))
            transport = ws.transport
            assert transport.get_extra_info("sockname") == ws.local_address
            assert transport.get_extra_info("ssl_object").version().startswith("TLS")
            assert transport.get_extra_info("peercert")["subjectAltName"]
            assert transport.get_extra_info("nothing", "such") == "such"
            assert transport.get_write_buffer_size() == 0
            assert not transport.is_closing()
            transport.abort()
            await ws.wait_closed()
            assert transport.is_closing()
            assert transport.get_extra_info("sockname") is None
            assert ws.close_code == 1006
        async with serve(echo, "127.0.0.1", 0) as server, connect(url_of(server)) as ws:
            assert ws.transport.get_extra_info("ssl_object") is None

    run(main())


# -- what the client is given ----------------------------------------------------------------


def test_a_connection_is_closed_by_its_block(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            async with await connect(url_of(server)) as ws:
                assert ws.state is State.OPEN
            assert (ws.close_code, ws.state) == (1000, State.CLOSED)
            ws = await connect(url_of(server))
            with pytest.raises(LookupError):
                async with ws:
                    raise LookupError
            assert ws.close_code == 1011

    run(main())


def test_connect_is_not_reentrant(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            connecting = connect(url_of(server))
            async with connecting:
                with pytest.raises(RuntimeError, match="reentrant"):
                    await connecting.__aenter__()
            async with connecting as ws:  # but again
                assert ws.state is State.OPEN

    run(main())


def test_host_and_port_replace_those_of_the_uri(run: Run) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect("ws://example.invalid/", host="127.0.0.1", port=port) as ws:
                assert ws.request is not None
                assert ws.request.headers["Host"] == "example.invalid"
                await ws.send("hello")
                assert await ws.recv() == "hello"
        with pytest.raises(OSError):
            await connect("ws://example.invalid/", host="127.0.0.1", port=port)

    run(main())


def test_a_given_socket_gets_tls_like_any_other(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0, ssl=authority.server_context) as server:
            sock = socket.create_connection(server.sockets[0].getsockname())
            url = url_of(server, scheme="wss")
            async with connect(url, sock=sock, ssl=trusting(authority)) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"

    run(main())


def test_unix_sockets_with_tls_and_as_sockets(
    run: Run, authority: Authority, unix_path: str
) -> None:
    async def main() -> None:
        context = trusting(authority)
        async with unix_serve(echo, unix_path, ssl=authority.server_context):  # noqa: SIM117
            async with unix_connect(unix_path, ssl=context, proxy=None) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"

    run(main())


# -- errors ----------------------------------------------------------------------------------


def answering(*answers: bytes) -> Callable[..., Awaitable[None]]:
    """Return a server of asyncio's that answers clients with these, one after the other."""
    waiting = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(waiting))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    return answer


def test_what_is_not_http_is_an_invalid_message(run: Run) -> None:
    async def main() -> None:
        answer = answering(b"220 smtp.invalid ESMTP\r\n\r\n", b"HTTP/1.1 101 Swit")
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            url = url_of(server)
            with pytest.raises(InvalidMessage, match="smtp") as caught:
                await connect(url)
            assert process_exception(caught.value) is caught.value
            with pytest.raises(InvalidMessage) as caught:
                await connect(url)
            assert caught.value.cut_off
            assert process_exception(caught.value) is None

    run(main())


@pytest.mark.parametrize("uri", ["http://localhost", "localhost", "ws://", "ws://a:b/"])
def test_a_uri_that_cannot_be_is_invalid(run: Run, uri: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidURI, match="isn't a valid URI") as caught:
            await connect(uri)
        assert caught.value.uri == uri
        assert isinstance(caught.value, ValueError)

    run(main())


async def _nothing(_: ServerConnection) -> None:
    """A handler."""


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: connect("ws://x", ssl=ssl.create_default_context()), ValueError, "ws:// URI"),
        (lambda: connect("wss://x", ssl=None), ValueError, "wss:// URI"),
        (lambda: connect("ws://x", subprotocols="chat"), TypeError, "must be a list"),
        (lambda: serve(_nothing, subprotocols="chat"), TypeError, "must be a list"),
        (lambda: serve(_nothing, "x", sock=1), ValueError, "host/port and sock"),
        (lambda: unix_connect(), ValueError, "no path and sock"),
        (lambda: unix_connect("/x", sock=1), ValueError, "same time"),
        (lambda: unix_serve(_nothing), ValueError, "no path and sock"),
        (lambda: unix_serve(_nothing, "/x", sock=1), ValueError, "same time"),
    ],
)
def test_arguments_that_contradict_one_another(
    make: Callable[[], Awaitable[Any]], error: type[Exception], text: str
) -> None:
    async def main() -> None:
        with pytest.raises(error, match=text):
            await make()

    asyncio.run(main())


def test_the_delays_of_reconnects_are_the_users(run: Run) -> None:
    async def main() -> None:
        begun: list[int] = []

        def three() -> Iterator[float]:
            begun.append(len(begun))
            yield from (0.0, 0.0, 0.0)

        refused: list[int] = []

        def judge(ws: ServerConnection, request: Request) -> Response | None:
            refused.append(len(refused))
            return ws.respond(503, "soon") if len(refused) not in (3,) else None

        opened = 0
        async with serve(_nothing, "127.0.0.1", 0, process_request=judge) as server:
            with pytest.raises(InvalidStatus):  # noqa: PT012
                async for ws in connect(url_of(server), reconnect_delays=three):
                    opened += 1
                    with pytest.raises(ConnectionClosedOK):
                        await ws.recv()
        # Two refusals, a connection, four refusals: delays begin anew behind a connection.
        assert (opened, len(refused), len(begun)) == (1, 7, 2)

    run(main())


def test_a_server_has_the_logger_of_its_connections() -> None:
    async def main() -> None:
        logger = logging.getLogger("mine")
        async with serve(echo, "127.0.0.1", 0, logger=logger) as server:
            assert server.logger is logger

    asyncio.run(main())
