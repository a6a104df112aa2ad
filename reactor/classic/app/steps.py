"""run_forever() as a loop around a WebSocket, for programs that have replaced a part of it.

What it is: :func:`run_in_steps`, the way in which websocket-client runs a WebSocketApp: a
WebSocket that blocks, and a dispatcher that waits for its socket.

What it must not know: the loop of a reactor.

How it works. Usually an app is a connection on the reactor. But the tests of some programs replace
the WebSocket class that websocket-client uses, or its methods, or a step of connecting
(blocking/steps.py), or have ``create_dispatcher`` return a loop. So if one of these is not ours,
the app is run with it, in the calling thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ...connection.errorlog import ErrorLog
from ...exceptions import WebSocketConnectionClosedException, WebSocketTimeoutException
from ..blocking.client import WebSocket
from ..blocking.steps import is_replaced
from ..defaults import getdefaulttimeout
from ..frame import ABNF
from ..names.dispatcher import Dispatcher, DispatcherBase, SSLDispatcher, WrappedDispatcher
from ..tracing import error, info, logger
from .pings import start_pings, stop_pings
from .run import describe_close

__all__ = ["is_wanted", "make_loop", "run_in_steps", "stands_for"]

_OWN = WebSocket

#: The attributes that programs replace in the class itself.
_METHODS = [
    (name, getattr(WebSocket, name))
    for name in (
        "_recv",
        "_send",
        "close",
        "connect",
        "ping",
        "pong",
        "recv",
        "recv_data",
        "recv_data_frame",
        "recv_frame",
        "send",
        "send_frame",
        "shutdown",
    )
]

#: websocket-client's loops, and the attributes that programs replace in them.
_LOOPS = (Dispatcher, SSLDispatcher, WrappedDispatcher)
_LOOP_METHODS = [
    (kind, name, value)
    for kind in (DispatcherBase, *_LOOPS)
    for name, value in vars(kind).items()
    if callable(value)
]

#: Seconds of one wait if there is no ping_timeout, as in websocket-client.
WAIT = 10


def make_loop(
    app: Any,
    ping_timeout: float | None,
    dispatcher: Any,
    secure: bool,
    when_lost: Callable[..., Any] | None,
) -> Any:
    """Return the loop of websocket-client for these parameters of create_dispatcher()."""
    if dispatcher:
        if not all(hasattr(dispatcher, name) for name in ("signal", "abort")):
            return dispatcher  # it cannot be used; hosting says what is missing
        return WrappedDispatcher(app, ping_timeout, dispatcher, when_lost)
    return (SSLDispatcher if secure else Dispatcher)(app, ping_timeout or WAIT)


def is_wanted(loop: Any, dispatcher: Any) -> bool:
    """Whether a program has replaced something that matters here.

    Args:
        loop: what create_dispatcher() has returned.
        dispatcher: what run_forever() was given.
    """
    return (
        WebSocket is not _OWN
        or _has_other_loops()
        or any(getattr(WebSocket, name) is not original for name, original in _METHODS)
        or any(getattr(kind, name) is not original for kind, name, original in _LOOP_METHODS)
        or (loop is not dispatcher and _is_foreign(loop))
        or is_replaced()
    )


def _has_other_loops() -> bool:
    """Whether a program has replaced one of websocket-client's loop classes."""
    now = (Dispatcher, SSLDispatcher, WrappedDispatcher)
    return any(kind is not original for kind, original in zip(now, _LOOPS, strict=True))


def _is_foreign(loop: Any) -> bool:
    """Whether this is a loop, but none of those that a reactor replaces."""
    if type(loop) in _LOOPS:
        return any(callable(vars(loop).get(name)) for _, name, _ in _LOOP_METHODS)
    if isinstance(loop, (DispatcherBase, WrappedDispatcher)):
        return True
    return hasattr(loop, "read") and not hasattr(loop, "signal")


def stands_for(loop: Any) -> Any:
    """Return the dispatcher behind a loop that is not wanted; None: use a new reactor."""
    if type(loop) in _LOOPS:
        return getattr(loop, "dispatcher", None)
    return loop


def run_in_steps(
    app: Any, loop: Any, given: Mapping[str, Any], *, custom: bool, secure: bool
) -> bool:
    """Run an app to its end; return whether there was an error.

    Args:
        app: the app.
        loop: what create_dispatcher() has returned.
        given: the parameters of run_forever().
        custom: run_forever() was given a dispatcher: return as soon as it is set up.
        secure: whether the URL is wss://.
    """
    run = app._current_run = SteppedRun(app, given, custom)
    patience = given["ping_timeout"]
    if loop is None:
        loop = make_loop(app, patience, None, secure, run.closed)
    elif hasattr(loop, "signal") and not _has_other_loops():
        loop = make_loop(app, patience, loop, secure, run.closed)
    return run.go(loop)


