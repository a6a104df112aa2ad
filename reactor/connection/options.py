"""Options that both roles have, and how options are checked.

What it is: a frozen dataclass, of which client/options.py and server/options.py derive theirs. One
is made for a call of ``connect`` or ``listen``, and shared by every connection that was opened with
the same options; an unknown name is a TypeError, a wrong value an error that names the option.

What it must not know: who uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from math import inf
from typing import Any, TypeVar

from ..base.mistakes import check_names, check_number
from ..protocols.deflate import Deflate
from ..protocols.http.http11 import HeadLimits
from ..protocols.messages import MessageLimits
from ..timers import KeepAlivePolicy

__all__ = ["ConnectionOptions", "check_path"]

O = TypeVar("O", bound="ConnectionOptions")  # noqa: E741 - options


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """What both roles have.

    Parameters:
        ping_interval: seconds of silence after which a ping is sent; None or 0: no pings.
        ping_timeout: seconds that the peer has for an answer; None: any time.
        ping_payload: what the pings carry; at most 125 bytes.
        ping_when_idle: True: any traffic postpones the ping and counts as an answer. False:
            ping every interval, and only a pong is an answer, as websocket-client does.
        idle_timeout: seconds without any message (pings and pongs do not count) after which the
            connection is dropped, and opened anew where there is a ``reconnect`` policy:
            ``on_error`` hears of a WebSocketTimeoutException. None: never. It is noticed at most
            1/64 of this later.
        close_timeout: seconds that the peer has to answer our close frame.
        max_message_size: bytes of a message that the peer may send (else close code 1009). A
            compressed text of more than 64 MiB counts what its str takes in memory.
        max_fragments: frames of such a message.
        decode_text: False: text messages go to ``on_data`` as bytes, not decoded or checked.
        fragments: True: messages in several frames go to ``on_data`` frame by frame.
        fragment_size: with ``fragments``: every message of more bytes than this goes to
            ``on_data``, in pieces of about this size as they come; None: a frame is never divided.
            (``max_message_size`` holds for the sum of the pieces.)
        compression: permessage-deflate (RFC 7692): "deflate", or a Deflate; None: none.
        max_head_size, max_header_count: bytes and header lines that the peer's part of the
            opening handshake may have, and a proxy's answer. One line may take all of the bytes.
        write_limit: bytes in the write queue at which ``on_overflow`` applies.
        on_overflow: what becomes of a peer that takes less than it is sent. "raise": at
            ``write_limit``, ``send`` raises WebSocketQueueFullException. "close": it returns 0,
            and the connection ends: ``on_error`` hears of that exception, ``on_close`` of 1006.
            (Other methods, and other threads, get WebSocketConnectionClosedException.) "pause":
            while the queue is above its high mark, nothing is read, and what was read is not
            delivered; so who answers what comes never gets to the limit. Who sends more than
            that at one go does, and then ``send`` raises.
        high_water, low_water: ``on_writable`` is called when the write queue, having been
            above the first, falls to the second.
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
        # Made now, so that a wrong value is an error of the call that gave it.
        _ = self.keep_alive, self.message_limits, self.head_limits, self.deflate

    def _check(self, name: str, valid: Callable[[Any], bool], expected: str) -> None:
        """Raise ValueError for a number, TypeError for what is none."""
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
        """Return the options of these names and values.

        Raises TypeError for an unknown name, saying *where* it is unknown; and as the class does.
        """
        check_names(given, [option.name for option in fields(cls)], where)
        return cls(**given)

    @cached_property
    def water_marks(self) -> tuple[int, int]:
        """The marks of the write queue. Where reading is paused at the first, it must not be so
        near to the limit that one answer more is too much.
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
        """What ``compression`` means."""
        return Deflate.of(self.compression)

    @cached_property
    def message_limits(self) -> MessageLimits:
        """The limits that a session applies."""
        return MessageLimits(self.max_message_size, self.max_fragments)

    @cached_property
    def head_limits(self) -> HeadLimits:
        """The limits of the opening handshake."""
        return HeadLimits(self.max_head_size, self.max_header_count)


def check_path(name: str, value: object) -> None:
    """Raise TypeError for an option that is to be the path of a file, and is not."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a file, not {type(value).__name__}")
