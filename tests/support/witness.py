"""A receiver of a stream's calls, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Witness:
    """A receiver that writes down what it is told, and may do something about it."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.filled = 0
        self.unwritable = False  # how often the queue has passed its high mark
        self.actions: dict[str, Callable[[], object]] = {}

    def _note(self, *event: Any) -> None:
        self.events.append(event)
        self.actions.get(event[0], lambda: None)()

    def data_received(self, data: bytes) -> None:
        self._note("data", data)

    def eof_received(self) -> None:
        self._note("eof")

    def queue_filled(self) -> None:
        self.filled += 1

    def queue_drained(self) -> None:
        self._note("drained")

    def write_failed(self) -> None:
        self.unwritable = True

    def connection_lost(self, error: Exception | None) -> None:
        self._note("lost", error)

    @property
    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    @property
    def data(self) -> bytes:
        return b"".join(event[1] for event in self.events if event[0] == "data")

    @property
    def losses(self) -> list[Exception | None]:
        return [event[1] for event in self.events if event[0] == "lost"]
