"""Arguments of the command line: how they are checked, and how it is told that one is wrong.

What it is: a parser whose errors are one line, and the types of arguments. What it must not know:
the commands.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..client.url import parse_url
from ..protocols.http.headers import check_header

__all__ = [
    "USAGE_ERROR",
    "Parser",
    "add_tls_arguments",
    "at_least",
    "complain",
    "duration",
    "file",
    "fill_standard_streams",
    "header",
    "limit",
    "port",
    "seconds",
    "share",
    "tls_options",
    "url",
    "version",
    "whole",
]

#: The exit status for what is wrong in the arguments.
USAGE_ERROR = 2


def fill_standard_streams() -> None:
    """Open the null device in place of standard streams that were closed, as some daemons do."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the whole run


def complain(text: object) -> int:
    """Print one line to standard error; return the exit status for a wrong argument."""
    print(f"reactor: {' '.join(str(text).split())}", file=sys.stderr)
    return USAGE_ERROR


class _Help(argparse.HelpFormatter):
    """Shows the defaults of options that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        default = action.default
        shown = default not in (None, "", [], argparse.SUPPRESS) and default is not False
        if text and shown and action.option_strings and "(default" not in text:
            text += " (default: %(default)s)"
        return text


class Parser(argparse.ArgumentParser):
    """A parser that shows defaults, and says in one line what is wrong."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", _Help)
        super().__init__(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line, and exit with status 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def version() -> str:
    """Return what ``--version`` prints."""
    from .. import __version__

    return f"reactor {__version__}"


# --- types ----------------------------------------------------------------------------------------


def _number(text: str, kind: type[int] | type[float], expected: str) -> Any:
    try:
        value = kind(text)
        if math.isfinite(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"must be {expected}, not {text!r}")


def at_least(least: float, expected: str, *, above: bool = False) -> Any:
    """Return a type for numbers from *least* on, or *above* it."""

    def number(text: str) -> float:
        value: float = _number(text, float, expected)
        if value < least or (above and value == least):
            raise argparse.ArgumentTypeError(f"must be {expected}, not {text!r}")
        return value

    return number


#: A number of seconds, and one that is not 0.
seconds = at_least(0.0, "0 or more seconds")
duration = at_least(0.0, "more than 0 seconds", above=True)


def share(text: str) -> float:
    """A share of a whole."""
    value: float = _number(text, float, "a number of 0 or more")
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a number of 0 or more, not {text!r}")
    return value


def whole(text: str) -> int:
    """A number of things, of which there is one at least."""
    value: int = _number(text, int, "a whole number of 1 or more")
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return value


def limit(text: str) -> int:
    """The largest number of something; 0: any number."""
    value: int = _number(text, int, "a whole number of 0 or more")
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of 0 or more, not {text!r}")
    return value


def port(text: str) -> int:
    """A TCP port; 0: any."""
    value: int = _number(text, int, "a port from 0 to 65535")
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text!r}")
    return value


def url(text: str) -> str:
    """A ws:// or wss:// URL."""
    try:
        parse_url(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r}: {exc}") from None
    return text


def file(text: str) -> str:
    """A file that can be read."""
    try:
        with open(text, "rb"):
            return text
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else str(exc)
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: {reason}") from None


def header(text: str) -> str:
    """A line of a header."""
    name, colon, value = text.partition(":")
    try:
        if not colon:
            raise ValueError("it has no colon")
        check_header(name.strip(), value.strip())
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is no 'Name: value': {exc}") from None
    return text


# --- TLS of clients -------------------------------------------------------------------------------


def add_tls_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a server is verified, and what it is shown."""
    parser.add_argument("--cafile", type=file, help="PEM file of the authorities to trust")
    parser.add_argument("--cert", type=file, help="PEM file with a client's certificate")
    parser.add_argument("--key", type=file, help="PEM file with its key, if that is another file")
    parser.add_argument("--insecure", action="store_true", help="accept any certificate")


def tls_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the ``sslopt`` that these arguments mean, after a trial of their files.

    Raises:
        WebSocketTLSOptionException: A file cannot be used, or they do not fit; says why.
    """
    import ssl

    from ..transports.tls.contexts import make_context

    given: Sequence[tuple[str, Any]] = (
        ("ca_certs", arguments.cafile),
        ("certfile", arguments.cert),
        ("keyfile", arguments.key),
    )
    options: dict[str, Any] = {name: value for name, value in given if value is not None}
    if arguments.insecure:
        options |= {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    if options:
        make_context(options)
    return options
