"""Run a feed in many processes, on NATS JetStream: demo, start, shard, status, drain.

``reactor fleet demo`` shows it all, and tears it down. ``reactor fleet start`` makes a fleet and
runs it on this machine until SIGTERM; with ``--placement external`` it only says what is wanted,
and ``reactor fleet shard``, run by systemd or Kubernetes, is one process of it. ``status`` shows
all shards; ``drain`` moves them off a machine.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..exceptions import WebSocketException
from ..monitor.fleet import serve_fleet
from .arguments import complain, limit, share, whole
from .arguments import url as a_url

if TYPE_CHECKING:
    from ..fleet import Coordinator, FleetStats, Sink

__all__ = ["add_arguments", "run"]

_CANNOT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    start = commands.add_parser("start", help="make a fleet, and run it")
    shard = commands.add_parser("shard", help="run one shard: any that is free")
    status = commands.add_parser("status", help="show all shards")
    drain = commands.add_parser("drain", help="have no shards on a machine")
    for one in (start, shard):
        one.add_argument("--feed", required=True, type=a_feed, help="MODULE:CLASS")
        one.add_argument("--url", required=True, type=a_url, help="of the service")
        one.add_argument("--batch", type=whole, help="updates in a message (default: one)")
        one.add_argument(
            "--sink", type=a_sink, help="MODULE:NAME, where updates go (default: JetStream)"
        )
    for one in (start, shard, status, drain):
        needed = one is not start
        one.add_argument(
            "--nats",
            action="append",
            required=needed and not os.environ.get("REACTOR_NATS"),
            help="URL; may be repeated (default: REACTOR_NATS"
            + ("" if needed else ", or a server of its own")
            + ")",
        )
        one.add_argument("--name", default="fleet", help="of the fleet")
    demo = commands.add_parser("demo", help="a fleet whose shards are killed, and what is lost")
    demo.add_argument("-n", "--count", type=whole, default=200, help="topics")
    demo.add_argument("--rate", type=share, default=20.0, help="updates a second of each topic")
    demo.add_argument("--shards", type=whole, default=2, help="processes")
    demo.add_argument(
        "--placement", choices=["local", "ray"], default="local", help="who starts the processes"
    )
    start.add_argument("--topics", action="append", default=[], help="FILE with one in a line; -")
    start.add_argument("--shards", type=whole, help="processes (default: one for each core)")
    start.add_argument(
        "--monitor", type=limit, metavar="PORT", help="serve a page and /metrics; 0: any free port"
    )
    start.add_argument("--store", help="FOLDER of a nats-server of its own")
    start.add_argument(
        "--placement",
        choices=["local", "external", "ray"],
        default="local",
        help="who starts the processes",
    )
    shard.add_argument("--shard", type=int, help="its number (default: any that is free)")
    shard.add_argument(
        "--holder",
        default=os.environ.get("REACTOR_HOLDER"),
        help="a name of which one process runs at a time, such as that of a pod: after a restart "
        "it does not wait for its own lease (default: REACTOR_HOLDER)",
    )
    status.add_argument("--json", action="store_true", help="as JSON")
    drain.add_argument("node", help="as status shows it")
    drain.add_argument("--undo", action="store_true", help="have shards there again")


def a_feed(text: str) -> Callable[..., Any]:
    """A class that can be imported; the working directory counts."""
    found = _imported(text, "MODULE:CLASS")
    if not callable(found):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a class nor a function")
    return found  # type: ignore[no-any-return]


def a_sink(text: str) -> Sink:
    """A sink that can be imported, the same way."""
    from ..fleet import Sink

    found = _imported(text, "MODULE:NAME")
    if not isinstance(found, Sink):
        raise argparse.ArgumentTypeError(f"{text!r} is no sink, such as Lines('folder')")
    return found


def _imported(text: str, form: str) -> Any:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise argparse.ArgumentTypeError(f"must be {form}, not {text!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as exc:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be imported: {exc}") from None
    return found


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    if importlib.util.find_spec("nats") is None:
        return complain("the command fleet needs: pip install 'reactor-websocket[fleet]'")
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("reactor.fleet").setLevel(logging.INFO)
    try:
        return _COMMANDS[arguments.what](arguments)
    except (WebSocketException, OSError, ValueError) as exc:
        print(f"reactor: {exc}", file=sys.stderr)
        return _CANNOT


def _servers(arguments: argparse.Namespace) -> list[str]:
    environment = os.environ.get("REACTOR_NATS", "")
    return arguments.nats or [one for one in environment.split(",") if one]


def _spec(arguments: argparse.Namespace, **more: Any) -> Any:
    from ..fleet import JetStream, ShardSpec

    if arguments.sink is not None and arguments.batch is not None:
        raise ValueError("--batch is for JetStream, not for another sink")
    sink = arguments.sink or JetStream(batch=arguments.batch)
    servers = _servers(arguments)
    return ShardSpec(arguments.name, arguments.feed, arguments.url, servers, sink, **more)


def _start(arguments: argparse.Namespace) -> int:
    from ..fleet import Coordinator, External, Local, Placement

    kinds: dict[str, Callable[[], Placement]] = {"local": Local, "external": External}
    if arguments.placement == "ray":
        from ..fleet.placements.ray import Ray

        kinds["ray"] = Ray
    topics: list[str] = []
    for name in arguments.topics:
        with open(0 if name == "-" else name, encoding="utf-8") as lines:
            topics += [line.strip() for line in lines if line.strip()]
    coordinator = Coordinator(_spec(arguments), kinds[arguments.placement](), arguments.store)

    async def main() -> int:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        shards = arguments.shards or os.cpu_count() or 1
        await coordinator.start(topics, shards)
        print(f"{shards} shards on NATS {coordinator.spec.servers}", flush=True)
        try:
            with ExitStack() as stack:
                if arguments.monitor is not None:
                    page = stack.enter_context(serve_fleet(coordinator, port=arguments.monitor))
                    print(f"look at {page.url}", flush=True)
                await over.wait()
        finally:
            await coordinator.stop()
        return 0

    return asyncio.run(main())


def _shard(arguments: argparse.Namespace) -> int:
    from ..fleet.shard import run_shard

    return run_shard(_spec(arguments, shard=arguments.shard, holder=arguments.holder))


def _with(arguments: argparse.Namespace, what: Callable[[Coordinator], Any]) -> Any:
    """Do something with a fleet that runs."""
    from ..feeds import Feed
    from ..fleet import Coordinator, External, ShardSpec

    coordinator = Coordinator(ShardSpec(arguments.name, Feed, "", _servers(arguments)), External())

    async def main() -> Any:
        try:
            await coordinator.open(create=False)
            return await what(coordinator)
        finally:
            await coordinator.close()

    return asyncio.run(main())


def _status(arguments: argparse.Namespace) -> int:
    stats: FleetStats = _with(arguments, lambda coordinator: coordinator.stats())
    if arguments.json:
        from dataclasses import asdict

        print(json.dumps(asdict(stats)))
    else:
        _show(stats)
    return 0 if all(shard.state == "running" for shard in stats.shards) else _CANNOT


def _show(stats: FleetStats) -> None:
    columns = ("live", "links", "updates", "stored", "pending", "buffered", "dropped", "gaps")
    print(
        "shard  state     node              pid  epoch  topics"
        + "".join(f"{c:>10}" for c in columns)
    )
    for one in stats.shards:
        figures = "".join(f"{int(one.figures.get(name, 0)):10d}" for name in columns)
        print(
            f"{one.shard:5d}  {one.state:8}  {one.node:14.14} {one.pid:6d}  {one.epoch:5d}"
            f"  {one.topics:6d}{figures}"
        )


def _drain(arguments: argparse.Namespace) -> int:
    _with(arguments, lambda coordinator: coordinator.drain(arguments.node, not arguments.undo))
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from .fleet_demo import run as run_demo

    return run_demo(arguments)


_COMMANDS = {"start": _start, "shard": _shard, "status": _status, "drain": _drain, "demo": _demo}
