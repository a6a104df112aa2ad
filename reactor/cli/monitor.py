"""What ``reactor run`` knows of its subscriptions: counts, rates, latencies, causes of failures.

What it is: the protocol object of a subscription, and the one object that all of them tell. What it
must not know: where it is shown (board.py).
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time

from ..protocols.websocket import WebSocketProtocol
from ..reactor import Reactor
from .board import Second, Summary
from .watching import PATIENCE, Causes

__all__ = ["Monitor", "Subscription"]

#: Latencies kept for the percentiles of one line of the table, and of the summary.
MAX_SAMPLES = 20_000
MAX_ALL_SAMPLES = 200_000


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
        self.monitor.ended(f"closed with {code} {reason}".rstrip() if error is None else error)


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
        self._is_over = False
        self._causes = Causes()
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

    def ended(self, cause: str | Exception) -> None:
        """A connection, or an attempt, has ended without our wish."""
        if self._is_over:
            return
        if isinstance(cause, str):
            self._causes.add(cause)
        else:
            self._causes.add_error(cause)

    # -- what there is to show: see watching.py ---------------------------------------------------

    @property
    def is_complete(self) -> bool:
        """Whether every subscription got messages."""
        return self.served == self.count

    def is_getting_on(self) -> bool:
        """Whether subscriptions are still coming up, on a machine that is busy."""
        all_there = self._opened == self.count == self.served
        return not all_there and self.loop.time() - self._progress < PATIENCE

    def finish(self) -> None:
        """What ends from now on does so by our wish."""
        self._is_over = True

    def second(self) -> Second:
        """Return what has happened since the last one."""
        now, stats = self.loop.time(), self.loop.stats()
        self.max_threads = max(self.max_threads, _threads())
        rate = (self.messages - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, self.messages)
        p50, p99 = _percentiles(self._latencies)
        self._all_latencies += self._latencies[: max(0, MAX_ALL_SAMPLES - len(self._all_latencies))]
        self._latencies.clear()
        seconds = now - self._started
        values = {
            "seconds": round(seconds, 3),
            "open": stats.open,
            "connecting": stats.connecting,
            "waiting": stats.waiting,
            "rate": round(rate, 1),
            "p50": p50,
            "p99": p99,
            "reconnects": self.reconnects,
        }
        cells = {
            "time": f"{seconds:.1f}s",
            "open": str(stats.open),
            "connecting": str(stats.connecting),
            "waiting": str(stats.waiting),
            "msg/s": f"{rate:.0f}",
            "p50 ms": _known(p50),
            "p99 ms": _known(p99),
            "reconnects": str(self.reconnects),
        }
        return Second(cells, values, self._causes.all(), self._causes.news())

    def summary(self) -> Summary:
        """Return what came of it."""
        p50, p99 = _percentiles(self._all_latencies + self._latencies)
        values: dict[str, object] = {
            "subscriptions": self.count,
            "opened": self._opened,
            "served": self.served,
            "messages": self.messages,
            **self._rates(),
            "p50_ms": p50,
            "p99_ms": p99,
            "pings_answered": self.pings,
            "reconnects": self.reconnects,
            "threads": max(self.max_threads, _threads()),
        }
        lines: dict[str, object] = {
            "subscriptions": f"{self.count}, of which {self.served} got messages",
            "messages": self.messages,
        }
        if values["messages_per_second"] is None:
            lines["rates"] = f"none: only {self._opened} subscriptions were ever open"
        else:
            lines["messages per second"] = values["messages_per_second"]
            lines["CPU per message"] = f"{values['cpu_per_message_us']} us"
            lines["memory per connection"] = f"{values['memory_per_connection_kib']} KiB"
        lines["latency"] = f"p50 {_known(p50)} ms, p99 {_known(p99)} ms"
        lines["pings answered"] = self.pings
        lines["reconnects"] = self.reconnects
        lines["threads"] = values["threads"]
        return Summary(lines, values, self._causes.all())

    def _rates(self) -> dict[str, object]:
        """Return what is taken from the moment on in which all were open, if it came."""
        if self._steady is None or self.messages <= self._steady[2]:
            return dict.fromkeys(
                ("messages_per_second", "cpu_per_message_us", "memory_per_connection_kib")
            )
        since, cpu, count = self._steady
        messages = self.messages - count
        memory = (self._memory_open - self._memory_before) / self.count / 1024
        return {
            "messages_per_second": round(messages / max(self.loop.time() - since, 1e-9)),
            "cpu_per_message_us": round((time.process_time() - cpu) / messages * 1e6, 1),
            "memory_per_connection_kib": round(memory, 1),
        }


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


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
