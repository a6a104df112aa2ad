"""The entry point of the command line, and the list of commands.

Each command is a module with ``add_arguments(parser)`` and ``run(arguments) -> int``.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import collect, dump, echo, exchange, feed, fleet, run
from .arguments import Parser, version

__all__ = ["main"]

COMMANDS = {
    "collect": collect,
    "dump": dump,
    "echo": echo,
    "exchange": exchange,
    "feed": feed,
    "fleet": fleet,
    "run": run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status of the process.

    Args:
        argv: the arguments; default: those of the process.
    """
    parser = Parser(prog="reactor", description="Any number of WebSockets on one thread.")
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        description = (module.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(name, help=description, description=description)
        module.add_arguments(command)
    arguments = parser.parse_args(argv)
    try:
        status: int = COMMANDS[arguments.command].run(arguments)
        return status
    except KeyboardInterrupt:
        return 130
