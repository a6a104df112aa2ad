"""The `websocket-client` client: a WebSocketApp in a thread per connection.

Its UTF-8 check in pure Python is skipped, as its documentation advises for speed; the handler
decodes instead, so that here too the application gets a str.
"""

from __future__ import annotations

import argparse
import functools
import threading
from collections.abc import Callable
from typing import Any

import common
from websocket import WebSocketApp

KEEP_ALIVE: dict[str, Any] = {
    "ping_interval": common.PING_INTERVAL,
    "ping_timeout": common.PING_TIMEOUT,
}


class Run:
    """Counts, over all threads, what has been opened and finished."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.payload = "x" * args.size
        self.received = 0
        self.changed = threading.Condition()
        self.opened: list[WebSocketApp] = []
        self.finished = 0
        self.error: BaseException | None = None

    def on_open(self, app: WebSocketApp) -> None:
        with self.changed:
            self.opened.append(app)
            self.changed.notify()

    def finish(self, received: int) -> None:
        with self.changed:
            self.received += received
            self.finished += 1
            self.changed.notify()

    def on_error(self, app: WebSocketApp, error: BaseException) -> None:
        with self.changed:
            self.error = error
            self.changed.notify()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.error is not None)
        if self.error is not None:
            raise self.error

    def open(self, count: int, on_message: Callable[[], Any], **options: Any) -> None:
        """Open `count` connections, IN_FLIGHT at the same time."""
        before = len(self.opened)
        options.setdefault("skip_utf8_validation", True)
        options["sslopt"] = sslopt(self.args)
        for started in range(before, before + count):
            enough = started - common.IN_FLIGHT
            self.wait(functools.partial(self.has_opened, enough))
            app = WebSocketApp(
                self.args.url,
                on_open=self.on_open,
                on_message=on_message(),
                on_error=self.on_error,
            )
            threading.Thread(target=app.run_forever, kwargs=options, daemon=True).start()
        self.wait(functools.partial(self.has_opened, before + count - 1))

    def has_opened(self, count: int) -> bool:
        return len(self.opened) > count


def sslopt(args: argparse.Namespace) -> dict[str, Any]:
    return {"context": args.context} if args.tls else {}


def steady(args: argparse.Namespace, on_message: Callable[[Run], Any], first: str) -> None:
    run = Run(args)
    run.open(args.connections, lambda: on_message(run))
    meter = common.Meter()
    for app in run.opened:
        app.send(first)
    run.wait(lambda: run.finished == args.connections)
    meter.report(messages=run.received)
    common.check(run.received, args)


def echo(args: argparse.Namespace) -> None:
    def handler(run: Run) -> Callable[[WebSocketApp, bytes], None]:
        received = 0

        def on_message(app: WebSocketApp, data: bytes) -> None:
            nonlocal received
            assert len(data.decode()) == args.size
            received += 1
            if received < args.messages:
                app.send(run.payload)
            else:
                run.finish(received)

        return on_message

    steady(args, handler, "x" * args.size)


def fanin(args: argparse.Namespace) -> None:
    def handler(run: Run) -> Callable[[WebSocketApp, bytes], None]:
        received = 0

        def on_message(app: WebSocketApp, data: bytes) -> None:
            nonlocal received
            message = data.decode()
            if len(message) == args.size:
                received += 1
            else:
                assert message == common.END
                run.finish(received)

        return on_message

    steady(args, handler, "go")


def idle(args: argparse.Namespace) -> None:
    def on_message(app: WebSocketApp, data: bytes) -> None:
        raise AssertionError(f"nothing should arrive, {data!r} did")

    run = Run(args)
    run.open(1, lambda: on_message, **KEEP_ALIVE)
    meter = common.MemoryMeter()
    run.open(args.connections, lambda: on_message, **KEEP_ALIVE)
    meter.report(args.connections)


def open_and_close(args: argparse.Namespace) -> None:
    def connect(count: int) -> None:
        """`count` connections, one after another; IN_FLIGHT threads do this at the same time."""
        for _ in range(count):
            app = WebSocketApp(args.url, on_open=lambda app: app.close())
            app.run_forever(skip_utf8_validation=True, sslopt=sslopt(args))

    def batch(count: int) -> None:
        threads = [
            threading.Thread(target=connect, args=(count // common.IN_FLIGHT,))
            for _ in range(common.IN_FLIGHT)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    args.connections -= args.connections % common.IN_FLIGHT
    batch(common.IN_FLIGHT)
    meter = common.Meter()
    batch(args.connections)
    meter.report(connections=args.connections)


SCENARIOS = {"echo": echo, "fanin": fanin, "idle": idle, "connect": open_and_close}

if __name__ == "__main__":
    args = common.arguments("websocket-client")
    SCENARIOS[args.scenario](args)
