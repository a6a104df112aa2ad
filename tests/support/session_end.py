"""A session under test, and the frames that its peer would send to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from reactor.protocols.messages import MessageLimits
from reactor.protocols.session import Close, Event, Failure, Role, WebSocketSession
from tests.support.websocket_frames import CONT, KEY, Frame, build_frame, build_header, read_frames


class End:
    """An open session, and what its peer, which has the other role, would send to it.

    Takes the options of the session, and the limits by their names.
    """

    def __init__(self, role: Role, **options: Any) -> None:
        self.role = role
        self.key = KEY if role is Role.SERVER else None  # clients mask (5.1)
        names = [name for name in options if name.startswith("max_")]
        limits = MessageLimits(**{name: options.pop(name) for name in names})
        self.session = WebSocketSession(role, limits, **options)
        self.session.opened()

    def frame(self, opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        """A frame as the peer sends it."""
        return build_frame(opcode, payload, **{"key": self.key, **options})

    def header(self, opcode: int, length: int, **options: Any) -> bytes:
        """What the peer sends before a payload."""
        return build_header(opcode, length, **{"key": self.key, **options})

    def fragments(self, opcode: int, *payloads: bytes) -> list[bytes]:
        """The frames of one message."""
        last = len(payloads) - 1
        return [
            self.frame(CONT if i else opcode, payload, fin=i == last)
            for i, payload in enumerate(payloads)
        ]

    def take(self, *frames: bytes) -> list[Event]:
        """Receive frames in one read."""
        return list(receive(self.session, b"".join(frames)))

    def take_octets(self, *frames: bytes) -> list[Event]:
        """Receive frames one octet at a time."""
        return receive_pieces(self.session, octets(b"".join(frames)))

    def put_out(self) -> list[Frame]:
        """Clear the output; return its frames, which must be masked if and only if a client's."""
        frames = read_frames(b"".join(self.session.output))
        self.session.output.clear()
        assert all((frame.mask is not None) is (self.role is Role.CLIENT) for frame in frames)
        assert all(frame.rsv == 0 for frame in frames)
        return frames

    def said(self) -> list[tuple[int, bytes]]:
        """Clear the output; return opcode and payload of its frames, none of them a fragment."""
        frames = self.put_out()
        assert all(frame.fin for frame in frames)
        return [(frame.opcode, frame.payload) for frame in frames]


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def receive(session: WebSocketSession, data: bytes) -> Iterator[Event]:
    """Receive data, and what is still in it then, step by step."""
    yield from session.receive(data)
    while session.unfinished:
        yield from session.receive(b"")


def receive_pieces(session: WebSocketSession, pieces: Iterable[bytes]) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        events += receive(session, piece)
    return events


def failure_in(events: list[Event]) -> Any:
    """Return the error of the only failure, which is the last event."""
    assert [type(event) for event in events if isinstance(event, (Close, Failure))] == [Failure]
    last = events[-1]
    assert isinstance(last, Failure)
    return last.error


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Cut at these positions, modulo the length; some pieces may be empty."""
    borders = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:stop] for start, stop in pairwise(borders)]
