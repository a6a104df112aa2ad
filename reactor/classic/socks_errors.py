"""Errors of a SOCKS proxy, for programs that catch python-socks' own exceptions.

What it is: :func:`as_of_socks`.

What it must not know: which code spoke to the proxy.

How it works. websocket-client passes on the exceptions of python-socks, which are not of its own
tree. Our exception is both: one of ours, and an instance of python-socks' class with that meaning.
A program that catches the latter has imported python-socks; if it is not imported, there is nothing
to add.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from ..exceptions import (
    WebSocketProxyConnectException,
    WebSocketProxyException,
    WebSocketTimeoutException,
)

__all__ = ["as_of_socks"]


def as_of_socks(exc: Exception) -> Exception:
    """Return an exception of ours as one that is also an instance of python-socks' class."""
    package = sys.modules.get("python_socks")
    if isinstance(exc, WebSocketProxyConnectException):
        name = "ProxyConnectionError"
    else:
        name = "ProxyTimeoutError" if isinstance(exc, WebSocketTimeoutException) else "ProxyError"
    theirs = getattr(package, name, None)
    if theirs is None:
        return exc
    kind = _both(type(exc), theirs)  # type: ignore[arg-type]
    known: Exception = kind.__new__(kind, *exc.args)
    known.args = exc.args
    known.__dict__.update({"error_code": None, **vars(exc)})
    return known


@lru_cache(maxsize=16)
def _both(ours: type[Exception], theirs: type[Exception]) -> type[Exception]:
    def reduce(exc: Exception) -> tuple[Any, ...]:
        # A pickle contains our class: this one is created here, and has no importable name.
        reduced: Any = ours.__reduce__(exc)
        make, (_, *arguments), state = reduced
        return make, (ours, *arguments), state

    proxy = () if issubclass(ours, WebSocketProxyException) else (WebSocketProxyException,)
    members = {"__module__": theirs.__module__, "__reduce__": reduce}
    return type(theirs.__name__, (ours, *proxy, theirs), members)
