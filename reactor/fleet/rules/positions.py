"""Positions: how far the updates of a topic have come, as it is written in ``Nats-Msg-Id``.

What it is: the ids of messages, and what can be read from them.

What it must not know: how messages are sent.

How it works. Where an update has a sequence, the id of its message is made of topic, sequence,
epoch (of the service's count, if it tells one) and a mark. Two shards that publish the same update
make the same id, so the server stores it once; and the last message of a topic tells where its
updates were left. The mark tells counts apart that the service does not: after a reset, the same
numbers come again and mean other updates.

Where updates have no sequence, the id is made of the shard, its epoch and a number of its own.
That is enough to send a message twice to be sure, and to have it stored once.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ...feeds import Update

__all__ = ["Position", "message_id", "numbered_id", "position_of"]


class Position(NamedTuple):
    """The last update of a topic that was stored.

    Args:
        sequence: its number; None: it had none.
        epoch: of the service's count; or None.
        mark: of a count that began anew; "" for the first.
    """

    sequence: int | None
    epoch: Any = None
    mark: str = ""

    def update(self, topic: str) -> Update:
        """Return the update that a feed goes on after."""
        return Update(topic, None, self.sequence, epoch=self.epoch)


def message_id(token: str, sequence: int, epoch: Any = None, mark: str = "") -> str:
    """Return the id of the message of an update that has a sequence.

    Args:
        token: the topic, as it is written in subjects.
        sequence: its number.
        epoch: of the service's count: anything that can be JSON.
        mark: see :class:`Position`.
    """
    if epoch is None and not mark:
        return f"{token} {sequence}"
    return f"{token} {sequence} {mark} {'' if epoch is None else json.dumps(epoch)}"


def numbered_id(shard: int, epoch: int, number: int) -> str:
    """Return the id of any other message; it begins with what no topic can.

    Args:
        shard, epoch: who sends it.
        number: which of its messages.
    """
    return f"*{shard} {epoch} {number}"


def position_of(identity: str) -> Position:
    """Return what an id tells. An id of another kind: a position without a sequence."""
    parts = identity.split(" ", 3)
    try:
        if len(parts) < 2 or identity.startswith("*"):
            return Position(None)
        mark = parts[2] if len(parts) > 2 else ""
        epoch = json.loads(parts[3]) if len(parts) > 3 and parts[3] else None
        return Position(int(parts[1]), epoch, mark)
    except ValueError:
        return Position(None)
