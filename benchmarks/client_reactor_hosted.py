"""Our client with handlers, as client_reactor.py, on a reactor that asyncio or uvloop runs."""

from __future__ import annotations

import asyncio

import client_reactor
import common

from reactor.hosting.asyncio import AsyncioHost, asyncio_host


async def make() -> AsyncioHost:
    return asyncio_host()


if __name__ == "__main__":
    args = common.arguments("reactor-websocket", loops=True)
    if args.loop == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    host = loop.run_until_complete(make())
    host.run_forever = loop.run_forever  # type: ignore[method-assign]
    host.stop = loop.stop  # type: ignore[method-assign]
    client_reactor.Reactor = lambda: host  # type: ignore[assignment,misc]
    client_reactor.SCENARIOS[args.scenario](args)
