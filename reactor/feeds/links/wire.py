"""The wire: the protocol object on the connection of a link, and the short way of an update.

What it is: :class:`Wire`.

What it must not know: what happens to messages that do not take the short way.

How it works. A leg whose ``fast`` is set is in its ordinary state: live, on one link, with nothing
missing or held back. If an update is the next one of such a topic, it goes to its consumer from
here. Everything else goes to the reconciler, which judges by the same rule: topics/sequences.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.marks import calls_user_code
from ...protocols.websocket import WebSocketProtocol
from ..events import Update

if TYPE_CHECKING:
    from .link import Link

__all__ = ["Wire"]


class Wire(WebSocketProtocol):
    """The protocol object on the connection of a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        # What the short way needs, at hand.
        self.loop_of_link = link.loop
        self.legs = link.legs
        self.parse = link.parse
        self.contiguous = link.contiguous
        self.attentive = False  # a request or the heartbeat looks at messages before parse
        self.heard = 0.0  # when a message last came, by the clock of the loop's turns
        self.updates = 0  # that have taken the short way

    def _reactor_whose(self) -> str:
        """For whom it works: see Connection.whose."""
        return type(self.link.feed).__qualname__

    def on_open(self) -> None:
        """See WebSocketProtocol."""
        self.link.opened()

    @calls_user_code
    def on_message(self, message: str | bytes) -> None:
        """See the module."""
        self.heard = self.loop_of_link.now
        if self.attentive and self.link.overhear(message):
            return
        try:
            event = self.parse(message, self.link)
            if type(event) is not list:
                self.take(event)
                return
        except Exception as exc:  # noqa: BLE001 - the user's code; reported
            self.link.blame(exc, "parse or a handler", message)
            return
        for one in event:
            try:
                self.take(one)
            except Exception as exc:  # noqa: BLE001 - the user's code; reported
                self.link.blame(exc, "parse or a handler", message)

    @calls_user_code
    def take(self, event: Any) -> None:
        """Take one event: the short way, if it can."""
        if type(event) is Update:
            leg = self.legs.get(event.topic)
            if leg is not None and (fast := leg.fast) is not None:
                record = leg.topic
                last = record.last
                if (
                    last is not None
                    and event.epoch is last.epoch
                    and (
                        event.sequence is last.sequence  # both are None
                        if event.sequence is None or last.sequence is None
                        else event.previous is None
                        and (
                            event.sequence == last.sequence + 1
                            if self.contiguous
                            else event.sequence > last.sequence
                        )
                    )
                ):
                    record.last = event
                    leg.heard = self.heard
                    self.updates += 1
                    fast(event)
                    return
        self.link.take(event)

    def on_error(self, error: Exception) -> None:
        """See WebSocketProtocol."""
        self.link.failed(error)

    def on_close(self, code: int, reason: str) -> None:
        """See WebSocketProtocol."""
        self.link.closed(code, reason)
