"""Names that are taken: a subclass cannot assign to properties that its base class needs.

What it is: :func:`refuse_assignments`; and :class:`Assignable`, for names that are not.

What it must not know: which class it is, and what the names are for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

__all__ = ["Assignable", "refuse_assignments"]


class Assignable:
    """A property that an object may replace by assigning to it."""

    def __init__(self, known: property) -> None:
        self.__doc__ = known.__doc__
        self._get = known.__get__

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else self._get(instance, owner)


def refuse_assignments(kind: type, *, but: Collection[str]) -> None:
    """Make assignments to the properties of a class fail, with an error that the name is taken.

    Args:
        kind: the class.
        but: names of properties that may be assigned; the assigned value then replaces them.
    """
    for name, value in list(vars(kind).items()):
        if name in but:
            setattr(kind, name, Assignable(value))
        elif isinstance(value, property):
            setattr(kind, name, value.setter(_taken(kind, name)))


def _taken(kind: type, name: str) -> Callable[[Any, Any], None]:
    def refuse(self: object, value: object) -> None:
        raise AttributeError(
            f"{type(self).__name__}.{name} cannot be assigned: the name is taken, by "
            f"{kind.__name__}.{name}; choose another one, such as my_{name}"
        )

    return refuse
