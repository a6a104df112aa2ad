"""The sink of JetStream: stored, confirmed, and fenced by the server.

What it is: :class:`JetStream`, its settings.

What it must not know: how it is written (publishing.py, batches.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nats.js.api import StorageType

from ...feeds import Update
from ..rules.window import Window
from .base import Post, Sink, Writer

__all__ = ["JetStream"]


@dataclass(frozen=True)
class JetStream(Sink):
    """Updates in a stream of JetStream: the subject NAME.u.TOPIC, the data as the message.

    Args:
        window: messages that are not confirmed yet, at most.
        batch: updates in one message, for more than 30,000 a second in a shard; None: one. They
            have the subject NAME.b.SHARD then, and are lines of JSON.
        linger: seconds that a batch waits for more.
        encode: returns the data of an update as bytes; None: text and bytes as they are, else
            JSON. Not used in batches.
        max_age: seconds after which the stream drops messages (default a day); None: never.
        max_bytes, max_messages: what the stream keeps; None: any amount.
        duplicate_window: seconds for which the server remembers ids.
        replicas: copies of the stream, in a cluster: 1, 3 or 5.
        storage: "file" or "memory".
        maxlen, drop: as for every sink.

    The stream is made with these settings if it is missing; otherwise it stays as it is.
    """

    window: int = 8_000
    batch: int | None = None
    linger: float = 0.005
    encode: Callable[[Update], bytes] | None = None
    max_age: float | None = 24 * 3600.0
    max_bytes: int | None = None
    max_messages: int | None = None
    duplicate_window: float = 120.0
    replicas: int = 1
    storage: str = "file"

    fences = True

    def __post_init__(self) -> None:
        super().__post_init__()
        Window[Any](self.window)
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch must be None, or 1 or more, not {self.batch!r}")
        if self.linger < 0:
            raise ValueError(f"linger must be 0 or more seconds, not {self.linger!r}")
        if self.duplicate_window <= 0:
            raise ValueError(
                f"duplicate_window must be more than 0 seconds, not {self.duplicate_window!r}"
            )
        if self.storage not in ("file", "memory"):
            raise ValueError(f"storage must be 'file' or 'memory', not {self.storage!r}")

    def writer(self, post: Post) -> Writer:
        """See Sink."""
        from .batches import BatchWriter
        from .publishing import JetStreamWriter

        return (JetStreamWriter if self.batch is None else BatchWriter)(self, post)

    def stream_options(self) -> dict[str, Any]:
        """See Sink."""
        window = self.duplicate_window
        return {
            "max_age": self.max_age or 0,
            "max_bytes": self.max_bytes or -1,
            "max_msgs": self.max_messages or -1,
            "duplicate_window": min(window, self.max_age) if self.max_age else window,
            "num_replicas": self.replicas,
            "storage": StorageType.FILE if self.storage == "file" else StorageType.MEMORY,
        }
