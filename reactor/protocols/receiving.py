"""Receiving: the half of a session that makes events of the bytes that came.

What it is: the base class of the session. It keeps what is not complete yet, and judges frames.

What it must not know: the state of the connection, how anything is sent.

How it works. Nearly all that comes is whole messages, which ``parse_messages`` takes in one loop.
Whatever it stops at is looked at by itself: a control frame at once, a data frame's payload as it
comes, by a MessageAssembler. Parsing ends with the peer's last word, a close frame or a fault.
"""

from __future__ import annotations

import sys

from ..exceptions import WebSocketPeerException
from .deflate import Compression
from .events import Data, Event, Failure, Ping, Pong
from .frames import (
    OP_CLOSE,
    OP_CONT,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    FrameHeader,
    apply_mask,
    parse_header,
    parse_messages,
)
from .messages import MessageAssembler, MessageLimits
from .rules import check_header, parse_close

__all__ = ["Receiving"]


class Receiving:
    """See the module. Parameters and attributes: see WebSocketSession.

    Parameters:
        masked: whether the peer's frames must be masked (RFC 6455 section 5.1).
        compression: inflates compressed messages; None: there are none.
    """

    __slots__ = (
        "_assembler",
        "_compression",
        "_decode_text",
        "_ended",
        "_fragment_size",
        "_fragments",
        "_frame",
        "_limits",
        "_longest",
        "_masked",
        "_received",
        "_tail",
        "unfinished",
    )

    def __init__(
        self,
        masked: bool,
        limits: MessageLimits,
        decode_text: bool,
        fragments: bool,
        fragment_size: int | None,
        compression: Compression | None,
    ) -> None:
        self.unfinished = False
        self._limits = limits
        # The longest message that need not be looked at frame by frame.
        self._longest = min(limits.max_message_size, fragment_size or limits.max_message_size)
        self._decode_text = decode_text
        self._fragments = fragments
        self._fragment_size = fragment_size
        self._compression = compression
        self._masked = masked
        self._tail = b""  # bytes of a header or control frame that is not complete
        self._frame: FrameHeader | None = None  # the data frame whose payload is coming
        self._received = 0  # bytes of its payload that have come
        self._assembler: MessageAssembler | None = None  # made when a message needs it
        self._ended = False  # the peer's last word was parsed: what follows is discarded

    @property
    def ended(self) -> bool:
        """Whether the peer's last word has come: nothing more will be parsed."""
        return self._ended

    def _pinged(self, payload: bytes) -> None:
        """A ping came: it is to be answered."""
        raise AssertionError("the session does")

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes that came; return what they complete, in order."""
        events: list[Event] = []
        if self._ended:
            return events
        if self._tail:
            data = self._tail + data
            self._tail = b""
        try:
            pos = 0
            end = len(data)
            if self._frame is not None:
                pos = self._receive_payload(self._frame, data, pos, events)
            while pos < end and not self._ended and not self.unfinished:
                assembler = self._assembler
                if self._decode_text and (assembler is None or not assembler.in_progress):
                    pos = parse_messages(data, pos, events, self._masked, self._longest)
                    if pos == end:
                        break
                next_pos = self._receive_frame(data, pos, events)
                if next_pos < 0:
                    self._tail = data[pos:]
                    break
                pos = next_pos
            if self.unfinished:
                self._tail = data[pos:]
        except WebSocketPeerException as exc:
            self._ended = True
            self.unfinished = False
            events.append(Failure(exc))
        return events

    def _receive_frame(self, data: bytes, pos: int, events: list[Event]) -> int:
        """Take one frame off the buffer, or its beginning.

        Returns the position behind it, or -1 when it must be seen again with more data.
        """
        header = parse_header(data, pos)
        if header is None:
            return -1
        check_header(header, self._masked, self._compression is not None)
        if header.opcode >= OP_CLOSE:
            stop = header.start + header.length
            if stop > len(data):
                return -1
            payload = data[header.start : stop]
            if header.mask is not None:
                payload = apply_mask(payload, header.mask)
            self._receive_control(header.opcode, payload, events)
            return stop
        if self._assembler is None:
            self._assembler = MessageAssembler(self._limits, self._decode_text)
        self._assembler.begin_frame(
            header.opcode, header.length, self._compression if header.rsv else None
        )
        self._frame = header
        self._received = 0
        return self._receive_payload(header, data, header.start, events)

    def _receive_payload(
        self, header: FrameHeader, data: bytes, pos: int, events: list[Event]
    ) -> int:
        """Take what there is of a data frame's payload; return the position behind it."""
        assembler = self._assembler
        assert assembler is not None
        piece = data[pos : pos + header.length - self._received]
        if header.mask is not None:
            # The mask is repeated over the whole payload: this piece may begin inside of it.
            shift = self._received & 3
            piece = apply_mask(piece, header.mask[shift:] + header.mask[:shift])
        self._received += len(piece)
        pos += len(piece)
        complete = self._received == header.length
        size = self._fragment_size
        most = sys.maxsize if size is None else max(1, size + 1 - assembler.held)
        assembler.add(piece, complete and header.fin, most)
        self.unfinished = assembler.unconsumed > 0
        if self.unfinished:  # as if the rest had not come yet
            complete = False
            self._received -= assembler.unconsumed
            pos -= assembler.unconsumed
        if complete:
            self._frame = None
            whole = header.fin and header.opcode and (size is None or assembler.size <= size)
            if self._fragments and not whole:
                payload = assembler.finish() if header.fin else assembler.take()
                events.append(Data(header.opcode, payload, header.fin))
            elif header.fin:
                text = assembler.is_text
                message = assembler.finish()
                plain = self._decode_text or not text
                events.append(message if plain else Data(OP_TEXT, message, True))
        # How long a compressed message is can only be seen when there is more than this.
        elif size is not None and assembler.held >= size + assembler.compressed:
            # RFC 6455 section 5.4: where a message is divided has no meaning.
            events.append(Data(header.opcode, assembler.take(), False))
            self._frame = header._replace(opcode=OP_CONT)
        return pos

    def _receive_control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == OP_PING:
            self._pinged(payload)
            events.append(Ping(payload))
        elif opcode == OP_PONG:
            events.append(Pong(payload))
        else:
            events.append(parse_close(payload))
            self._ended = True
