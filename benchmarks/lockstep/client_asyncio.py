"""Clients for asyncio in the lock-step benchmark: a task per connection, ``async for message in``.

What it is: one conversation for reactor.asyncio, websockets and aiohttp (``--library``), on
asyncio's own loop or on uvloop (``--loop``); and ``handlers``, a reactor whose turns that loop
runs, with handlers as in client_reactor.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from driver import SETTLE, Run


async def converse(ws: Any) -> None:
    """Take messages, and answer them in an echo. With reactor.asyncio and websockets."""
    if run.echo:
        async for message in ws:
            if len(message) != run.size:
                raise AssertionError("a message that nobody expected")
            await ws.send(next(run.payloads))
            run.received()
    else:
        async for message in ws:
            if len(message) != run.size:
                raise AssertionError("a message that nobody expected")
            run.received()


async def converse_aiohttp(ws: Any) -> None:
    """The same with aiohttp."""
    async for message in ws:
        if len(message.data) != run.size:
            raise AssertionError("a message that nobody expected")
        if run.echo:
            await ws.send_str(next(run.payloads))
        run.received()


async def talk(connections: list[Any], conversation: Any = converse) -> None:
    """Begin when every task waits for its first message."""
    tasks = [asyncio.ensure_future(conversation(ws)) for ws in connections]
    if run.deflate:
        for ws in connections:
            await (ws.send_str if run.library == "aiohttp" else ws.send)(next(run.payloads))
    await asyncio.sleep(SETTLE)
    run.begin()
    await asyncio.gather(*tasks)


async def reactor() -> None:
    """Run on reactor.asyncio."""
    from reactor.asyncio import connect

    await talk([await connect(run.url, **OPTIONS) for _ in range(run.connections)])


async def websockets() -> None:
    """Run on websockets."""
    from websockets.asyncio.client import connect

    await talk([await connect(run.url, **OPTIONS) for _ in range(run.connections)])


async def aiohttp() -> None:
    """Run on aiohttp."""
    from aiohttp import ClientSession, TCPConnector

    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        bits = 15 if run.deflate else 0
        every = [await session.ws_connect(run.url, compress=bits) for _ in range(run.connections)]
        await talk(every, converse_aiohttp)


async def handlers() -> None:
    """Run with handlers, on a hosted reactor."""
    from reactor import WebSocketProtocol
    from reactor.hosting.asyncio import asyncio_host

    class Client(WebSocketProtocol):
        def on_open(self) -> None:
            opened.set_result(None)
            if run.deflate:
                self.send(next(run.payloads))

        def on_message(self, message: str | bytes) -> None:
            if len(message) != run.size:
                raise AssertionError("a message that nobody expected")
            if run.echo:
                self.send(next(run.payloads))
            run.received()

    host = asyncio_host()
    for _ in range(run.connections):
        opened = asyncio.get_running_loop().create_future()
        host.connect(run.url, Client, **OPTIONS)
        await opened
    host.call_later(SETTLE, run.begin)
    await asyncio.get_running_loop().create_future()


LIBRARIES = {each.__name__: each for each in (reactor, websockets, aiohttp, handlers)}

run = Run(lambda: None)
OPTIONS: dict[str, Any] = {
    "proxy": None,
    "ping_interval": None,
    "compression": "deflate" if run.deflate else None,
}
main = LIBRARIES[run.library]()
if run.loop == "uvloop":
    import uvloop

    uvloop.run(main)
else:
    asyncio.run(main)
