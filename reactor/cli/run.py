"""Many live subscriptions on one thread, with a table of what happens.

Starts the feed server (see feed.py) in a child process and subscribes to it many times; or,
with ``--url``, to a server of the user's. Ends after the given time with a summary, or later where
a busy machine is still opening connections then; Ctrl-C and SIGTERM end it earlier. The exit
status is 0 only when every subscription got messages.
"""

from __future__ import annotations

import argparse
from typing import Any

from ..reactor import Reactor
from ..timers import Backoff
from .arguments import complain, share
from .board import make_board
from .monitor import Monitor, Subscription
from .serving import child_server
from .watching import add_watch_arguments, prepare, watch

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    add_watch_arguments(parser, "subscriptions", "a server of your own, instead of the feed")
    parser.add_argument(
        "--subscribe",
        default='{"op": "subscribe", "channel": "trades", "symbol": "SYM%d"}',
        help="what to send when open; %%d becomes the subscription's number; empty: nothing "
        "(default: a subscription of the feed)",
    )
    parser.add_argument("--rate", type=share, default=5.0, help="trades a second for each")
    parser.add_argument("--drops", type=share, default=0.002, help="share dropped every second")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    try:
        options, limit = prepare(arguments, connections=arguments.count)
    except ValueError as exc:
        return complain(exc)
    if arguments.url:
        return _subscribe(arguments, arguments.url, options, limit)
    rates = ("--rate", str(arguments.rate), "--drops", str(arguments.drops))
    with child_server("feed", *rates) as url:
        return _subscribe(arguments, url, options, limit)


def _subscribe(
    arguments: argparse.Namespace, url: str, options: dict[str, Any], limit: int | None
) -> int:
    with Reactor() as loop:
        monitor = Monitor(loop, arguments.count)
        loop.call_soon(_connect, loop, monitor, url, arguments.subscribe, options)
        about = {"url": url, "descriptors": limit}
        status = watch(loop, monitor, make_board(arguments.json), arguments, about)
        loop.shutdown(timeout=2.0)
    return status


def _connect(
    loop: Reactor, monitor: Monitor, url: str, request: str, options: dict[str, Any]
) -> None:
    for number in range(monitor.count):
        loop.connect(
            url,
            Subscription(monitor, request.replace("%d", f"{number:05d}")),
            reconnect=Backoff(first=0.25, cap=5.0),
            connect_timeout=30.0,
            **options,
        )
