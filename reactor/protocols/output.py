"""The state of a session, and the frames that it puts out.

What it is: :class:`Output`, the bottom of a session. receiving.py stands on it, and session.py on
both.

What it must not know: what is received, and what a message is.

How it works. The states are those of RFC 6455, and all transitions are in ``TRANSITIONS``:

    CONNECTING --OPENED--> OPEN --SENT_CLOSE / GOT_CLOSE--> CLOSING --LOST--> CLOSED
         |                  |                                                   ^
         +------LOST--------+---------------------------------------------------+
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from ..exceptions import WebSocketStateException
from .counters import Counters
from .events import Role, State
from .frames import OP_CLOSE, OP_PING, check_mask, new_mask, serialize

__all__ = ["TRANSITIONS", "Input", "Output"]


class Input(IntEnum):
    """What makes the state change."""

    OPENED = 0  # the opening handshake succeeded
    SENT_CLOSE = 1
    GOT_CLOSE = 2
    LOST = 3  # the transport has ended, or never existed


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.CONNECTING, Input.OPENED): State.OPEN,
    (State.CONNECTING, Input.LOST): State.CLOSED,
    (State.OPEN, Input.SENT_CLOSE): State.CLOSING,
    (State.OPEN, Input.GOT_CLOSE): State.CLOSING,
    (State.OPEN, Input.LOST): State.CLOSED,
    (State.CLOSING, Input.SENT_CLOSE): State.CLOSING,
    (State.CLOSING, Input.GOT_CLOSE): State.CLOSING,
    (State.CLOSING, Input.LOST): State.CLOSED,
}


class Output:
    """See the module.

    Args:
        role: client or server.
        new_mask: a client's source of masking keys; each key is checked, see ``check_mask``.

        counters: where everything is counted; None: in an object of its own.

    Attributes:
        role: the same.
        state: see the module.
        output: frames to be written, in order; the writer clears the list.
        counters: what was counted.
    """

    __slots__ = ("_new_mask", "counters", "output", "role", "state")

    def __init__(
        self,
        role: Role,
        new_mask: Callable[[], bytes | str],
        counters: Counters | None = None,
    ) -> None:
        self.counters = Counters() if counters is None else counters
        self.role = role
        self.state = State.CONNECTING
        self.output: list[bytes] = []
        # The source of the keys that mask our frames; None: no masking (RFC 6455 section 5.1).
        self._new_mask = None if role is Role.SERVER else _checked(new_mask)

    def _change(self, what: Input) -> None:
        try:
            self.state = TRANSITIONS[self.state, what]
        except KeyError:
            raise WebSocketStateException(
                f"{what.name} is impossible in state {self.state.name}"
            ) from None

    def opened(self) -> None:
        """Note that the opening handshake has succeeded."""
        self._change(Input.OPENED)

    def lost(self) -> None:
        """Note that the transport has ended."""
        self._change(Input.LOST)

    def _write(self, opcode: int, payload: bytes, fin: bool = True, rsv: int = 0) -> int:
        frame = serialize(opcode, payload, self._new_mask and self._new_mask(), fin, rsv)
        self.output.append(frame)
        size = len(frame)
        counters = self.counters
        counters.wire_out += size
        if opcode == OP_PING:
            counters.pings_out += 1
        elif fin and opcode < OP_CLOSE:
            counters.messages_out += 1
        return size


def _checked(source: Callable[[], bytes | str]) -> Callable[[], bytes]:
    """Return a source that checks its keys: a wrong one would make frames nobody can read."""
    return new_mask if source is new_mask else lambda: check_mask(source())