class SteppedRun:
    """One run of an app; for the app it looks like a Run.

    The arguments are those of :func:`run_in_steps`, the attributes those of Run.
    """

    loop = connection = when_over = None
    silent = False

    def __init__(self, app: Any, given: Mapping[str, Any], custom: bool) -> None:
        self.app = app
        self.ending = self.over = False
        self.errors = ErrorLog(logger)  # the errors of the callbacks
        self._given = given
        self._custom = custom
        self._dispatcher: Any = None

    def go(self, dispatcher: Any) -> bool:
        """Connect, and have the dispatcher read, until there is no further attempt."""
        self._dispatcher = dispatcher
        self.attempt()
        if not self._custom:
            while self._given["reconnect"] and not self.ending:
                dispatcher.reconnect(self._given["reconnect"], self.attempt)
            self.finish()
        return bool(self.app.has_errored)

    def attempt(self, reconnecting: bool = False) -> None:
        """Connect, and have the dispatcher read until the connection has ended."""
        app, given = self.app, self._given
        app.last_close_frame = None
        if reconnecting and app.sock:
            app.sock.shutdown()
        app.sock = sock = WebSocket(
            app.get_mask_key,
            sockopt=given["sockopt"] or [],
            sslopt=given["sslopt"] or {},
            fire_cont_frame=app.on_cont_message is not None,
            skip_utf8_validation=given["skip_utf8_validation"],
            enable_multithread=True,
            dispatcher=self._writer(),
        )
        try:
            sock.settimeout(getdefaulttimeout())
            self._connect(sock)
            info("Websocket connected")
            if given["ping_interval"]:
                start_pings(app)
            again = app.on_reconnect if reconnecting else None
            app._callback(again or app.on_open)
            self._dispatcher.read(sock.sock, self.read, self.check)
        except (Exception, KeyboardInterrupt, SystemExit) as exc:  # noqa: BLE001 - reported
            self.closed(exc)

    def _writer(self) -> Any:
        """Return the loop if it has its own way to write."""
        plain = getattr(type(self._dispatcher), "send", None) is DispatcherBase.send
        return None if plain else self._dispatcher

    def _connect(self, sock: Any) -> None:
        app, given = self.app, self._given
        names = ("host", "origin", "suppress_origin", "suppress_host", "proxy_type")
        ours = {"compression": app.compression, "plain_socket": app.plain_socket or None}
        if not app.lenient:
            ours["lenient"] = False
        of_proxy = [name for name in given if name.startswith("http_")]
        sock.connect(
            app.url() if callable(app.url) else app.url,
            header=app.header() if callable(app.header) else app.header,
            cookie=app.cookie() if callable(app.cookie) else app.cookie,
            subprotocols=app.subprotocols,
            socket=app.prepared_socket,
            **{name: given[name] for name in (*names, *of_proxy)},
            **{name: value for name, value in ours.items() if value is not None},
        )

    def read(self) -> bool:
        """Take one message; return whether there may be more."""
        app = self.app
        if self.ending:
            self.finish()
        if app.sock is None:
            return False
        try:
            opcode, frame = app.sock.recv_data_frame(True)
        except (Exception, KeyboardInterrupt) as exc:
            if not self._custom:
                raise
            return self.closed(exc)
        if opcode == ABNF.OPCODE_CLOSE:
            return self.closed(frame)
        self._deliver(opcode, frame)
        return True

    def _deliver(self, opcode: int, frame: Any) -> None:
        app = self.app
        if opcode == ABNF.OPCODE_PING:
            app._callback(app.on_ping, frame.data)
        elif opcode == ABNF.OPCODE_PONG:
            app.last_pong_tm = time.time()
            app._callback(app.on_pong, frame.data)
        elif opcode == ABNF.OPCODE_CONT and app.on_cont_message:
            app._callback(app.on_data, frame.data, frame.opcode, frame.fin)
            app._callback(app.on_cont_message, frame.data, frame.fin)
        else:
            data = frame.data
            if opcode == ABNF.OPCODE_TEXT and not self._given["skip_utf8_validation"]:
                data = data.decode()
            app._callback(app.on_data, data, frame.opcode, True)
            app._callback(app.on_message, data)

    def check(self) -> bool:
        """Check whether the answer to a ping is overdue.

        Raises:
            WebSocketTimeoutException: it is.
        """
        app, patience = self.app, self._given["ping_timeout"]
        pinged = app.last_ping_tm
        if patience and pinged and app.last_pong_tm < pinged < time.time() - patience:
            raise WebSocketTimeoutException("ping/pong timed out")
        return True

    def closed(self, reason: Any = "closed unexpectedly") -> bool:
        """The connection has ended: tell the app; return whether there was an error.

        Args:
            reason: an exception, its text, or the server's close frame.
        """
        app = self.app
        frame = reason if isinstance(reason, ABNF) else None
        exc = reason
        if frame is not None:
            exc = describe_close(*app._parse_close_frame(frame))
        elif isinstance(reason, str):
            exc = WebSocketConnectionClosedException(reason)
        app.has_errored = app.has_errored or frame is None
        stop_pings(app)
        app._callback(app.on_error, exc)
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            self.finish(frame)
            raise exc
        if not self._given["reconnect"]:
            error(f"{exc} - goodbye")
            self.finish(frame)
            return bool(app.has_errored)
        info(f"{exc} - reconnect")
        if self._custom:
            self._dispatcher.reconnect(self._given["reconnect"], self.attempt)
        return False

    def close(self, **kwargs: Any) -> None:
        """Close the connection, and do not reconnect."""
        app, sock = self.app, self.app.sock
        self.ending = True
        if sock:
            sock.close(**kwargs)
            app.last_close_frame = sock.close_frame or app.last_close_frame

    def leave(self) -> None:
        """keep_running was set to False."""
        self.ending = True

    def interrupt(self, exc: BaseException) -> None:
        """KeyboardInterrupt or SystemExit is about to leave the code that runs the dispatcher."""
        if not self.over:
            self.app._callback(self.app.on_error, exc)
            self.finish()

    def finish(self, frame: Any = None) -> None:
        """Call on_close, once."""
        if self.over:
            return
        self.over = self.ending = True
        app = self.app
        stop_pings(app)
        sock, app.sock = app.sock, None
        if sock:
            sock.close()
        app._callback(app.on_close, *app._get_close_args(frame or app.last_close_frame))
        self.errors.conclude()
