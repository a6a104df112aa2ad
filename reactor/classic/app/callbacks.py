"""Calling the callbacks of an app, each with the arguments that it takes.

What it is: :func:`call`, which inspects each callback once; and :func:`call_back`, which is the
``_callback`` of every app whose class does not define its own.

What it must not know: what the callbacks are for.

How it works. A callback that the user has assigned gets the app as its first argument, whatever it
is; a method of a subclass does not, unless it has websocket-client's parameters. A callback that
takes fewer parameters than there are, such as ``def on_close(app)``, gets those that it takes:
some programs were written for releases that passed fewer. The signature of a callback is inspected
at its first call, and the result is kept with the app.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.marks import calls_user_code
from ...base.printable import printable
from ...connection.errorlog import ErrorLog
from ..tracing import logger

if TYPE_CHECKING:
    from .app import WebSocketApp

__all__ = ["Fit", "call", "call_back", "sees_all"]


class Fit(NamedTuple):
    """How a callback is to be called.

    Attributes:
        own: it is a method of a subclass, which need not get the app.
        least, most: how many positional arguments it must be given, and can be given.
    """

    own: bool
    least: int
    most: float


@calls_user_code
def call(app: WebSocketApp, callback: Callable[..., Any], *args: Any) -> None:
    """Call a callback with *args*, and with the app before them if it takes the app."""
    try:
        own, least, most = app._fits[callback]
    except (KeyError, TypeError):  # its first call; or it has no hash
        own, least, most = _fit(app, callback)
    if own and least <= len(args):
        callback(*(args if len(args) <= most else args[: int(most)]))
    elif len(args) < most:
        callback(app, *args)
    else:
        callback(*(app, *args)[: int(most)])


def call_back(app: Any, callback: Any, *args: Any) -> None:
    """Call one of the callbacks. An exception is logged and passed to on_error.

    If on_error then raises, that exception is raised; an exception of on_error itself is only
    logged.
    """
    if not callback:
        return
    try:
        call(app, callback, *args)
    except Exception as exc:  # noqa: BLE001 - reported, not swallowed
        log = ErrorLog(logger) if app._current_run is None else app._current_run.errors
        log.error(exc, "error from callback %s: %s", callback, printable(str(exc)))
        if app.on_error and callback != app.on_error:
            call(app, app.on_error, exc)


def sees_all(app: Any) -> bool:
    """Whether the app overrides ``_callback``: it is then called for events without a callback."""
    return getattr(app._callback, "__func__", None) is not call_back


def _fit(app: WebSocketApp, callback: Callable[..., Any]) -> Fit:
    own = (
        inspect.ismethod(callback)
        and callback.__self__ is app
        and all(callback is not value for value in app.__dict__.values())  # not assigned
    )
    fit = Fit(own, *_parameters(callback))
    try:
        app._fits[callback] = fit
    except TypeError:
        pass
    return fit


def _parameters(callback: Callable[..., Any]) -> tuple[int, float]:
    """Return how many positional arguments a callback must be given, and can be given."""
    try:
        # The signature of the function that is called, not of one that a decorator wraps.
        parameters = inspect.signature(callback, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return 0, inf
    by_position = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    least = sum(parameter.default is parameter.empty for parameter in by_position)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return least, inf
    return least, len(by_position)
