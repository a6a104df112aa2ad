"""Checks of protocol objects, and of the functions and classes that make them.

What it is: the checks that ``connect`` and ``listen`` make before anything is connected.

What it must not know: what the handlers do, and when they are called.
"""

from __future__ import annotations

from weakref import WeakSet

from ..base.mistakes import check_called
from ..protocols.session import State
from ..protocols.websocket import WebSocketProtocol

__all__ = ["HANDLERS", "check_factory", "check_protocol", "overrides_on_error"]

#: The handlers of a protocol object.
HANDLERS = frozenset(name for name in vars(WebSocketProtocol) if name.startswith("on_"))

#: Classes whose handlers have been checked.
_checked: WeakSet[type[WebSocketProtocol]] = WeakSet()


def check_protocol(handlers: object) -> None:
    """Check that an object can be the protocol object of a connection.

    Args:
        handlers: the object.

    Raises:
        TypeError: It is not a WebSocketProtocol, or one of its handlers is a coroutine function,
            which nobody would await.
        ValueError: It already has a connection.
    """
    if not isinstance(handlers, WebSocketProtocol):
        raise TypeError(f"the protocol must be a WebSocketProtocol, not {handlers!r}")
    if handlers.state is not State.CLOSED:
        raise ValueError(f"{handlers!r} has a connection already")
    kind = type(handlers)
    _check_class(kind)
    for name in HANDLERS & getattr(handlers, "__dict__", {}).keys():  # assigned to the object
        check_called(f"{kind.__name__}.{name}", getattr(handlers, name))


def _check_class(kind: type[WebSocketProtocol]) -> None:
    if kind not in _checked:
        for name in HANDLERS:
            check_called(f"{kind.__name__}.{name}", getattr(kind, name))
        _checked.add(kind)


def check_factory(factory: object) -> None:
    """Check that a class or a function can be called to make protocol objects.

    Args:
        factory: the class or the function.

    Raises:
        TypeError: It cannot, or one of the class's handlers is a coroutine function.
    """
    if isinstance(factory, WebSocketProtocol):
        name = type(factory).__name__
        raise TypeError(
            "protocol must be a class or a function, which is called for every connection, "
            f"not the object {factory!r} (did you mean the class, {name}?)"
        )
    if not callable(factory):
        raise TypeError(
            "protocol must be a subclass of WebSocketProtocol, or a function that returns an "
            f"object of one, not {factory!r}"
        )
    if isinstance(factory, type) and issubclass(factory, WebSocketProtocol):
        _check_class(factory)
    else:
        check_called("protocol", factory)


def overrides_on_error(handlers: WebSocketProtocol) -> bool:
    """Return whether a protocol object has an ``on_error`` of its own."""
    assigned = vars(handlers).get("on_error")
    return type(handlers).on_error is not WebSocketProtocol.on_error or (
        assigned is not None and not hasattr(assigned, "is_timed")  # see loop/slow.py
    )
