"""One run of a WebSocketApp: from run_forever() to the last on_close.

What it is: the connection of an app, and the object that turns its handlers into the app's
callbacks.

What it must not know: what the callbacks do; who runs the loop.

How it works. A :class:`Run` creates the connection and decides when the run is over: when there is
no further attempt and on_close has been called, or when the app was closed between two attempts.
:class:`Bridge` is the connection's protocol object.

A run that is over calls ``when_over``, unless the app has meanwhile started another run on the same
loop, which happens when a callback calls run_forever() again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...base.marks import calls_user_code
from ...base.printable import printable
from ...client.lifecycle import ClientLifecycle
from ...client.options import ClientOptions
from ...connection.connection import Connection
from ...connection.errorlog import ErrorLog
from ...connection.phase import Phase
from ...exceptions import CloseCode, WebSocketConnectionClosedException
from ...protocols.frames import OP_BINARY, OP_CLOSE, OP_CONT, OP_TEXT
from ...protocols.session import Close, WebSocketSession, check_close
from ...protocols.websocket import WebSocketProtocol
from ..blocking.sock import log_close_status
from ..errors import public
from ..frame import ABNF
from ..options import parse_url
from ..tracing import debug, error, info, isEnabledForTrace, logger
from .callbacks import sees_all
from .pings import has_own_pings, start_pings, stop_pings
from .sock import AppSocket
from .trace import TracingSession

if TYPE_CHECKING:
    from ...client.attempt import Pipeline
    from ...client.gate import Gate
    from ...reactor import Reactor
    from .app import WebSocketApp

__all__ = ["Run", "describe_close"]

#: The meaning of close(timeout=None): a year.
NO_LIMIT = 365 * 86400.0


class Run:
    """One run of an app. See the module.

    Args:
        app: the app.
        loop: the reactor to run on.
        options: the options of the connection.
        when_over: called without arguments when the run is over; or None.

    Attributes:
        ending: the end was requested, or has come.
        over: on_close has been called for the last time, or is being called.
        own_pings: a thread runs the app's ``_send_ping``; the connection itself does not ping.
        silent: on_close gets no code.
        sees_all: the app's ``_callback`` is called for events without a callback, too.

    Raises:
        ValueError: the URL cannot be used.
        TypeError: the URL is not a str.
        RuntimeError: the loop is closed.
    """

    def __init__(
        self,
        app: WebSocketApp,
        loop: Reactor,
        options: ClientOptions,
        when_over: Callable[[], object] | None,
    ) -> None:
        loop._registry.check_usable()
        if not callable(app.url):
            parse_url(app.url)
        self.app = app
        self.loop = loop
        self.options = options
        self.when_over = when_over
        self.ending = False
        self.over = False
        self.own_pings = bool(app.ping_interval) and has_own_pings(app)
        self.silent = False
        self.sees_all = sees_all(app)
        self.errors = ErrorLog(logger)  # the errors of the callbacks
        app.last_close_frame = None
        lifecycle = AppLifecycle(app, self._url, options, loop._opener.gate, loop._opener.pipeline)
        self.connection = Connection(loop.loop, loop.connections, options, lifecycle, Bridge(self))
        app.sock = AppSocket(self.connection)

    def start(self) -> None:
        """Connect, in the loop's next batch of calls."""
        self.connection.start()

    @calls_user_code
    def _url(self) -> str:
        """The app's URL at this moment: programs change it between two attempts."""
        url = self.app.url
        return url() if callable(url) else url

    # -- requests to end -----------------------------------------------------------------

    def close(
        self,
        status: int = CloseCode.NORMAL,
        reason: str | bytes | None = "",
        timeout: float | None = 3,
    ) -> None:
        """Close the connection, and do not reconnect. Any thread."""
        if self.over:
            return
        text = reason if isinstance(reason, str) else bytes(reason or b"").decode()
        try:
            self.connection.close(status, text, NO_LIMIT if timeout is None else timeout)
            self.ending = True
            self.loop.call_soon_threadsafe(self._closed_by_us)
        except RuntimeError:
            pass  # the loop has just ended, and was closed

    def leave(self) -> None:
        """keep_running was set to False: the same, but on_close gets no code. Any thread."""
        self.silent = True
        self.close()

    def _closed_by_us(self) -> None:
        # After the on_close of an attempt in progress: that is in the queue already.
        self.loop.call_soon(self._end_between_attempts)

    def _end_between_attempts(self) -> None:
        """Closed between two attempts: on_close was called when the last one ended."""
        if self.connection.phase is Phase.OVER and not self.over:
            self._finish()

    def fail(self, exc: Exception) -> None:
        """on_error has raised: this is the documented way for a callback to end the run."""
        if not self.over:
            self.report(exc)
            error(f"{printable(str(exc))} - goodbye")
            self.ending = True
            self.connection.abort()
            self._closed_by_us()

    def interrupt(self, exc: BaseException) -> None:
        """KeyboardInterrupt or SystemExit is about to leave the loop: close, once.

        The close frame is sent now; whether to wait for the answer is up to the loop's owner.
        """
        if not self.over:
            self.connection.close()
            if self.connection.phase is Phase.ATTACHED:
                self.connection.sender.flush()
            try:
                self.report(exc)
            finally:  # on_error may raise another one
                self.close_with(None, None, last=True)

    # -- telling the app -----------------------------------------------------------------

    def report(self, exc: BaseException) -> None:
        """Report to on_error something that was not raised by a callback."""
        self.app.has_errored = True
        self.app._callback(self.app.on_error, exc)

    def close_with(self, code: int | None, reason: str | None, *, last: bool) -> None:
        """The connection, or an attempt, has ended: call on_close.

        Args:
            code, reason: from the server's close frame; None: there was none.
            last: there is no further attempt.
        """
        app = self.app
        if app._current_run is self:
            app.sock = None
        if last:
            self.over = self.ending = True
        try:
            app._callback(app.on_close, *((None, None) if self.silent else (code, reason)))
        except Exception as exc:  # noqa: BLE001 - raised by on_error, for on_close
            if last:
                error(f"error from callback {app.on_error}: {printable(str(exc))}")
            else:
                self.fail(exc)
        except BaseException as exc:  # about to leave the loop
            self.report(exc)
            raise
        finally:
            self.errors.conclude()
            if last:
                self._finish()

    def _finish(self) -> None:
        self.over = self.ending = True
        newer = self.app._current_run
        if newer is not self and newer is not None and newer.loop is self.loop and not newer.over:
            return  # the loop goes on with the new run
        if self.when_over is not None:
            self.when_over()


