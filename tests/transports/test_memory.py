"""Memory that was freed goes back to the system."""

from __future__ import annotations

import pytest

from reactor.transports import memory
from reactor.transports.memory import TRIM_SIZE, released


@pytest.fixture
def trims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the library was asked for."""
    asked: list[int] = []
    monkeypatch.setattr(memory, "_malloc_trim", lambda: asked.append)
    monkeypatch.setattr(memory, "_since_trim", 0)
    return asked


def test_the_system_is_given_its_memory_once_for_so_many_bytes(trims: list[int]) -> None:
    for _ in range(3):
        released(TRIM_SIZE - 1)
        released(1)
    assert trims == [0, 0, 0]


def test_little_is_not_worth_it(trims: list[int]) -> None:
    released(TRIM_SIZE - 1)
    assert trims == []


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    released(2 * TRIM_SIZE)


@pytest.mark.parametrize("fault", [AttributeError, OSError, TypeError])
def test_a_system_without_such_a_function_is_no_error(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def load(_name: None) -> object:
        raise fault

    monkeypatch.setattr(memory.ctypes, "CDLL", load)
    memory._malloc_trim.cache_clear()
    released(2 * TRIM_SIZE)
    assert memory._malloc_trim() is None
    memory._malloc_trim.cache_clear()


def test_the_function_of_the_system_is_looked_up_once() -> None:
    released(2 * TRIM_SIZE)
    assert memory._malloc_trim() is memory._malloc_trim()
