"""The `aiohttp` client: one session, a task per connection, `async for message in connection`."""

from __future__ import annotations

import argparse
import asyncio

import aiohttp
import common
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType


async def echo(session: ClientSession, args: argparse.Namespace) -> None:
    payload = "x" * args.size

    async def converse(connection: ClientWebSocketResponse[bool]) -> int:
        received = 0
        await connection.send_str(payload)
        async for message in connection:
            assert message.type is WSMsgType.TEXT
            assert len(message.data) == args.size
            received += 1
            if received == args.messages:
                break
            await connection.send_str(payload)
        return received

    connections = await common.repeat(args.connections, lambda: session.ws_connect(args.url))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(converse, connections)))
    meter.report(messages=received)
    common.check(received, args)


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

    connections = await common.repeat(args.connections, lambda: session.ws_connect(args.url))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(consume, connections)))
    meter.report(messages=received)
    common.check(received, args)


async def idle(session: ClientSession, args: argparse.Namespace) -> None:
    async def consume(connection: ClientWebSocketResponse[bool]) -> None:
        async for message in connection:
            raise AssertionError(f"nothing should arrive, {message!r} did")

    async def subscribe() -> asyncio.Task[None]:
        connection = await session.ws_connect(args.url, heartbeat=common.PING_INTERVAL)
        return asyncio.create_task(consume(connection))

    tasks = [await subscribe()]
    meter = common.MemoryMeter()
    tasks += await common.repeat(args.connections, subscribe)
    meter.report(args.connections)
    assert not any(task.done() for task in tasks)


async def open_and_close(session: ClientSession, args: argparse.Namespace) -> None:
    async def once() -> None:
        connection = await session.ws_connect(args.url)
        await connection.close()

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


SCENARIOS = {"echo": echo, "fanin": fanin, "idle": idle, "connect": open_and_close}


async def main(args: argparse.Namespace) -> None:
    connector = aiohttp.TCPConnector(limit=0)  # no limit on the number of connections
    async with ClientSession(connector=connector) as session:
        await SCENARIOS[args.scenario](session, args)


if __name__ == "__main__":
    args = common.arguments("aiohttp", loops=True)
    common.run_asyncio(main, args)
