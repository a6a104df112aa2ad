"""websocket-client's ``_exceptions``: our exceptions that it also has.

How it works. When this module is installed in place of websocket-client, they appear as its own:
tracebacks, logs and pickles name ``websocket._exceptions``, and each package can read the pickles
of the other.
"""

# ruff: noqa: F401

import copyreg as _copyreg
from functools import wraps as _wraps
from inspect import unwrap as _unwrap
from typing import Any, Optional  # two names that it leaks, in "from websocket import *" as well

from reactor.exceptions import (
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)

_KINDS = (
    WebSocketAddressException,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketProtocolException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)

_reduce = _unwrap(WebSocketException.__reduce__)  # importlib.reload() finds our replacement there


@_wraps(_reduce)
def _reduce_for_both(exc: WebSocketException) -> tuple[Any, ...]:
    """Pickle exceptions that websocket-client also has, using only names that it has."""
    if type(exc) not in _KINDS:
        reduced: tuple[Any, ...] = _reduce(exc)
        return reduced
    return _copyreg.__newobj__, (type(exc), *exc.args), vars(exc)  # type: ignore[attr-defined]


if __name__ == "websocket._exceptions":  # installed
    for _kind in _KINDS:
        _kind.__module__ = __name__
    WebSocketException.__reduce__ = _reduce_for_both  # type: ignore[assignment, method-assign]
