"""What ``connect`` and ``serve`` take by name, for ``unix_connect``, ``unix_serve`` and others.

What it is: TypedDicts for functions with ``**options``, of the users' own as well. A test compares
them with the signatures of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import logging
    import re
    import socket
    import ssl as ssl_module
    from collections.abc import Callable, Collection, Iterable, Sequence
    from ssl import SSLContext

    from ..client.options import ClientArguments
    from ..protocols.deflate import Deflate
    from ..protocols.http.handshake import HeaderSource
    from ..server.options import ServerArguments
    from .client import ClientConnection
    from .hooks import ProcessRequest, ProcessResponse, SelectSubprotocol
    from .server import ServerConnection

__all__ = ["ConnectArguments", "ServeArguments"]


class ConnectArguments(TypedDict, total=False):
    """What :class:`connect` takes by name, but for ``unix_path``: see there."""

    origin: str | None
    subprotocols: Sequence[str] | None
    compression: Deflate | str | None
    additional_headers: HeaderSource
    user_agent_header: str | None
    proxy: str | bool | None
    process_exception: Callable[[Exception], Exception | None]
    open_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None
    max_size: int | tuple[int | None, int | None] | None
    max_queue: int | tuple[int | None, int | None] | None
    write_limit: int | tuple[int, int | None]
    logger: logging.Logger | None
    create_connection: Callable[..., ClientConnection] | None
    reconnect_delays: Callable[[], Iterable[float]] | None
    ssl: ssl_module.SSLContext | bool | None
    server_hostname: str | None
    sock: socket.socket | None
    host: str | None
    port: int | None
    local_addr: tuple[str, int] | None
    reactor: ClientArguments | None


class ServeArguments(TypedDict, total=False):
    """What :class:`serve` takes by name, but for ``unix_path``: see there."""

    origins: Collection[str | re.Pattern[str] | None] | None
    subprotocols: Sequence[str] | None
    compression: Deflate | str | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    select_subprotocol: SelectSubprotocol | None
    create_connection: Callable[..., ServerConnection] | None
    server_header: str | None
    open_timeout: float | None
    ping_interval: float | None
    ping_timeout: float | None
    close_timeout: float | None
    max_size: int | tuple[int | None, int | None] | None
    max_queue: int | tuple[int | None, int | None] | None
    write_limit: int | tuple[int, int | None]
    logger: logging.Logger | None
    ssl: SSLContext | None
    sock: socket.socket | None
    backlog: int
    reuse_port: bool
    reactor: ServerArguments | None
