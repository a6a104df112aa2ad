"""Opening: what ``Reactor.connect`` and ``Reactor.listen`` do.

What it is: :class:`Opener`, which each Reactor has. It checks the arguments, and puts a connection
or a listener together.

What it must not know: how connections and listeners work.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from .base.marks import calls_user_code
from .base.mistakes import check_number
from .client.attempt import Pipeline
from .client.gate import Gate
from .client.lifecycle import ClientLifecycle
from .client.options import ClientOptions
from .client.pipeline import connect
from .connection.connection import Connection
from .connection.handlers import check_factory, check_protocol
from .protocols.websocket import WebSocketProtocol
from .registry import Registry
from .server.listener import Listener
from .server.options import ServerOptions
from .transports.bind import open_to_listen
from .transports.tls.contexts import log_keys

__all__ = ["Opener"]

P = TypeVar("P", bound=WebSocketProtocol)


class Opener:
    """Opens the connections and listeners of one reactor. The loop's thread only.

    Args:
        registry: where they are listed.
        gate: the gate that every attempt to connect passes.

    Attributes:
        gate: that gate.
        pipeline: the coroutine function that connects.
    """

    def __init__(self, registry: Registry, gate: Gate) -> None:
        self._registry = registry
        self._latest_options: tuple[dict[str, Any], ClientOptions | None] = {}, None
        self.gate = gate
        self.pipeline: Pipeline = connect

    @calls_user_code
    def connect(
        self,
        url: str | Callable[[], str],
        protocol: Callable[[], P] | P,
        options: dict[str, Any],
    ) -> P:
        """See Reactor.connect()."""
        registry = self._registry
        registry.check_usable()
        checked = self._client_options(options)
        if isinstance(protocol, WebSocketProtocol):
            handlers = protocol
        else:
            check_factory(protocol)
            handlers = protocol()
        check_protocol(handlers)
        lifecycle = ClientLifecycle(url, checked, self.gate, self.pipeline)
        Connection(registry.loop, registry.connections, checked, lifecycle, handlers).start()
        return handlers

    def _client_options(self, given: dict[str, Any]) -> ClientOptions:
        """Return the options; connections that are opened alike, one after another, share them."""
        before, options = self._latest_options
        if options is None or given != before:
            options = ClientOptions.of(given, "Reactor.connect()")
            self._latest_options = given, options
        return options

    def listen(
        self,
        host: str | None,
        port: int,
        protocol: Callable[[], P],
        sock: socket.socket | None,
        unix_path: str | os.PathLike[str] | None,
        options: dict[str, Any],
    ) -> Listener[P]:
        """See Reactor.listen()."""
        registry = self._registry
        registry.check_usable()
        check_factory(protocol)
        check_number("port", port, "an int from 0 to 65535")
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port!r}")
        checked = ServerOptions.of(options, "Reactor.listen()")
        if checked.ssl is not None and checked.sslkeylogfile is not None:
            log_keys(checked.ssl, os.fspath(checked.sslkeylogfile))
        bound, unlink = open_to_listen(
            host,
            port,
            sock,
            unix_path,
            backlog=checked.backlog,
            reuse_port=checked.reuse_port,
            unix_mode=checked.unix_mode,
        )
        listener = Listener(
            registry.loop,
            registry.connections,
            registry.listeners,
            bound,
            protocol,
            checked,
            unlink,
        )
        listener.start()
        return listener
