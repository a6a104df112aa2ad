"""What the Python programs of this folder have in common: commands in, answers and events out.

A command is a JSON object on a line of stdin: {"id": 1, "command": "listen", ...}. The answer, on
a line of stdout, has the same id. In between come events, which have none. The end of stdin is
the end of the program.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

SUBPROTOCOLS = ("chat.v2", "chat.v1")

Json = dict[str, Any]
Command = Callable[..., Awaitable[Json]]


def write(**fields: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def report_closed(path: str, code: int | None, reason: str | None) -> None:
    """Tell the test how a connection of the server has ended."""
    write(event="closed", path=path, code=code, reason=reason)


def order_in(message: str | bytes) -> Json | None:
    """Return what a message tells the server to do; None: to send it back."""
    if isinstance(message, str) and message.startswith("order: "):
        order: Json = json.loads(message[7:])
        return order
    return None


async def _obey(command: Command, number: int, parameters: Json) -> None:
    try:
        write(id=number, **await command(**parameters))
    except Exception:
        write(id=number, failure=traceback.format_exc())


async def obey(**commands: Command) -> None:
    """Run commands as they come, side by side, until stdin ends."""
    tasks = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        parameters = json.loads(line)
        command = commands[parameters.pop("command")]
        tasks.add(asyncio.create_task(_obey(command, parameters.pop("id"), parameters)))
    for task in tasks:
        task.cancel()


# --- clients --------------------------------------------------------------------------------------


class Ended(Exception):
    """The connection is over: the code and the reason that the library reports."""


class Client(Protocol):
    """What a scenario needs of a client's connection."""

    async def send(self, message: str | bytes) -> None: ...

    async def receive(self) -> str | bytes:
        """Return the next message; raise Ended."""
        ...

    async def ping(self, payload: str) -> str:
        """Send a ping; return what the pong carries."""
        ...

    async def fragments(self, parts: list[str]) -> None: ...
    async def close(self, code: int | None, reason: str) -> None: ...
    def drop(self) -> None: ...


async def _step(client: Client, step: Json) -> Json | None:
    action = step["do"]
    if action == "send":
        text = step.get("text")
        await client.send(base64.b64decode(step["base64"]) if text is None else text)
    elif action == "receive":
        message = await client.receive()
        if isinstance(message, str):
            return {"text": message}
        return {"base64": base64.b64encode(message).decode()}
    elif action == "ping":
        return {"text": await client.ping(step["text"])}
    elif action == "fragments":
        await client.fragments(step["parts"])
    elif action == "close":
        await client.close(step["code"], step["reason"])
    elif action == "drop":
        client.drop()
    else:
        assert action == "wait_closed"
        return await _wait_closed(client)
    return None


async def _wait_closed(client: Client) -> Json:
    try:
        while True:
            await client.receive()
    except Ended as end:
        code, reason = end.args
        return {"code": code, "reason": reason}


async def run_scenario(client: Client, steps: list[Json]) -> Json:
    """Run the steps; return the results of those that have one."""
    results = []
    for step in steps:
        result = await _step(client, step)
        if result is not None:
            results.append(result)
    return {"results": results, "error": None}
