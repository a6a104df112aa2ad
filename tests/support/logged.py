"""What an event loop has logged."""

from __future__ import annotations

import logging

import pytest


def loop_errors(caplog: pytest.LogCaptureFixture) -> list[BaseException]:
    """Return the exceptions that were logged, each with its traceback."""
    found = []
    for record in caplog.records:
        assert (record.name, record.levelno) == ("reactor.loop", logging.ERROR)
        assert record.exc_info is not None
        assert record.exc_info[1] is not None
        assert record.exc_info[2] is not None
        found.append(record.exc_info[1])
    return found
