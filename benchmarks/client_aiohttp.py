"""The `aiohttp` client: one session, a task per connection, `async for message in connection`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import aiohttp
import common
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

KEEP_ALIVE: dict[str, Any] = {"heartbeat": common.PING_INTERVAL}


async def echo(session: ClientSession, args: argparse.Namespace) -> None:
    payloads = common.payloads(args)

    async def converse(connection: ClientWebSocketResponse[bool]) -> int:
        received = 0
        await connection.send_str(next(payloads))
        async for message in connection:
            assert message.type is WSMsgType.TEXT
            assert len(message.data) == args.size
            received += 1
            if received == args.messages:
                break
            await connection.send_str(next(payloads))
        return received

    silent = await open_silent(session, args, args.idle)
    connections = await common.repeat(args.connections, lambda: open_one(session, args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(converse, connections)))
    meter.report(messages=received)
    common.check(received, args)
    assert not any(task.done() for task in silent)


async def fanin(session: ClientSession, args: argparse.Namespace) -> None:
    async def consume(connection: ClientWebSocketResponse[bool]) -> int:
        received = 0
        await connection.send_str("go")
        async for message in connection:
            assert message.type is WSMsgType.TEXT
            if len(message.data) != args.size:
                assert message.data == common.END
                break
            received += 1
        return received

    connections = await common.repeat(args.connections, lambda: open_one(session, args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(consume, connections)))
    meter.report(messages=received)
    common.check(received, args)


async def open_silent(
    session: ClientSession, args: argparse.Namespace, count: int, **options: Any
) -> list[asyncio.Task[None]]:
    """Connections on which nothing happens, with a task each that waits for messages."""

    async def consume(connection: ClientWebSocketResponse[bool]) -> None:
        async for message in connection:
            raise AssertionError(f"nothing should arrive, {message!r} did")

    async def subscribe() -> asyncio.Task[None]:
        return asyncio.create_task(consume(await open_one(session, args, **options)))

    return await common.repeat(count, subscribe)


async def idle(session: ClientSession, args: argparse.Namespace) -> None:
    tasks = await open_silent(session, args, 1, **KEEP_ALIVE)
    meter = common.MemoryMeter()
    tasks += await open_silent(session, args, args.connections, **KEEP_ALIVE)
    meter.report(args.connections)
    assert not any(task.done() for task in tasks)


async def idle_cpu(session: ClientSession, args: argparse.Namespace) -> None:
    tasks = await open_silent(session, args, args.connections, **KEEP_ALIVE)
    await asyncio.sleep(common.SETTLE)
    meter = common.Meter()
    await asyncio.sleep(args.seconds)
    meter.report(connections=args.connections)
    assert not any(task.done() for task in tasks)


async def open_and_close(session: ClientSession, args: argparse.Namespace) -> None:
    async def once() -> None:
        connection = await open_one(session, args)
        await connection.close()

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


async def open_one(
    session: ClientSession, args: argparse.Namespace, **options: Any
) -> ClientWebSocketResponse[bool]:
    return await session.ws_connect(args.url, compress=15 if args.deflate else 0, **options)


SCENARIOS = {
    "echo": echo,
    "fanin": fanin,
    "idle": idle,
    "idle-cpu": idle_cpu,
    "connect": open_and_close,
}


async def main(args: argparse.Namespace) -> None:
    # No limit on the number of connections.
    connector = aiohttp.TCPConnector(limit=0, ssl=args.context or True)
    async with ClientSession(connector=connector) as session:
        await SCENARIOS[args.scenario](session, args)


if __name__ == "__main__":
    args = common.arguments("aiohttp", loops=True)
    common.run_asyncio(main, args)
