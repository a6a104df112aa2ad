"""A Reactor for each thread, all of them busy at once, and threads that talk to loops meanwhile.

With the GIL one thread runs at a time, and most of this is of no difficulty. In a free-threaded
Python they really run at once, so whatever two loops shared would show in what arrives.
"""

from __future__ import annotations

import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor import ConnectionStats, Deflate, Reactor, WebSocketProtocol, broadcast

from .support.certificates import Authority
from .support.programs import run_program
from .support.servers import Echo
from .support.threads import Background

#: Seconds: the tests' own limit comes first.
PATIENCE = 60.0

THREADS = 4
CONNECTIONS = 3
MESSAGES = 120

#: Messages of a connection on their way at once: several are in one read.
IN_FLIGHT = 8


def message(name: str, number: int) -> str | bytes:
    """Return the message of this number: unlike all others, of many sizes, text and binary."""
    text = f"{name} {number} " * (1 + number * number % 97 * (40 if number % 10 == 0 else 1))
    if number % 5 == 4:
        text += "\N{SNOWMAN}"
    return text.encode() if number % 3 == 2 else text


class Talk(WebSocketProtocol):
    """Sends messages, and notes what comes back."""

    def __init__(self, name: str, done: Callable[[], None]) -> None:
        super().__init__()
        self.name = name
        self.sent = 0
        self.received: list[str | bytes] = []
        self.counted = ConnectionStats()
        self.done = done

    def on_open(self) -> None:
        for _ in range(IN_FLIGHT):
            self.send_next()

    def send_next(self) -> None:
        if self.sent < MESSAGES:
            self.send(message(self.name, self.sent))
            self.sent += 1

    def on_message(self, message: str | bytes) -> None:
        self.received.append(message)
        self.send_next()
        if len(self.received) == MESSAGES:
            self.counted = self.stats
            self.done()


