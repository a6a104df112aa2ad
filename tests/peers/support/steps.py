"""The steps of a scenario, as programs/commands.py and node/scenario.js take them."""

from __future__ import annotations

import base64
import json
from typing import Any

Json = dict[str, Any]


def send(message: str | bytes) -> Json:
    """Send a message."""
    return {"do": "send"} | encode(message)


def receive() -> Json:
    """Wait for a message, which is a result."""
    return {"do": "receive"}


def ping(text: str) -> Json:
    """Send a ping and wait for its pong, whose payload is a result."""
    return {"do": "ping", "text": text}


def fragments(*parts: str) -> Json:
    """Send a text message in so many frames."""
    return {"do": "fragments", "parts": parts}


def close(code: int | None = 1000, reason: str = "") -> Json:
    """Begin the closing handshake; None: a close frame without a code."""
    return {"do": "close", "code": code, "reason": reason}


def drop() -> Json:
    """End the TCP connection without a closing handshake."""
    return {"do": "drop"}


def wait_closed() -> Json:
    """Wait for the end; the code and the reason are a result."""
    return {"do": "wait_closed"}


def encode(message: str | bytes) -> Json:
    """Return a message as JSON has it."""
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


def order(action: str, **parameters: Any) -> str:
    """Return the message that tells one of our peers' servers to do something."""
    return "order: " + json.dumps({"do": action, **parameters})
