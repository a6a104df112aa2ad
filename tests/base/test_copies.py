"""Copies of what changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from reactor.base.copies import copy_of


def test_it_is_tried_again_when_something_changes_meanwhile() -> None:
    tries = []

    def items() -> Iterator[int]:
        tries.append(1)
        yield 1
        if len(tries) < 3:
            raise RuntimeError("dictionary changed size during iteration")
        yield 2

    assert copy_of(items) == [1, 2]


def test_what_never_stands_still_is_given_up() -> None:
    def items() -> Iterator[int]:
        raise RuntimeError("dictionary changed size during iteration")
        yield 1

    assert copy_of(items) == []
