"""Many live subscriptions on one thread, with a table of what happens.

It starts the feed server (see feed.py) in a child process and subscribes to it many times; or,
with ``--url``, to a server of the user's. It ends after the given time with a summary. The exit
status is 0 only if every subscription received messages.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..base.printable import printable
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from ..timers import Backoff
from .serving import raise_descriptor_limit

__all__ = ["Monitor", "Subscription", "add_arguments", "run"]

#: The number of latencies kept for the percentiles of one line of the table.
MAX_SAMPLES = 20000


class Subscription(WebSocketProtocol):
    """One subscription: subscribes whenever it is open, and counts messages."""

    def __init__(self, monitor: Monitor, request: str) -> None:
        self.monitor = monitor
        self.request_text = request
        self.messages = 0

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self.monitor.opened()
        self.subscribe()

    def on_reconnect(self) -> None:
        """See WebSocketProtocol."""
        self.monitor.reconnects += 1
        self.subscribe()

    def subscribe(self) -> None:
        """Subscribe; again after every reconnect."""
        if self.request_text:
            self.send(self.request_text)

    def on_message(self, message: str | bytes) -> None:
        """See WebSocketProtocol."""
        self.messages += 1
        self.monitor.message(message)

    def on_ping(self, payload: bytes) -> None:
        """See WebSocketProtocol."""
        self.monitor.pings += 1

    def on_error(self, error: Exception) -> None:
        """See WebSocketProtocol."""
        self.monitor.last_error = printable(f"{type(error).__name__}: {error}")


class Monitor:
    """Counts, and prints a line every second and a summary at the end.

    Args:
        loop: the Reactor whose connections are watched.
        count: how many subscriptions there are.
    """

    def __init__(self, loop: Reactor, count: int) -> None:
        self.loop = loop
        self.count = count
        self.messages = 0
        self.pings = 0
        self.reconnects = 0
        self.last_error = ""
        self.max_threads = 0
        self._latencies: list[float] = []
        self._all_latencies: list[float] = []
        self._memory_before = _resident_bytes()
        self._opened = 0  # subscriptions that have been open
        self._memory_open = 0  # when the last one opened for the first time
        self._steady: tuple[float, float, int] | None = None  # at that time: time, CPU, messages
        self._started = loop.time()
        self._last = (loop.time(), 0)  # time and messages of the previous line
        self._ticker = loop.call_later(1.0, self._tick)
        print("   time    open  connecting  waiting     msg/s    p50 ms    p99 ms  reconnects")

    def opened(self) -> None:
        """A subscription is open for the first time; rates are measured after the last of these."""
        self._opened += 1
        if self._opened == self.count:
            self._steady = (self.loop.time(), time.process_time(), self.messages)
            self._memory_open = _resident_bytes()

    def message(self, message: str | bytes) -> None:
        """Count a message, and determine its age if it contains the time of sending."""
        self.messages += 1
        if len(self._latencies) < MAX_SAMPLES:
            try:
                sent = json.loads(message)["time"]
                self._latencies.append(time.time() - sent)
            except (ValueError, KeyError, TypeError):
                pass  # not one of the feed's trades

    def _tick(self) -> None:
        """Print a line, and do so again in a second."""
        self._ticker = self.loop.call_later(1.0, self._tick)
        now = self.loop.time()
        stats = self.loop.stats()
        self.max_threads = max(self.max_threads, _threads())
        rate = (self.messages - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, self.messages)
        p50, p99 = _percentiles(self._latencies)
        self._all_latencies += self._latencies[: max(0, 200000 - len(self._all_latencies))]
        self._latencies.clear()
        line = (
            f"{now - self._started:6.1f}s  {stats.open:6d}  {stats.connecting:10d}"
            f"  {stats.waiting:7d}  {rate:8.0f}  {p50:>8}  {p99:>8}  {self.reconnects:10d}"
        )
        print(line, flush=True)

    def summary(self, subscriptions: list[Subscription]) -> bool:
        """Print the summary; return whether every subscription received messages."""
        now = self.loop.time()
        served = sum(1 for subscription in subscriptions if subscription.messages)
        p50, p99 = _percentiles(self._all_latencies)
        self._ticker.cancel()
        print()
        print(f"subscriptions          {self.count}, of which {served} got messages")
        print(f"messages               {self.messages}")
        if self._steady is not None and self.messages > self._steady[2]:
            since, cpu, count = self._steady
            messages = self.messages - count
            used = time.process_time() - cpu
            print(f"messages per second    {messages / (now - since):.0f}")
            print(f"CPU per message        {used / messages * 1e6:.1f} us")
            memory = (self._memory_open - self._memory_before) / self.count / 1024
            print(f"memory per connection  {memory:.1f} KiB")
        else:
            print(f"{self._opened} were open at any time: no rates")
        print(f"latency                p50 {p50} ms, p99 {p99} ms")
        print(f"pings answered         {self.pings}")
        print(f"reconnects             {self.reconnects}")
        print(f"threads                {self.max_threads}")
        if self.last_error:
            print(f"last error             {self.last_error}")
        return served == self.count


def _percentiles(seconds: list[float]) -> tuple[str, str]:
    """The median and the 99th percentile, in milliseconds; "-" if there are no values."""
    if not seconds:
        return "-", "-"
    ordered = sorted(seconds)
    p50 = ordered[len(ordered) // 2]
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"{p50 * 1000:.2f}", f"{p99 * 1000:.2f}"


def _resident_bytes() -> int:
    """Memory of this process, in bytes; 0 if the system does not tell."""
    gc.collect()
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _threads() -> int:
    """Threads of this process, as counted by the system if possible."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


