"""asyncio: a server and a client, as users of the websockets library write them."""

import asyncio

from reactor.asyncio import ConnectionClosedOK, broadcast, connect, serve


async def handler(ws):
    async for message in ws:
        await ws.send(f"you said: {message}")


async def main():
    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send("Hello from asyncio")
            print(await ws.recv())
            latency = await (await ws.ping())
            print("a ping takes less than a second:", latency < 1)
            broadcast(server.connections, "to all")
            print(await ws.recv())
        try:
            await ws.send("too late")
        except ConnectionClosedOK as exc:
            print("closed:", exc)


asyncio.run(main())
