"""Viewers: the WebSocket behind an open page.

What it is: :class:`Viewer`, a protocol object that tells a page what the loop does.

What it must not know: HTTP, who may look.

How it works. Every second it tells the loop's latest point, and what the page looks at; every tenth
of a second some rows of the table: those in view first, then the others in turn. So an open page
costs about the same however many connections there are, and never holds up the loop. A page that
does not read is dropped (``on_overflow="close"``), and connects again.

The page tells what it looks at: ``{"rows": [ids in view], "detail": id, "topics": id of a feed,
"find": text}``. Anything else is an error, and closes the connection with 1008.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...base.printable import printable
from ...exceptions import CloseCode
from ...feeds.roster import feeds_of
from ...protocols.websocket import WebSocketProtocol
from ..explain import explain
from .rows import FIELDS, feed_card, row, topics_of

if TYPE_CHECKING:
    from ...connection.connection import Connection
    from ...feeds.feed import Feed
    from .serving import Monitor

__all__ = ["Viewer"]

#: Seconds between portions of rows, and how many portions make a second.
PORTION_EVERY = 0.1
PORTIONS = 10

#: Rows of a portion: at first, until the page knows all of them; and later.
FIRST_ROWS = 400
LATER_ROWS = 25

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
        self._portion = 0
        self._known: set[int] = set()  # rows that the page has
        self._queue: list[Connection] = []  # those whose turn comes, the next one last
        self._first = True
        self._ended = -1  # how many connections had ended when the page was last told who has gone
        self._in_view: Sequence[int] = ()
        self._detail: int | None = None
        self._looking_at: WebSocketProtocol | None = None
        self._topics: int | None = None
        self._find = ""
        self._feeds: list[Feed] = []

    # -- handlers --------------------------------------------------------------------------

    def on_open(self) -> None:
        """Say hello, and begin to tell."""
        monitor = self._monitor
        self._tell(
            "hello",
            fields=FIELDS,
            process=monitor.process,
            history=list(monitor.series.points),
        )
        monitor.viewers.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Take note of what the page looks at."""
        try:
            asked = json.loads(message)
            rows, detail, topics, find = (
                asked[name] for name in ("rows", "detail", "topics", "find")
            )
            _check(rows, detail, topics, find)
        except (ValueError, TypeError, KeyError) as exc:
            reason = printable(f"not what the page says: {exc!r}", 100)
            self.close(CloseCode.POLICY_VIOLATION, reason[:100].encode("ascii", "replace").decode())
            return
        self._in_view, self._find = rows[:MOST_IN_VIEW], find
        if detail != self._detail:
            self._look_at(detail)
            self._tell_detail()
        self._topics = topics
        self._tell_topics()

    def on_close(self, code: int, reason: str) -> None:
        """Stop."""
        self._monitor.viewers.discard(self)
        self._look_at(None)

    # -- what is told, and when --------------------------------------------------------------

    def turn(self) -> None:
        """Tell what is due. Called by the monitor every tenth of a second."""
        self._portion += 1
        if self._portion % PORTIONS == 1:
            self._tell_second()
        self._tell_rows()

    def _tell_second(self) -> None:
        monitor = self._monitor
        self._tell("tick", point=monitor.series.points[-1], facts=monitor.facts())
        self._tell_gone()
        self._tell_detail()
        if self._portion // PORTIONS % FEEDS_EVERY == 0:
            self._feeds = feeds_of(monitor.loop)
            self._tell("feeds", feeds=[feed_card(feed) for feed in self._feeds])
            self._tell_topics()
        listed = monitor.by_id()
        rows = [row(listed[number]) for number in self._in_view if number in listed]
        self._tell("rows", rows=rows)

    def _tell_rows(self) -> None:
        if not self._queue:
            connections = self._monitor.loop.connections
            listed = [each for each in connections if not isinstance(each.protocol, Viewer)]
            # New ones come first; a list is taken from its end.
            listed.sort(key=lambda each: id(each) not in self._known)
            self._queue = listed
        number = FIRST_ROWS if self._first else LATER_ROWS
        portion, self._queue = self._queue[-number:], self._queue[:-number]
        if not self._queue:
            self._first = False
        known = self._monitor.loop.connections
        rows = [row(each) for each in portion if each in known]
        self._known.update(each[0] for each in rows)
        if rows:
            self._tell("rows", rows=rows)

    def _tell_gone(self) -> None:
        ended = self._monitor.series.latest.ended
        if ended == self._ended:
            return
        self._ended = ended
        gone = self._known - {id(each) for each in self._monitor.loop.connections}
        if gone:
            self._known -= gone
            self._tell("gone", ids=list(gone))

    # -- one connection, one feed --------------------------------------------------------------

    def _look_at(self, wanted: int | None) -> None:
        frames = self._monitor.frames
        if self._looking_at is not None:
            frames.look_away(self._looking_at)
        self._detail, self._looking_at = wanted, None
        connection = None if wanted is None else self._monitor.by_id().get(wanted)
        if connection is not None:
            self._looking_at = connection.protocol
            frames.look(self._looking_at)

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
        self.send(json.dumps({"kind": kind, **what}, separators=(",", ":")))


def _check(rows: Any, detail: Any, topics: Any, find: Any) -> None:
    """Raise TypeError unless these are what a page may ask for."""
    if not isinstance(rows, list) or not all(isinstance(each, int) for each in rows):
        raise TypeError("rows must be a list of numbers")
    if not isinstance(detail, int | None) or not isinstance(topics, int | None):
        raise TypeError("detail and topics must be numbers or null")
    if not isinstance(find, str):
        raise TypeError("find must be a text")
