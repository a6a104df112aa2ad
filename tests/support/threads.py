"""What a test does on another thread, with its result or its exception."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Seconds that nothing in the tests takes.
PATIENCE = 10.0


class Background:
    """Calls a function on a thread of its own.

    Parameters:
        function, args: what to call.
    """

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._function = function
        self._args = args
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function(*self._args)
        except BaseException as exc:
            self._error = exc

    def result(self) -> Any:
        """Wait for the function to end; return what it returned, raise what it raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self._function} hangs"
        if self._error is not None:
            raise self._error
        return self._result

    def ends_within(self, seconds: float) -> bool:
        """Wait so long at most; return whether the function has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether the function has not ended."""
        return self._thread.is_alive()
