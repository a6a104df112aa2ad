"""aiohttp as server and as client."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

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


async def _obey_order(request: web.Request, socket: web.WebSocketResponse, order: Json) -> None:
    action = order["do"]
    if action == "close":
        await socket.close(code=order["code"], message=order["reason"].encode())
    elif action == "drop":
        assert request.transport is not None
        request.transport.abort()
    elif action == "ping":
        await socket.ping(order["payload"].encode())
    else:
        assert action == "report"
        headers = {name.lower(): value for name, value in request.headers.items()}
        report = {"path": request.path_qs, "headers": headers, "protocol": socket.ws_protocol}
        await socket.send_str(json.dumps(report))


async def _serve_messages(request: web.Request, socket: web.WebSocketResponse) -> tuple[Any, Any]:
    """Serve until the end; return the code and the reason."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            order = order_in(message.data)
            if order is not None:
                await _obey_order(request, socket, order)
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            await socket.send_str("pong: " + message.data.decode())
        elif message.type is WSMsgType.CLOSE:
            return message.data, message.extra
        else:  # closed by us, or lost
            return socket.close_code, ""


def _application(compress: bool) -> web.Application:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        if request.path.startswith("/refuse"):
            raise web.HTTPForbidden
        socket = web.WebSocketResponse(
            protocols=SUBPROTOCOLS, compress=compress, autoping=False, max_msg_size=1 << 24
        )
        socket.headers["X-Peer"] = "aiohttp"
        await socket.prepare(request)
        code, reason = await _serve_messages(request, socket)
        report_closed(request.path_qs, code, reason)
        return socket

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    return application


async def listen(deflate: bool = False, tls: Json | None = None) -> Json:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["cert"], tls["key"])
    runner = web.AppRunner(_application(deflate))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return {"port": runner.addresses[0][1]}


# --- client ---------------------------------------------------------------------------------------


class AiohttpClient(Client):
    def __init__(self, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        self._socket = socket
        self._early: list[Any] = []  # messages that came before a pong
        self._end: tuple[int | None, str | None] | None = None

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def _next(self) -> Any:
        message = await self._socket.receive()
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
            return await self._next()
        if message.type is WSMsgType.CLOSE:
            self._end = message.data, message.extra
        elif message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
            self._end = self._end or (self._socket.close_code, "")
        if self._end is not None:
            raise Ended(*self._end)
        return message

    async def receive(self) -> str | bytes:
        message = self._early.pop(0) if self._early else await self._next()
        while message.type is WSMsgType.PONG:
            message = await self._next()
        data: str | bytes = message.data
        return data

    async def ping(self, payload: str) -> str:
        await self._socket.ping(payload.encode())
        while (message := await self._next()).type is not WSMsgType.PONG:
            self._early.append(message)
        return str(message.data.decode())

    async def fragments(self, parts: list[str]) -> None:
        raise NotImplementedError("it always sends whole messages")

    async def close(self, code: int | None, reason: str) -> None:
        await self._socket.close(code=code or 1000, message=reason.encode())

    def drop(self) -> None:
        connection = self._socket._conn  # there is no public way
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


async def _connect(
    session: aiohttp.ClientSession, context: ssl.SSLContext | bool, scenario: Json
) -> Json:
    async with session.ws_connect(
        scenario["url"],
        protocols=scenario.get("protocols") or (),
        headers=scenario.get("headers"),
        compress=scenario.get("deflate") or 0,
        autoping=False,
        max_msg_size=1 << 24,
        ssl=context,
    ) as socket:
        headers = {name.lower(): value for name, value in socket._response.headers.items()}
        facts = {"opened": True, "protocol": socket.protocol or "", "headers": headers}
        return facts | await run_scenario(AiohttpClient(socket), scenario["steps"])


async def run(times: int = 1, ca: str | None = None, **scenario: Any) -> Json:
    context = True if ca is None else ssl.create_default_context(cafile=ca)
    async with aiohttp.ClientSession() as session:
        runs = [_connect(session, context, scenario) for _ in range(times)]
        return {"runs": await asyncio.gather(*runs)}


if __name__ == "__main__":
    asyncio.run(obey(listen=listen, run=run))
