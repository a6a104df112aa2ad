"""The entry point of the command line, and the list of commands.

Each command is a module with ``add_arguments(parser)`` and ``run(arguments) -> int``, imported only
when it is asked for: nobody is to wait for the others.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .arguments import Parser, fill_standard_streams, version

__all__ = ["COMMANDS", "load", "main"]

#: The commands, each a module here, and what they do: the first line of its docstring.
COMMANDS = {
    "collect": "Many topics as one Feed against a difficult service, with a table of what happens.",
    "dump": "Talk to WebSocket servers from the terminal: shows what comes, sends what is typed.",
    "echo": "A WebSocket server that sends every message back.",
    "exchange": "A WebSocket service of numbered updates, as difficult as the real ones.",
    "feed": "A WebSocket server that streams made-up trades to its subscribers.",
    "fleet": "Run a feed in many processes, on NATS JetStream: demo, start, shard, status, drain.",
    "replay": "A WebSocket server that says what another one has said, from a recording.",
    "run": "Many live subscriptions on one thread, with a table of what happens.",
    "top": "A reactor that serves its page (reactor.monitor.serve), live in the terminal.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status of the process.

    Args:
        argv: the arguments; default: those of the process.
    """
    fill_standard_streams()
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(prog="reactor", description="Any number of WebSockets on one thread.")
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        if name in argv:
            load(name).add_arguments(command)
    arguments = parser.parse_args(argv)
    try:
        status: int = load(arguments.command).run(arguments)
        return status
    except KeyboardInterrupt:
        return 130


def load(name: str) -> Any:
    """Import the module of a command."""
    return import_module(f".{name}", __package__)
