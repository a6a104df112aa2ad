"""base/arguments.py: what ``inspect.signature`` shows of options that are passed on."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from reactor.base.arguments import named, parameters, shows


@dataclass(frozen=True, kw_only=True)
class Options:
    """Two options."""

    size: int = 5
    name: str | None = None


def test_the_fields_of_a_dataclass_as_parameters() -> None:
    size, name = parameters(Options)
    assert (size.name, size.default, size.annotation) == ("size", 5, "int")
    assert (name.name, name.default, name.annotation) == ("name", None, "str | None")
    assert {size.kind, name.kind} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_function_with_options_shows_their_names_in_place_of_the_stars() -> None:
    @shows(parameters(Options))
    def connect(url: str, port: int = 80, **options: Any) -> bool:
        return bool(url and port and options)

    signature = inspect.signature(connect)
    expected = "(url: 'str', port: 'int' = 80, *, size: 'int' = 5, name: 'str | None' = None)"
    assert str(signature) == f"{expected} -> 'bool'"
    assert connect("x", size=3)  # it is the function itself


def test_options_that_are_only_there_for_an_error_about_them_are_not_shown() -> None:
    @shows()
    def answer(text: str, **options: Any) -> tuple[str, dict[str, Any]]:
        return text, options

    assert list(inspect.signature(answer).parameters) == ["text"]
    assert answer("x", wrong=1) == ("x", {"wrong": 1})


def test_what_is_given_by_name_apart_from_some() -> None:
    def connect(url: str, *sockets: object, loop: object, size: int = 5, name: str = "") -> None:
        """Never called."""

    assert [each.name for each in named(connect)] == ["loop", "size", "name"]
    assert [each.name for each in named(connect, "loop", "url")] == ["size", "name"]
    assert [each.name for each in named(Options)] == ["size", "name"]


def test_parameters_of_one_function_can_be_shown_by_another() -> None:
    def inner(*, size: int = 5, loop: object = None) -> None:
        """Never called."""

    @shows(named(inner, "loop"))
    def outer(url: str, **options: Any) -> None:
        """Never called."""

    assert str(inspect.signature(outer)) == "(url: 'str', *, size: 'int' = 5) -> 'None'"
