"""Taps: what a recorder puts on handshakes and on streams.

What it is: two classes that hand on what they hear to a Recorder, and to the conversation that it
has begun for them.

What it must not know: whom the recorder records; files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...connection.connection import Connection
    from ...transports.stream import Stream
    from ...transports.tls.nested import AnySocket
    from .conversation import Conversation
    from .recorder import Recorder

__all__ = ["Handshake", "StreamTap"]


class Handshake:
    """A HandshakeTap: the opening handshakes of one attempt."""

    __slots__ = ("_connection", "_conversation", "_heads", "_recorder", "_sock")

    def __init__(self, recorder: Recorder, connection: Connection | None) -> None:
        self._recorder = recorder
        self._connection = connection
        self._sock: Any = None
        self._conversation: Conversation | None = None
        self._heads: set[bool] = set()  # of which side there was one

    def connected(self, sock: AnySocket, place: str) -> None:
        """See HandshakeTap."""
        self._recorder.guard(self._connected, sock, place)

    def _connected(self, sock: AnySocket, place: str) -> None:
        self._sock = sock
        self._heads.clear()
        self._conversation = self._recorder.begin(sock, place, self._connection)
        self._recorder.connected(sock, self._conversation)

    def sent(self, data: bytes) -> None:
        """See HandshakeTap."""
        self._recorder.guard(self._said, True, data)

    def received(self, data: bytes) -> None:
        """See HandshakeTap."""
        self._recorder.guard(self._said, False, data)

    def _said(self, ours: bool, data: bytes) -> None:
        if self._conversation is not None and data:
            # What follows on a head is its body.
            shown = self._recorder.shown(data, ours not in self._heads)
            self._heads.add(ours)
            self._conversation.head(ours, shown)

    def closed(self) -> None:
        """See HandshakeTap."""
        if self._sock is not None:
            sock, self._sock = self._sock, None
            self._conversation = None
            self._recorder.guard(self._recorder.refused, sock)


class StreamTap:
    """A Tap: the frames of one connection."""

    __slots__ = ("_guard", "_recorder", "_say", "conversation", "stream")

    def __init__(self, recorder: Recorder, stream: Stream, conversation: Conversation) -> None:
        self._recorder = recorder
        self._guard = recorder.guard
        self.stream = stream
        self.conversation = conversation
        self._say = conversation.say

    def received(self, data: bytes) -> None:
        """See Tap."""
        self._guard(self._say, False, data)

    def sent(self, data: bytes) -> None:
        """See Tap."""
        self._guard(self._say, True, data)

    def ended(self, ours: bool, reset: bool) -> None:
        """See Tap."""
        self._guard(self.conversation.end, ours, reset)

    def closed(self) -> None:
        """See Tap."""
        self._guard(self._recorder.untap, self)
