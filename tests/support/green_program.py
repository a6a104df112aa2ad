"""All faces of the package in one process, with the threads of eventlet or gevent.

A program of its own, since patching cannot be undone: ``-m tests.support.green_program LIBRARY WHEN
CERTIFICATE KEY CA``, where WHEN says when the library patches the standard library: before the
package is imported, after that, or after a reactor has run. Prints what was done, one line each.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

LIBRARY, WHEN, CERTIFICATE, KEY, CA = sys.argv[1:]

SSLOPT = {"ca_certs": CA}


def patch() -> None:
    """Have the library patch all that it can."""
    if LIBRARY == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    else:
        importlib.import_module("eventlet").monkey_patch()


def until(condition: Callable[[], object]) -> None:
    """Let the others run until *condition* is true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet's about itself, gevent's about patching late
        importlib.import_module(LIBRARY)
        if WHEN == "before":
            patch()
        reactor = importlib.import_module("reactor")
        if WHEN == "after a run":
            with reactor.Reactor() as loop:
                loop.run_once(0)
        if WHEN != "before":
            patch()
    faces(reactor)


def faces(reactor: Any) -> None:
    import ssl
    import threading

    class Echo(reactor.WebSocketProtocol):  # type: ignore[misc]
        def on_message(self, message: str | bytes) -> None:
            self.send(message)

    class Client(reactor.WebSocketProtocol):  # type: ignore[misc]
        def __init__(self) -> None:
            self.events: list[Any] = []

        def on_open(self) -> None:
            self.send(b"x" * 300_000)
            self.send("first")

        def on_message(self, message: str | bytes) -> None:
            self.events.append(message if len(message) < 100 else len(message))

        def on_error(self, error: Exception) -> None:
            self.events.append(repr(error))

        def on_close(self, code: int, reason: str) -> None:
            self.events.append(code)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    loop = reactor.Reactor()
    plain = loop.listen("127.0.0.1", 0, Echo)
    tls = loop.listen("127.0.0.1", 0, Echo, ssl=context)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    until(lambda: loop.loop.running)

    for scheme, listener in (("ws", plain), ("wss", tls)):
        url = f"{scheme}://127.0.0.1:{listener.port}/"

        native = Client()
        # By name, which a helper thread looks up.
        by_name = url.replace("127.0.0.1", "localhost") if scheme == "ws" else url
        loop.call_soon_threadsafe(
            lambda native=native, by_name=by_name: loop.connect(by_name, native, sslopt=SSLOPT)
        )
        until(lambda native=native: len(native.events) == 2)
        native.send("from another thread")
        until(lambda native=native: len(native.events) == 3)
        native.close()
        until(lambda native=native: len(native.events) == 4)
        assert native.events == [300_000, "first", "from another thread", 1000], native.events
        print("Reactor", scheme)

        ws = reactor.create_connection(url, timeout=20, sslopt=SSLOPT)
        ws.send("hello")
        assert ws.recv() == "hello"
        others: list[Any] = []
        reader = threading.Thread(target=lambda ws=ws, others=others: others.append(ws.recv()))
        reader.start()  # waits, and holds up nobody
        ws.send_binary(b"y" * 300_000)
        reader.join(20)
        assert others == [b"y" * 300_000]
        ws.settimeout(0.01)
        try:
            ws.recv()
        except reactor.WebSocketTimeoutException:
            pass
        else:
            raise AssertionError("nothing was sent, and something came")
        ws.settimeout(20)
        ws.close()
        print("create_connection", scheme)

        seen: list[Any] = []

        def on_message(app: Any, message: str, seen: list[Any] = seen) -> None:
            seen.append(message)
            app.close()

        app = reactor.WebSocketApp(
            url,
            on_open=lambda app: app.send("x"),
            on_message=on_message,
            on_error=lambda _app, error, seen=seen: seen.append(repr(error)),
        )
        assert not app.run_forever(sslopt=SSLOPT), seen
        assert seen == ["x"]
        print("WebSocketApp", scheme)

    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    assert not thread.is_alive()
    loop.shutdown()
    loop.close()
    print("over")


main()
