"""WebSocketApp: the long-lived face of websocket-client, on the reactor.

What it is: the class with the callbacks, and ``run_forever`` in its three forms: on its own
reactor, on a shared one, and hosted by a foreign dispatcher (``rel``).

What it must not know: sockets, frames, timers; a Connection does the work.

How it works. ``run_forever`` creates a Run (run.py), whose connection calls the callbacks. A
callback is a function that the user has assigned, or else a method of a subclass; callbacks.py
knows how to call each of them.

While connected, ``app.sock`` is an AppSocket (sock.py), with the attributes that programs
use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...client.options import ClientOptions
from ...exceptions import WebSocketConnectionClosedException, WebSocketException
from ...hosting.rel import host as host_reactor
from ...protocols.deflate import Deflate
from ...protocols.frames import OP_TEXT
from ...protocols.stats import ConnectionStats
from ...protocols.taken import Assignable
from ...protocols.websocket import WebSocketProtocol
from ...reactor import Reactor
from ..defaults import get_reconnect
from ..frame import ABNF, to_bytes
from ..options import app_options, parse_url
from .callbacks import Fit, call_back
from .pings import check_pings, has_own_pings, send_pings, start_pings, stop_pings
from .run import Run
from .sock import AppSocket
from .steps import SteppedRun, is_wanted, make_loop, run_in_steps, stands_for

__all__ = ["AppSocket", "WebSocketApp", "run_forever"]

#: The parameters of WebSocketApp.close().
CLOSE_PARAMETERS = frozenset({"status", "reason", "timeout"})


class WebSocketApp:
    """A connection with callbacks. See websocket-client's documentation, and docs/migrating.md.

    Args:
        url: ws:// or wss://, or a function that returns it, called before every attempt.
        header: list of "Name: value", dict, or a function that returns one of them.
        on_open: ``on_open(app)``: the connection is open.
        on_reconnect: ``on_reconnect(app)``: it is open again. Without it, on_open is called again.
        on_message: ``on_message(app, message)``: str for text, bytes for binary.
        on_error: ``on_error(app, exception)``.
        on_close: ``on_close(app, code, reason)``: both None if there was no close frame.
        on_ping: ``on_ping(app, payload)``.
        on_pong: ``on_pong(app, payload)``.
        on_cont_message: ``on_cont_message(app, data, fin)``: a further fragment of a message in
            several frames.
        keep_running: accepted without effect, as in websocket-client.
        get_mask_key: a function of one parameter that returns a masking key of four bytes.
        cookie: value of the Cookie header, or a function that returns it.
        subprotocols: list of names to offer.
        on_data: ``on_data(app, data, opcode, fin)``: called before on_message and
            on_cont_message.
        socket: a connected socket to use instead of connecting; for wss:// it speaks TLS already.
        compression: "deflate" or a Deflate: offer permessage-deflate (RFC 7692); None: no offer.
        plain_socket: True: even for wss://, ``socket`` speaks no TLS; something behind it does.
        lenient: False: not even harmless violations are accepted; see ClientOptions.

    All callbacks may be assigned later, or be methods of a subclass, which get no ``app``. A
    callback that takes fewer parameters (``def on_close(app)``) is given those that it takes.
    """

    #: Whether on_error is called when the server closes the connection, as in websocket-client
    #: 1.9. If False, on a class or an object, on_error is called for errors only.
    error_on_close = True

    #: See WebSocketProtocol for these.
    _reactor_trace: Any = None
    _reactor_wiretaps: tuple[Any, ...] = ()

    on_open: Any = None
    on_reconnect: Any = None
    on_message: Any = None
    on_error: Any = None
    on_close: Any = None
    on_ping: Any = None
    on_pong: Any = None
    on_cont_message: Any = None
    on_data: Any = None

    def __init__(
        self,
        url: str | Callable[[], str],
        header: Any = None,
        on_open: Callable[..., Any] | None = None,
        on_reconnect: Callable[..., Any] | None = None,
        on_message: Callable[..., Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        on_close: Callable[..., Any] | None = None,
        on_ping: Callable[..., Any] | None = None,
        on_pong: Callable[..., Any] | None = None,
        on_cont_message: Callable[..., Any] | None = None,
        keep_running: bool = True,
        get_mask_key: Callable[[int], bytes | str] | None = None,
        cookie: str | Callable[[], str] | None = None,
        subprotocols: list[str] | None = None,
        on_data: Callable[..., Any] | None = None,
        socket: Any = None,
        compression: Deflate | str | None = None,
        plain_socket: bool = False,
        lenient: bool = True,
    ) -> None:
        self.url = url
        self.header = [] if header is None else header
        self.cookie = cookie
        given = {
            "on_open": on_open,
            "on_reconnect": on_reconnect,
            "on_message": on_message,
            "on_error": on_error,
            "on_close": on_close,
            "on_ping": on_ping,
            "on_pong": on_pong,
            "on_cont_message": on_cont_message,
            "on_data": on_data,
        }
        # Only what was given: otherwise a method of a subclass would be hidden.
        self.__dict__.update({name: call for name, call in given.items() if call is not None})
        self.get_mask_key = get_mask_key
        self.subprotocols = subprotocols
        self.prepared_socket = socket
        self.plain_socket = plain_socket
        self.compression = compression
        self.lenient = lenient
        self.sock: Any = None
        self.last_ping_tm = 0.0  # wall clock, because programs print it
        self.last_pong_tm = 0.0
        self.ping_interval = 0.0
        self.ping_timeout: float | None = None
        self.ping_payload: str | bytes = ""
        self.ping_thread = None  # never used, and no event to stop it; programs read it
        self.stop_ping = None
        self.has_errored = False
        self.last_close_frame: Any = None
        self._current_run: Run | SteppedRun | None = None
        self._fits: dict[Any, Fit] = {}  # see callbacks.py

    # -- what looks at it, see connection/subject.py ----------------------------------------

    @property
    def _reactor_subject(self) -> WebSocketApp:
        return self

    @property
    def _reactor_connection(self) -> Any:
        """The connection of the latest run."""
        return getattr(self._current_run, "connection", WebSocketProtocol._reactor_connection)

    @property
    def stats(self) -> ConnectionStats:
        """What was counted of the connection of the latest run: see WebSocketProtocol."""
        return self._reactor_connection.stats  # type: ignore[no-any-return]

    # -- verbs ---------------------------------------------------------------------------

    @property
    def keep_running(self) -> bool:
        """Whether the app runs. Setting it to False ends the run, from any thread."""
        return self._current_run is not None and not self._current_run.ending

    @keep_running.setter
    def keep_running(self, value: bool) -> None:
        if not value and self._current_run is not None:
            self._current_run.leave()

    @property
    def has_done_teardown(self) -> bool:
        """Whether a run has ended."""
        return self._current_run is not None and self._current_run.over

    def send(self, data: str | bytes, opcode: int = OP_TEXT) -> None:
        """Send a message. Any thread.

        Args:
            data: str (sent as UTF-8) or bytes.
            opcode: the opcode of the frame; text by default, whatever the type of *data* is.

        Raises:
            WebSocketConnectionClosedException: the connection is not open.
            ValueError: the opcode does not exist.
            TypeError: the data has another type.
        """
        sock = self.sock  # another thread may set it to None
        if not sock or sock.send(data, opcode) == 0:
            raise WebSocketConnectionClosedException("Connection is already closed.")

    def send_text(self, text_data: str) -> None:
        """Send a text message; see :meth:`send`."""
        self.send(text_data, ABNF.OPCODE_TEXT)

    def send_bytes(self, data: bytes | bytearray) -> None:
        """Send a binary message; see :meth:`send`."""
        self.send(data, ABNF.OPCODE_BINARY)  # type: ignore[arg-type]

    def close(self, **kwargs: Any) -> None:
        """Close the connection and end the run. Any thread; returns at once.

        Args:
            status: the close code, default 1000.
            reason: str or bytes.
            timeout: seconds that the server has to answer, default 3; None: no limit.

        Raises:
            ValueError: the code or the reason may not be sent.
            TypeError: there is no such parameter.
        """
        run, sock = self._current_run, self.sock
        if run is not None and not run.over:
            for name in kwargs.keys() - CLOSE_PARAMETERS:
                raise TypeError(f"WebSocket.close() got an unexpected keyword argument {name!r}")
            run.close(**kwargs)
            self.sock = None
        elif sock:  # set by the program
            sock.close(**kwargs)
            self.last_close_frame = getattr(sock, "close_frame", None) or self.last_close_frame
            self.sock = None

    def ready(self) -> bool | None:
        """Whether the connection is open; None if there is none."""
        return self.sock and self.sock.connected  # type: ignore[no-any-return]

    # -- running -------------------------------------------------------------------------

    def run_forever(
        self,
        sockopt: Any = None,
        sslopt: dict[str, Any] | None = None,
        ping_interval: float = 0,
        ping_timeout: float | None = None,
        ping_payload: str | bytes = "",
        http_proxy_host: str | None = None,
        http_proxy_port: int | str | None = None,
        http_no_proxy: list[str] | None = None,
        http_proxy_auth: tuple[str, str] | None = None,
        http_proxy_timeout: float | None = None,
        skip_utf8_validation: bool = False,
        host: str | None = None,
        origin: str | None = None,
        dispatcher: Any = None,
        suppress_origin: bool = False,
        suppress_host: bool = False,
        proxy_type: str | None = None,
        reconnect: Any = None,
    ) -> bool:
        """Connect, and call the callbacks until the connection has ended.

        The arguments are those of websocket-client, and these:

        Args:
            reconnect: seconds between attempts, or a Backoff; None: as set by set_reconnect().
            dispatcher: a Reactor: run on it, and return at once. Another object with
                ``read``, ``timeout``, ``signal`` and ``abort`` (the ``rel`` package): the same.

        Returns:
            Whether there was an error; False at once with a dispatcher.

        Raises:
            ValueError: the URL cannot be used.
            WebSocketException: the options cannot be used, or the app is already running.
            KeyboardInterrupt, SystemExit: they pass through.
        """
        check_pings(ping_interval, ping_timeout)
        running = self._current_run is not None and not self._current_run.ending
        if running or (self.sock and not isinstance(self.sock, AppSocket)):
            raise WebSocketException("socket is already opened")
        secure = isinstance(self.url, str) and parse_url(self.url).secure
        custom = bool(dispatcher)
        loop = self.create_dispatcher(ping_timeout, dispatcher, secure, partial(_lose, self))
        given = {
            "sockopt": sockopt,
            "sslopt": sslopt,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "ping_payload": ping_payload,
            "http_proxy_host": http_proxy_host,
            "http_proxy_port": http_proxy_port,
            "http_no_proxy": http_no_proxy,
            "http_proxy_auth": http_proxy_auth,
            "http_proxy_timeout": http_proxy_timeout,
            "skip_utf8_validation": skip_utf8_validation,
            "host": host,
            "origin": origin,
            "suppress_origin": suppress_origin,
            "suppress_host": suppress_host,
            "proxy_type": proxy_type,
            "reconnect": get_reconnect() if reconnect is None else reconnect,
        }
        stepped = is_wanted(loop, dispatcher)
        if not stepped:
            own = {"ping_interval": 0} if has_own_pings(self) else {}
            options = app_options(self, **{**given, **own})
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.ping_payload = ping_payload
        self.has_errored = False
        self.last_ping_tm = self.last_pong_tm = 0.0
        if stepped:
            return run_in_steps(self, loop, given, custom=custom, secure=secure)
        return _start(self, options, stands_for(loop))

    def create_dispatcher(
        self,
        ping_timeout: float | None,
        dispatcher: Any = None,
        is_ssl: bool = False,
        handleDisconnect: Callable[..., Any] | None = None,  # noqa: N803 - the name in use
    ) -> Any:
        """Return the loop in which websocket-client would read, or a Reactor as it is.

        Called by run_forever() with its arguments. Subclasses may return their own loop, which is
        then used; the loop returned here is known to do what a reactor does.

        Args:
            ping_timeout: see run_forever().
            dispatcher: see run_forever().
            is_ssl: whether the URL is wss://.
            handleDisconnect: called, with an exception or without, when the connection is lost.
        """
        if dispatcher and isinstance(dispatcher, Reactor):
            return dispatcher
        return make_loop(self, ping_timeout, dispatcher, is_ssl, handleDisconnect)

    # Subclasses override it to send something other than pings, from a thread (pings.py).
    _send_ping = send_pings
    _start_ping_thread = start_pings
    _stop_ping_thread = stop_pings

    # -- callbacks -----------------------------------------------------------------------

    def _get_close_args(self, close_frame: ABNF | None) -> list[Any]:
        """Return the code and the reason that on_close gets; subclasses may return others."""
        return list(self._parse_close_frame(close_frame) if self.on_close else (None, None))

    def _parse_close_frame(self, close_frame: ABNF | None) -> tuple[int | None, str | None]:
        """Return the code and the reason in a close frame, each None if there is none."""
        data = to_bytes(close_frame.data) if close_frame else b""
        if len(data) < 2:
            return None, None
        return int.from_bytes(data[:2], "big"), data[2:].decode(errors="replace") or None

    # Subclasses override it to see all events.
    _callback = call_back


# Programs that have numbers of their own there go on as before.
if not TYPE_CHECKING:
    WebSocketApp.stats = Assignable(WebSocketApp.stats)


# These functions are not in the class, whose names belong to its subclasses.


def _start(app: WebSocketApp, options: ClientOptions, dispatcher: Any) -> bool:
    before = app._current_run
    earlier = None if before is None else before.loop
    if dispatcher:
        loop = dispatcher if isinstance(dispatcher, Reactor) else host_reactor(dispatcher)
    elif (
        earlier is not None
        and earlier.loop.running
        and earlier.loop.thread_id == threading.get_ident()
    ):
        # Called by a callback, on_close for example: the run_forever() that is already running
        # goes on with the new connection, and the stack does not grow.
        loop = earlier
    else:
        return _run_alone(app, options)
    when_over = before.when_over if before is not None and before.loop is loop else None
    run = app._current_run = Run(app, loop, options, when_over)
    run.start()
    return False


def _lose(app: WebSocketApp, *args: Any) -> Any:
    run = app._current_run
    if isinstance(run, SteppedRun):
        return run.closed(*args)
    return None if run is None else AppSocket(run.connection).abort()


def _run_alone(app: WebSocketApp, options: ClientOptions) -> bool:
    try:
        loop = Reactor()
    except OSError as exc:  # no descriptor is left
        app.has_errored = True
        app._callback(app.on_error, exc)
        app._callback(app.on_close, None, None)
        return True
    with loop:
        run = app._current_run = Run(app, loop, options, loop.stop)
        run.start()
        try:
            loop.run_forever()
        except BaseException as exc:
            latest = app._current_run  # a callback may have started another run on this loop
            (latest if latest is not None and latest.loop is loop else run).interrupt(exc)
            raise
    return app.has_errored


def run_forever(*apps: WebSocketApp, **kwargs: Any) -> bool:
    """Run several apps on one thread until all of them have ended.

    Args:
        apps: the apps.
        kwargs: those of WebSocketApp.run_forever, except dispatcher; they apply to all apps.

    Returns:
        Whether one of them had an error.

    Raises:
        WebSocketException: as for WebSocketApp.run_forever, which lists further exceptions.
    """
    with Reactor() as loop:

        def stop_if_done() -> None:
            if all(app._current_run is None or app._current_run.over for app in apps):
                loop.stop()

        for app in apps:
            app.run_forever(dispatcher=loop, **kwargs)
            assert app._current_run is not None
            app._current_run.when_over = stop_if_done
        try:
            if apps:
                loop.run_forever()
        except BaseException as exc:
            for app in apps:
                if app._current_run is not None:
                    app._current_run.interrupt(exc)
            raise
    return any(app.has_errored for app in apps)
