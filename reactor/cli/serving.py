"""The common part of the servers of the command line, and of the commands that start one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..exceptions import WebSocketTLSOptionException
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..transports.tls.contexts import make_server_context
from .arguments import complain, file
from .arguments import port as a_port

__all__ = ["add_server_arguments", "child_server", "raise_descriptor_limit", "serve"]


def add_server_arguments(parser: argparse.ArgumentParser, port: int) -> None:
    """Add what every server needs to know."""
    parser.add_argument("--host", default="127.0.0.1", help="interface")
    parser.add_argument("--port", type=a_port, default=port, help="0: any")
    parser.add_argument(
        "--certfile", type=file, help="PEM file with certificate and key: serve wss"
    )
    parser.add_argument(
        "--keyfile", type=file, help="PEM file with the key, if that is another file"
    )
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
    """Listen, say where, and run until SIGTERM, Ctrl-C or (if asked for) the end of stdin."""
    if arguments.keyfile and not arguments.certfile:
        return complain("argument --keyfile: needs --certfile")
    raise_descriptor_limit()
    options["compression"] = arguments.compression
    try:
        if arguments.certfile:
            options["ssl"] = make_server_context(arguments.certfile, arguments.keyfile)
    except WebSocketTLSOptionException as exc:
        return complain(f"argument --certfile: {exc}")
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


@contextmanager
def child_server(command: str, *arguments: str) -> Iterator[str]:
    """Run a server of the command line in a child process, on any port.

    Args:
        command: "feed" or "exchange".
        arguments: its further arguments.

    Yields:
        Its URL.

    Raises:
        RuntimeError: the server did not start.
    """
    program = [sys.executable, "-m", "reactor", command, "--port", "0", "--exit-with-stdin"]
    with subprocess.Popen(
        [*program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which still needs the server then
    ) as child:
        try:
            assert child.stdout is not None
            answer = child.stdout.readline()
            if not answer.startswith("listening on "):
                raise RuntimeError(f"the {command} server did not start: {answer!r}")
            yield answer.split()[-1]
        finally:
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def raise_descriptor_limit() -> int | None:
    """Let this process have as many file descriptors as the system allows it.

    Returns:
        How many that are; None: nobody knows.
    """
    try:
        import resource
    except ImportError:  # not on this platform
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS: more than the kernel gives to a process
        return soft
    return None if hard == resource.RLIM_INFINITY else hard
