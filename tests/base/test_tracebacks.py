"""base/tracebacks.py."""

from __future__ import annotations

from reactor.base.tracebacks import without_traceback


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
