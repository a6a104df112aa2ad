"""What may be sent as a message, and what becomes of text that is to be bytes, or the reverse.

What it is: :func:`convert` for whole messages, :func:`as_pieces` for those in fragments.

What it must not know: connections.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

__all__ = ["SINGLE", "as_pieces", "convert"]

#: The types of a whole message.
SINGLE = (str, bytes, bytearray, memoryview)


def convert(message: str | bytes | bytearray | memoryview, text: bool) -> str | bytes:
    """Return a message as str, or as bytes, whatever it is."""
    if text:
        return message if isinstance(message, str) else bytes(message).decode()
    return message.encode() if isinstance(message, str) else bytes(message)


async def as_pieces(message: Any, text: bool | None) -> AsyncIterator[Any]:
    """Yield what an iterable, or an asynchronous one, yields: str or bytes, all of one type.

    Args:
        message: the iterable.
        text: True: all as str; bytes may be divided within a character. False: all as bytes.

    Raises:
        TypeError: it is no iterable, or yields something else.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    kind: type | None = None
    async for piece in _each(message):
        if not isinstance(piece, SINGLE):
            raise TypeError(f"a fragment is str or bytes, not {type(piece).__name__}")
        if kind is None:
            kind = str if isinstance(piece, str) else bytes
        elif (kind is str) is not isinstance(piece, str):
            raise TypeError("the fragments of a message are all str, or all bytes")
        if text is True and not isinstance(piece, str):
            yield decoder.decode(bytes(piece))
        elif text is False and isinstance(piece, str):
            yield piece.encode()
        else:
            yield piece
    if decoder.getstate()[0]:
        decoder.decode(b"", True)  # raises: the last character is cut


async def _each(message: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(message, AsyncIterable):
        async for piece in message:
            yield piece
    elif isinstance(message, Iterable):
        for piece in message:
            yield piece
    else:
        raise TypeError(
            "a message is str, bytes, or an iterable of either, not " + type(message).__name__
        )
