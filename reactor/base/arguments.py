"""Options that are passed on as ``**options``, as ``inspect.signature`` and ``help()`` show them.

What it is: :func:`parameters`, the fields of a dataclass as parameters; and :func:`shows`, which
gives a function with ``**options`` a signature that names them.

What it must not know: what the options mean, and whose they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["named", "parameters", "shows"]

F = TypeVar("F", bound=Callable[..., Any])


def parameters(options: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a dataclass as parameters that are given by name.

    Args:
        options: the dataclass; each of its fields has a default.
    """
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
        for field in fields(options)
    ]


def named(function: Callable[..., Any], *apart: str) -> list[inspect.Parameter]:
    """Return the parameters of a function, or class, that are given by name.

    Args:
        function: the function.
        apart: names that are left out.
    """
    return [
        each
        for each in inspect.signature(function).parameters.values()
        if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name not in apart
    ]


def shows(options: Iterable[inspect.Parameter] = ()) -> Callable[[F], F]:
    """Return a decorator for a function with ``**options``.

    Args:
        options: what these options are; none, where they are there for the error about them.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [
            each
            for each in signature.parameters.values()
            if each.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        function.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *options]
        )
        return function

    return decorate
