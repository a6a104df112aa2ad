"""Slow callbacks: in debug mode, callbacks that hold up the loop for too long are logged.

What it is: :class:`SlowCallbacks`, which times callbacks and the handlers of protocol objects.

What it must not know: what the callbacks do.

How it works. While it is off, it costs nothing. While it is on, the loop's methods that take
callbacks, and the handlers of each object, are replaced on the objects themselves by functions that
time the calls. A slow call that contains another one that was logged already is not logged again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code

if TYPE_CHECKING:
    from .event_loop import EventLoop

__all__ = ["SLOW_CALLBACK", "SlowCallbacks"]

logger = logging.getLogger("reactor.loop")

#: Seconds that a callback may take in debug mode, by default.
SLOW_CALLBACK = 0.1


class SlowCallbacks:
    """Logs callbacks that take longer than *limit* seconds of the loop's clock.

    Args:
        loop: the event loop, whose methods are replaced.
        limit: seconds.
    """

    def __init__(self, loop: EventLoop, limit: float) -> None:
        self.limit = limit
        self._time = loop.time
        self._named_at = -1.0  # when the last slow call that was logged ended
        for name, position in (
            ("call_soon", 0),
            ("call_soon_threadsafe", 0),
            ("call_later", 1),
            ("call_at", 1),
            ("add_reader", 1),
            ("add_writer", 1),
        ):
            setattr(loop, name, self._timing_what_is_given(getattr(loop, name), position))

    def _timing_what_is_given(
        self, method: Callable[..., Any], position: int
    ) -> Callable[..., Any]:
        @wraps(method)
        def replacement(*args: Any, **named: Any) -> Any:
            if "callback" in named:
                named["callback"] = self._timed_callback(named["callback"])
            elif len(args) > position:
                timed = self._timed_callback(args[position])
                args = *args[:position], timed, *args[position + 1 :]
            return method(*args, **named)

        return replacement

    def _timed_callback(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        return self.timed(callback, lambda: f"the callback {callback!r}")

    def timed(self, callback: Callable[..., Any], name: Callable[[], str]) -> Callable[..., Any]:
        """Return a function that calls *callback*, and logs it if it was slow."""

        @calls_user_code
        def call(*args: Any) -> Any:
            began = self._time()
            try:
                return callback(*args)
            finally:
                ended = self._time()
                if ended - began > self.limit and self._named_at < began:
                    self._named_at = ended
                    logger.warning(
                        "%s took %.3f seconds: nothing else could run meanwhile",
                        name(),
                        ended - began,
                    )

        timing: Any = call
        timing.is_timing = callback
        return call

    def watch(self, handlers: object, names: Iterable[str]) -> None:
        """From now on, time the handlers of an object; *names* are their names."""
        for name in names:
            bound = getattr(handlers, name)
            if not hasattr(bound, "is_timed"):
                timed: Any = self.timed(bound, partial(_name, handlers, name))
                timed.is_timed = True
                setattr(handlers, name, timed)


def _name(handlers: object, name: str) -> str:
    return f"{type(handlers).__qualname__}.{name} of {handlers!r}"
