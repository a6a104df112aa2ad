"""The `websockets` client: a task per connection, `async for message in connection`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import common
from websockets.asyncio.client import ClientConnection, connect

PLAIN: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}
KEEP_ALIVE: dict[str, Any] = {
    **PLAIN,
    "ping_interval": common.PING_INTERVAL,
    "ping_timeout": common.PING_TIMEOUT,
}


async def echo(args: argparse.Namespace) -> None:
    payload = "x" * args.size

    async def converse(connection: ClientConnection) -> int:
        received = 0
        await connection.send(payload)
        async for message in connection:
            assert len(message) == args.size
            received += 1
            if received == args.messages:
                break
            await connection.send(payload)
        return received

    connections = await common.repeat(args.connections, lambda: connect_plain(args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(converse, connections)))
    meter.report(messages=received)
    common.check(received, args)


async def fanin(args: argparse.Namespace) -> None:
    async def consume(connection: ClientConnection) -> int:
        received = 0
        await connection.send("go")
        async for message in connection:
            if len(message) != args.size:
                assert message == common.END
                break
            received += 1
        return received

    connections = await common.repeat(args.connections, lambda: connect_plain(args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(consume, connections)))
    meter.report(messages=received)
    common.check(received, args)


async def idle(args: argparse.Namespace) -> None:
    async def consume(connection: ClientConnection) -> None:
        async for message in connection:
            raise AssertionError(f"nothing should arrive, {message!r} did")

    async def subscribe() -> asyncio.Task[None]:
        return asyncio.create_task(consume(await connect(args.url, **KEEP_ALIVE)))

    tasks = [await subscribe()]
    meter = common.MemoryMeter()
    tasks += await common.repeat(args.connections, subscribe)
    meter.report(args.connections)
    assert not any(task.done() for task in tasks)


async def open_and_close(args: argparse.Namespace) -> None:
    async def once() -> None:
        connection = await connect_plain(args)
        await connection.close()

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


async def connect_plain(args: argparse.Namespace) -> ClientConnection:
    return await connect(args.url, **PLAIN)


SCENARIOS = {"echo": echo, "fanin": fanin, "idle": idle, "connect": open_and_close}

if __name__ == "__main__":
    args = common.arguments("websockets", loops=True)
    common.run_asyncio(SCENARIOS[args.scenario], args)
