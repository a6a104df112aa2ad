"""What goes wrong with a SOCKS proxy, for programs that catch python-socks' own exceptions.

What it is: :func:`as_of_socks`.

What it must not know: who spoke to the proxy.

How it works. websocket-client lets through what python-socks raises, which is none of its own
exceptions. Ours is both: one of ours, and of python-socks' class of that meaning. Who catches the
latter has imported python-socks; where nobody has, there is nothing to add.
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
    """Return an exception of ours as one that is of python-socks' class as well."""
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
        # A pickle has our class: this one is made here, and is found under no name.
        reduced: Any = ours.__reduce__(exc)
        make, (_, *arguments), state = reduced
        return make, (ours, *arguments), state

    proxy = () if issubclass(ours, WebSocketProxyException) else (WebSocketProxyException,)
    members = {"__module__": theirs.__module__, "__reduce__": reduce}
    return type(theirs.__name__, (ours, *proxy, theirs), members)
