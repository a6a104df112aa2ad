"""What a protocol object needs of the connection that owns it, as types.

What it is: :class:`ConnectionInterface` and its parts. What each member does stands in
websocket.py, and how in connection/.

What it must not know: anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from .session import State

if TYPE_CHECKING:
    from .deflate import Agreement
    from .ending import Ending
    from .http.http11 import Request, Response
    from .stats import ConnectionStats
    from .websocket import WebSocketProtocol

__all__ = ["ConnectionInterface", "ReaderInterface", "SenderInterface"]


class SenderInterface(Protocol):
    """The part of a connection that sends."""

    @property
    def buffered_amount(self) -> int: ...

    def send(self, message: str | bytes | bytearray | memoryview, compress: bool | None) -> int: ...
    def send_fragment(
        self, data: str | bytes | bytearray | memoryview, fin: bool, compress: bool | None
    ) -> None: ...
    def send_fragments(
        self, fragments: Iterable[str] | Iterable[bytes], compress: bool | None
    ) -> None: ...
    def send_frame(self, opcode: int, payload: bytes, fin: bool) -> int: ...
    def ping(self, payload: bytes) -> int: ...
    def pong(self, payload: bytes) -> int: ...


class ReaderInterface(Protocol):
    """The part of a connection that reads."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class ConnectionInterface(Protocol):
    """A connection."""

    @property
    def sender(self) -> SenderInterface: ...
    @property
    def reader(self) -> ReaderInterface: ...
    @property
    def url(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def request(self) -> Request | None: ...
    @property
    def response(self) -> Response | None: ...
    @property
    def latency(self) -> float | None: ...
    @property
    def sock(self) -> Any: ...
    @property
    def stream(self) -> Any: ...
    @property
    def loop(self) -> Any: ...
    @property
    def ending(self) -> Ending | None: ...
    @property
    def last_activity(self) -> float: ...
    @property
    def stats(self) -> ConnectionStats: ...
    @property
    def compression(self) -> Agreement | None: ...

    def close(self, code: int, reason: str, timeout: float | None) -> None: ...
    def abort(self) -> None: ...
    def reconnect(self, protocol: WebSocketProtocol, delay: float | None, reason: str) -> None: ...
    def run_in_thread(
        self,
        protocol: WebSocketProtocol,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        then: Callable[[Any, Any], object] | None,
    ) -> Any: ...
