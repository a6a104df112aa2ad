"""What these tests serve with."""

from __future__ import annotations

from typing import Any


async def echo(ws: Any) -> None:
    """Send every message back."""
    async for message in ws:
        await ws.send(message)


def url_of(server: Any, path: str = "/", scheme: str = "ws") -> str:
    """Return the URL of a server that listens on this machine."""
    return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
