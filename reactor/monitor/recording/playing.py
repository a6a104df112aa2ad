"""Recordings, to be played: what a server has said, message by message, and to whom.

What it is: :class:`Playlist`, which finds the recorded connection for a client, and
:func:`server_events`, which makes events of what its server has said.

What it must not know: sockets, loops, time that passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...exceptions import WebSocketHandshakeException, WebSocketRecordingException
from ...protocols.deflate import Agreement, Deflate
from ...protocols.events import Close, Event, Failure, Role
from ...protocols.frames import OP_CLOSE, parse_header
from ...protocols.http.http11 import Response, parse_again
from ...protocols.http.negotiation import check_answer
from ...protocols.messages import MessageLimits
from ...protocols.session import WebSocketSession
from .reading import End, Recorded, merged

__all__ = ["Cue", "Playlist", "server_events"]

#: A recording is what it is: nothing in it is too large.
LIMITS = MessageLimits(1 << 40, 1 << 40)


class Cue(NamedTuple):
    """Something that the server has said.

    Attributes:
        after: nanoseconds since the connection was open.
        heard: how many messages the client had said before.
        event: what it was; None: the server has ended the connection without a close frame.
    """

    after: int
    heard: int
    event: Event | None


class Playlist:
    """Says which of the recorded connections a client is to see.

    Args:
        recordings: the connections of a file.

    Attributes:
        left: those that were not taken yet.
    """

    def __init__(self, recordings: Sequence[Recorded]) -> None:
        self._all = list(recordings)
        self.left = list(recordings)

    def take(self, target: str) -> Recorded | None:
        """Return the next connection with the path of *target*, else the next one.

        Args:
            target: of the client's request. Its query may differ.

        Returns:
            None: all were taken.
        """
        path = target.partition("?")[0]
        alike = [each for each in self.left if each.target.partition("?")[0] == path]
        if not self.left:
            return None
        found = (alike or self.left)[0]
        self.left.remove(found)
        return found

    def begin_again(self) -> None:
        """Have all of them be taken anew."""
        self.left = list(self._all)


def response_of(recorded: Recorded) -> Response:
    """Return the head of the server's answer."""
    return parse_again("response", recorded.response)


def agreement_of(recorded: Recorded) -> Agreement | None:
    """Return what was agreed on compression, as the client sees it.

    Raises:
        WebSocketRecordingException: the answer cannot be understood.
    """
    try:
        return check_answer(
            Deflate(), response_of(recorded).headers.tokens("Sec-WebSocket-Extensions")
        )
    except WebSocketHandshakeException as exc:
        raise WebSocketRecordingException(str(exc), recorded.name, recorded.offset) from exc


def server_events(recorded: Recorded) -> Iterator[Cue]:
    """Yield what the server has said, in order: messages (inflated), pings, pongs, its close frame.

    What follows on the client's close frame is left out: it was said to a client that has left.

    Raises:
        WebSocketRecordingException: what it has said breaks the protocol, at this offset; or it is
            compressed, and refers to what was left out.
    """
    agreement = agreement_of(recorded)
    session = _new_session(agreement)
    client = _Counter()
    for said in merged(recorded):
        if isinstance(said, End):
            if not said.by_client and not client.closed:
                yield Cue(said.time - recorded.opened, client.messages, None)
            return
        if said.by_client:
            client.follow(said.data)
            if client.closed:
                return
            continue
        if said.torn:
            session = _new_session(agreement)
        events = session.receive(said.data)
        while session.unfinished:
            events += session.receive(b"")
        session.output.clear()
        for event in events:
            if isinstance(event, Failure):
                reason = f"the server has broken the protocol: {event.error}"
                raise WebSocketRecordingException(reason, recorded.name, said.offset)
            yield Cue(said.time - recorded.opened, client.messages, event)
            if isinstance(event, Close):
                return


def _new_session(agreement: Agreement | None) -> WebSocketSession:
    session = WebSocketSession(Role.CLIENT, LIMITS, lenient=True, agreement=agreement)
    session.opened()
    return session


class _Counter:
    """Counts the messages of a client, without a look into them.

    Attributes:
        messages: how many have ended.
        closed: whether there was a close frame.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.closed = False
        self._begun = b""
        self._missing = 0

    def follow(self, data: bytes) -> None:
        """Go on with *data*."""
        data = self._begun + data
        self._begun = b""
        pos = self._missing
        while pos < len(data):
            header = parse_header(data, pos)
            if header is None:
                self._begun = data[pos:]
                pos = len(data)
                break
            self.messages += header.fin and header.opcode < OP_CLOSE
            self.closed = self.closed or header.opcode == OP_CLOSE
            pos = header.start + header.length
        self._missing = pos - len(data)
