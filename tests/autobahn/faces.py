"""The faces under test: an echo program for each, as users would write it.

    python -m tests.autobahn.faces server                     a server; prints its port
    python -m tests.autobahn.faces native URL LANES OFFER     a client of the fuzzing server at
                                                              URL; prints how many cases it has

A client asks the fuzzing server how many cases there are, runs each of them by connecting to
``/runCase`` and sending back what comes, and asks for the report at the end. LANES cases run at
once; OFFER is the compression that is offered, a key of OFFERS. The server ends with its standard
input.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from reactor import (
    ABNF,
    Deflate,
    Reactor,
    WebSocketApp,
    WebSocketException,
    WebSocketProtocol,
    create_connection,
)

AGENT = "reactor"

#: Everything is compressed: the suite has cases with messages of 16 bytes, and kosoku 0.1.0 takes
#: no text in them that is not (TypeError: "Strings must be encoded before hashing").
ANYTHING = Deflate(threshold=0)

#: What a client offers.
OFFERS = {
    "default": ANYTHING,
    "no-takeover": replace(ANYTHING, client_no_context_takeover=True),
}


class Echo(WebSocketProtocol):
    """Sends back what comes."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


def server() -> None:
    """Serve until the standard input ends."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Echo, compression=ANYTHING)
        print(listener.port, flush=True)
        loop.add_reader(sys.stdin.fileno(), loop.stop)
        loop.run_forever()


def native(cases: Iterator[str], lanes: int, offer: Deflate) -> None:
    """Run cases with ``Reactor.connect``: all lanes on one thread."""
    with Reactor() as loop:
        running = 0

        class EchoThenNext(Echo):
            def on_close(self, code: int, reason: str) -> None:
                nonlocal running
                running -= 1
                start()
                if not running:
                    loop.stop()

        def start() -> None:
            nonlocal running
            url = next(cases, None)
            if url is not None:
                running += 1
                loop.connect(url, EchoThenNext(), compression=offer)

        for _ in range(lanes):
            start()
        if running:
            loop.run_forever()


def app(cases: Iterator[str], lanes: int, offer: Deflate) -> None:
    """Run cases with a WebSocketApp each: every lane is a thread."""

    def echo(app: WebSocketApp, message: str | bytes) -> None:
        app.send(message, ABNF.OPCODE_TEXT if isinstance(message, str) else ABNF.OPCODE_BINARY)

    def run(url: str) -> None:
        WebSocketApp(url, on_message=echo, compression=offer).run_forever()

    _on_threads(run, cases, lanes)


def blocking(cases: Iterator[str], lanes: int, offer: Deflate) -> None:
    """Run cases with ``create_connection``: every lane is a thread."""

    def run(url: str) -> None:
        ws = create_connection(url, compression=offer)
        try:
            while True:
                opcode, data = ws.recv_data()
                if opcode == ABNF.OPCODE_CLOSE:
                    break
                ws.send(data, opcode)
        except WebSocketException:
            pass  # what the cases provoke; the suite judges how we took it
        finally:
            ws.close()

    _on_threads(run, cases, lanes)


def _on_threads(run: Callable[[str], None], cases: Iterator[str], lanes: int) -> None:
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                url = next(cases, None)
            if url is None:
                return
            run(url)

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CLIENTS = {"native": native, "app": app, "blocking": blocking}


def client(face: str, url: str, lanes: int, offer: Deflate) -> None:
    """Run all cases of the fuzzing server at *url*."""
    ws = create_connection(f"{url}/getCaseCount")
    count = int(ws.recv())
    ws.close()
    print(count, flush=True)
    cases = (f"{url}/runCase?case={number}&agent={AGENT}" for number in range(1, count + 1))
    CLIENTS[face](cases, lanes, offer)
    create_connection(f"{url}/updateReports?agent={AGENT}").close()


if __name__ == "__main__":
    if sys.argv[1] == "server":
        server()
    else:
        face, url, lanes, offer = sys.argv[1:]
        client(face, url, int(lanes), OFFERS[offer])
