"""Our client, on its native API: a WebSocketProtocol per connection, one Reactor.

Compiled, unless the environment variable REACTOR_PURE_PYTHON is set.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from typing import Any

import common

from reactor import Reactor, WebSocketProtocol
from reactor.protocols import frames

PLAIN: dict[str, Any] = {"ping_interval": None}
KEEP_ALIVE: dict[str, Any] = {
    "ping_interval": common.PING_INTERVAL,
    "ping_timeout": common.PING_TIMEOUT,
}


class Bench:
    """Opens connections, IN_FLIGHT at the same time, and counts what comes of them."""

    def __init__(self, args: argparse.Namespace, protocol: type[Client], **options: Any) -> None:
        self.args = args
        self.factory = functools.partial(protocol, self)
        self.options = options
        if args.tls:
            self.options["sslopt"] = {"context": args.context}
        if args.deflate:
            self.options["compression"] = "deflate"
        self.loop = Reactor()
        self.size = args.size
        self.messages = args.messages
        self.payloads = common.payloads(args)
        self.clients: list[Client] = []
        self.received = self.resumed = 0
        self.left_to_start = self.left_to_open = self.left_to_finish = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run until `stop`, and raise what went wrong."""
        self.loop.run_forever()
        if self.error is not None:
            raise self.error

    def open(self, count: int, when_open: Callable[[], None]) -> None:
        """Open further connections; `clients` has those of the latest call."""
        self.clients = []
        self.left_to_start = self.left_to_open = count
        self.when_open = when_open
        for _ in range(min(count, common.IN_FLIGHT)):
            self.start_next()

    def start_next(self) -> None:
        if self.left_to_start > 0:
            self.left_to_start -= 1
            self.loop.connect(self.args.url, self.factory, **self.options)

    def opened(self, client: Client) -> None:
        self.clients.append(client)
        self.start_next()
        self.left_to_open -= 1
        if self.left_to_open == 0:
            self.loop.call_soon(self.when_open)

    def finished(self) -> None:
        self.left_to_finish -= 1
        if self.left_to_finish == 0:
            self.stop()

    def stop(self) -> None:
        self.loop.stop()

    def failed(self, error: BaseException) -> None:
        self.error = self.error or error
        self.stop()


class Client(WebSocketProtocol):
    """What the scenarios share. Nothing may end before the benchmark does."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench

    def on_open(self) -> None:
        self.bench.opened(self)

    def on_message(self, message: str | bytes) -> None:
        raise AssertionError(f"nothing should arrive, {message!r} did")

    def on_error(self, error: BaseException) -> None:
        self.bench.failed(error)

    def on_close(self, code: int | None, reason: str) -> None:
        self.bench.failed(ConnectionError(f"closed: {code} {reason}"))


class Echo(Client):
    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.count = 0

    def on_message(self, message: str | bytes) -> None:
        bench = self.bench
        assert len(message) == bench.size
        self.count += 1
        if self.count < bench.messages:
            self.send(next(bench.payloads))
        else:
            bench.received += self.count
            bench.finished()


class FanIn(Client):
    def on_message(self, message: str | bytes) -> None:
        bench = self.bench
        if len(message) == bench.size:
            bench.received += 1
        else:
            assert message == common.END
            bench.finished()


class ShortLived(Client):
    """Opens and closes; then the next one starts."""

    def on_open(self) -> None:
        if self.bench.args.tls:
            self.bench.resumed += self.sock.session_reused
        self.close()

    def on_close(self, code: int | None, reason: str) -> None:
        bench = self.bench
        bench.start_next()
        bench.left_to_open -= 1
        if bench.left_to_open == 0:
            bench.loop.call_soon(bench.when_open)


def steady(args: argparse.Namespace, protocol: type[Client], first: Callable[[Bench], str]) -> None:
    bench = Bench(args, protocol, **PLAIN)
    meter: common.Meter

    def start() -> None:
        nonlocal meter
        bench.left_to_finish = args.connections
        meter = common.Meter()
        for client in bench.clients:
            client.send(first(bench))

    if args.idle:
        bench.open(args.idle, bench.stop)
        bench.run()
    bench.open(args.connections, start)
    bench.run()
    meter.report(messages=bench.received)
    common.check(bench.received, args)


def echo(args: argparse.Namespace) -> None:
    steady(args, Echo, lambda bench: next(bench.payloads))


def fanin(args: argparse.Namespace) -> None:
    steady(args, FanIn, lambda bench: "go")


def idle(args: argparse.Namespace) -> None:
    bench = Bench(args, Client, **KEEP_ALIVE)
    bench.open(1, bench.stop)
    bench.run()
    meter = common.MemoryMeter()
    bench.open(args.connections, bench.stop)
    bench.run()
    meter.report(args.connections)


def idle_cpu(args: argparse.Namespace) -> None:
    bench = Bench(args, Client, **KEEP_ALIVE)
    bench.open(args.connections, bench.stop)
    bench.run()
    bench.loop.call_later(common.SETTLE, bench.stop)
    bench.run()
    meter = common.Meter()
    bench.loop.call_later(args.seconds, bench.stop)
    bench.run()
    meter.report(connections=args.connections)


def open_and_close(args: argparse.Namespace) -> None:
    bench = Bench(args, ShortLived, **PLAIN)
    bench.open(common.IN_FLIGHT, bench.stop)
    bench.run()
    meter = common.Meter()
    bench.resumed = 0
    bench.open(args.connections, bench.stop)
    bench.run()
    meter.report(connections=args.connections)
    if bench.resumed != (args.connections if args.resume else 0):
        sys.exit(f"{bench.resumed} of {args.connections} TLS sessions were resumed")


SCENARIOS = {
    "echo": echo,
    "fanin": fanin,
    "idle": idle,
    "idle-cpu": idle_cpu,
    "connect": open_and_close,
}

if __name__ == "__main__":
    common.require_compiled(frames.compiled)
    args = common.arguments("reactor-websocket")
    SCENARIOS[args.scenario](args)
