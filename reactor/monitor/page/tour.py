"""The tour: all connections of a loop in small portions, again and again.

What it is: :class:`Tour`, which all open pages share, and :class:`Portion`, rows as pages are told
them.

What it must not know: who looks at it.

How it works. A list of all connections is gone through from its end, and made anew when nothing is
left of it; those that the list before did not have come first. So each portion costs the same,
however many connections there are, and the pages are told one text, however many pages there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .rows import row

if TYPE_CHECKING:
    from ...connection.connection import Connection
    from ...protocols.websocket import WebSocketProtocol
    from ...reactor import Reactor

__all__ = ["Portion", "Tour", "portion_of", "shown", "told"]


class Portion(NamedTuple):
    """Some rows.

    Attributes:
        connections: whose rows they are.
        text: what a page is told.
    """

    connections: Sequence[Connection]
    text: str


def told(kind: str, **what: object) -> str:
    """Return the text of a message to a page."""
    return json.dumps({"kind": kind, **what}, separators=(",", ":"))


def portion_of(loop: Reactor, connections: Iterable[Connection]) -> Portion:
    """Return the rows of some connections, without those that are over."""
    present = [each for each in connections if each in loop.connections]
    return Portion(present, told("rows", rows=[row(each) for each in present]))


def shown(loop: Reactor, pages: type[WebSocketProtocol]) -> list[Connection]:
    """Return the connections of a loop that a page shows.

    Args:
        loop: the loop.
        pages: the class of the protocol objects that are behind pages, which are not shown.
    """
    return [each for each in loop.connections if not isinstance(each.protocol, pages)]


class Tour:
    """See the module. The loop's thread only.

    Args:
        loop: the loop.
        pages: see :func:`shown`.
    """

    def __init__(self, loop: Reactor, pages: type[WebSocketProtocol]) -> None:
        self._loop = loop
        self._pages = pages
        self._left: list[Connection] = []
        self._seen: set[int] = set()  # those that the latest list has

    def next(self, number: int) -> Portion:
        """Return the next portion.

        Args:
            number: how many connections it has at most.
        """
        if not self._left:
            self._left = shown(self._loop, self._pages)
            self._left.sort(key=lambda each: id(each) not in self._seen)
            self._seen = set(map(id, self._left))
        portion, self._left = self._left[-number:], self._left[:-number]
        return portion_of(self._loop, portion)

    def rest(self) -> None:
        """Keep no connection alive while nobody looks."""
        self._left.clear()
        self._seen.clear()
