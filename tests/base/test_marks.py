"""The mark of functions that call user code; tests/loop/test_marks.py has what it is for."""

from __future__ import annotations

from reactor.base.marks import calls_user_code, is_marked


def test_a_marked_function_is_the_same_function() -> None:
    def function() -> None: ...

    assert not is_marked(function.__code__)
    assert calls_user_code(function) is function
    assert is_marked(function.__code__)
