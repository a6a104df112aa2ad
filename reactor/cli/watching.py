"""What the commands that watch many connections for a while have in common: ``run``, ``collect``.

What it is: their arguments and the checks of them, and the function that runs until the time is
over. What it must not know: what is watched, and how it is shown.
"""

from __future__ import annotations

import argparse
import signal
from collections import Counter
from typing import Any, Protocol

from ..base.printable import printable
from ..client.options import ClientOptions
from ..exceptions import WebSocketException
from ..monitor.page import serve
from ..reactor import Reactor
from .arguments import add_tls_arguments, complain, duration, header, port, tls_options, whole
from .arguments import url as a_url
from .board import LineBoard, Second, Summary, facts
from .serving import raise_descriptor_limit

__all__ = ["PATIENCE", "Causes", "Watched", "add_watch_arguments", "prepare", "watch"]

#: Descriptors that are needed beside those of the connections.
OTHER_DESCRIPTORS = 64

#: Seconds between two looks at whether connections are still being opened, when the time is over.
LOOK = 0.1

#: Seconds without progress after which it is not waited for any longer.
PATIENCE = 3.0

#: Kinds of failures that are told apart.
MAX_CAUSES = 100


class Watched(Protocol):
    """What is watched."""

    @property
    def is_complete(self) -> bool:
        """Whether everything has got what it was to get."""

    def is_getting_on(self) -> bool:
        """Whether more is still coming up, on a machine that is busy."""

    def second(self) -> Second:
        """Return what has happened since the last one."""

    def finish(self) -> None:
        """The time is over: what ends from now on does so by our wish."""

    def summary(self) -> Summary:
        """Return what came of it."""


class Causes:
    """Why connections have ended, and how often: in all, and since the last look."""

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._news: Counter[str] = Counter()

    def add(self, cause: str) -> None:
        """A connection, or an attempt, has ended without our wish."""
        cause = printable(cause)
        if cause not in self._all and len(self._all) >= MAX_CAUSES:
            cause = "other causes"
        self._all[cause] += 1
        self._news[cause] += 1

    def add_error(self, error: Exception) -> None:
        """The same; of a refused handshake, its status alone: the head has the time in it."""
        self.add(f"{type(error).__name__}: {error}".partition(" -+-+- ")[0])

    def all(self) -> list[tuple[str, int]]:
        """Return all of them, the most frequent ones first."""
        return self._all.most_common()

    def news(self) -> list[tuple[str, int]]:
        """Return those since this was last called."""
        news = self._news.most_common()
        self._news.clear()
        return news


def add_watch_arguments(parser: argparse.ArgumentParser, of_what: str, url: str) -> None:
    """Add what to watch, for how long, and with which options of a connection.

    Args:
        parser: of the command.
        of_what: what ``--count`` counts.
        url: the help for ``--url``.
    """
    parser.add_argument("-n", "--count", type=whole, default=1000, help=of_what)
    parser.add_argument("--duration", type=duration, default=10.0, help="seconds")
    parser.add_argument("--url", type=a_url, help=url)
    parser.add_argument(
        "-H",
        "--header",
        type=header,
        action="append",
        default=[],
        help="a further header of the request, 'Name: value'; may be repeated",
    )
    parser.add_argument("--origin", help="value of the Origin header")
    parser.add_argument("--subprotocol", action="append", default=[], help="to offer; repeatable")
    add_tls_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print an object of JSON a line")
    parser.add_argument(
        "--page", type=port, default=0, help="port of the page that shows all of it; 0: any"
    )


def prepare(arguments: argparse.Namespace, connections: int) -> tuple[dict[str, Any], int | None]:
    """Check the arguments, and have as many file descriptors as there may be.

    Args:
        arguments: those of :func:`add_watch_arguments`.
        connections: how many will be needed.

    Returns:
        The options of the connections, and how many descriptors this process may have open (None:
        any number).

    Raises:
        ValueError: Something is wrong; says what.
    """
    try:
        options: dict[str, Any] = {
            "sslopt": tls_options(arguments),
            "header": arguments.header,
            "origin": arguments.origin,
            "subprotocols": arguments.subprotocol,
        }
        ClientOptions(**options)
    except (WebSocketException, TypeError) as exc:
        raise ValueError(str(exc)) from exc
    limit = raise_descriptor_limit()
    needed = connections + OTHER_DESCRIPTORS
    if limit is not None and limit < needed:
        raise ValueError(
            f"argument --count: {connections} connections need {needed} descriptors, of which this "
            f"process may open {limit} (see ulimit -Hn)"
        )
    return options, limit


def watch(
    loop: Reactor,
    watched: Watched,
    board: LineBoard,
    arguments: argparse.Namespace,
    about: dict[str, Any],
) -> int:
    """Run until the time is over, or a signal comes; show what happens, and what came of it.

    Args:
        loop: where it lives.
        watched: what.
        board: where it is shown.
        arguments: those of :func:`add_watch_arguments`.
        about: ``url`` and ``descriptors``: see :meth:`LineBoard.begin`.

    While it runs, the page of reactor.monitor shows all of it in a browser, too.

    Returns:
        The exit status.
    """
    loop.signal(signal.SIGTERM, loop.stop)
    try:
        page = serve(loop, port=arguments.page).url
    except OSError as exc:
        return complain(f"argument --page: {exc}")
    about = {**facts(about["descriptors"]), **about, "page": page}
    board.begin({**about, "count": arguments.count, "duration": arguments.duration})
    ticker = loop.call_every(1.0, lambda: board.show(watched.second()))
    loop.call_later(arguments.duration, _end, loop, watched)
    try:
        loop.run_forever()
    except KeyboardInterrupt:
        pass  # the summary is what one wants to see then
    finally:
        watched.finish()
        ticker.cancel()
        board.end(watched.summary())
    return 0 if watched.is_complete else 1


def _end(loop: Reactor, watched: Watched) -> None:
    """Stop, unless more is still coming up: a busy machine takes longer."""
    if watched.is_getting_on():
        loop.call_later(LOOK, _end, loop, watched)
    else:
        loop.stop()
