"""``python benchmarks/threads.py``: does one Reactor for each thread scale?

Each thread has a Reactor with an echo server and its clients on it, so that threads have nothing to
say to each other. One thread, then 2, ... up to --threads at once; it prints the median of the
messages in a second of wall time, of all threads together, and of the microseconds of CPU for each;
and the best round, for a machine that is busy. Threads gain something only in a free-threaded
Python.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import threading
import time
from typing import Any

import reactor
from reactor import Reactor, WebSocketProtocol

TEXT = "x" * 150


class Server(WebSocketProtocol):
    """Sends back what comes."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class Client(WebSocketProtocol):
    """Sends a text, and the next one when it has come back."""

    def __init__(self, messages: int, done: Any) -> None:
        super().__init__()
        self.left = messages
        self.done = done

    def on_message(self, message: str | bytes) -> None:
        self.left -= 1
        if self.left:
            self.send(message)
        else:
            self.done()


class Worker:
    """A thread with its Reactor.

    Args:
        args: those of the command.
        begin: all threads wait here until everything is open.
    """

    def __init__(self, args: argparse.Namespace, begin: threading.Barrier) -> None:
        self.args = args
        self.begin = begin
        self.wall = self.cpu = 0.0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Server)
            url = f"ws://127.0.0.1:{listener.port}/"
            left = self.args.connections

            def done() -> None:
                nonlocal left
                left -= 1
                if not left:
                    loop.stop()

            clients = [
                loop.connect(url, Client(self.args.messages, done), ping_interval=None, proxy=None)
                for _ in range(left)
            ]
            while len(loop.connections) < 2 * left or any(
                each.state.name != "OPEN" for each in clients
            ):
                loop.run_once(1)
            self.begin.wait()
            wall, cpu = time.perf_counter(), time.thread_time()
            for client in clients:
                client.send(TEXT)
            loop.run_forever()
            self.cpu = time.thread_time() - cpu
            self.wall = time.perf_counter() - wall


def run(threads: int, args: argparse.Namespace) -> tuple[float, float]:
    """Return messages a second, and microseconds of CPU for each."""
    gc.collect()
    begin = threading.Barrier(threads)
    workers = [Worker(args, begin) for _ in range(threads)]
    for worker in workers:
        worker.thread.start()
    for worker in workers:
        worker.thread.join()
    messages = threads * args.connections * args.messages
    return (
        messages / max(worker.wall for worker in workers),
        sum(worker.cpu for worker in workers) / messages * 1e6,
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--connections", type=int, default=50, help="of each thread")
    parser.add_argument("--messages", type=int, default=400, help="of each connection")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(sys.version.partition(" (")[0], "with the GIL" if gil else "without the GIL", end=", ")
    print("compiled" if reactor.compiled else "pure Python")
    rounds = [
        [run(threads, args) for threads in range(1, args.threads + 1)] for _ in range(args.rounds)
    ]
    alone = statistics.median(each[0][0] for each in rounds)
    best_alone = max(each[0][0] for each in rounds)
    for threads in range(args.threads):
        rate = statistics.median(each[threads][0] for each in rounds)
        cpu = statistics.median(each[threads][1] for each in rounds)
        best = max(each[threads][0] for each in rounds)
        print(
            f"{threads + 1} threads: {rate:9,.0f} messages/s (x{rate / alone:.2f}), "
            f"at best {best:9,.0f} (x{best / best_alone:.2f}), {cpu:.2f} us of CPU each"
        )


if __name__ == "__main__":
    main()
