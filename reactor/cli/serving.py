"""The common part of the servers of the command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..transports.tls.contexts import make_server_context

__all__ = ["add_server_arguments", "raise_descriptor_limit", "serve"]


def add_server_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the arguments that every server needs."""
    parser.add_argument("--host", default="127.0.0.1", help="interface (default %(default)s)")
    parser.add_argument("--port", type=int, default=port, help="0: any (default %(default)s)")
    parser.add_argument("--certfile", help="PEM file with certificate and key: serve wss")
    parser.add_argument(
        "--compression", choices=["deflate"], help="compress for clients that offer it"
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="stop when standard input ends"
    )


def serve(
    loop: Reactor,
    arguments: argparse.Namespace,
    protocol: Callable[[], WebSocketProtocol],
    **options: Any,
) -> int:
    """Listen, print the address, and run until SIGTERM, Ctrl-C or (with the flag) end of stdin."""
    raise_descriptor_limit()
    options["compression"] = arguments.compression
    if arguments.certfile:
        options["ssl"] = make_server_context(arguments.certfile)
    try:
        listener = loop.listen(arguments.host, arguments.port, protocol, **options)
    except OSError as exc:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {exc}", file=sys.stderr)
        return 1
    scheme = "wss" if arguments.certfile else "ws"
    print(f"listening on {scheme}://{arguments.host}:{listener.port}", flush=True)
    loop.signal(signal.SIGTERM, loop.stop)
    if arguments.exit_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_stdin, loop)
    try:
        loop.run_forever()
    finally:
        loop.shutdown(timeout=1.0)
    return 0


def _on_stdin(loop: Reactor) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.stop()


def raise_descriptor_limit() -> None:
    """Raise this process's limit of file descriptors as far as the system allows."""
    try:
        import resource
    except ImportError:  # not on this platform
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
