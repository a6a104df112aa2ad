"""permessage-deflate: compression of messages (RFC 7692).

What it is: :class:`Deflate` says what one side wants, :class:`Agreement` what both have agreed, and
:class:`Compression` compresses and inflates the messages of one connection.

What it must not know: frames, sessions, what a message means; how the agreement comes about
(``http/negotiation.py``).

How it works. "Context takeover" (section 7.1.1) means that a message may refer back to the text
of earlier ones, within a window of 2^bits bytes. It makes small messages far smaller and costs
memory for each connection, so nothing is allocated before the first message that needs it:

* With takeover, the first compressed message makes the compressor, or the decompressor, which
  the connection then keeps.
* Without takeover, messages are compressed on scratch compressors, which all connections of the
  process share: a full flush after each message makes the compressor forget what it has seen. A
  decompressor is made for each message and dropped after it. (Shared decompressors would let a peer
  refer back to what others have received.)

Window bits: zlib cannot make a compressor with 8 bits, but one with 9 bits never refers back by
more than 250 bytes (its window less the longest match), which a peer with a window of 256 can
follow.

Engines: zlib compresses unless isal is asked for (Intel's ISA-L, from the package of that name),
which takes about half of the time and some 10 % more bytes. zlib inflates in any case, since it
tells how far it has read when it stops at a limit.
"""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple

from ..exceptions import WebSocketMessageTooBigException, WebSocketPayloadException

__all__ = ["Agreement", "Compression", "Deflate", "compress_alone"]

MAX_WINDOW_BITS: Final = 15

#: The end of a flushed block, which is left out at the end of a message (section 7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"

#: The end of a message for which zlib has put out nothing since the last flush: the first byte of
#: an empty block, whose other four are left out (section 7.2.3.6).
_EMPTY: Final = b"\x00"

#: More bytes than the bits that zlib holds can yield: 32 symbols of at most 258 bytes.
_LAST_SYMBOLS: Final = 16384

#: The greatest number of final blocks (section 7.2.3.4) in a message. After each, a new
#: decompressor begins, which costs far more than the two bytes of an empty block.
_MAX_FINAL_BLOCKS: Final = 64

#: For each engine, the lowest, the highest and the default level.
_LEVELS: Final = {"zlib": (-1, 9, 5), "isal": (0, 3, 1)}

Engine = Literal["zlib", "isal"]


def _check_bits(name: str, value: object) -> None:
    if type(value) is not int or not 8 <= value <= MAX_WINDOW_BITS:
        raise ValueError(f"{name} must be 8 to 15, not {value!r}")


def _check_level(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value!r}")


def _import_isal() -> ModuleType:
    try:
        from isal import isal_zlib
    except ImportError as exc:
        raise ImportError(
            f'engine="isal" needs the package isal ({exc}): pip install "reactor-websocket[isal]"'
        ) from exc
    return isal_zlib


