"""What a process of a fleet has to be told, to become one of its shards.

What it is: :class:`ShardSpec`, which is pickled on its way to the process, and :func:`this_node`.

What it must not know: what a shard does, and who starts it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .seat import Identity
from .sinks.jetstream import JetStream

if TYPE_CHECKING:
    from ..feeds import Feed, Pace
    from .sinks.base import Sink

__all__ = ["ShardSpec", "this_node"]


def this_node() -> str:
    """Return the name of this machine: the variable REACTOR_NODE, or the host's name."""
    return os.environ.get("REACTOR_NODE") or socket.gethostname()


@dataclass(frozen=True)
class ShardSpec:
    """What a shard has to be told.

    Args:
        name: of the fleet.
        feed: a subclass of Feed, or a function with the same arguments that returns one.
        url: as for Feed.
        servers: URLs of NATS.
        sink: where updates go.
        options: further arguments of *feed*.
        nats_options: for connections to NATS, as for ``nats.connect``.
        connects: a limit of connects for all shards together; None: none.
        shard: its number; None: any that is free.
        holder: see Identity; None: nobody else's.
        incarnation: the same; None: a new one.
        node: the machine; None: see :func:`this_node`.
    """

    name: str
    feed: Callable[..., Feed]
    url: Any
    servers: str | Sequence[str]
    sink: Sink = field(default_factory=JetStream)
    options: Mapping[str, Any] = field(default_factory=dict)
    nats_options: Mapping[str, Any] = field(default_factory=dict)
    connects: Pace | None = None
    shard: int | None = None
    holder: str | None = None
    incarnation: str | None = None
    node: str | None = None

    def identity(self) -> Identity:
        """Return who runs this."""
        incarnation = self.incarnation or secrets.token_hex(8)
        return Identity(
            self.holder or incarnation, incarnation, self.node or this_node(), os.getpid()
        )
