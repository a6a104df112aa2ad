"""Checks of the messages that the user's builders return.

What it is: functions.

What it must not know: what the messages mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Message", "as_messages", "check_message"]

Message = str | bytes


def check_message(message: object) -> None:
    """Raise TypeError if *message* is neither str nor bytes."""
    if not isinstance(message, (str, bytes)):
        raise TypeError(f"a message is str or bytes, not {message!r}")


def as_messages(built: Any) -> list[Message]:
    """Return the messages that a builder has returned, as a list."""
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
