"""Shared messages: one message for many connections, serialized once.

What it is: a server's message in all the forms that its receivers need, each made when the first
receiver needs it.

What it must not know: sessions, which connections receive it.

How it works. A server's frames are not masked (RFC 6455 section 5.1), so the same bytes are right
for all of its clients. A compressed frame is right for all clients whose agreement asks for the
same compressor: the message is compressed alone, so every receiver can inflate it (see
``deflate.py``).
"""

from __future__ import annotations

from .deflate import Agreement, Compressor, compress_alone
from .frames import serialize
from .rules import RSV1

__all__ = ["SharedMessage"]


class SharedMessage:
    """A message for many connections: see the module.

    Args:
        opcode: OP_TEXT or OP_BINARY.
        payload: the message, in bytes.
        compress: whether to compress it; None (default): if it is as long as the threshold.

    Attributes:
        opcode, payload, compress: the same.
    """

    __slots__ = ("_compressed", "_plain", "compress", "opcode", "payload")

    def __init__(self, opcode: int, payload: bytes, compress: bool | None = None) -> None:
        self.opcode = opcode
        self.payload = payload
        self.compress = compress
        self._plain: bytes | None = None
        self._compressed: dict[Compressor, bytes] = {}

    @property
    def plain(self) -> bytes:
        """The frame without compression."""
        if self._plain is None:
            self._plain = serialize(self.opcode, self.payload, None)
        return self._plain

    def compressed(self, agreement: Agreement) -> bytes:
        """Return the frame, compressed as the agreement says."""
        key = agreement.compressor
        frame = self._compressed.get(key)
        if frame is None:
            data = compress_alone(agreement, self.payload)
            frame = self._compressed[key] = serialize(self.opcode, data, None, rsv=RSV1)
        return frame
