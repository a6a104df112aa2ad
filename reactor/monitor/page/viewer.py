"""Viewers: the WebSocket behind an open page.

What it is: :class:`Viewer`, a protocol object that tells a page what the loop does.

What it must not know: HTTP, who may look.

How it works. Ten times a second, each page is told some rows of the table, the same for all pages
(tour.py), and until it knows all of them some more; once a second the loop's latest point, and what
it looks at. All pages together have so many rows in a second; so an open page costs about the same
however many connections there are, and a hundred pages do not hold up the loop. A page that does
not read is dropped (``on_overflow="close"``), and connects again.

The page tells what it looks at: ``{"rows": [ids in view], "detail": id, "topics": id of a feed,
"find": text}``. Anything else is an error, and closes the connection with 1008.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...base.printable import printable
from ...exceptions import CloseCode
from ...protocols.events import State
from ...protocols.websocket import WebSocketProtocol
from ..explain import explain
from .rows import FIELDS, topics_of
from .tour import Portion, portion_of, shown, told

if TYPE_CHECKING:
    from ...connection.connection import Connection
    from ...feeds.feed import Feed
    from .series import Point
    from .serving import Monitor

__all__ = ["Viewer"]

#: Seconds between portions of rows, and how many portions make a second.
PORTION_EVERY = 0.1
PORTIONS = 10

#: Rows that a page may have in view, and topics that it is told at once.
MOST_IN_VIEW = 200
MOST_TOPICS = 500

#: Feeds have to look at all of their topics: that often, in seconds.
FEEDS_EVERY = 5


class Viewer(WebSocketProtocol):
    """Tells one page. Given to the monitor's listener.

    Args:
        monitor: whose viewer it is.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._portion = next(monitor.phases)  # so that pages have their seconds at different times
        self._seconds = 0
        # Rows that the page has. No other connection can have the number of one that is kept.
        self._known: dict[int, Connection] = {}
        self._unknown: list[Connection] = []  # those that it is told first, the next one last
        self._point: Point | None = None  # the latest one that it was told
        self._ended = -1  # how many connections had ended when the page was last told who has gone
        self._in_view: Sequence[int] = ()
        self._detail: int | None = None
        self._looking_at: WebSocketProtocol | None = None
        self._topics: int | None = None
        self._find = ""
        self._feeds: Sequence[Feed] = ()

    @property
    def is_new(self) -> bool:
        """Whether the page does not know all rows yet."""
        return bool(self._unknown)

    # -- handlers --------------------------------------------------------------------------

    def on_open(self) -> None:
        """Say hello, and begin to tell."""
        monitor = self._monitor
        points = monitor.series.points
        self._tell("hello", fields=FIELDS, process=monitor.process, history=list(points))
        self._point = points[-1]
        self._unknown = shown(monitor.loop, Viewer)
        monitor.viewers.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Take note of what the page looks at."""
        try:
            asked = json.loads(message)
            rows, detail, topics, find = (
                asked[name] for name in ("rows", "detail", "topics", "find")
            )
            _check(rows, detail, topics, find)
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            reason = printable(f"not what the page says: {exc!r}", 100)
            self.close(CloseCode.POLICY_VIOLATION, reason[:100].encode("ascii", "replace").decode())
            return
        self._in_view = rows[:MOST_IN_VIEW]
        if detail != self._detail:
            self._look_at(detail)
            self._tell_detail()
        if (topics, find) != (self._topics, self._find):
            self._topics, self._find = topics, find
            self._tell_topics()

    def on_close(self, code: int, reason: str) -> None:
        """Stop."""
        self._monitor.viewers.discard(self)
        self._look_at(None)

    # -- what is told, and when --------------------------------------------------------------

    def turn(self, portion: Portion, first_rows: int, in_view: int) -> None:
        """Tell what is due. Called by the monitor every tenth of a second.

        Args:
            portion: the rows that all pages are told.
            first_rows: how many rows more, if the page does not know all of them yet.
            in_view: how many of the rows in view may be told in a second.
        """
        if self.state is not State.OPEN:
            return  # it is being closed
        point = self._monitor.series.points[-1]
        if point is not self._point:
            self._point = point
            self.send(self._monitor.tick())
        self._portion += 1
        if self._portion % PORTIONS == 0:
            self._tell_second(in_view)
        self._tell_rows(portion)
        if self._unknown:
            first, self._unknown = self._unknown[-first_rows:], self._unknown[:-first_rows]
            self._tell_rows(portion_of(self._monitor.loop, first))

    def _tell_second(self, in_view: int) -> None:
        self._tell_gone()
        self._tell_detail()
        if self._seconds % FEEDS_EVERY == 0:
            self._feeds, text = self._monitor.feeds()
            self.send(text)
            self._tell_topics()
        self._seconds += 1
        listed = self._monitor.by_id()
        rows = [listed[each] for each in self._in_view[:in_view] if each in listed]
        self._tell_rows(portion_of(self._monitor.loop, rows))

    def _tell_rows(self, portion: Portion) -> None:
        if portion.connections:
            self.send(portion.text)
            self._known.update((id(each), each) for each in portion.connections)

    def _tell_gone(self) -> None:
        ended = self._monitor.series.latest.ended
        if ended == self._ended:
            return
        self._ended = ended
        open_ones = self._monitor.loop.connections
        gone = [number for number, each in self._known.items() if each not in open_ones]
        if gone:
            for number in gone:
                del self._known[number]
            self._tell("gone", ids=gone)

    # -- one connection, one feed --------------------------------------------------------------

    def _look_at(self, wanted: int | None) -> None:
        frames = self._monitor.frames
        if self._looking_at is not None:
            frames.look_away(self._looking_at, self)
        self._detail, self._looking_at = wanted, None
        connection = None if wanted is None else self._monitor.by_id().get(wanted)
        if connection is not None:
            self._looking_at = connection.protocol
            frames.look(self._looking_at, self)

    def _tell_detail(self) -> None:
        protocol = self._looking_at
        if self._detail is None:
            return
        if protocol is None:
            self._tell("detail", id=self._detail, title="", explain="It has ended.", frames=[])
            return
        explanation = explain(protocol)
        self._tell(
            "detail",
            id=self._detail,
            title=explanation.stats.place,
            explain=str(explanation),
            frames=self._monitor.frames.of(protocol),
        )

    def _tell_topics(self) -> None:
        for feed in self._feeds:
            if id(feed) == self._topics:
                self._tell("topics", **topics_of(feed, self._find, MOST_TOPICS))

    def _tell(self, kind: str, **what: Any) -> None:
        self.send(told(kind, **what))


def _check(rows: Any, detail: Any, topics: Any, find: Any) -> None:
    """Raise TypeError unless these are what a page may ask for."""
    if not isinstance(rows, list) or not all(isinstance(each, int) for each in rows):
        raise TypeError("rows must be a list of numbers")
    if not isinstance(detail, int | None) or not isinstance(topics, int | None):
        raise TypeError("detail and topics must be numbers or null")
    if not isinstance(find, str):
        raise TypeError("find must be a text")
