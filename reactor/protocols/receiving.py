"""Receiving: the half of a session that turns received bytes into events.

What it is: the base class of the session. It keeps incomplete input, and judges frames.

What it must not know: messages that we send, how a connection begins and ends.

How it works. Nearly all input is whole messages, which ``parse_messages`` takes in a run, as
``parse_pings`` does with pings and pongs. A frame at which both stop is handled alone: a close
frame once it is complete, and a data frame's payload as it arrives, by a MessageAssembler. Parsing
ends with the peer's last word, a close frame or a fault.

However much was received, one call of ``receive`` returns a bounded piece of it, and the rest waits
for the next call. Bytes would be the wrong measure: a kilobyte of empty frames costs as much to
parse as a megabyte of large ones, and a compressed kilobyte may inflate to a megabyte.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.tracebacks import without_traceback
from ..exceptions import WebSocketPeerException
from .counters import Counters
from .deflate import Compression
from .events import Data, Event, Failure, Ping, Pong, Role, State
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
    parse_pings,
)
from .messages import MessageAssembler, MessageLimits
from .output import Output
from .rules import check_frame_header, parse_close

__all__ = ["MAX_FRAMES", "MAX_INFLATED", "Receiving"]

#: Frames that one call of receive() takes. The longest read of a stream holds fewer, unless they
#: have less than 120 bytes each.
MAX_FRAMES = 1024

#: About how many bytes of memory one call may fill by inflating: some milliseconds of work.
MAX_INFLATED = 1024 * 1024

#: A frame that is not taken in a run costs several times as much, and counts as this many frames.
FRAME_ALONE = 4


class Receiving(Output):
    """The receiving half of a session: see the module, and WebSocketSession for what is not here.

    Args:
        role, new_mask: see Output.
        lenient: masked and unmasked frames are accepted, and a length need not be in its shortest
            form. Such frames are not taken in a run.
        compression: what inflates compressed messages; None: there are none.
        counters: see Output.

    Attributes:
        within_frame: whether a frame has begun and has not ended.
        controls: whether pings or pongs were received; the caller that notes this sets it to False.
        unfinished: see :meth:`receive`.
    """

    __slots__ = (
        "_assembler",
        "_compression",
        "_decode_text",
        "_ended",
        "_fragment_size",
        "_fragments",
        "_frame",
        "_lenient",
        "_limits",
        "_longest",
        "_masked",
        "_received",
        "_room",
        "_tail",
        "controls",
        "unfinished",
        "within_frame",
    )

    def __init__(
        self,
        role: Role,
        new_mask: Callable[[], bytes | str],
        lenient: bool,
        limits: MessageLimits,
        decode_text: bool,
        fragments: bool,
        fragment_size: int | None,
        compression: Compression | None,
        counters: Counters | None = None,
    ) -> None:
        super().__init__(role, new_mask, counters)
        self.unfinished = False
        self.within_frame = False
        self.controls = False
        self._limits = limits
        # The longest message that need not be handled frame by frame.
        self._longest = min(limits.max_message_size, fragment_size or limits.max_message_size)
        self._decode_text = decode_text
        self._fragments = fragments
        self._fragment_size = fragment_size
        self._compression = compression
        self._masked = role is Role.SERVER  # what comes: 5.1: clients mask
        self._lenient = lenient
        self._tail = b""  # bytes of an incomplete header or control frame
        self._frame: FrameHeader | None = None  # the data frame whose payload is being received
        self._received = 0  # bytes of its payload that have arrived
        self._assembler: MessageAssembler | None = None  # made when a message needs it
        self._room = 0  # bytes of memory that inflated data may still take in this call
        self._ended = False  # the peer's last word was parsed: what follows is discarded

    @property
    def ended(self) -> bool:
        """Whether the peer's last word was received: nothing more will be parsed."""
        return self._ended

    @property
    def begun(self) -> bytes:
        """The bytes so far of a frame whose header is incomplete, or of a control frame."""
        return self._tail

    @property
    def missing(self) -> int:
        """How many payload bytes of the current data frame have not arrived yet; 0: none."""
        return 0 if self._frame is None else self._frame.length - self._received

    def receive(
        self, data: bytes, events: list[Event] | None = None, alone: int = 0, inflated: int = 0
    ) -> list[Event]:
        """Take received bytes, and return the events that they complete, in order.

        What one call returns is bounded. If the bytes hold more, ``unfinished`` is true
        afterwards, and ``receive(b"")`` continues.

        Args:
            data: the bytes that follow those of the last call.
            events: events of the same read that were parsed already. The new ones are appended to
                this list, which is returned. None (default): a new list.
            alone: how many frames those count as that were taken for these events one by one
                (default 0): see FRAME_ALONE.
            inflated: the bytes of memory that these events take that were inflated (default 0).

        Returns:
            The events; a Close or a Failure is the last of them.
        """
        if events is None:
            events = []
        if self._ended:
            return events
        counters = self.counters
        if self._tail:
            counters.wire_in -= len(self._tail)  # they were counted when they came
            data = self._tail + data
            self._tail = b""
        self.unfinished = False
        self._room = MAX_INFLATED - inflated
        pos = 0
        end = len(data)
        counters.wire_in += end
        try:
            while pos < end and not self._ended:
                left = MAX_FRAMES - alone - len(events)
                if left <= 0 or self._room <= 0:
                    self.unfinished = True
                    break
                start = pos
                assembler = self._assembler
                if self._decode_text and (assembler is None or not assembler.in_progress):
                    pos = parse_messages(
                        data, pos, events, self._masked, self._longest, left, counters
                    )
                    if pos > start:
                        continue
                elif self._frame is not None:
                    pos = self._receive_payload(self._frame, data, pos, events)
                    alone += FRAME_ALONE
                    continue
                before = len(events)
                pos = parse_pings(data, pos, events, self._masked, left)
                if pos > start:
                    self.controls = True
                    self._answer(events[before:])
                    continue
                pos = self._receive_frame(data, pos, events)
                alone += FRAME_ALONE
                if pos == start:  # the frame is incomplete
                    break
            if pos < end and not self._ended:
                self._tail = data[pos:]
            self.within_frame = self._frame is not None or (pos < end and not self.unfinished)
        except WebSocketPeerException as exc:
            self._ended = True
            events.append(Failure(without_traceback(exc)))  # its frames have these events
        return events

    def _answer(self, events: list[Event]) -> None:
        """Answer the pings among these pings and pongs."""
        # 5.5.2: "MUST send a Pong frame in response, unless it already received a Close"
        # frame: then nothing is parsed. After our own close frame, 5.5.1 forbids only data.
        answering = self.state is State.OPEN or self.state is State.CLOSING
        for event in events:
            if type(event) is Ping:
                self.counters.pings_in += 1
                if answering:
                    self._write(OP_PONG, event.payload)

    def _receive_frame(self, data: bytes, pos: int, events: list[Event]) -> int:
        """Take one frame, or its beginning, off the buffer; never a valid ping or pong.

        Returns:
            The position after it; *pos*, if it must be parsed again with more data.
        """
        header = parse_header(data, pos)
        if header is None:
            return pos
        masked = None if self._lenient else self._masked
        check_frame_header(header, masked, self._compression is not None)
        if header.opcode >= OP_CLOSE:
            stop = header.start + header.length
            if stop > len(data):
                return pos
            payload = data[header.start : stop]
            if header.mask is not None:
                payload = apply_mask(payload, header.mask)
            if header.opcode == OP_CLOSE:
                events.append(parse_close(payload))
                self._ended = True
            else:
                self.controls = True
                events.append(Ping(payload) if header.opcode == OP_PING else Pong(payload))
                self._answer(events[-1:])
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
        """Take the available part of a data frame's payload; return the position after it."""
        assembler = self._assembler
        assert assembler is not None
        piece = data[pos : pos + header.length - self._received]
        if header.mask is not None:
            # The mask is repeated over the whole payload: this piece may begin inside the mask.
            shift = self._received & 3
            piece = apply_mask(piece, header.mask[shift:] + header.mask[:shift])
        self._received += len(piece)
        pos += len(piece)
        complete = self._received == header.length
        size = self._fragment_size
        most = self._room if size is None else min(self._room, max(1, size + 1 - assembler.held))
        before = assembler.memory
        self.counters.payload_in += len(assembler.add(piece, complete and header.fin, most))
        self._room -= assembler.memory - before
        if assembler.unconsumed:  # as if the rest had not arrived yet
            complete = False
            self._received -= assembler.unconsumed
            pos -= assembler.unconsumed
        if complete:
            self._frame = None
            self.counters.messages_in += header.fin
            whole = header.fin and header.opcode and (size is None or assembler.size <= size)
            if self._fragments and not whole:
                payload = assembler.finish() if header.fin else assembler.take()
                events.append(Data(header.opcode, payload, header.fin))
            elif header.fin:
                text = assembler.is_text
                message = assembler.finish()
                plain = self._decode_text or not text
                events.append(message if plain else Data(OP_TEXT, message, True))
        # A compressed message is known to be longer only once more than this has come out.
        elif size is not None and assembler.held >= size + assembler.compressed:
            # RFC 6455 section 5.4: the points at which a message is divided have no meaning.
            events.append(Data(header.opcode, assembler.take(), False))
            self._frame = header._replace(opcode=OP_CONT)
        return pos
