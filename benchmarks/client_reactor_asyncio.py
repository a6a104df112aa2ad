"""Our client for asyncio: the same tasks as those of `websockets`, on reactor.asyncio."""

from __future__ import annotations

import argparse
from typing import Any

import client_websockets
import common

from reactor.asyncio import ClientConnection, connect

PLAIN: dict[str, Any] = {"compression": None, "proxy": None, "ping_interval": None}


async def open_one(args: argparse.Namespace, **options: Any) -> ClientConnection:
    options = {**PLAIN, **options}
    if args.tls:
        options["ssl"] = args.context
    if args.deflate:
        options["compression"] = "deflate"
    return await connect(args.url, **options)


client_websockets.open_one = open_one  # type: ignore[assignment]

if __name__ == "__main__":
    args = common.arguments("reactor-websocket", loops=True)
    common.run_asyncio(client_websockets.SCENARIOS[args.scenario], args)