@dataclass(frozen=True, kw_only=True)
class Deflate:
    """What one side wants from permessage-deflate; the option ``compression``.

    The default demands nothing: a client offers what browsers offer, which every server has
    therefore seen; a server agrees to what a client asks for.

    Args:
        server_no_context_takeover: whether the server's messages do not refer to earlier ones
            (default False). A client that sets it needs no memory between received messages.
        client_no_context_takeover: the same for the client's messages (default False).
        server_max_window_bits: the server's window has at most this many bits, 8 to 15; None
            (default): no demand.
        client_max_window_bits: the client's window has at most this many bits, 8 to 15. True
            (default): a client lets the server limit them. None: a client does not offer that; for
            a server, True and None both mean no demand. A client that does not offer it cannot be
            limited (section 7.1.2.2): it may use 15.
        engine: what compresses, "zlib" (default) or "isal": the package isal, the extra of that
            name, which takes about half of the time and some 10 % more bytes. Windows of 8 bits are
            zlib's in any case.
        level: the engine's compression level. zlib: 0 to 9, -1 for its own default, 6; the default
            here, 5, takes two thirds of the time of 6 and 2 % more bytes. isal: 0 to 3; the default
            here is 1. None (default): the default here.
        mem_level: memory of our compressor, 1 to 9 (default 5): 2^(mem_level + 9) bytes in addition
            to its window.
        threshold: messages of fewer bytes (default 128) are not compressed, unless ``send`` demands
            it.

    Raises:
        ValueError: a value is invalid; the message names it.
        ImportError: the package isal is not installed.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | bool | None = True
    engine: Engine = "zlib"
    level: int | None = None
    mem_level: int = 5
    threshold: int = 128

    def __post_init__(self) -> None:
        if self.server_max_window_bits is not None:
            _check_bits("server_max_window_bits", self.server_max_window_bits)
        if self.client_max_window_bits is not None and self.client_max_window_bits is not True:
            _check_bits("client_max_window_bits", self.client_max_window_bits)
        if self.engine not in _LEVELS:
            raise ValueError(f'engine must be "zlib" or "isal", not {self.engine!r}')
        low, high, _ = _LEVELS[self.engine]
        if self.level is not None:
            _check_level("level", self.level, low, high)
        _check_level("mem_level", self.mem_level, 1, 9)
        if self.engine == "isal":
            _import_isal()
        if type(self.threshold) is not int or self.threshold < 0:
            raise ValueError(f"threshold must be 0 or more bytes, not {self.threshold!r}")

    @classmethod
    def of(cls, value: object) -> Deflate | None:
        """Return the meaning of the option ``compression``: None, "deflate", or a Deflate.

        Raises:
            ValueError: *value* is another str.
            TypeError: *value* is anything else.
        """
        if value is None or isinstance(value, Deflate):
            return value
        if value == "deflate":
            return cls()
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f'compression must be None, "deflate" or a Deflate, not {value!r}')


class Compressor(NamedTuple):
    """What a compressor is made with: two with the same parameters put out the same bytes."""

    engine: Engine
    level: int
    bits: int
    mem_level: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides have agreed, as seen from our side.

    Attributes:
        config: what we wanted.
        send_bits, receive_bits: the bits of the windows.
        send_takeover, receive_takeover: whether messages may refer to earlier ones.
        compressor: the parameters of our compressor; made here, since a broadcast asks for those
            of each receiver.
    """

    config: Deflate
    send_bits: int
    receive_bits: int
    send_takeover: bool
    receive_takeover: bool
    compressor: Compressor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        config = self.config
        engine, level = config.engine, config.level
        if self.send_bits == 8 and engine != "zlib":
            engine, level = "zlib", None  # see the module; no other engine is known to keep to that
        if level is None:
            level = _LEVELS[engine][2]
        compressor = Compressor(engine, level, self.send_bits, config.mem_level)
        object.__setattr__(self, "compressor", compressor)

    # Twin: compressed_frame() in compiled/deflate.pyx.
    def wants(self, payload: bytes, compress: bool | None) -> bool:
        """Return whether to compress a message; an empty one never is, since it could only grow.

        Args:
            payload: the message.
            compress: as for ``WebSocketProtocol.send``.
        """
        if compress is None:
            compress = len(payload) >= self.config.threshold
        return compress and bool(payload)


#: What makes the objects of zlib. compiled/replace.py puts others here, which act alike.
new_compressor: Any = zlib.compressobj
new_decompressor: Any = zlib.decompressobj

_scratch: dict[Compressor, list[Any]] = {}


def _make(wanted: Compressor) -> Any:
    make = new_compressor if wanted.engine == "zlib" else _import_isal().compressobj
    return make(wanted.level, zlib.DEFLATED, -max(wanted.bits, 9), wanted.mem_level)


def compress_alone(agreement: Agreement, data: bytes) -> bytes:
    """Return a message compressed without reference to others, so that any peer can inflate it.

    Afterwards, a compressor that keeps its context is out of step with the peer's window: see
    :meth:`Compression.forget`. May be called on any thread.
    """
    key = agreement.compressor
    # A list has an atomic pop and append: other threads take another compressor, or make one.
    free = _scratch.setdefault(key, [])
    try:
        compressor = free.pop()
    except IndexError:
        compressor = _make(key)
    compressed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)
    free.append(compressor)
    return compressed[:-4] or _EMPTY


