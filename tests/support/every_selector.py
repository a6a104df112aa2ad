"""Every selector that can drive an event loop on this platform."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

from reactor.loop.poller import Selector, selector_classes

SelectorFactory = Callable[[], Selector]

_NAMES = ("EpollSelector", "KqueueSelector", "DevpollSelector", "PollSelector", "SelectSelector")


def _offered() -> dict[str, SelectorFactory]:
    found: dict[str, SelectorFactory] = {}
    for cls in selector_classes():
        found[f"selectors2-{getattr(cls, '__name__', cls)}"] = cls
    # One of the standard library's: they have the same interface, and none of the faults.
    stdlib = next(name for name in _NAMES if hasattr(selectors, name))
    found[f"stdlib-{stdlib}"] = getattr(selectors, stdlib)
    # A class of the user's own: driven by the interface alone, with every fault of selectors2.
    best: Any = selector_classes()[0]
    found[f"subclass-of-{best.__name__}"] = type("Subclass", (best,), {})
    return found


#: By a name that serves as the id of a test.
SELECTORS = _offered()