def talk(place: int, begin: threading.Barrier, options: dict[str, Any], tls: Any) -> list[Talk]:
    """Run a server and its clients on a loop of this thread until all have said everything."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Echo, ssl=tls, **options)
        left = [CONNECTIONS]

        def done() -> None:
            left[0] -= 1
            if not left[0]:
                loop.stop()

        scheme = "ws" if tls is None else "wss"
        url = f"{scheme}://127.0.0.1:{listener.port}/"
        clients = [Talk(f"{place}.{each}", done) for each in range(CONNECTIONS)]
        begin.wait(PATIENCE)
        for client in clients:
            further = {} if tls is None else {"sslopt": {"context": client_context[0]}}
            loop.connect(url, client, **options, **further)
        loop.run_forever()
        return clients


client_context: list[Any] = []


@pytest.mark.parametrize("way", ["plain", "compressed", "alone", "tls"])
def test_loops_on_threads_of_their_own_get_what_is_theirs(way: str, authority: Authority) -> None:
    compression = {
        "compressed": Deflate(threshold=0),
        "alone": Deflate(
            server_no_context_takeover=True, client_no_context_takeover=True, threshold=0
        ),
    }.get(way)
    options = {} if compression is None else {"compression": compression}
    client_context[:] = [authority.client_context()]
    begin = threading.Barrier(THREADS)
    tls = authority.server_context if way == "tls" else None
    threads = [Background(talk, place, begin, options, tls) for place in range(THREADS)]
    for place, thread in enumerate(threads):
        for number, client in enumerate(thread.result()):
            expected = [message(f"{place}.{number}", each) for each in range(MESSAGES)]
            assert client.received == expected
            size = sum(len(e.encode() if isinstance(e, str) else e) for e in expected)
            counted = client.counted
            assert (counted.messages_in, counted.messages_out) == (MESSAGES, MESSAGES)
            assert (counted.payload_in, counted.payload_out) == (size, size)


# --- threads that talk to loops -----------------------------------------------------------------


class Loops:
    """Loops on threads of their own, each with an echo server and a client.

    Attributes:
        loops: the loops.
        clients: a client on each.
    """

    def __init__(self, count: int) -> None:
        self.loops: list[Reactor] = []
        self.clients: list[Collect] = []
        ready = threading.Barrier(count + 1)
        self._threads = [Background(self._run, ready) for _ in range(count)]
        ready.wait(PATIENCE)

    def _run(self, ready: threading.Barrier) -> None:
        with Reactor() as loop:
            listener = loop.listen("127.0.0.1", 0, Echo)
            client = loop.connect(f"ws://127.0.0.1:{listener.port}/", Collect)
            while not client.is_open:
                loop.run_once(1)
            self.loops.append(loop)
            self.clients.append(client)
            loop.call_soon(ready.wait, PATIENCE)
            loop.run_forever()

    def stop(self) -> None:
        """End all."""
        for loop in self.loops:
            loop.stop()
        for thread in self._threads:
            thread.result()


class Collect(WebSocketProtocol):
    """Notes what comes; tells when it is enough."""

    is_open = False

    def __init__(self) -> None:
        super().__init__()
        self.received: list[str | bytes] = []
        self.wanted = 0
        self.enough = threading.Event()

    def on_open(self) -> None:
        self.is_open = True

    def on_message(self, message: str | bytes) -> None:
        self.received.append(message)
        if len(self.received) == self.wanted:
            self.enough.set()


@contextmanager
def loops_on_threads(count: int) -> Iterator[Loops]:
    """Give the loops, for a block."""
    loops = Loops(count)
    try:
        yield loops
    finally:
        loops.stop()


def test_what_other_threads_send_to_busy_loops_arrives_whole_and_in_order() -> None:
    senders, each = 3, 100
    with loops_on_threads(2) as running:
        for client in running.clients:
            client.wanted = senders * each

        def send(sender: int) -> None:
            for number in range(each):
                for client in running.clients:
                    client.send(f"{sender} {number}")

        threads = [Background(send, sender) for sender in range(senders)]
        for thread in threads:
            thread.result()
        for client in running.clients:
            assert client.enough.wait(PATIENCE)
    for client in running.clients:
        for sender in range(senders):
            got = [text for text in client.received if str(text).startswith(f"{sender} ")]
            assert got == [f"{sender} {number}" for number in range(each)]


def test_other_threads_read_figures_while_messages_go_and_close_while_others_send() -> None:
    with loops_on_threads(2) as running:
        first, second = running.clients
        first.wanted = 200
        told: list[ConnectionStats] = []

        def look() -> None:
            while not first.enough.is_set():
                told.append(first.stats)
                running.loops[0].stats()
                first.stats  # noqa: B018 - it is what is tested

        looking = Background(look)
        for number in range(first.wanted):
            first.send(str(number))
        assert first.enough.wait(PATIENCE)
        looking.result()
        counts = [(each.messages_in, each.messages_out) for each in told]
        assert counts == sorted(counts)
        assert counts[-1] <= (200, 200)

        def send_until_closed() -> str:
            try:
                while True:
                    second.send("again")
            except Exception as exc:
                return type(exc).__name__

        sending = [Background(send_until_closed) for _ in range(2)]
        second.close()
        for thread in sending:
            assert thread.result() == "WebSocketConnectionClosedException"


def test_a_broadcast_from_another_thread_reaches_the_connections_of_all_loops() -> None:
    with loops_on_threads(3) as running:
        for client in running.clients:
            client.wanted = 50
        for number in range(50):
            assert broadcast(running.clients, f"number {number}") == 3
        for client in running.clients:
            assert client.enough.wait(PATIENCE)
    for client in running.clients:
        assert client.received == [f"number {number}" for number in range(50)]


def test_answers_of_helper_threads_come_to_the_loop_that_has_asked() -> None:
    with loops_on_threads(3) as running:
        answers: list[list[tuple[int, bool]]] = [[] for _ in running.clients]
        enough = [threading.Event() for _ in running.clients]

        def ask(place: int, number: int) -> None:
            ours = threading.get_ident()

            def take(result: int, _error: Exception | None) -> None:
                answers[place].append((result, threading.get_ident() == ours))
                if len(answers[place]) == 12:
                    enough[place].set()

            running.loops[place].run_in_thread(pow, number, 2, then=take)

        for number in range(12):
            for place, loop in enumerate(running.loops):
                loop.call_soon_threadsafe(ask, place, number)
        for event in enough:
            assert event.wait(PATIENCE)
    for got in answers:
        assert sorted(got) == [(number * number, True) for number in range(12)]


# --- a free-threaded Python ---------------------------------------------------------------------


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python always has the GIL"
)
def test_a_free_threaded_python_remains_one() -> None:
    """Python warns when a compiled module does not say that it may, and that is an error here."""
    printed = run_program(
        "import sys, reactor, reactor.asyncio, reactor.classic, reactor.feeds, reactor.monitor\n"
        "from reactor.compiled.replace import reason\n"
        "print(sys._is_gil_enabled(), reason)"
    )
    assert printed.startswith("False ")
