"""frame_buffer and continuous_frame: how websocket-client's users read frames.

What it is: the two helpers that put frames together, with websocket-client's names and
attributes: :class:`frame_buffer` reads one frame after the other, :class:`continuous_frame` joins
them into messages. The frame itself, and its constants, are in frame.py.

What it must not know: sockets (bytes come from a function), connections, state.

How it works. ``frame_buffer`` reads no byte that does not belong to the frame, so that programs can
select() on the socket: first two bytes, then the rest of the length, if there is any, then the
payload. The bytes received are in its attributes, so that an interrupted call can be repeated. It
checks a frame as soon as its header is complete. Nearly every payload is a whole message that
arrives in one read, and is checked then; any other is checked as it arrives, with a
MessageAssembler of protocols/messages.py whose messages are not used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

from ..exceptions import (
    LOST,
    WebSocketConnectionClosedException,
    WebSocketPayloadException,
    WebSocketProtocolException,
)
from ..protocols.deflate import Compression
from ..protocols.frames import OP_BINARY, OP_CLOSE, OP_CONT, OP_TEXT, apply_mask, check_mask
from ..protocols.messages import MessageAssembler, MessageLimits
from ..protocols.rules import RSV1
from .frame import ABNF, cannot_decode, check_close, check_frame, is_utf8, to_bytes

__all__ = ["continuous_frame", "frame_buffer"]

#: The largest single read of a payload, in bytes.
MAX_READ = 65536

#: The amount that recv_strict() reads at once: the size of a TLS record (RFC 8446 section 5.1).
MAX_RECORD = 16384

#: Bytes that are inflated at a time.
MAX_INFLATED = 1024 * 1024

#: The smallest length that these seven bits may stand for (RFC 6455 section 5.2).
SHORTEST = {126: 126, 127: 65536}

DEFAULT_LIMITS = MessageLimits()


# -- reading frames -----------------------------------------------------------------------------


class frame_buffer:  # noqa: N801 - websocket-client's name
    """Reads one frame after the other, and resumes where it was interrupted.

    Args:
        recv_fn: a function that is passed a number of bytes, and returns at least one and should
            return at most that many. If it raises (a time-out), the bytes received so far stay
            where they are, and the next call resumes from there.
        skip_utf8_validation: do not check whether text is UTF-8.
        limits: the size of messages, and the number of their fragments.
        compression: inflates compressed messages, if permessage-deflate was negotiated.

    Attributes:
        header: of the current frame: fin, the three reserved bits, the opcode, the mask bit, and
            the seven bits of the length; None before it has been received.
        length, mask_value: likewise; None before they have been received.
        recv_buffer: list of the bytes that were read and not used yet.
        lenient: accept masked frames (RFC 6455 section 5.1: "A server MUST NOT mask any frames")
            and lengths that are not in their shortest form (5.2). It is True at first.
        lock: held while a frame is read.
    """

    def __init__(
        self,
        recv_fn: Callable[[int], bytes],
        skip_utf8_validation: bool,
        limits: MessageLimits = DEFAULT_LIMITS,
        compression: Compression | None = None,
    ) -> None:
        self.recv: Callable[[int], Any] = recv_fn
        self.skip_utf8_validation = skip_utf8_validation
        self.recv_buffer: list[bytes]
        # Reentrant, because a signal handler may close a connection that is being read.
        self.lock = threading.RLock()
        self.lenient = True
        self.compression = compression
        self._limits = limits
        # The largest length of a frame that is certainly within the limits.
        self._longest = limits.max_message_size if limits.max_fragments else 0
        self.reset()

    def reset(self) -> None:
        """Forget all received bytes, as at the beginning of a connection."""
        self.recv_buffer = []
        # Checks text and sizes as the bytes arrive. The messages that it collects are dropped.
        self._checker = MessageAssembler(self._limits, not self.skip_utf8_validation)
        self.clear()

    def clear(self) -> None:
        """Begin a new frame; ``recv_buffer`` keeps its content."""
        self.header: tuple[int, int, int, int, int, int, int] | None = None
        self.length: int | None = None
        self.mask_value: bytes | str | None = None
        self._received = 0  # bytes of the payload that have been received
        self._payload: BytesIO | None = None  # the received part, unmasked and inflated
        self._at_once = False  # whether the payload may be a whole message that arrives in one read
        self._checking = False  # whether the payload is passed to the checker

    def needs_header(self) -> bool:
        """Whether the first two bytes have not been received yet."""
        return self.header is None

    def recv_header(self) -> None:
        """Read the first two bytes."""
        first, second = self._recv_exactly(2)
        self.header = (
            first >> 7,
            first >> 6 & 1,
            first >> 5 & 1,
            first >> 4 & 1,
            first & 0xF,
            second >> 7,
            second & 0x7F,
        )

    def has_mask(self) -> int:
        """Whether the frame is masked: 0 or 1."""
        return self.header[5] if self.header else 0

    def needs_length(self) -> bool:
        """Whether the length is not known yet."""
        return self.length is None

    def recv_length(self) -> None:
        """Read the rest of the length, if the length is longer than the header's seven bits."""
        if self.header is None:
            raise WebSocketProtocolException("Header not received")
        length = self.header[6]
        if length >= 126:
            length = int.from_bytes(self._recv_exactly(2 if length == 126 else 8), "big")
        self.length = length

    def needs_mask(self) -> bool:
        """Whether it is not known yet if the frame is masked, and with which key."""
        return self.mask_value is None

    def recv_mask(self) -> None:
        """Read the masking key, if there is one; ``mask_value`` is "" otherwise."""
        self.mask_value = self._recv_exactly(4) if self.header and self.header[5] else ""

    def recv_frame(self) -> ABNF:
        """Read a frame.

        Raises:
            WebSocketProtocolException: no one may send this frame.
            WebSocketPayloadException: a text cannot be UTF-8; raised as soon as that is clear.
            WebSocketMessageTooBigException: the message exceeds the limits.
            WebSocketConnectionClosedException: the connection has ended.
            Exception: what ``recv_fn`` raises.
        """
        with self.lock:
            if self.header is None:
                self.recv_header()
            if self.length is None:
                self.recv_length()
            if self.mask_value is None:
                self.recv_mask()
                self._begin()
            assert self.header is not None
            assert self.length is not None
            fin, rsv1, rsv2, rsv3, opcode, has_mask, _ = self.header
            payload = self._recv_at_once(opcode, self.length) if self._at_once else None
            if payload is None:
                payload = self._recv_in_pieces(self.length, fin == 1)
            self.clear()
            if self.compression is not None:
                rsv1 = 0  # it has been inflated
            if opcode == OP_CLOSE:
                check_close(payload, self.skip_utf8_validation)
            return ABNF(fin, rsv1, rsv2, rsv3, opcode, has_mask, payload)

    def _begin(self) -> None:
        """Check everything that can be checked before the payload of a frame."""
        assert self.header is not None
        assert self.length is not None
        fin, rsv1, rsv2, rsv3, opcode, has_mask, bits = self.header
        length = self.length
        rsv = rsv1 << 2 | rsv2 << 1 | rsv3
        compressed = rsv == RSV1 and self.compression is not None and 0 < opcode < OP_CLOSE
        if rsv or opcode > OP_BINARY:
            check_frame(bool(fin), bool(rsv) and not compressed, opcode, length)
        if has_mask and not self.lenient:
            raise WebSocketProtocolException(
                "Illegal frame: it must not be masked (RFC 6455 section 5.1)"
            )
        if bits >= 126:
            self._check_length(bits, length)
        if opcode >= OP_CLOSE or self._checker.in_progress is not (opcode == OP_CONT):
            return  # continuous_frame deals with fragments out of order
        if fin and opcode != OP_CONT and not (rsv or has_mask) and 0 < length <= self._longest:
            self._at_once = True
        else:
            self._begin_checking(opcode, length, self.compression if compressed else None)

    def _check_length(self, bits: int, length: int) -> None:
        if length >= ABNF.LENGTH_63 or (length < SHORTEST[bits] and not self.lenient):
            raise WebSocketProtocolException(
                "Illegal frame: the length is not in its shortest form (RFC 6455 section 5.2)"
            )

    def _begin_checking(self, opcode: int, length: int, compression: Compression | None) -> None:
        self._checking = True
        self._checker.begin_frame(opcode, length, compression)

    def _recv_at_once(self, opcode: int, length: int) -> bytes | None:
        """Return the payload of a message that arrives in one read and is valid, as most are.

        For any other message the received bytes are put back, and None is returned.
        """
        payload = self._recv_piece(length)
        if len(payload) == length and (
            opcode != OP_TEXT or self.skip_utf8_validation or is_utf8(payload)
        ):
            return payload
        self._at_once = False
        self.recv_buffer.insert(0, payload)
        self._begin_checking(opcode, length, None)
        return None

    def _recv_in_pieces(self, length: int, fin: bool) -> bytes:
        """Return a payload that is checked while it arrives."""
        while self._received < length:
            piece = self._recv_piece(length - self._received)
            if self.mask_value:
                piece = self._unmask(piece)
            self._received += len(piece)
            self._take(piece, fin and self._received == length)
        if not length:
            self._take(b"", fin)
        if self._checking and fin:
            self._checker.finish()
        assert self._payload is not None
        return self._payload.getvalue()

    def _unmask(self, piece: bytes) -> bytes:
        # The key is repeated over the whole payload: this piece may begin in the middle of it.
        key = check_mask(self.mask_value or "")
        shift = self._received & 3
        return apply_mask(piece, key[shift:] + key[:shift])

    def _take(self, piece: bytes, last: bool) -> None:
        # Not a list, which would be copied to join it: the payload may be large.
        payload = self._payload = self._payload or BytesIO()
        checker = self._checker
        if not self._checking:
            payload.write(piece)
            return
        try:
            payload.write(checker.add(piece, last, MAX_INFLATED))
            checker.take()
            while checker.unconsumed:
                payload.write(checker.add(piece[-checker.unconsumed :], last, MAX_INFLATED))
                checker.take()
        except WebSocketPayloadException:
            if checker.compressed:
                raise
            payload.write(piece)
            cannot_decode(payload.getvalue())

    def recv_strict(self, bufsize: int) -> bytes:
        """Return exactly *bufsize* bytes; fewer if ``recv_fn`` returns something other than bytes.

        Raises:
            ValueError: *bufsize* is not an int.
            WebSocketException: as for :meth:`recv_frame`.
        """
        if not isinstance(bufsize, int):
            raise ValueError("bufsize must be an integer")  # noqa: TRY004 - as in websocket-client
        there = sum(map(len, self.recv_buffer)) if self.recv_buffer else 0
        while there < bufsize:
            missing = bufsize - there
            piece = self.recv(missing if missing < MAX_RECORD else MAX_RECORD)
            if not isinstance(piece, bytes):
                break
            if len(piece) == bufsize and not self.recv_buffer:
                return piece
            if not piece:
                raise WebSocketConnectionClosedException(LOST)
            self.recv_buffer.append(piece)
            there += len(piece)
        unified = b"".join(self.recv_buffer)
        rest = unified[bufsize:]
        self.recv_buffer = [rest] if rest else []
        return unified[:bufsize]

    def _recv_exactly(self, bufsize: int) -> bytes:
        data = self.recv_strict(bufsize)
        if len(data) < bufsize:
            self.recv_buffer.insert(0, data)
            raise WebSocketConnectionClosedException(LOST)
        return data

    def _recv_piece(self, most: int) -> bytes:
        """Return at least one byte: one that was read already, or one of a new read."""
        if self.recv_buffer:
            there = b"".join(self.recv_buffer)
        else:
            there = self.recv(most if most < MAX_READ else MAX_READ)
            if not isinstance(there, bytes) or not there:
                raise WebSocketConnectionClosedException(LOST)
        if len(there) > most:
            self.recv_buffer = [there[most:]]
            return there[:most]
        self.recv_buffer = []
        return there


