"""The `picows` client of the lock-step benchmark, on uvloop."""

from __future__ import annotations

import asyncio
import ssl

import uvloop
from driver import Run
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class Client(WSListener):
    """Counts what comes, and answers it in an echo."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See WSListener."""
        message = frame.get_payload_as_utf8_text()
        if len(message) != run.size:
            raise AssertionError("a message that nobody expected")
        if run.echo:
            transport.send(WSMsgType.TEXT, payload)
        run.received()


async def main() -> None:
    """Open all connections and wait for the end, which is the process's."""
    context = ssl.create_default_context(cafile=run.certificate) if run.certificate else None
    for _ in range(run.connections):
        await ws_connect(Client, run.url, ssl_context=context)
    run.begin()
    await asyncio.get_running_loop().create_future()


run = Run(lambda: None)
payload = b"x" * run.size
uvloop.run(main())
