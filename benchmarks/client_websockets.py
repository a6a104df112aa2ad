"""The `websockets` client: a task per connection, `async for message in connection`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import common
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

PLAIN: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}
# With the settings of its own default, but for the window: the server compresses nothing anew.
DEFLATE = ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})
KEEP_ALIVE: dict[str, Any] = {
    "ping_interval": common.PING_INTERVAL,
    "ping_timeout": common.PING_TIMEOUT,
}


async def echo(args: argparse.Namespace) -> None:
    payloads = common.payloads(args)

    async def converse(connection: ClientConnection) -> int:
        received = 0
        await connection.send(next(payloads))
        async for message in connection:
            assert len(message) == args.size
            received += 1
            if received == args.messages:
                break
            await connection.send(next(payloads))
        return received

    silent = await open_silent(args, args.idle)
    connections = await common.repeat(args.connections, lambda: open_one(args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(converse, connections)))
    meter.report(messages=received)
    common.check(received, args)
    assert not any(task.done() for task in silent)


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

    connections = await common.repeat(args.connections, lambda: open_one(args))
    meter = common.Meter()
    received = sum(await asyncio.gather(*map(consume, connections)))
    meter.report(messages=received)
    common.check(received, args)


async def open_silent(
    args: argparse.Namespace, count: int, **options: Any
) -> list[asyncio.Task[None]]:
    """Connections on which nothing happens, with a task each that waits for messages."""

    async def consume(connection: ClientConnection) -> None:
        async for message in connection:
            raise AssertionError(f"nothing should arrive, {message!r} did")

    async def subscribe() -> asyncio.Task[None]:
        return asyncio.create_task(consume(await open_one(args, **options)))

    return await common.repeat(count, subscribe)


async def idle(args: argparse.Namespace) -> None:
    tasks = await open_silent(args, 1, **KEEP_ALIVE)
    meter = common.MemoryMeter()
    tasks += await open_silent(args, args.connections, **KEEP_ALIVE)
    meter.report(args.connections)
    assert not any(task.done() for task in tasks)


async def idle_cpu(args: argparse.Namespace) -> None:
    tasks = await open_silent(args, args.connections, **KEEP_ALIVE)
    await asyncio.sleep(common.SETTLE)
    meter = common.Meter()
    await asyncio.sleep(args.seconds)
    meter.report(connections=args.connections)
    assert not any(task.done() for task in tasks)


async def open_and_close(args: argparse.Namespace) -> None:
    async def once() -> None:
        connection = await open_one(args)
        await connection.close()

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


async def open_one(args: argparse.Namespace, **options: Any) -> ClientConnection:
    options = {**PLAIN, **options}
    if args.tls:
        options["ssl"] = args.context
    if args.deflate:
        options["extensions"] = [DEFLATE]
    return await connect(args.url, **options)


SCENARIOS = {
    "echo": echo,
    "fanin": fanin,
    "idle": idle,
    "idle-cpu": idle_cpu,
    "connect": open_and_close,
}

if __name__ == "__main__":
    args = common.arguments("websockets", loops=True)
    common.run_asyncio(SCENARIOS[args.scenario], args)
