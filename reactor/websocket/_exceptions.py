"""websocket-client's ``_exceptions``: those of ours that it has.

How it works. Once this stands in websocket-client's place, they are shown as its own: tracebacks,
logs and pickles name ``websocket._exceptions``, and each package reads what the other has pickled.
"""

# ruff: noqa: F401

import copyreg as _copyreg
from functools import wraps as _wraps
from inspect import unwrap as _unwrap
from typing import Any, Optional  # two leaks of its, in "from websocket import *" as well

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

_reduce = _unwrap(WebSocketException.__reduce__)  # importlib.reload() finds the other one there


@_wraps(_reduce)
def _reduce_for_both(exc: WebSocketException) -> tuple[Any, ...]:
    """Pickle what websocket-client has, too, without a name that it has not."""
    if type(exc) not in _KINDS:
        reduced: tuple[Any, ...] = _reduce(exc)
        return reduced
    return _copyreg.__newobj__, (type(exc), *exc.args), vars(exc)  # type: ignore[attr-defined]


if __name__ == "websocket._exceptions":  # installed
    for _kind in _KINDS:
        _kind.__module__ = __name__
    WebSocketException.__reduce__ = _reduce_for_both  # type: ignore[assignment, method-assign]
