"""The exception tree as a whole."""

from __future__ import annotations

import pickle

import pytest

from reactor import exceptions
from reactor.exceptions import (
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketConnectionLostException,
    WebSocketException,
)

KINDS = [getattr(exceptions, name) for name in exceptions.__all__ if name != "CloseCode"]


def made(kind: type[WebSocketException]) -> WebSocketException:
    if issubclass(kind, WebSocketBadStatusException):
        return kind("no", 403, "Forbidden", {"a": "b"}, b"body")
    if issubclass(kind, WebSocketConnectionLostException):
        return kind("lost", 104)
    if issubclass(kind, WebSocketConnectionClosedException):
        return kind("closed", 1001, "bye")
    return kind(111, "no") if issubclass(kind, OSError) else kind("no")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickled_exception_comes_back_as_it_was(kind: type[WebSocketException]) -> None:
    """As between the processes of a pool, where one that cannot be read hangs it."""
    before = made(kind)
    before.remark = "kept"  # type: ignore[attr-defined]
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is kind
    assert (str(after), after.args, vars(after)) == (str(before), before.args, vars(before))
    assert getattr(after, "errno", None) == getattr(before, "errno", None)
