"""A WebSocketApp, of reactor or of websocket-client, whose callbacks are written down.

A test that gets the fixture ``library`` runs once with each library, and what it expects is what
both must do. Exceptions are written down as their names: that of websocket-client's class, or of
the class of Python, which an exception of ours derives from.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from .peers import ScriptedPeer, Talk
from .websocket_frames import BINARY, CLOSE, CONT, PING, TEXT, build_frame, close_payload

#: Names by which exceptions are known, the first that fits.
KNOWN = (
    "WebSocketConnectionClosedException",
    "WebSocketTimeoutException",
    "WebSocketPayloadException",
    "WebSocketProtocolException",
    "WebSocketProxyException",
    "WebSocketBadStatusException",
    "WebSocketAddressException",
    "ConnectionRefusedError",
    "SSLError",
    "WebSocketException",
)

ALL = ("open", "reconnect", "message", "data", "cont_message", "error", "close", "ping", "pong")

#: What most tests look at: on_data and on_cont_message change what the others get.
USUAL = ("open", "message", "error", "close", "ping", "pong")

Reaction = Callable[..., object]


def name_of(exc: BaseException) -> str:
    """Return the name by which an exception is known in both libraries."""
    names = {kind.__name__ for kind in type(exc).__mro__}
    return next((name for name in KNOWN if name in names), type(exc).__name__)


class RecordedApp:
    """An app that writes down every callback.

    Parameters:
        library: reactor, or websocket-client.
        url: of the server.
        callbacks: the callbacks to have, without "on_"; default: USUAL.
        reactions: what a callback does besides, by the name without "on_"; called as it is.
        options: further parameters of WebSocketApp.

    Attributes:
        app: the WebSocketApp.
        events: tuples of the callback's name, without "on_", and its arguments but for the app;
            an exception is the name and the text.
        result: what the last run has returned.
    """

    def __init__(
        self,
        library: Any,
        url: Any,
        callbacks: tuple[str, ...] = USUAL,
        reactions: dict[str, Reaction] | None = None,
        **options: Any,
    ) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.result: Any = None
        self._changed = threading.Condition()
        handlers = {f"on_{name}": self._handler(name) for name in callbacks}
        self._reactions = reactions or {}
        self.app = library.WebSocketApp(url, **handlers, **options)

    def _handler(self, name: str) -> Callable[..., None]:
        def handler(app: Any, *args: Any) -> None:
            assert app is self.app
            told: list[Any] = []
            for arg in args:
                told += [name_of(arg), str(arg)] if isinstance(arg, BaseException) else [arg]
            with self._changed:
                self.events.append((name, *told))
                self._changed.notify_all()
            if name in self._reactions:
                self._reactions[name](app, *args)

        return handler

    def run(self, *args: Any, **options: Any) -> list[tuple[Any, ...]]:
        """Run the app to its end, or start it on a dispatcher; return the events."""
        self.result = self.app.run_forever(*args, **options)
        pings = getattr(self.app, "ping_thread", None)
        if pings is not None and "dispatcher" not in options:
            pings.join(5.0)  # it was told to end, and nobody has waited for that
        return self.events

    @property
    def names(self) -> list[str]:
        """The names of the callbacks, in order."""
        return [event[0] for event in self.events]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of one callback."""
        return [event[1:] for event in self.events if event[0] == name]

    def wait_for(self, name: str, count: int = 1, timeout: float = 10.0) -> None:
        """Wait, on another thread, until a callback was called so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(name)) >= count, timeout), self.events


class Running:
    """An app that runs on a thread of its own; leaving the block joins it.

    Attributes:
        seconds: how long the run took to end after the block's last statement.
    """

    def __init__(self, recorded: RecordedApp, **options: Any) -> None:
        self._thread = threading.Thread(target=recorded.run, kwargs=options)
        self.seconds = 0.0

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        start = time.monotonic()
        self._thread.join(15)
        self.seconds = time.monotonic() - start
        if self._thread.is_alive():
            pytest.fail("the run does not end")


# --- scripts and frames ---------------------------------------------------------------------------

code = close_payload

FRAGMENTS = (
    build_frame(TEXT, b"one", fin=False),
    build_frame(PING, b"between"),
    build_frame(CONT, b"two", fin=False),
    build_frame(CONT, b"three"),
    build_frame(BINARY, b"\xff", fin=False),
    build_frame(CONT, b"\xfe"),
    build_frame(TEXT, b"whole"),
    build_frame(CLOSE, code(1000)),
)


def said(*frames: bytes) -> Callable[[Talk], None]:
    """Return a script that accepts the upgrade, sends frames, and ends with the close handshake."""
    closes = any(frame[0] & 15 == CLOSE for frame in frames)

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(frames))
        frame = talk.frame()
        while frame.opcode != CLOSE:
            frame = talk.frame()
        if not closes:
            talk.send(build_frame(CLOSE, frame.payload))

    return script


def mute(*frames: bytes) -> Callable[[Talk], None]:
    """Return a script that does not answer the client's close frame."""

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(frames))
        talk.until_closed()

    return script


def dropped(*frames: bytes) -> Callable[[Talk], None]:
    """Return a script that accepts the upgrade, sends frames, and drops the connection."""

    def script(talk: Talk) -> None:
        talk.upgrade(then=b"".join(frames))

    return script


def play(library: Any, script: Any, *args: Any, **options: Any) -> RecordedApp:
    """Run an app against a script; *args* are those of RecordedApp behind the URL."""
    with ScriptedPeer(script) as peer:
        recorded = RecordedApp(library, peer.url, *args, **options)
        recorded.run()
    return recorded


# --- what callbacks do ----------------------------------------------------------------------------


def send_x(app: Any) -> None:
    """Send a message; for on_open."""
    app.send("x")


def fail(*_: object) -> None:
    """Raise something."""
    raise LookupError("of the user")


def raise_again(_app: Any, exc: Exception) -> None:
    """Raise what on_error was given."""
    raise exc


def raising(exc: BaseException | type[BaseException]) -> Callable[..., None]:
    """Return a callback that raises this."""

    def callback(*_: object) -> None:
        raise exc

    return callback
