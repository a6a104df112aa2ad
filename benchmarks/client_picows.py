"""The `picows` client: its core API, a listener per connection, no task and no future."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

import common
from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

KEEP_ALIVE: dict[str, Any] = {
    "enable_auto_ping": True,
    "auto_ping_strategy": WSAutoPingStrategy.PING_PERIODICALLY,
    "auto_ping_idle_timeout": common.PING_INTERVAL,
    "auto_ping_reply_timeout": common.PING_TIMEOUT,
}


class Run:
    """Counts the messages and waits until all connections have finished."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.size = args.size
        self.messages = args.messages
        self.payload = b"x" * args.size
        self.left = args.connections
        self.received = 0
        self.done = asyncio.get_running_loop().create_future()

    def finished(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.done.set_result(None)

    def failed(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(why))


class Echo(WSListener):
    def __init__(self, run: Run) -> None:
        self.run = run
        self.received = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        run = self.run
        if frame.msg_type != WSMsgType.TEXT:
            run.failed(f"unexpected frame: {frame}")
            return
        message = frame.get_payload_as_utf8_text()
        if len(message) != run.size:
            run.failed("unexpected message")
        self.received += 1
        if self.received < run.messages:
            transport.send(WSMsgType.TEXT, run.payload)
        else:
            run.received += self.received
            run.finished()


class FanIn(WSListener):
    def __init__(self, run: Run) -> None:
        self.run = run

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        run = self.run
        if frame.msg_type != WSMsgType.TEXT:
            run.failed(f"unexpected frame: {frame}")
            return
        message = frame.get_payload_as_utf8_text()
        if len(message) == run.size:
            run.received += 1
        elif message == common.END:
            run.finished()
        else:
            run.failed("unexpected message")


async def steady(args: argparse.Namespace, listener: type, first: bytes) -> None:
    run = Run(args)
    silent = await open_silent(args, args.idle)
    transports = await common.repeat(
        args.connections, lambda: open_one(args, lambda: listener(run))
    )
    meter = common.Meter()
    for transport in transports:
        transport.send(WSMsgType.TEXT, first)
    await run.done
    meter.report(messages=run.received)
    common.check(run.received, args)
    assert not any(transport.is_disconnected for transport in silent)


async def echo(args: argparse.Namespace) -> None:
    await steady(args, Echo, b"x" * args.size)


async def fanin(args: argparse.Namespace) -> None:
    await steady(args, FanIn, b"go")


async def open_one(
    args: argparse.Namespace, listener: Callable[[], WSListener] = WSListener, **options: Any
) -> WSTransport:
    transport, _ = await ws_connect(listener, args.url, ssl_context=args.context, **options)
    return transport


async def open_silent(args: argparse.Namespace, count: int, **options: Any) -> list[WSTransport]:
    return await common.repeat(count, lambda: open_one(args, **options))


async def idle(args: argparse.Namespace) -> None:
    transports = await open_silent(args, 1, **KEEP_ALIVE)
    meter = common.MemoryMeter()
    transports += await open_silent(args, args.connections, **KEEP_ALIVE)
    meter.report(args.connections)
    assert not any(transport.is_disconnected for transport in transports)


async def idle_cpu(args: argparse.Namespace) -> None:
    transports = await open_silent(args, args.connections, **KEEP_ALIVE)
    await asyncio.sleep(common.SETTLE)
    meter = common.Meter()
    await asyncio.sleep(args.seconds)
    meter.report(connections=args.connections)
    assert not any(transport.is_disconnected for transport in transports)


async def open_and_close(args: argparse.Namespace) -> None:
    async def once() -> None:
        transport = await open_one(args)
        transport.send_close()
        await transport.wait_disconnected()  # the server closes the TCP connection

    await common.repeat(common.IN_FLIGHT, once)
    meter = common.Meter()
    await common.repeat(args.connections, once)
    meter.report(connections=args.connections)


SCENARIOS = {
    "echo": echo,
    "fanin": fanin,
    "idle": idle,
    "idle-cpu": idle_cpu,
    "connect": open_and_close,
}

if __name__ == "__main__":
    args = common.arguments("picows", "aiofastnet", loops=True)
    common.run_asyncio(SCENARIOS[args.scenario], args)
