"""Messages that users have built: the checks. What it must not know: what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Message", "as_messages", "check_message"]

Message = str | bytes


def check_message(message: object) -> None:
    """Raise TypeError for what is no message."""
    if not isinstance(message, (str, bytes)):
        raise TypeError(f"a message is str or bytes, not {message!r}")


def as_messages(built: Any) -> list[Message]:
    """Return what a builder has returned as a list."""
    if built is None:
        return []
    if isinstance(built, (str, bytes)):
        return [built]
    if not isinstance(built, Iterable) or isinstance(built, Mapping):
        raise TypeError(f"a builder returns str, bytes, a list of them or None, not {built!r}")
    messages = list(built)
    for message in messages:
        check_message(message)
    return messages
