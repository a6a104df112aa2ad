"""The server of reactor.asyncio: handlers, process_request, broadcast, and its end."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from reactor import WebSocketQueueFullException
from reactor.asyncio import (
    ConnectionClosedError,
    InvalidStatus,
    Response,
    ServerConnection,
    broadcast,
    connect,
    serve,
)

from ..support.asyncio_loops import Run
from .serving import url_of


async def stay(ws: ServerConnection) -> None:
    await ws.wait_closed()


def test_a_handler_that_raises_costs_its_connection_only(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(ws: ServerConnection) -> None:
        if await ws.recv() == "fail":
            raise LookupError("of the handler")

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:  # noqa: SIM117
            async with connect(url_of(server)) as one, connect(url_of(server)) as two:
                await one.send("fail")
                await one.wait_closed()
                assert one.close_code == 1011
                await two.send("well")
                await two.wait_closed()
                assert two.close_code == 1000
                assert not server.connections

    run(main())
    assert "of the handler" in caplog.text


@pytest.mark.parametrize("asynchronous", [True, False])
def test_process_request_may_refuse_answer_and_remember(run: Run, asynchronous: bool) -> None:
    def judge(ws: ServerConnection, request: Any) -> Response | None:
        if request.path == "/health":
            return ws.respond(200, "OK\n")
        if "Authorization" not in request.headers:
            return ws.respond(401, "who are you?\n")
        ws.user = request.headers["Authorization"]  # type: ignore[attr-defined]
        return None

    async def judge_later(ws: ServerConnection, request: Any) -> Response | None:
        await asyncio.sleep(0.001)
        return judge(ws, request)

    async def handler(ws: ServerConnection) -> None:
        await ws.send(ws.user)  # type: ignore[attr-defined]

    async def main() -> None:
        hook = judge_later if asynchronous else judge
        async with serve(handler, "127.0.0.1", 0, process_request=hook) as server:
            for path, status in (("/", 401), ("/health", 200)):
                with pytest.raises(InvalidStatus) as caught:
                    await connect(url_of(server, path))
                assert caught.value.status_code == status
            headers = {"Authorization": "me"}
            async with connect(url_of(server), additional_headers=headers) as ws:
                assert await ws.recv() == "me"

    run(main())


def test_a_client_that_leaves_cancels_an_async_process_request(run: Run) -> None:
    async def main() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def forever(ws: ServerConnection, request: Any) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with serve(stay, "127.0.0.1", 0, process_request=forever) as server:
            task = asyncio.ensure_future(_open(url_of(server)))
            await begun.wait()
            task.cancel()
            await cancelled.wait()

    run(main())


async def _open(url: str) -> None:
    await connect(url)


def test_a_broadcast_reaches_all_that_are_open(run: Run) -> None:
    async def main() -> None:
        async with serve(stay, "127.0.0.1", 0) as server:
            clients = [await connect(url_of(server)) for _ in range(5)]
            gone = await connect(url_of(server))
            everybody = server.connections
            await gone.close()
            broadcast(everybody, "to all")
            broadcast(everybody, b"as text", text=True)
            for ws in clients:
                assert await ws.recv() == "to all"
                assert await ws.recv() == "as text"
            with pytest.raises(TypeError):
                broadcast(everybody, 5)  # type: ignore[arg-type]

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there is no ExceptionGroup")
def test_a_broadcast_may_tell_whom_it_has_left_out(run: Run) -> None:
    async def main() -> None:
        limits = {"write_limit": 1, "high_water": 0, "low_water": 0}
        async with serve(stay, "127.0.0.1", 0, compression=None, reactor=limits) as server:
            ws = await connect(url_of(server), max_queue=0)
            await asyncio.sleep(0)
            while not server.connections:  # noqa: ASYNC110
                await asyncio.sleep(0)
            with pytest.raises(Exception, match="skipped broadcast") as caught:  # noqa: PT012
                for _ in range(1000):
                    broadcast(server.connections, b"x" * 100_000, raise_exceptions=True)
            (error,) = caught.value.exceptions  # type: ignore[attr-defined]
            assert isinstance(error, WebSocketQueueFullException)
            broadcast(server.connections, b"x" * 100_000)  # told nobody
            ws.transport.abort()

    run(main())


def test_closing_a_server_closes_its_connections_and_awaits_the_handlers(run: Run) -> None:
    ended: list[str] = []

    async def handler(ws: ServerConnection) -> None:
        with pytest.raises(ConnectionClosedError):
            await ws.recv()
        await asyncio.sleep(0)
        ended.append("handler")

    async def main() -> None:
        server = await serve(handler, "127.0.0.1", 0)
        assert server.is_serving()
        url = url_of(server)
        ws = await connect(url)
        server.close(code=1012, reason="restart")
        server.close()
        await server.wait_closed()
        ended.append("server")
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (1012, "restart")
        assert not server.is_serving()
        assert not server.sockets
        with pytest.raises(OSError, match="refused"):
            await connect(url)

    run(main())
    assert ended == ["handler", "server"]


def test_serve_forever_ends_when_it_is_cancelled(run: Run) -> None:
    async def main() -> None:
        async with serve(stay, ["127.0.0.1"], 0) as server:
            await server.start_serving()
            assert server.get_loop() is asyncio.get_running_loop()
            ws = await connect(url_of(server))
            task = asyncio.ensure_future(server.serve_forever())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ws.wait_closed()
            assert ws.close_code == 1001

    run(main())


def test_an_option_that_is_unknown_is_named() -> None:
    with pytest.raises(TypeError, match="orgins"):
        serve(stay, "127.0.0.1", 0, orgins=["x"])
