"""websockets as server and as client; for what tests/test_interop.py leaves out."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.typing import Subprotocol

from .commands import (
    SUBPROTOCOLS,
    Client,
    Ended,
    Json,
    obey,
    order_in,
    report_closed,
    run_scenario,
)

# --- server ---------------------------------------------------------------------------------------


#: Servers by their paths.
on_unix_sockets: dict[str, Server] = {}


async def _obey_order(connection: ServerConnection, order: Json) -> None:
    action = order["do"]
    if action == "close":
        await connection.close(order["code"], order["reason"])
    elif action == "drop":
        connection.transport.abort()
    elif action == "ping":
        await (await connection.ping(order["payload"]))
        await connection.send("pong: " + order["payload"])
    elif action == "fragments":
        await connection.send(order["parts"])
    else:
        assert action == "report"
        request = connection.request
        assert request is not None
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        report = {"path": request.path, "headers": headers, "protocol": connection.subprotocol}
        await connection.send(json.dumps(report))


async def _serve(connection: ServerConnection) -> None:
    try:
        async for message in connection:
            order = order_in(message)
            if order is None:
                await connection.send(message)
            else:
                await _obey_order(connection, order)
    except ConnectionClosed:
        pass
    assert connection.request is not None
    report_closed(
        connection.request.path, connection.protocol.close_code, connection.protocol.close_reason
    )


def _select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((Subprotocol(name) for name in SUBPROTOCOLS if name in offered), None)


async def listen(
    deflate: Json | None = None, tls: Json | None = None, unix_path: str | None = None
) -> Json:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["cert"], tls["key"])
    options: Json = {
        "compression": None,
        "max_size": None,
        "ssl": context,
        "subprotocols": [Subprotocol(name) for name in SUBPROTOCOLS],
        "select_subprotocol": _select,  # its own refuses clients that speak none of ours
        "extensions": None if deflate is None else [ServerPerMessageDeflateFactory(**deflate)],
    }
    if unix_path is not None:
        on_unix_sockets[unix_path] = await unix_serve(_serve, unix_path, **options)
        return {}
    server = await serve(_serve, "127.0.0.1", 0, **options)
    return {"port": next(iter(server.sockets)).getsockname()[1]}


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)  # asyncio has done so since Python 3.13


async def stop(unix_path: str) -> Json:
    """End a server on a unix socket."""
    server = on_unix_sockets.pop(unix_path)
    server.close()
    await server.wait_closed()
    _remove(unix_path)
    return {}


# --- client ---------------------------------------------------------------------------------------


class WebsocketsClient(Client):
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, message: str | bytes) -> None:
        await self._connection.send(message)

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed:
            connection = self._connection
            raise Ended(connection.protocol.close_code, connection.protocol.close_reason) from None

    async def ping(self, payload: str) -> str:
        await (await self._connection.ping(payload))
        return payload

    async def fragments(self, parts: list[str]) -> None:
        await self._connection.send(parts)

    async def close(self, code: int | None, reason: str) -> None:
        await self._connection.close(code or 1000, reason)

    def drop(self) -> None:
        self._connection.transport.abort()


async def _connect(scenario: Json, context: ssl.SSLContext | None) -> Json:
    deflate = scenario.get("deflate")
    async with connect(
        scenario["url"],
        ssl=context,
        compression=None,
        max_size=None,
        additional_headers=scenario.get("headers"),
        subprotocols=scenario.get("protocols"),
        extensions=None if deflate is None else [ClientPerMessageDeflateFactory(**deflate)],
    ) as connection:
        assert connection.response is not None
        headers = {name.lower(): value for name, value in connection.response.headers.raw_items()}
        facts = {"opened": True, "protocol": connection.subprotocol or "", "headers": headers}
        return facts | await run_scenario(WebsocketsClient(connection), scenario["steps"])


async def run(times: int = 1, ca: str | None = None, **scenario: Any) -> Json:
    context = None if ca is None else ssl.create_default_context(cafile=ca)
    return {"runs": await asyncio.gather(*[_connect(scenario, context) for _ in range(times)])}


if __name__ == "__main__":
    asyncio.run(obey(listen=listen, run=run, stop=stop))
