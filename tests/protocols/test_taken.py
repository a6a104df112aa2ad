"""Properties that cannot be assigned by mistake, and the one that may be."""

from __future__ import annotations

from typing import Any

import pytest

from reactor.protocols.taken import refuse_assignments


class Base:
    """With two properties."""

    @property
    def taken(self) -> str:
        """One that is taken."""
        return "taken"

    @property
    def free(self) -> str:
        """One that may be assigned."""
        return "free"

    def method(self) -> str:
        """Not a property."""
        return "method"


refuse_assignments(Base, but="free")


class Derived(Base):
    """A user's class."""


def test_an_assignment_says_that_the_name_is_taken_and_by_what() -> None:
    with pytest.raises(AttributeError, match=r"Derived\.taken .* by Base\.taken; .* my_taken"):
        Derived().taken = "mine"  # type: ignore[misc]
    assert Derived().taken == "taken"


def test_the_free_one_can_be_replaced_on_an_object() -> None:
    thing: Any = Derived()
    assert thing.free == "free"
    thing.free = "mine"
    assert thing.free == "mine"
    assert Derived().free == "free"


def test_the_free_one_keeps_its_documentation() -> None:
    assert Base.free.__doc__ == "One that may be assigned."


def test_methods_can_be_replaced_as_ever() -> None:
    thing: Any = Derived()
    thing.method = lambda: "mine"
    assert thing.method() == "mine"
