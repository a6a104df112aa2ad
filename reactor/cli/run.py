"""Many live subscriptions on one thread, with a table of what happens.

Starts the feed server (see feed.py) in a child process and subscribes to it many times; or,
with ``--url``, to a server of the user's. Ends after the given time with a summary, or later where
a busy machine is still opening connections then; Ctrl-C and SIGTERM end it earlier. The exit
status is 0 only when every subscription got messages.
"""

from __future__ import annotations

import argparse
import signal
from typing import Any

from ..client.options import ClientOptions
from ..exceptions import WebSocketException
from ..reactor import Reactor
from ..timers import Backoff
from .arguments import (
    add_tls_arguments,
    complain,
    duration,
    header,
    share,
    tls_options,
    whole,
)
from .arguments import url as a_url
from .board import LineBoard, facts, make_board
from .monitor import Monitor, Subscription
from .serving import child_server, raise_descriptor_limit

__all__ = ["add_arguments", "run"]

#: Descriptors that are needed beside those of the connections.
OTHER_DESCRIPTORS = 64

#: Seconds between two looks at whether connections are still being opened, when the time is over.
LOOK = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("-n", "--count", type=whole, default=1000, help="subscriptions")
    parser.add_argument("--duration", type=duration, default=10.0, help="seconds")
    parser.add_argument("--url", type=a_url, help="a server of your own, instead of the feed")
    parser.add_argument(
        "--subscribe",
        default='{"op": "subscribe", "channel": "trades", "symbol": "SYM%d"}',
        help="what to send when open; %%d becomes the subscription's number; empty: nothing "
        "(default: a subscription of the feed)",
    )
    parser.add_argument("--rate", type=share, default=5.0, help="trades a second for each")
    parser.add_argument("--drops", type=share, default=0.002, help="share dropped every second")
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


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    try:
        options: dict[str, Any] = {
            "sslopt": tls_options(arguments),
            "header": arguments.header,
            "origin": arguments.origin,
            "subprotocols": arguments.subprotocol,
        }
        ClientOptions(**options)  # so that what is wrong is told now
    except (WebSocketException, ValueError, TypeError) as exc:
        return complain(exc)
    limit = raise_descriptor_limit()
    needed = arguments.count + OTHER_DESCRIPTORS
    if limit is not None and limit < needed:
        return complain(
            f"argument --count: {arguments.count} connections need {needed} descriptors, of which "
            f"this process may open {limit} (see ulimit -Hn)"
        )
    board = make_board(arguments.json)
    if arguments.url:
        return _watch(arguments, arguments.url, options, board, limit)
    rates = ("--rate", str(arguments.rate), "--drops", str(arguments.drops))
    with child_server("feed", *rates) as url:
        return _watch(arguments, url, options, board, limit)


def _watch(
    arguments: argparse.Namespace,
    url: str,
    options: dict[str, Any],
    board: LineBoard,
    limit: int | None,
) -> int:
    with Reactor() as loop:
        loop.signal(signal.SIGTERM, loop.stop)
        monitor = Monitor(loop, arguments.count)
        board.begin(
            {
                **facts(limit),
                "url": url,
                "count": arguments.count,
                "duration": arguments.duration,
            }
        )
        ticker = None
        try:
            for number in range(arguments.count):
                loop.connect(
                    url,
                    Subscription(monitor, arguments.subscribe.replace("%d", f"{number:05d}")),
                    reconnect=Backoff(first=0.25, cap=5.0),
                    connect_timeout=30.0,
                    **options,
                )
            ticker = loop.call_every(1.0, lambda: board.show(monitor.row()))
            loop.call_later(arguments.duration, _end, loop, monitor)
            loop.run_forever()
        except KeyboardInterrupt:
            pass  # the summary is what one wants to see then
        finally:
            monitor.is_over = True
            if ticker is not None:
                ticker.cancel()
            board.end(monitor.summary())
        loop.shutdown(timeout=2.0)
    return 0 if monitor.served == arguments.count else 1


def _end(loop: Reactor, monitor: Monitor) -> None:
    """Stop, unless connections are still being opened: a busy machine takes longer."""
    if monitor.is_getting_on():
        loop.call_later(LOOK, _end, loop, monitor)
    else:
        loop.stop()
