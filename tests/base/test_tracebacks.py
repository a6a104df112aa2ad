"""base/tracebacks.py."""

from __future__ import annotations

import pytest

from reactor.base.mistakes import check_delay
from reactor.base.tracebacks import from_others, without_traceback
from tests.support.driving import as_library_code


def caught() -> ValueError:
    try:
        try:
            try:
                raise KeyError("context")
            except KeyError:
                raise OSError("cause")  # noqa: B904 - with its context
        except OSError as exc:
            raise ValueError("error") from exc
    except ValueError as exc:
        return exc


def test_the_error_and_all_that_it_comes_from_have_none() -> None:
    error = caught()
    assert error.__traceback__ is not None
    assert without_traceback(error) is error
    cause = error.__cause__
    assert isinstance(cause, OSError)
    context = cause.__context__
    assert isinstance(context, KeyError)
    assert (error.__traceback__, cause.__traceback__, context.__traceback__) == (None, None, None)


def test_errors_may_come_from_each_other() -> None:
    first, second = caught(), caught()
    first.__cause__, second.__cause__ = second, first
    without_traceback(first)
    assert (first.__traceback__, second.__traceback__) == (None, None)


def test_a_traceback_that_begins_with_the_first_function_that_is_not_ours() -> None:
    def theirs() -> None:
        check_delay("delay", -1)

    def ours() -> None:
        theirs()

    with pytest.raises(ValueError, match="delay") as caught:
        as_library_code(ours)()
    caught.value.with_traceback(caught.tb.tb_next)
    entry = from_others(caught.value).__traceback__
    names = []
    while entry is not None:
        names.append(entry.tb_frame.f_code.co_name)
        entry = entry.tb_next
    assert names == ["theirs", "check_delay"]


def test_one_that_only_we_have_raised_has_none() -> None:
    with pytest.raises(ValueError, match="delay") as caught:
        check_delay("delay", -1)
    caught.value.with_traceback(caught.tb.tb_next)
    assert from_others(caught.value).__traceback__ is None
