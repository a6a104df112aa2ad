"""No cycle of references is left of a connection of reactor.asyncio: see tests/test_cycles.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest

from reactor.asyncio import ConnectionClosed, connect, serve
from reactor.exceptions import WebSocketException

from ..support.asyncio_loops import Run
from ..support.cycles import no_cycles
from .serving import echo, url_of

Play = Callable[[Any], Awaitable[None]]


async def turns() -> None:
    """Let the loop go on with what is about to happen."""
    for _ in range(10):
        await asyncio.sleep(0)


async def client_leaves(server: Any) -> None:
    async with connect(url_of(server), proxy=None) as ws:
        for message in ("text", b"binary", "x" * 70_000):
            await ws.send(message)
            assert await ws.recv() == message
        await (await ws.ping())
    assert ws.close_code == 1000
    with pytest.raises(ConnectionClosed):
        await ws.recv()


async def server_leaves(server: Any) -> None:
    ws = await connect(url_of(server, "/leave"), proxy=None)
    assert [message async for message in ws] == ["bye"]
    await ws.wait_closed()


async def handler_fails(server: Any) -> None:
    ws = await connect(url_of(server, "/fail"), proxy=None)
    with pytest.raises(ConnectionClosed, match="1011"):
        await ws.recv()


async def it_is_lost(server: Any) -> None:
    ws = await connect(url_of(server), proxy=None)
    waiting = [await ws.ping()]
    ws.transport.abort()
    await ws.wait_closed()
    with pytest.raises(ConnectionClosed):
        await waiting.pop()  # a future with an exception that has this frame
    with pytest.raises(ConnectionClosed):
        await ws.send("x")


async def more_than_the_queue_holds(server: Any) -> None:
    async with connect(url_of(server), proxy=None, max_queue=2) as ws:
        for number in range(20):
            await ws.send(str(number))
        await ws.send(iter(["in ", "pieces"]))
        received = [await ws.recv() for _ in range(21)]
    assert received[-1] == "in pieces"


async def refused(server: Any) -> None:
    with pytest.raises(WebSocketException, match="403"):
        await connect(url_of(server, "/refuse"), proxy=None)


async def nobody_there(server: Any) -> None:
    with pytest.raises(OSError):
        await connect("ws://127.0.0.1:1/", proxy=None)


async def cancelled(server: Any) -> None:
    opening = asyncio.ensure_future(connect(url_of(server, "/wait"), proxy=None)._open())
    await turns()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def handler(ws: Any) -> None:
    if ws.request.path == "/leave":
        await ws.send("bye")
    elif ws.request.path == "/fail":
        raise ValueError("the handler")
    else:
        await echo(ws)


async def process_request(ws: Any, request: Any) -> Any:
    if request.path == "/refuse":
        return ws.respond(HTTPStatus.FORBIDDEN, "no")
    if request.path == "/wait":
        await asyncio.sleep(0.01)
    return None


@pytest.mark.parametrize(
    "play",
    [
        *(client_leaves, server_leaves, handler_fails, it_is_lost, more_than_the_queue_holds),
        *(refused, nobody_there, cancelled),
    ],
    ids=lambda play: play.__name__,
)
def test_a_connection(run: Run, play: Play, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "reactor")

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:

            async def whole() -> None:
                await play(server)
                while server._handlers or any(each._held for each in server._listeners):  # noqa: ASYNC110 - no event for it
                    await asyncio.sleep(0.001)
                await turns()

            await whole()  # what is made only once
            with no_cycles():
                await whole()

    run(main())
