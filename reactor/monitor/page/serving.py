"""The monitor's server: a page, figures, and the WebSocket that keeps the page up to date.

What it is: :func:`serve`, and :class:`Monitor`, which it returns.

What it must not know: what is told over the WebSocket (viewer.py).

How it works. One listener on the loop that is watched. Plain requests are answered by
``process_request``; the page connects to ``live``. Who may ask is decided by access.py.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import os
import platform
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from ...compiled import replace
from ...feeds.roster import feeds_of
from ...server.decisions import HTTPResponse
from ..metrics import collect
from .access import Access, answer, read_files
from .frames import Frames
from .rows import feed_card
from .series import Point, Series
from .tour import Tour, told
from .viewer import FEEDS_EVERY, PORTION_EVERY, Viewer

if TYPE_CHECKING:
    from socket import socket

    from ...connection.connection import Connection
    from ...feeds.feed import Feed
    from ...protocols.http.http11 import Request
    from ...reactor import Reactor
    from ...server.listener import Listener

__all__ = ["Monitor", "serve"]

logger = logging.getLogger("reactor.monitor")

#: Path -> file and type.
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/monitor.css": ("monitor.css", "text/css; charset=utf-8"),
    "/monitor.js": ("monitor.js", "text/javascript; charset=utf-8"),
}

LIVE = "/live"

#: Rows of a portion that all pages are told; and of one for pages that do not know all rows yet,
#: which these share. See viewer.py.
LATER_ROWS = 25
FIRST_ROWS = 400

#: Rows in view that are told in a second, of all pages together.
ALL_IN_VIEW = 4000


def serve(
    loop: Reactor, host: str = "127.0.0.1", port: int = 9090, token: str | None = None
) -> Monitor:
    """Serve a page, figures for Prometheus and JSON about a reactor, on this reactor itself.

    The paths: ``/`` the page, ``/metrics`` for Prometheus (needs the package prometheus_client),
    ``/stats.json``, and ``/live``, the page's WebSocket. An open page costs about 1 % of the loop
    at most. The loop's thread only.

    Args:
        loop: the reactor to watch.
        host: the address to listen on; default: this machine alone.
        port: the port (default 9090); 0: any that is free, see ``Monitor.port``.
        token: what a request must bring, as ``Authorization: Bearer TOKEN`` or as ``?token=TOKEN``;
            None (default): nothing, and only requests to this machine's own names are answered.
            With another *host* and without a token, everybody who reaches it is answered, and the
            log warns of it.

    Returns:
        The monitor; its ``close()`` ends it.

    Raises:
        OSError: the port is in use, or not allowed.
        TypeError, ValueError: an argument cannot be used.
    """
    monitor = Monitor(loop, host, token)
    monitor.start(port)
    return monitor


class Monitor:
    """The page's server. Made by :func:`serve`; the loop's thread only.

    Args:
        loop: the reactor that is watched, and that serves.
        host: where to listen.
        token: see :func:`serve`.

    Attributes:
        loop: the reactor.
        series: what it did in each of the last 600 seconds.
        frames: the last frames of connections at which somebody looks.
        viewers: one for each open page.
        phases: numbers; each viewer takes one.
        process: what is watched, in words.
    """

    _listener: Listener[Viewer]

    def __init__(self, loop: Reactor, host: str, token: str | None) -> None:
        self.loop = loop
        self.series = Series(loop)
        self.frames = Frames()
        self.viewers: set[Viewer] = set()
        self.phases = itertools.count()
        self._tour = Tour(loop, Viewer)
        way = "compiled" if replace.compiled else "pure Python"
        python = platform.python_version()
        self.process = f"{way}, Python {python}, process {os.getpid()} on {platform.node()}"
        self._access = Access(host, token)
        self._by_id: dict[int, Connection] = {}
        self._by_id_at = -1.0
        self._feeds: tuple[Sequence[Feed], str] = (), ""
        self._feeds_at = -inf
        self._tick: tuple[Point | None, str] = None, ""
        self._files = read_files(FILES)

    def start(self, port: int) -> None:
        """Listen, and take a point every second."""
        self._listener = self.loop.listen(
            self._access.host,
            port,
            self._make_viewer,
            process_request=self._answer,
            on_overflow="close",
            max_message_size=1 << 16,
            max_connections=256,
        )
        self._access.warn(self.port)
        self.series.take()
        self._second = self.loop.call_every(1.0, self.series.take)
        self._tenth = self.loop.call_every(PORTION_EVERY, self._tell_viewers)

    def _make_viewer(self) -> Viewer:
        return Viewer(self)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return self._access.url(self.port)

    def close(self) -> None:
        """Stop listening, and close the pages' connections. May be called again."""
        self._second.cancel()
        self._tenth.cancel()
        self._listener.close()

    # -- what viewers are told ---------------------------------------------------------------

    def _tell_viewers(self) -> None:
        viewers = list(self.viewers)
        if not viewers:
            self._rest()
            return
        portion = self._tour.next(LATER_ROWS)
        new = sum(viewer.is_new for viewer in viewers)
        first_rows = max(1, FIRST_ROWS // max(1, new))
        in_view = max(1, ALL_IN_VIEW // len(viewers))
        for viewer in viewers:
            try:
                viewer.turn(portion, first_rows, in_view)
            except Exception:
                logger.exception("an open page could not be told what goes on, and is dropped")
                viewer.abort()

    def _rest(self) -> None:
        """Keep nothing alive while nobody looks."""
        self._tour.rest()
        self._by_id, self._by_id_at = {}, -1.0
        self._feeds, self._feeds_at = ((), ""), -inf

    def by_id(self) -> dict[int, Connection]:
        """Return the connections by their numbers on the page; as of this second."""
        second = self.series.latest.now
        if second != self._by_id_at:
            self._by_id = {id(each): each for each in self.loop.connections}
            self._by_id_at = second
        return self._by_id

    def tick(self) -> str:
        """Return what pages are told of the latest second."""
        point = self.series.points[-1]
        if point is not self._tick[0]:
            self._tick = point, told("tick", point=point, facts=self.facts())
        return self._tick[1]

    def feeds(self) -> tuple[Sequence[Feed], str]:
        """Return the feeds, and what pages are told of them; as of these five seconds."""
        now = self.loop.time()
        if now - self._feeds_at >= FEEDS_EVERY:
            feeds = feeds_of(self.loop)
            self._feeds = feeds, told("feeds", feeds=[feed_card(feed) for feed in feeds])
            self._feeds_at = now
        return self._feeds

    def facts(self) -> list[tuple[str, str]]:
        """Return the names and values of what the page says in one line."""
        stats = self.series.latest
        facts = [
            (name, f"{getattr(stats, name):,}")
            for name in ("open", "connecting", "waiting", "closing", "ended", "timers")
        ]
        if stats.longest_callback > 0:
            longest = f"{stats.longest_callback * 1000:.1f} ms, {stats.longest_callback_of}"
            facts.append(("longest callback", longest))
        return facts

    # -- requests ------------------------------------------------------------------------------

    def _answer(self, request: Request, sock: socket) -> HTTPResponse | None:
        if refusal := self._access.refuse(request):
            return refusal
        if request.path == LIVE:
            return None
        return answer(
            request,
            self._files,
            lambda: json.dumps(self.figures()),
            lambda: collect([("", self.loop)]),
            "/, /metrics, /stats.json and /live",
        )

    def figures(self) -> dict[str, object]:
        """Return what ``/stats.json`` says: figures of the loop, by host, and of the feeds."""
        stats = dataclasses.asdict(self.loop.stats(hosts=True))
        del stats["connections"]  # there may be thousands
        feeds = [feed_card(feed) for feed in feeds_of(self.loop)]
        return {"process": self.process, **stats, "feeds": feeds}
