"""A fleet's page: all of its shards in a browser, for Prometheus, and as JSON.

What it is: :func:`serve_fleet`, and :class:`FleetMonitor`, which it returns.

What it must not know: NATS, asyncio. The fleet reads what its shards count several times a second
in any case, to see whether they live; here is only shown what it has read.

How it works. One listener, on a reactor in a thread of its own, or on one that is given. The page
asks for ``stats.json`` every second.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from typing import TYPE_CHECKING

from ...protocols.websocket import WebSocketProtocol
from ...reactor import Reactor
from ...server.decisions import HTTPResponse
from ..page.access import Access, answer, read_files
from .figures import collect_fleet

if TYPE_CHECKING:
    from socket import socket

    from ...fleet import Coordinator, Fleet
    from ...protocols.http.http11 import Request

__all__ = ["FleetMonitor", "serve_fleet"]

#: Path -> file and type.
FILES = {
    "/": ("fleet.html", "text/html; charset=utf-8"),
    "/monitor.css": ("monitor.css", "text/css; charset=utf-8"),
    "/fleet.js": ("fleet.js", "text/javascript; charset=utf-8"),
}


def serve_fleet(
    fleet: Fleet | Coordinator,
    host: str = "127.0.0.1",
    port: int = 9090,
    token: str | None = None,
    loop: Reactor | None = None,
) -> FleetMonitor:
    """Serve a page, figures for Prometheus and JSON about all shards of a fleet.

    The paths: ``/`` the page, ``/metrics`` for Prometheus (needs the package prometheus_client),
    and ``/stats.json``. The figures are at most two seconds old, and say how old they are.

    Args:
        fleet: a Fleet or a Coordinator that was started.
        host, port, token: as for :func:`reactor.monitor.serve`.
        loop: a reactor that serves it, on whose thread this is called; None (default): one is
            made, and runs in a thread of its own.

    Returns:
        The monitor; its ``close()`` ends it, and so does ``with``.

    Raises:
        OSError: the port is in use, or not allowed.
        TypeError, ValueError: an argument cannot be used.
    """
    return FleetMonitor(fleet, host, token).start(port, loop)


class FleetMonitor:
    """The server of a fleet's page. Made by :func:`serve_fleet`.

    Args:
        fleet: whose shards are shown.
        host: where to listen.
        token: see :func:`serve_fleet`.
    """

    def __init__(self, fleet: Fleet | Coordinator, host: str, token: str | None) -> None:
        self._fleet = fleet
        self._access = Access(host, token)
        self._files = read_files(FILES)
        self._thread: threading.Thread | None = None

    def start(self, port: int, loop: Reactor | None) -> FleetMonitor:
        """Listen. Returns itself."""
        self._loop = Reactor() if loop is None else loop
        try:
            self._listener = self._loop.listen(
                self._access.host,
                port,
                WebSocketProtocol,
                process_request=self._answer,
                max_connections=256,
            )
        except BaseException:
            if loop is None:
                self._loop.close()
            raise
        #: The port on which it listens.
        self.port = self._listener.port
        self._access.warn(self.port)
        if loop is None:
            self._thread = threading.Thread(target=self._run, name="reactor-monitor", daemon=True)
            self._thread.start()
        return self

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return self._access.url(self.port)

    def close(self) -> None:
        """Serve it no longer. May be called again.

        Any thread, if the reactor is not one that was given; else that reactor's.
        """
        if self._thread is None:
            self._listener.close()
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> FleetMonitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request, sock: socket) -> HTTPResponse:
        if refusal := self._access.refuse(request):
            return refusal
        fleet = self._fleet
        return answer(
            request,
            self._files,
            self._stats,
            lambda: collect_fleet(fleet.name, fleet.latest, fleet.latest_age),
            "/, /metrics and /stats.json",
        )

    def _stats(self) -> str:
        age = self._fleet.latest_age
        said = dataclasses.asdict(self._fleet.latest)
        said |= {"name": self._fleet.name, "age": None if math.isinf(age) else round(age, 3)}
        return json.dumps(said, default=str)
