"""What ``reactor run`` knows of its subscriptions: counts, rates, latencies, causes of failures.

What it is: the protocol object of a subscription, and the one object that all of them tell. What it
must not know: how it is shown (board.py).
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass

from ..base.printable import printable
from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor

__all__ = ["Monitor", "Row", "Subscription"]

#: Latencies kept for the percentiles of one line of the table, and of the summary.
MAX_SAMPLES = 20_000
MAX_ALL_SAMPLES = 200_000

#: Kinds of failures that are told apart.
MAX_CAUSES = 100

#: Seconds without progress after which it is not waited for any longer.
PATIENCE = 3.0


@dataclass(frozen=True)
class Row:
    """What is going on in this second.

    Attributes:
        seconds: since the start.
        open, connecting, waiting: how many connections are in these states.
        rate: messages in a second.
        p50, p99: milliseconds that messages were on their way; None: nobody knows.
        reconnects: how often a connection came back, in all.
        causes: why connections have ended, and how often, in all; the most frequent ones first.
        news: the same, for the time since the last row.
    """

    seconds: float
    open: int
    connecting: int
    waiting: int
    rate: float
    p50: float | None
    p99: float | None
    reconnects: int
    causes: list[tuple[str, int]]
    news: list[tuple[str, int]]


class Subscription(WebSocketProtocol):
    """One subscription: subscribes whenever it is open, and counts what comes."""

    def __init__(self, monitor: Monitor, request: str) -> None:
        self.monitor = monitor
        self.request_text = request
        self.messages = 0

    def on_open(self) -> None:
        """Subscribe."""
        self.monitor.opened()
        self.subscribe()

    def on_reconnect(self) -> None:
        """Subscribe again."""
        self.monitor.reconnects += 1
        self.subscribe()

    def subscribe(self) -> None:
        """Ask for the messages; anew after every reconnect."""
        if self.request_text:
            self.send(self.request_text)

    def on_message(self, message: str | bytes) -> None:
        """Count it."""
        self.messages += 1
        self.monitor.message(message, first=self.messages == 1)

    def on_ping(self, payload: bytes) -> None:
        """Count it."""
        self.monitor.pings += 1

    def on_error(self, error: Exception) -> None:
        """Nothing: on_close tells it."""

    def on_close(self, code: int, reason: str) -> None:
        """Tell why."""
        error = self.ending.error if self.ending else None
        if error is not None:
            self.monitor.ended(f"{type(error).__name__}: {error}")
        else:
            self.monitor.ended(f"closed with {code} {reason}".rstrip())


class Monitor:
    """Counts.

    Args:
        loop: whose connections are watched.
        count: how many subscriptions there are.

    Attributes:
        messages, pings, reconnects, served: how many there were; *served*: subscriptions that have
            got a message.
        max_threads: the most threads that were seen.
    """

    def __init__(self, loop: Reactor, count: int) -> None:
        self.loop = loop
        self.count = count
        self.messages = 0
        self.pings = 0
        self.reconnects = 0
        self.served = 0
        self.max_threads = 0
        self.is_over = False
        self._causes: Counter[str] = Counter()
        self._news: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._all_latencies: list[float] = []
        self._memory_before = _resident_bytes()
        self._opened = 0  # subscriptions that have been open
        self._memory_open = 0  # when the last one was open for the first time
        self._steady: tuple[float, float, int] | None = None  # then: time, CPU, messages
        self._started = self._progress = loop.time()
        self._last = (loop.time(), 0)  # time and messages of the previous row

    # -- what subscriptions tell -----------------------------------------------------------------

    def opened(self) -> None:
        """A subscription is open for the first time; the rates are taken from the last one on."""
        self._opened += 1
        self._progress = self.loop.time()
        if self._opened == self.count:
            self._steady = (self.loop.time(), time.process_time(), self.messages)
            self._memory_open = _resident_bytes()

    def message(self, message: str | bytes, first: bool) -> None:
        """A message came: count it, and see how old it is if it says when it was sent."""
        self.messages += 1
        if first:
            self.served += 1
            self._progress = self.loop.time()
        if len(self._latencies) < MAX_SAMPLES:
            try:
                sent = json.loads(message)["time"]
                self._latencies.append(time.time() - sent)
            except (ValueError, KeyError, TypeError):
                pass  # not one of the feed's trades

    def ended(self, cause: str) -> None:
        """A connection, or an attempt, has ended without our wish."""
        if self.is_over:
            return
        cause = printable(cause)
        if cause not in self._causes and len(self._causes) >= MAX_CAUSES:
            cause = "other causes"
        self._causes[cause] += 1
        self._news[cause] += 1

    # -- what there is to show -------------------------------------------------------------------

    def is_getting_on(self) -> bool:
        """Whether subscriptions are still coming up, on a machine that is busy."""
        all_there = self._opened == self.count == self.served
        return not all_there and self.loop.time() - self._progress < PATIENCE

    def row(self) -> Row:
        """Return what has happened since the last row."""
        now = self.loop.time()
        stats = self.loop.stats()
        self.max_threads = max(self.max_threads, _threads())
        rate = (self.messages - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, self.messages)
        p50, p99 = _percentiles(self._latencies)
        self._all_latencies += self._latencies[: max(0, MAX_ALL_SAMPLES - len(self._all_latencies))]
        self._latencies.clear()
        news = self._news.most_common()
        self._news.clear()
        return Row(
            round(now - self._started, 3),
            stats.open,
            stats.connecting,
            stats.waiting,
            round(rate, 1),
            p50,
            p99,
            self.reconnects,
            self._causes.most_common(),
            news,
        )

    def summary(self) -> dict[str, object]:
        """Return what came of it, by name; None: nobody knows."""
        p50, p99 = _percentiles(self._all_latencies + self._latencies)
        rates: dict[str, object] = dict.fromkeys(
            ("messages_per_second", "cpu_per_message_us", "memory_per_connection_kib")
        )
        if self._steady is not None and self.messages > self._steady[2]:
            since, cpu, count = self._steady
            messages = self.messages - count
            memory = (self._memory_open - self._memory_before) / self.count / 1024
            rates = {
                "messages_per_second": round(messages / max(self.loop.time() - since, 1e-9)),
                "cpu_per_message_us": round((time.process_time() - cpu) / messages * 1e6, 1),
                "memory_per_connection_kib": round(memory, 1),
            }
        return {
            "subscriptions": self.count,
            "opened": self._opened,
            "served": self.served,
            "messages": self.messages,
            **rates,
            "p50_ms": p50,
            "p99_ms": p99,
            "pings_answered": self.pings,
            "reconnects": self.reconnects,
            "threads": max(self.max_threads, _threads()),
            "causes": dict(self._causes.most_common()),
        }


def _percentiles(seconds: list[float]) -> tuple[float | None, float | None]:
    """Return the median and the 99th percentile, in milliseconds."""
    if not seconds:
        return None, None
    seconds = sorted(seconds)
    middle, high = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    return round(middle * 1000, 1), round(high * 1000, 1)


def _resident_bytes() -> int:
    """Memory of this process, in bytes; 0 where the system does not say."""
    gc.collect()
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _threads() -> int:
    """Threads of this process, by the system's count where it has one."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()
