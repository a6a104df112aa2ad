"""The mark of functions that call user code; tests/loop/test_marks.py has what it is for."""

from __future__ import annotations

import pytest

from reactor.base import marks
from reactor.base.marks import calls_user_code, is_marked


def test_a_marked_function_is_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> None: ...

    monkeypatch.setattr(marks, "_marked", set(marks._marked))  # it would stay marked
    assert not is_marked(function.__code__)
    assert calls_user_code(function) is function
    assert is_marked(function.__code__)
