"""Retry-After (RFC 9110 section 10.2.3): how long a server that refuses asks the client to wait.

What it is: one pure function.

What it must not know: what is done with the result (client/retries.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz

__all__ = ["retry_after"]


def retry_after(headers: Mapping[str, str], wall_clock: float) -> float:
    """Return the wait from now that the server asks for, in seconds; 0 or less if it asks for none.

    Args:
        headers: the headers of the response, with names in lower case.
        wall_clock: seconds since the epoch by our clock. If the server names a date, the wait
            counts from the ``Date`` of the same response, if there is one: the two clocks may
            differ.
    """
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    until = _epoch(value)
    if until is None:
        return 0.0
    now = _epoch(headers.get("date", ""))
    return until - (wall_clock if now is None else now)


def _epoch(date: str) -> float | None:
    """Return an HTTP-date, in any of its three forms (RFC 9110 section 5.6.7), as seconds."""
    try:
        parts = parsedate_tz(date)
        return None if parts is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):  # a year that does not exist
        return None
