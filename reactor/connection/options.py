"""Options that both roles have, and how options are checked.

What it is: a frozen dataclass, the base of those in client/options.py and server/options.py. One
object is made for a call of ``connect`` or ``listen``, and is shared by all connections that are
opened with the same options. An unknown name is a TypeError; a wrong value is an error that names
the option. Beside each of these classes is a TypedDict of the same names and types, for functions
with ``**options``; a test compares them.

What it must not know: who uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import inf
from typing import Any, TypedDict, TypeVar

from ..base.mistakes import check_names, check_number
from ..protocols.deflate import Deflate
from ..protocols.http.http11 import HeadLimits
from ..protocols.messages import MessageLimits
from ..timers import KeepAlivePolicy

__all__ = ["ConnectionArguments", "ConnectionOptions", "MessageArguments", "check_path"]

O = TypeVar("O", bound="ConnectionOptions")  # noqa: E741 - options


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """Options that both roles have.

    Args:
        ping_interval: seconds of silence after which a ping is sent (20); None or 0: no pings.
        ping_timeout: seconds that the peer has for an answer (20); None: any time.
        ping_payload: the payload of the pings, at most 125 bytes (empty).
        ping_when_idle: True: any traffic postpones the ping and counts as an answer. False:
            a ping is sent every interval, and only a pong is an answer, as in websocket-client.
        idle_timeout: seconds without a message (pings and pongs do not count) after which the
            connection is dropped; with a ``reconnect`` policy it is opened again. ``on_error``
            gets a WebSocketTimeoutException. It may take 1/64 longer. None: never.
        close_timeout: seconds that the peer has to answer our close frame (5).
        max_message_size: the largest message that the peer may send, in bytes (16 MiB); a larger
            one is answered by close code 1009. A compressed text of more than 64 MiB counts as
            many bytes as its str takes in memory.
        max_fragments: how many frames such a message may have (65,536).
        decode_text: False: text messages are passed to ``on_data`` as bytes, neither decoded nor
            checked.
        fragments: True: messages of several frames are passed to ``on_data`` frame by frame.
        fragment_size: with ``fragments``: every message of more bytes than this is passed to
            ``on_data`` in pieces of about this size, as they come; ``max_message_size`` applies to
            their sum. None: a frame is never divided.
        compression: permessage-deflate (RFC 7692): "deflate", or a Deflate; None: no compression.
        max_head_size: how many bytes the peer's part of the opening handshake may have, and a
            proxy's answer (65,536). A single line may take all of them.
        max_header_count: how many header lines it may have (128).
        write_limit: the size of the write queue at which ``on_overflow`` applies, in bytes
            (16 MiB).
        on_overflow: what happens when a peer takes less than it is sent. "raise": at
            ``write_limit``, ``send`` raises WebSocketQueueFullException. "close": at
            ``write_limit``, ``send`` returns 0 and the connection ends: ``on_error`` gets that
            exception, ``on_close`` gets 1006. (Other methods, and other threads, get
            WebSocketConnectionClosedException.) "pause": while the queue is above its high mark,
            nothing is read, and what has been read is not delivered. So a handler that only
            answers messages never reaches the limit; one that sends more than ``write_limit`` at
            once does, and ``send`` raises.
        high_water: the high mark of the write queue, in bytes (65,536).
        low_water: its low mark (16,384). When the queue has been above its high mark and falls to
            the low one, ``on_writable`` is called.
    """

    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    ping_payload: str | bytes = b""
    ping_when_idle: bool = True
    idle_timeout: float | None = None
    close_timeout: float = 5.0
    max_message_size: int = 16 * 1024 * 1024
    max_fragments: int = 65536
    decode_text: bool = True
    fragments: bool = False
    fragment_size: int | None = None
    compression: Deflate | str | None = None
    max_head_size: int = 65536
    max_header_count: int = 128
    write_limit: int = 16 * 1024 * 1024
    on_overflow: str = "raise"
    high_water: int = 65536
    low_water: int = 16384

    def __post_init__(self) -> None:
        for name in (
            "max_message_size",
            "max_fragments",
            "max_head_size",
            "max_header_count",
            "write_limit",
        ):
            self._check(name, lambda value: value > 0, "greater than 0")
        self._check("close_timeout", lambda value: 0 < value < inf, "greater than 0, and finite")
        self._check("ping_interval", lambda value: value is None or value >= 0, "0 or greater")
        self._check("ping_timeout", lambda value: value is None or value > 0, "greater than 0")
        self._check(
            "idle_timeout",
            lambda value: value is None or 0 < value < inf,
            "None, or greater than 0 and finite",
        )
        self._check(
            "fragment_size", lambda value: value is None or value > 0, "None, or greater than 0"
        )
        if self.fragment_size is not None and not self.fragments:
            raise ValueError("fragment_size needs fragments=True")
        self._check("high_water", lambda value: value >= 0, "0 or greater")
        self._check(
            "low_water",
            lambda value: 0 <= value <= self.high_water,
            f"between 0 and high_water={self.high_water}",
        )
        policies = ("raise", "close", "pause")
        if self.on_overflow not in policies:
            raise ValueError(f"on_overflow must be one of {policies}, not {self.on_overflow!r}")
        # These are made now, so that a wrong value is an error in the call that gave it.
        _ = self.keep_alive, self.message_limits, self.head_limits, self.deflate

    def _check(self, name: str, valid: Callable[[Any], bool], expected: str) -> None:
        """Check one option.

        Raises:
            ValueError: It is a number, but not a valid one.
            TypeError: It is not a number.
        """
        value = getattr(self, name)
        check_number(name, value, expected)
        kind: type[Exception] = ValueError
        try:
            if valid(value):
                return
        except TypeError:
            kind = TypeError
        raise kind(f"{name} must be {expected}, not {value!r}")

    @classmethod
    def of(cls: type[O], given: Mapping[str, Any], where: str) -> O:
        """Return the options with these names and values.

        Args:
            given: the values by name.
            where: the function that the user called, for the error message.

        Raises:
            TypeError: A name is unknown, or a value is of the wrong type.
            ValueError: A value is not valid.
        """
        check_names(given, [option.name for option in fields(cls)], where)
        return cls(**given)

    @cached_property
    def water_marks(self) -> tuple[int, int]:
        """The high and the low mark of the write queue, in bytes.

        With ``on_overflow="pause"``, reading is paused at the high mark. There must be room for
        another answer between that mark and ``write_limit``.
        """
        high = self.high_water
        if self.on_overflow == "pause":
            high = min(high, self.write_limit // 2)
        return high, min(self.low_water, high)

    @cached_property
    def keep_alive(self) -> KeepAlivePolicy | None:
        """The ping policy, shared by all connections with these options; None: no pings."""
        if not self.ping_interval:
            return None
        payload = self.ping_payload
        try:
            return KeepAlivePolicy(
                self.ping_interval,
                self.ping_timeout,
                payload.encode() if isinstance(payload, str) else payload,
                self.ping_when_idle,
            )
        except (ValueError, TypeError) as exc:
            raise type(exc)(f"ping_{exc}") from None

    @cached_property
    def deflate(self) -> Deflate | None:
        """What ``compression`` stands for."""
        return Deflate.of(self.compression)

    @cached_property
    def message_limits(self) -> MessageLimits:
        """The limits that a session applies."""
        return MessageLimits(self.max_message_size, self.max_fragments)

    @cached_property
    def head_limits(self) -> HeadLimits:
        """The limits of the opening handshake."""
        return HeadLimits(self.max_head_size, self.max_header_count)


class MessageArguments(TypedDict, total=False):
    """Those of :class:`ConnectionArguments` that are for whole messages, too."""

    ping_interval: float | None
    ping_timeout: float | None
    ping_payload: str | bytes
    ping_when_idle: bool
    idle_timeout: float | None
    close_timeout: float
    max_message_size: int
    max_fragments: int
    fragment_size: int | None
    compression: Deflate | str | None
    max_head_size: int
    max_header_count: int
    write_limit: int
    on_overflow: str
    high_water: int
    low_water: int


class ConnectionArguments(MessageArguments, total=False):
    """The options of :class:`ConnectionOptions`, as keyword arguments of a function of one's own.

    ``def mine(**options: Unpack[ConnectionArguments]) -> None``
    """

    decode_text: bool
    fragments: bool


def check_path(name: str, value: object) -> None:
    """Raise TypeError for an option that is to be the path of a file, and is not."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a file, not {type(value).__name__}")
