"""uvicorn and hypercorn as servers of one small ASGI application."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from .commands import SUBPROTOCOLS, Json, obey, order_in, report_closed


class Dropped(Exception):
    """Makes the server end a connection: an application cannot."""


async def application(scope: Json, receive: Any, send: Any) -> None:
    """Send messages back, and obey orders."""
    assert scope["type"] == "websocket"
    offered = scope["subprotocols"]
    protocol = next((name for name in SUBPROTOCOLS if name in offered), None)
    path = scope["path"] + "?" + scope["query_string"].decode()
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    assert (await receive())["type"] == "websocket.connect"
    if path.startswith("/refuse"):
        await send({"type": "websocket.close"})
        return
    await send(
        {"type": "websocket.accept", "subprotocol": protocol, "headers": [(b"x-peer", b"asgi")]}
    )
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            report_closed(path, event.get("code"), event.get("reason"))
            return
        text, data = event.get("text"), event.get("bytes")
        order = order_in(text or "")
        if order is None:
            content = {"bytes": data} if text is None else {"text": text}
            await send({"type": "websocket.send"} | content)
        elif order["do"] == "close":
            await send(
                {"type": "websocket.close", "code": order["code"], "reason": order["reason"]}
            )
        elif order["do"] == "report":
            report = json.dumps({"path": path, "headers": headers, "protocol": protocol})
            await send({"type": "websocket.send", "text": report})
        else:
            raise Dropped


#: What must not be collected while it runs.
serving: set[asyncio.Task[None]] = set()


async def _uvicorn(sock: socket.socket, implementation: str, deflate: bool) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    started = asyncio.Event()
    config = uvicorn.Config(
        application,
        ws=implementation,
        ws_per_message_deflate=deflate,
        ws_ping_interval=None,
        lifespan="off",
        log_level="critical",
    )
    serving.add(asyncio.create_task(Server(config).serve(sockets=[sock])))
    await started.wait()


async def _hypercorn(sock: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            started.set()
            await asyncio.Event().wait()
        await application(scope, receive, send)

    started = asyncio.Event()
    config = Config()
    config.bind = [f"fd://{sock.detach()}"]
    config.loglevel = "CRITICAL"
    config.websocket_max_message_size = 1 << 24
    forever = asyncio.Event().wait
    serving.add(asyncio.create_task(serve(with_lifespan, config, shutdown_trigger=forever)))
    await started.wait()


async def listen(server: str, deflate: bool = False) -> Json:
    """Start a server: "uvicorn-" and its WebSocket implementation, or "hypercorn"."""
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    name, _, implementation = server.partition("-")
    if name == "uvicorn":
        await _uvicorn(sock, implementation, deflate)
    else:
        await _hypercorn(sock)
    return {"port": port}


if __name__ == "__main__":
    asyncio.run(obey(listen=listen))