# -- making messages ----------------------------------------------------------------------------


class continuous_frame:  # noqa: N801 - websocket-client's name
    """Joins data frames into messages (RFC 6455 section 5.4).

    For each frame: ``validate``, ``add``, and if ``is_fire`` then ``extract``.

    Args:
        fire_cont_frame: every fragment is extracted separately.
        skip_utf8_validation: do not check whether a text message is UTF-8.

    Attributes:
        cont_data: a list of the opcode and the data added but not yet extracted; or None.
        recving_frames: the opcode of the message that is not complete yet; or None.
    """

    def __init__(self, fire_cont_frame: bool, skip_utf8_validation: bool) -> None:
        self.fire_cont_frame = fire_cont_frame
        self.skip_utf8_validation = skip_utf8_validation
        self.cont_data: list[Any] | None = None
        self.recving_frames: int | None = None

    def validate(self, frame: ABNF) -> None:
        """Check that *frame* is in order.

        Raises:
            WebSocketProtocolException: "Illegal frame": it is not.
        """
        if (frame.opcode == OP_CONT) is not (self.recving_frames is not None):
            raise WebSocketProtocolException("Illegal frame")

    def add(self, frame: ABNF) -> None:
        """Add a frame that was validated."""
        data = to_bytes(frame.data)
        if frame.opcode != OP_CONT:
            self.recving_frames = frame.opcode
        if self.cont_data is None:
            self.cont_data = [frame.opcode, data]
        else:
            if isinstance(self.cont_data[1], bytes):
                self.cont_data[1] = bytearray(self.cont_data[1])
            self.cont_data[1] += data
        if frame.fin:
            self.recving_frames = None

    def is_fire(self, frame: ABNF) -> bool | int:
        """Whether there is something to extract after *frame* has been added."""
        return frame.fin or self.fire_cont_frame

    def extract(self, frame: ABNF) -> tuple[int, ABNF]:
        """Return the opcode of the message, and *frame* with all of its data.

        With ``fire_cont_frame``, opcode and data are those of the fragment.

        Raises:
            WebSocketPayloadException: a text is not UTF-8.
        """
        if self.cont_data is None:
            raise WebSocketProtocolException("No continuation data available")
        opcode, data = self.cont_data
        self.cont_data = None
        frame.data = data = bytes(data)
        unchecked = self.fire_cont_frame or self.skip_utf8_validation
        if opcode == OP_TEXT and not unchecked and not is_utf8(data):
            cannot_decode(data)
        return opcode, frame
