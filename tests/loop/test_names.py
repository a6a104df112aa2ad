"""What a callback is, in words."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from reactor.hosting.hosted import Farewell
from reactor.loop.names import describe


class Callable:
    """What can be called, and has no name of its own."""

    def __call__(self) -> None:
        pass

    def __repr__(self) -> str:
        pytest.fail("nothing of the user's is called")

    def method(self) -> None:
        pass

    def whose(self) -> str:
        pytest.fail("nothing of the user's is called")


def wrapped(callback: Any, times: int) -> Any:
    for _ in range(times):
        callback = Timing(partial(callback))
    return callback


class Timing:
    """A wrapper that says what it times, as those of loop/slow.py."""

    def __init__(self, inner: Any) -> None:
        self.is_timing = inner

    def __call__(self) -> None:
        pass


def test_a_name_is_where_the_callback_was_written() -> None:
    assert describe(print) == "print"
    assert describe(Callable().method) == "Callable.method"
    assert describe(Callable()) == "Callable"
    assert describe(partial(partial(Callable().method, 1), 2)) == "Callable.method"


def test_wrappers_are_looked_through_but_not_for_ever() -> None:
    assert describe(wrapped(print, 2)) == "print"
    assert describe(wrapped(print, 20)) in ("Timing", "partial")


def test_an_object_of_ours_says_for_whom_it_works() -> None:
    class Ours:
        def method(self) -> None:
            pass

        def whose(self) -> str:
            return "Quotes to a.example"

    Ours.__module__ = Farewell.__module__
    assert describe(Ours().method).endswith(".Ours.method for Quotes to a.example")
    Ours.whose = None  # type: ignore[assignment, method-assign]
    assert describe(Ours().method).endswith(".Ours.method")


def test_a_name_is_safe_to_show() -> None:
    def callback() -> None:
        pass

    callback.__qualname__ = "\x1b[31mred"
    assert "\x1b" not in describe(callback)
    callback.__qualname__ = "fine"
    assert describe(callback) == "fine"