@contextmanager
def _feed_server(arguments: argparse.Namespace) -> Iterator[str]:
    """Run the feed server in a child process; yield its URL."""
    command = [sys.executable, "-m", "reactor", "feed", "--port", "0", "--exit-with-stdin"]
    command += ["--rate", str(arguments.rate), "--drops", str(arguments.drops)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            answer = child.stdout.readline()
            if not answer.startswith("listening on "):
                raise RuntimeError(f"the feed server did not start: {answer!r}")
            yield answer.split()[-1]
        finally:
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See main.py."""
    parser.add_argument("-n", "--count", type=int, default=1000, help="subscriptions")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds")
    parser.add_argument("--url", help="a server of your own, instead of the feed")
    parser.add_argument(
        "--subscribe",
        default='{"op": "subscribe", "channel": "trades", "symbol": "SYM%d"}',
        help="what to send when open; %%d becomes the subscription's number; empty: nothing",
    )
    parser.add_argument("--rate", type=float, default=5.0, help="trades per second for each")
    parser.add_argument("--drops", type=float, default=0.002, help="share dropped every second")


def run(arguments: argparse.Namespace) -> int:
    """See main.py."""
    if arguments.count < 1:
        print("--count must be 1 or more", file=sys.stderr)
        return 2
    raise_descriptor_limit()
    if arguments.url:
        return _watch(arguments, arguments.url)
    with _feed_server(arguments) as url:
        return _watch(arguments, url)


def _watch(arguments: argparse.Namespace, url: str) -> int:
    with Reactor() as loop:
        monitor = Monitor(loop, arguments.count)
        subscriptions = [
            loop.connect(
                url,
                Subscription(monitor, arguments.subscribe.replace("%d", f"{number:05d}")),
                reconnect=Backoff(first=0.25, cap=5.0),
                connect_timeout=30.0,
            )
            for number in range(arguments.count)
        ]
        loop.call_later(arguments.duration, loop.stop)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            pass  # the user wants to see the summary then
        served = monitor.summary(subscriptions)
        loop.shutdown(timeout=2.0)
    return 0 if served else 1
