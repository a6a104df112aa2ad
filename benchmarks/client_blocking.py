"""The blocking clients: no event loop, one connection, a message and its echo at a time."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from typing import Any

import common

MODULES = {
    "reactor": ("reactor", "reactor-websocket"),
    "websocket-client": ("websocket", "websocket-client"),
    "websockets": ("websockets.sync.client", "websockets"),
}


def echo(args: argparse.Namespace, send: Callable[[str], Any], receive: Callable[[], Any]) -> None:
    payload = "x" * args.size
    meter = common.Meter()
    for _ in range(args.messages):
        send(payload)
        assert len(receive()) == args.size
    meter.report(messages=args.messages)


def with_reactor(args: argparse.Namespace) -> None:
    import reactor

    connection = reactor.create_connection(args.url, timeout=10)
    echo(args, connection.send, connection.recv)
    connection.close()


def with_websocket_client(args: argparse.Namespace) -> None:
    """Without its UTF-8 check in pure Python: recv() decodes."""
    import websocket

    connection = websocket.create_connection(args.url, timeout=10, skip_utf8_validation=True)
    echo(args, connection.send, connection.recv)
    connection.close()


def with_websockets(args: argparse.Namespace) -> None:
    """It has a thread that reads."""
    from websockets.sync.client import connect

    with connect(args.url, compression=None, proxy=None, ping_interval=None) as connection:
        echo(args, connection.send, connection.recv)


LIBRARIES = {
    "reactor": with_reactor,
    "websocket-client": with_websocket_client,
    "websockets": with_websockets,
}


def main() -> None:
    library = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if library not in LIBRARIES:
        sys.exit(f"usage: client_blocking.py {'|'.join(LIBRARIES)} [OPTIONS]")
    module, package = MODULES[library]
    importlib.import_module(module)
    if library == "reactor":
        from reactor.protocols import frames

        common.require_compiled(frames.compiled)
    args = common.arguments(package)
    if args.scenario != "blocking" or args.connections != 1:
        sys.exit("only --scenario blocking, with --connections 1")
    LIBRARIES[library](args)


if __name__ == "__main__":
    main()