class Compression:
    """Compresses and inflates the messages of one connection.

    Args:
        agreement: the result of the opening handshake.

    Attributes:
        agreement: the same.
        unconsumed: see :meth:`inflate`.
    """

    __slots__ = ("_compressor", "_decompressor", "_final_blocks", "agreement", "unconsumed")

    def __init__(self, agreement: Agreement) -> None:
        self.agreement = agreement
        self._compressor: Any = None
        self._decompressor: Any = None
        self._final_blocks = 0  # in the message that is being received
        self.unconsumed = 0

    def compress(self, data: bytes) -> bytes:
        """Compress a whole message (section 7.2.1)."""
        if not self.agreement.send_takeover:
            return compress_alone(self.agreement, data)
        return self.compress_fragment(data, last=True)

    def compress_fragment(self, data: bytes, last: bool) -> bytes:
        """Compress the next fragment of a message.

        Args:
            data: the fragment.
            last: whether the message ends with it.
        """
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = _make(self.agreement.compressor)
        compressed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if not last:
            return compressed
        if not self.agreement.send_takeover:
            self._compressor = None
        return compressed[:-4] or _EMPTY

    def forget(self) -> None:
        """Begin a new context: the peer has received a message that was compressed elsewhere."""
        self._compressor = None

    # Twin: take() in compiled/deflate.pyx.
    def inflate(
        self, data: bytes, last: bool, room: int, limit: int, most: int = sys.maxsize
    ) -> bytes:
        """Inflate a piece of a message (section 7.2.2).

        Args:
            data: the next bytes of the message's payload.
            last: whether they are its last ones.
            room: the bytes to which the message may still inflate.
            limit: the bytes to which a message may inflate, for the text of the error.
            most: about how many bytes this call returns. If there are more, ``unconsumed`` says how
                many bytes at the end of *data* must be given again.

        Returns:
            The inflated bytes.

        Raises:
            WebSocketMessageTooBigException: the message would inflate to more than there is room
                for; no more than that was inflated.
            WebSocketPayloadException: the message cannot be inflated.
        """
        try:
            inflated = self._inflate(data, min(room + 1, most))
            if len(inflated) > room:
                raise WebSocketMessageTooBigException(
                    f"compressed message inflates to more than max_message_size={limit} bytes"
                )
            if last and not self.unconsumed:
                self._end_message()
        except zlib.error as exc:
            raise WebSocketPayloadException(f"message cannot be inflated: {exc}") from None
        return inflated

    def _inflate(self, data: bytes, most: int) -> bytes:
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._decompressor = self._new_decompressor()
        inflated: bytes = decompressor.decompress(data, most)
        rest = decompressor.unconsumed_tail
        while decompressor.eof:
            # A block was marked as final: zlib stops there, section 7.2.3.4 goes on. Here, later
            # blocks cannot refer back beyond it; no compressor that can end a stream does that.
            self._final_blocks += 1
            if self._final_blocks > _MAX_FINAL_BLOCKS:
                raise WebSocketPayloadException(
                    f"compressed message has more than {_MAX_FINAL_BLOCKS} final blocks"
                )
            rest = decompressor.unused_data
            decompressor = self._decompressor = self._new_decompressor()
            if len(inflated) < most:
                inflated += decompressor.decompress(rest, most - len(inflated))
                rest = decompressor.unconsumed_tail
        if not rest and len(inflated) >= most:
            # All input was read, but zlib may still hold the last symbols.
            inflated += decompressor.decompress(b"", _LAST_SYMBOLS)
        self.unconsumed = len(rest)
        return inflated

    def _end_message(self) -> None:
        decompressor = self._decompressor
        if decompressor.decompress(_TAIL):
            raise WebSocketPayloadException("compressed message ends within a block")
        self._final_blocks = 0
        if not self.agreement.receive_takeover:
            self._decompressor = None

    def _new_decompressor(self) -> Any:
        # At least 9: some peers agree to 8 and compress with 9.
        return new_decompressor(-max(self.agreement.receive_bits, 9))
