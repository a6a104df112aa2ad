"""The `tornado` client: `websocket_connect` with a callback per message, on asyncio's
own event loop, as its documentation shows.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

import common
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

OnMessage = Callable[[str | bytes | None], None]
KEEP_ALIVE: dict[str, Any] = {
    "ping_interval": common.PING_INTERVAL,
    "ping_timeout": common.PING_TIMEOUT,
}


class Client:
    """One connection of the steady scenarios; `finish` takes the number of its messages."""

    def __init__(self, args: argparse.Namespace, finish: Callable[[int], None]) -> None:
        self.args = args
        self.payloads = common.payloads(args)
        self.finish = finish
        self.received = 0
        self.connection: WebSocketClientConnection

    def echo(self, message: str | bytes | None) -> None:
        assert message is not None
        assert len(message) == self.args.size
        self.received += 1
        if self.received < self.args.messages:
            self.connection.write_message(next(self.payloads))
        else:
            self.finish(self.received)

    def fanin(self, message: str | bytes | None) -> None:
        assert message is not None
        if len(message) == self.args.size:
            self.received += 1
        else:
            assert message == common.END
            self.finish(self.received)


async def steady(args: argparse.Namespace) -> None:
    done = asyncio.get_running_loop().create_future()
    received: list[int] = []

    def finish(count: int) -> None:
        received.append(count)
        if len(received) == args.connections:
            done.set_result(None)

    async def open_client() -> Client:
        client = Client(args, finish)
        on_message = client.echo if args.scenario == "echo" else client.fanin
        client.connection = await open_one(args, on_message)
        return client

    silent = await open_silent(args, args.idle)
    clients = await common.repeat(args.connections, open_client)
    meter = common.Meter()
    for client in clients:
        first = next(client.payloads) if args.scenario == "echo" else "go"
        client.connection.write_message(first)
    await done
    meter.report(messages=sum(received))
    common.check(sum(received), args)
    assert not any(connection.close_code for connection in silent)


async def idle(args: argparse.Namespace) -> None:
    connections = await open_silent(args, 1, **KEEP_ALIVE)
    meter = common.MemoryMeter()
    connections += await open_silent(args, args.connections, **KEEP_ALIVE)
    meter.report(args.connections)


async def idle_cpu(args: argparse.Namespace) -> None:
    connections = await open_silent(args, args.connections, **KEEP_ALIVE)
    await asyncio.sleep(common.SETTLE)
    meter = common.Meter()
    await asyncio.sleep(args.seconds)
    meter.report(connections=len(connections))


async def open_and_close(args: argparse.Namespace) -> None:
    async def once() -> None:
        closed = asyncio.get_running_loop().create_future()
        connection = await open_one(args, closed.set_result)  # None: the connection has ended
        connection.close()
        assert await closed is None

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


def nothing_expected(message: str | bytes | None) -> None:
    """The handler of the silent connections: None comes when the program ends."""
    assert message is None


async def open_silent(
    args: argparse.Namespace, count: int, **options: Any
) -> list[WebSocketClientConnection]:
    return await common.repeat(count, lambda: open_one(args, nothing_expected, **options))


async def open_one(
    args: argparse.Namespace, on_message: OnMessage, **options: Any
) -> WebSocketClientConnection:
    request = HTTPRequest(args.url, ssl_options=args.context)
    return await websocket_connect(
        request,
        on_message_callback=on_message,
        compression_options={} if args.deflate else None,
        **options,
    )


SCENARIOS = {
    "echo": steady,
    "fanin": steady,
    "idle": idle,
    "idle-cpu": idle_cpu,
    "connect": open_and_close,
}

if __name__ == "__main__":
    args = common.arguments("tornado")
    asyncio.run(SCENARIOS[args.scenario](args))
