"""Taps: who listens to the bytes of a stream, beside its receiver.

What it is: :class:`Tap`, and functions that put one on a stream and take it off again. With TLS, it
hears what is said inside.

What it must not know: what the bytes mean; who listens.

How it works. A tapped stream has another class, which leaves it to the Python code (the compiled
path knows ordinary streams only), and another engine, which shows to the taps what the real one
has taken and given. So a stream without a tap is what it always was, and costs nothing more.
"""

from __future__ import annotations

import ssl
from typing import Any, Protocol

from .stream import WOULD_BLOCK, Stream
from .tls_stream import TLSStream

__all__ = ["Tap", "add_tap", "remove_tap"]

#: How OpenSSL says that the peer has ended its side.
AT_END = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Tap(Protocol):
    """The methods that a tapped stream calls, in the order of what happens. None may raise."""

    def received(self, data: bytes) -> None:
        """Bytes were read; never none."""

    def sent(self, data: bytes) -> None:
        """The kernel, or OpenSSL, has taken bytes; never none."""

    def ended(self, ours: bool, reset: bool) -> None:
        """One side says nothing more; with *reset*, neither does. May be told more than once."""

    def closed(self) -> None:
        """The socket is closed."""


class _TapEngine:
    """Stands before the engine of a stream, and shows to taps what passes."""

    __slots__ = ("real", "taps")

    def __init__(self, real: Any) -> None:
        self.real = real
        self.taps: tuple[Tap, ...] = ()

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self.real.recv(size)
        except WOULD_BLOCK:
            raise
        except OSError as exc:
            self.ended(False, not isinstance(exc, AT_END))
            raise
        if not data:
            self.ended(False, False)
        for tap in self.taps if data else ():
            tap.received(data)
        return data

    def send(self, data: Any) -> int:
        try:
            size: int = self.real.send(data)
        except WOULD_BLOCK:
            raise
        except OSError:
            self.ended(False, True)
            raise
        if size > 0:
            taken = bytes(data) if size == len(data) else bytes(memoryview(data)[:size])
            for tap in self.taps:
                tap.sent(taken)
        return size

    def pending(self) -> int:
        size: int = self.real.pending()
        return size

    def unwrap(self) -> None:
        self.real.unwrap()

    def ended(self, ours: bool, reset: bool) -> None:
        for tap in self.taps:
            tap.ended(ours, reset)


class _Tapped:
    """What is different in a tapped stream."""

    __slots__ = ()

    _engine: _TapEngine

    @property
    def _source(self) -> Any:
        return self._engine.real

    @_source.setter
    def _source(self, engine: Any) -> None:
        self._engine.real = engine

    def _shut_down(self) -> None:
        self._engine.ended(True, False)
        super()._shut_down()  # type: ignore[misc]

    def _release(self) -> None:
        super()._release()  # type: ignore[misc]
        for tap in self._engine.taps:
            tap.closed()


class TappedStream(_Tapped, Stream):
    """A Stream that has taps."""

    __slots__ = ()

    _engine: Any


class TappedTLSStream(_Tapped, TLSStream):
    """A TLSStream that has taps."""

    __slots__ = ()

    _engine: Any


#: The class of a stream, without taps and with them.
_CLASSES: dict[type[Stream], type[Stream]] = {Stream: TappedStream, TLSStream: TappedTLSStream}
_ORDINARY = {tapped: ordinary for ordinary, tapped in _CLASSES.items()}


def add_tap(stream: Stream, tap: Tap) -> None:
    """Have *tap* listen to a stream from now on. The loop's thread only."""
    if type(stream) not in _ORDINARY:
        stream._engine = _TapEngine(stream._engine)
        stream.__class__ = _CLASSES[type(stream)]
    stream._engine.taps += (tap,)


def remove_tap(stream: Stream, tap: Tap) -> None:
    """Have *tap* listen no longer. The loop's thread only; nothing happens if it does not."""
    ordinary = _ORDINARY.get(type(stream))
    if ordinary is None:
        return
    engine = stream._engine
    engine.taps = tuple(each for each in engine.taps if each is not tap)
    if not engine.taps:
        stream._engine = engine.real
        stream.__class__ = ordinary
