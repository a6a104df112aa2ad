"""What a Reactor's methods and its constructor take, as type checkers and editors see it.

What it is: :class:`Opens`, the declarations of ``connect`` and ``listen``, which are not run; and
:class:`ReactorArguments`, what the hosts pass on to the Reactor's constructor. A Feed has such
declarations, too: see feeds/signatures.py.

What it must not know: what the options mean.

The methods take any name at run time, so that the error about an unknown one can say what may have
been meant; base/arguments.py gives them a signature to show. tests/test_signatures.py holds the
declarations, the signatures, the options classes and their documentation together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .protocols.websocket import WebSocketProtocol

if TYPE_CHECKING:
    import os
    import re
    import socket
    from collections.abc import Collection, Mapping, Sequence
    from ssl import SSLContext

    from .client.options import HandshakeWatch, TextSource
    from .loop.poller import Selector
    from .protocols.deflate import Deflate
    from .protocols.http.handshake import HeaderSource
    from .protocols.http.http11 import Request
    from .server.decisions import ProcessRequest
    from .server.listener import Listener
    from .timers import Backoff, Clock, Pace
    from .transports.proxy import Proxy

__all__ = ["Opens", "ReactorArguments"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers know it: it need not be installed

    P = TypeVar("P", bound=WebSocketProtocol, default=WebSocketProtocol)  # of listen()
else:
    from typing import TypeVar

    P = TypeVar("P", bound=WebSocketProtocol)


class Opens:
    """What a Reactor opens. The methods are Reactor's own: see there."""

    if TYPE_CHECKING:

        def connect(
            self,
            url: str | Callable[[], str],
            protocol: Callable[[], P] | P,
            *,
            ping_interval: float | None = 20.0,
            ping_timeout: float | None = 20.0,
            ping_payload: str | bytes = b"",
            ping_when_idle: bool = True,
            idle_timeout: float | None = None,
            close_timeout: float = 5.0,
            max_message_size: int = 16 * 1024 * 1024,
            max_fragments: int = 65536,
            decode_text: bool = True,
            fragments: bool = False,
            fragment_size: int | None = None,
            compression: Deflate | Literal["deflate"] | None = None,
            max_head_size: int = 65536,
            max_header_count: int = 128,
            write_limit: int = 16 * 1024 * 1024,
            on_overflow: Literal["raise", "close", "pause"] = "raise",
            high_water: int = 65536,
            low_water: int = 16384,
            header: HeaderSource | Callable[[], HeaderSource] = None,
            cookie: TextSource = None,
            origin: str | None = None,
            host: str | None = None,
            suppress_origin: bool = False,
            suppress_host: bool = False,
            connection: str | None = None,
            subprotocols: Sequence[str] = (),
            connect_timeout: float | None = 10.0,
            connect_pace: Pace | None = None,
            redirect_limit: int = 3,
            sslopt: Mapping[str, Any] | None = None,
            sslkeylogfile: str | None = None,
            sockopt: Sequence[tuple[Any, ...]] = (),
            source_address: tuple[str, int] | None = None,
            unix_path: str | None = None,
            sock: Any = None,
            plain_sock: bool = False,
            start_tls: bool = False,
            proxy: Proxy | str | bool | None = True,
            no_proxy: Sequence[str] | None = None,
            proxy_sslopt: Mapping[str, Any] | None = None,
            proxy_timeout: float | None = None,
            mask_key: Callable[[int], bytes | str] | None = None,
            reconnect: Backoff | float | None = None,
            lenient: bool = False,
            watch: HandshakeWatch | None = None,
        ) -> P:
            """See Reactor; each option: see ClientOptions."""

        def listen(
            self,
            host: str | None = None,
            port: int = 0,
            protocol: Callable[[], P] = WebSocketProtocol,  # type: ignore[assignment]
            *,
            sock: socket.socket | None = None,
            unix_path: str | os.PathLike[str] | None = None,
            ping_interval: float | None = 20.0,
            ping_timeout: float | None = 20.0,
            ping_payload: str | bytes = b"",
            ping_when_idle: bool = True,
            idle_timeout: float | None = None,
            close_timeout: float = 5.0,
            max_message_size: int = 16 * 1024 * 1024,
            max_fragments: int = 65536,
            decode_text: bool = True,
            fragments: bool = False,
            fragment_size: int | None = None,
            compression: Deflate | Literal["deflate"] | None = None,
            max_head_size: int = 65536,
            max_header_count: int = 128,
            write_limit: int = 16 * 1024 * 1024,
            on_overflow: Literal["raise", "close", "pause"] = "raise",
            high_water: int = 65536,
            low_water: int = 16384,
            ssl: SSLContext | None = None,
            sslkeylogfile: str | None = None,
            process_request: ProcessRequest | None = None,
            origins: Collection[str | re.Pattern[str] | None] | None = None,
            subprotocols: Sequence[str] | Callable[[Request, tuple[str, ...]], str | None] = (),
            response_headers: HeaderSource | Callable[[Request], HeaderSource] = None,
            handshake_timeout: float = 10.0,
            max_handshakes: int | None = 4096,
            max_connections: int | None = None,
            max_connections_per_address: int | None = None,
            backlog: int = 4096,
            reuse_port: bool = False,
            unix_mode: int | None = None,
        ) -> Listener[P]:
            """See Reactor; each option: see ServerOptions."""


class ReactorArguments(TypedDict, total=False):
    """What a :class:`Reactor` is made with, as keyword arguments of a function of one's own.

    ``def make(**options: Unpack[ReactorArguments]) -> Reactor``
    """

    max_connecting: int | None
    connect_pace: Pace | None
    selector: Selector | None
    clock: Clock | None
    random: Callable[[], float]
    debug: bool | None
    slow_callback: float | None
    pacing: float | None
    backend: str | None