class Bridge(WebSocketProtocol):
    """From the handlers of a connection to the callbacks of an app.

    Args:
        run: the run to which the connection belongs.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.app = run.app
        self.session: WebSocketSession | None = None  # the session of this attempt, once open

    def _reactor_whose(self) -> str:
        """For whom it works: see Connection.whose."""
        return type(self.app).__qualname__

    # Who traces an app, or records it, does so in all of its runs.

    @property
    def _reactor_trace(self) -> Any:
        return self.app._reactor_trace

    @_reactor_trace.setter
    def _reactor_trace(self, file: Any) -> None:
        self.app._reactor_trace = file

    @property
    def _reactor_wiretaps(self) -> tuple[Any, ...]:
        return self.app._reactor_wiretaps

    @_reactor_wiretaps.setter
    def _reactor_wiretaps(self, wiretaps: tuple[Any, ...]) -> None:
        self.app._reactor_wiretaps = wiretaps

    def _call(self, callback: Any, *args: Any) -> None:
        try:
            self.app._callback(callback, *args)
        except Exception as exc:  # noqa: BLE001 - raised by on_error
            self.run.fail(exc)
        except BaseException as exc:
            self.run.interrupt(exc)
            raise

    def _begin(self) -> None:
        info("Websocket connected")
        connection = self.run.connection
        self.session = connection.session
        if not self.run.ending:
            self.app.sock = AppSocket(connection)
        self._forget_pings()
        if self.run.own_pings:
            start_pings(self.app)

    def _forget_pings(self) -> None:
        stop_pings(self.app)

    def on_open(self) -> None:
        self._begin()
        self._call(self.app.on_open)

    def on_reconnect(self) -> None:
        self._begin()
        self._call(self.app.on_reconnect or self.app.on_open)

    def on_message(self, message: str | bytes) -> None:
        app = self.app
        if app.on_data or self.run.sees_all:
            opcode = OP_TEXT if isinstance(message, str) else OP_BINARY
            self._call(app.on_data, message, opcode, True)
        self._call(app.on_message, message)

    def on_data(self, data: str | bytes, opcode: int, fin: bool) -> None:
        app = self.app
        if opcode == OP_CONT:
            payload = data.encode() if isinstance(data, str) else data
            self._call(app.on_data, payload, opcode, int(fin))
            self._call(app.on_cont_message, payload, int(fin))
        else:
            self._call(app.on_data, data, opcode, True)
            self._call(app.on_message, data)

    def on_ping(self, payload: bytes) -> None:
        self._call(self.app.on_ping, payload)

    def on_pong(self, payload: bytes) -> None:
        self.app.last_pong_tm = time.time()
        self._call(self.app.on_pong, payload)

    def on_error(self, exc: Exception) -> None:
        self._forget_pings()
        exc = public(exc, self.run.options.sslopt)
        if self.run.ending:
            debug(f"the closing handshake failed: {exc}")  # as WebSocket.close() does
            return
        self.run.report(exc)
        if self.run.connection.phase is Phase.WAITING:
            info(f"{exc} - reconnect")
        else:
            error(f"{exc} - goodbye")

    @calls_user_code
    def on_close(self, code: int, reason: str) -> None:
        app, run = self.app, self.run
        if run.over:
            return
        self._forget_pings()
        session, self.session = self.session, None
        told: Sequence[Any] = (None, None)
        # Not the code of our own complaint about the server, nor one that stands for no code.
        if session is not None and session.received_close is not None:
            text = reason or None
            status = None if code == CloseCode.NO_STATUS else code
            app.last_close_frame = frame = _close_frame(session.received_close)
            if session.closed_by_peer:
                self._closed_by_server(describe_close(status, text))
                run.silent = False  # keep_running = False in on_error is too late for that
            else:
                log_close_status(code)
            told = app._get_close_args(frame)
        # on_error, above, may have closed the connection while it waited for its next attempt.
        run.close_with(*told, last=run.connection.phase is Phase.OVER)

    def _closed_by_server(self, exc: WebSocketConnectionClosedException) -> None:
        waiting = self.run.connection.phase is Phase.WAITING
        if self.app.error_on_close:
            self.app._callback(self.app.on_error, exc)
        info(f"{exc} - {'reconnect' if waiting else 'goodbye'}")


def describe_close(status: int | None, text: str | None) -> WebSocketConnectionClosedException:
    """Return the exception that on_error gets for the server's close frame."""
    if status is None:
        message = "Connection closed"
    elif status == CloseCode.NORMAL:
        message = "Connection closed normally (code 1000)"
    else:
        message = f"Connection closed (code {status})"
    if text:
        message = f"{message}: {printable(text)}"
    return WebSocketConnectionClosedException(message, status_code=status, reason=text)


def _close_frame(close: Close) -> ABNF:
    return ABNF(1, 0, 0, 0, OP_CLOSE, 0, check_close(close.code, close.reason))


class AppLifecycle(ClientLifecycle):
    """The life of an app's connection: it keeps the app's time stamps, and writes the trace.

    Args:
        app: the app.
        url, options, gate, pipeline: see ClientLifecycle.
    """

    __slots__ = ("_app",)

    def __init__(
        self,
        app: WebSocketApp,
        url: Callable[[], str],
        options: ClientOptions,
        gate: Gate,
        pipeline: Pipeline,
    ) -> None:
        super().__init__(url, options, gate, pipeline)
        self._app = app

    @property
    def session_class(self) -> type[WebSocketSession]:  # type: ignore[override]
        """See Lifecycle."""
        return TracingSession if isEnabledForTrace() else WebSocketSession

    def pinging(self) -> None:
        """See Lifecycle."""
        self._app.last_ping_tm = time.time()
        debug("Sending ping")

    def forked(self) -> None:
        """See Lifecycle. The app can be run again in the child."""
        run = self._app._current_run
        if isinstance(run, Run) and run.connection.lifecycle is self:
            run.over = run.ending = True
