"""Pings of an app: what may be asked for; and pings from a thread, for a subclass that has its own.

What it is: :func:`check_pings`; and what websocket-client does for every app: a thread that runs
``app._send_ping()``. Our apps do not need it, since pings are timers of the reactor. But programs
override that method, to send a message of their protocol instead of a ping; then it is run as in
websocket-client.

What it must not know: the connection.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ...base.mistakes import check_number
from ...exceptions import WebSocketException
from ..tracing import debug

__all__ = ["check_pings", "has_own_pings", "send_pings", "start_pings", "stop_pings"]


def check_pings(interval: float, timeout: float | None) -> None:
    """Check what run_forever() was given, with websocket-client's messages."""
    check_number("ping_interval", interval, "a number of seconds")
    check_number("ping_timeout", timeout, "None, or a number of seconds")
    if timeout is not None and timeout <= 0:
        raise WebSocketException("Ensure ping_timeout > 0")
    if interval is not None and interval < 0:
        raise WebSocketException("Ensure ping_interval >= 0")
    if timeout and interval and interval <= timeout:
        raise WebSocketException("Ensure ping_interval > ping_timeout")


def send_pings(app: Any) -> None:
    """Send a ping every interval until the connection has ended, as websocket-client does."""
    stop = app.stop_ping
    while stop is not None and not stop.wait(app.ping_interval) and app.keep_running:
        if app.sock:
            app.last_ping_tm = time.time()
            try:
                debug("Sending ping")
                app.sock.ping(app.ping_payload)
            except Exception as exc:  # noqa: BLE001 - the socket may be any object
                debug(f"Failed to send ping: {exc}")


def has_own_pings(app: Any) -> bool:
    """Whether the app overrides ``_send_ping`` of WebSocketApp, which is send_pings()."""
    return getattr(app._send_ping, "__func__", None) is not send_pings


def start_pings(app: Any) -> None:
    """Have a thread run ``app._send_ping()``."""
    app.last_ping_tm = app.last_pong_tm = 0.0
    app.stop_ping = threading.Event()
    app.ping_thread = threading.Thread(target=app._send_ping, daemon=True)
    app.ping_thread.start()


def stop_pings(app: Any) -> None:
    """Tell that thread to end. Do not wait for it: it may be in the middle of anything."""
    if app.stop_ping is not None:
        app.stop_ping.set()
    app.last_ping_tm = app.last_pong_tm = 0.0
