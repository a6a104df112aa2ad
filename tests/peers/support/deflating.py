"""Messages, and what to check, for tests of permessage-deflate (RFC 7692).

That an agreement is kept shows in messages that refer back over every distance, and in the bytes
on the wire: a message of noise that comes again is short only where the context is kept.
"""

from __future__ import annotations

import random
from typing import Any

from reactor import Deflate

from .wire import Traffic


def _far_reaching(size: int) -> bytes:
    """Return noise in which pieces come again after 1 byte to 40,000."""
    chance = random.Random(7692)
    data = bytearray(chance.randbytes(64))
    while len(data) < size:
        distance = min(len(data), int(1.3 ** chance.uniform(0, 41)))
        start = len(data) - distance
        data += data[start : start + chance.randint(3, 300)] + chance.randbytes(
            chance.randint(0, 9)
        )
    return bytes(data)


TEXT = "".join(
    f'{{"sequence": {n}, "price": {n * 37 % 1000}, "caf\u00e9": true}}' for n in range(400)
)
FAR = _far_reaching(60_000)
MESSAGES: list[str | bytes] = [
    "hello",
    "",
    TEXT,
    b"",
    b"\x00",
    FAR,
    TEXT[::-1],
    FAR,
    b"x" * 100_000,
]
SIZE = sum(len(message) for message in MESSAGES)

MEBIBYTE = (TEXT * 60)[: 1 << 20]

#: So short that even the smallest window holds it twice.
NOISE = random.Random(1).randbytes(80)
TIMES = 20


def wants(**options: Any) -> Deflate:
    """Return a Deflate that compresses every message."""
    return Deflate(threshold=0, **options)


def agreed(*parameters: str) -> set[str]:
    """Return the elements of a response's Sec-WebSocket-Extensions."""
    return {"permessage-deflate", *parameters}


def elements(value: str) -> set[str]:
    return {element.strip() for element in value.split(";")}


def check_traffic(messages: Traffic, noise: Traffic, ours: bool, theirs: bool) -> None:
    """Check what was on the wire.

    Parameters:
        messages: for MESSAGES, there and back.
        noise: for NOISE, so many times, there and back.
        ours, theirs: whether our side, and the other one, keep the context.
    """
    assert messages.sent < SIZE * 2 / 3
    assert messages.received < SIZE * 2 / 3
    enough = len(NOISE) * TIMES
    assert (noise.sent < enough / 2) == ours, (noise.sent, enough)
    assert (noise.received < enough / 2) == theirs, (noise.received, enough)


SERVER_9, SERVER_10 = "server_max_window_bits=9", "server_max_window_bits=10"
CLIENT_9, CLIENT_10 = "client_max_window_bits=9", "client_max_window_bits=10"
SERVER_FORGETS, CLIENT_FORGETS = "server_no_context_takeover", "client_no_context_takeover"
