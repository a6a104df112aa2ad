"""Requests on a link that have an answer, and the coroutine that makes them: ``login``.

What it is: :class:`Reply`, the answer that a question waits for, and :class:`Script`, which runs a
coroutine that awaits nothing else.

What it must not know: sockets, timers, feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from ...base.marks import calls_user_code
from ...exceptions import WebSocketStateException

__all__ = ["Reply", "Script"]

Message = str | bytes


class Reply:
    """The answer to a question; to be awaited.

    Args:
        match: returns whether a message is the answer.
        due: when it is overdue, in seconds of the loop's clock.
    """

    __slots__ = ("_error", "_message", "_resume", "due", "match")

    def __init__(self, match: Callable[[Message], object], due: float) -> None:
        self.match = match
        self.due = due
        self._message: Message | None = None
        self._error: Exception | None = None
        self._resume: Callable[[], object] | None = None

    def __await__(self) -> Generator[Reply, None, Message]:
        while self._message is None:
            if self._error is not None:
                raise self._error
            yield self
        return self._message

    def when_done(self, resume: Callable[[], object]) -> None:
        """Call a function when the answer has come, or when it is clear that none will."""
        self._resume = resume
        if self._message is not None or self._error is not None:
            resume()

    def answer(self, message: Message) -> None:
        """The answer has come."""
        self._message = message
        self._go_on()

    def fail(self, error: Exception) -> None:
        """There will be no answer."""
        self._error = error
        self._go_on()

    def _go_on(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            resume()


class Script:
    """Runs a coroutine that awaits replies.

    Args:
        coroutine: the user's.
        then: called once at its end, with the exception that it raised, or None.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, object], then: Callable[[Exception | None], object]
    ) -> None:
        self._coroutine = coroutine
        self._then = then
        self._running = self._closed = False

    @calls_user_code
    def go_on(self) -> None:
        """Run it until it waits for a reply, or ends."""
        error: Exception | None = None
        self._running = True
        try:
            waited = self._coroutine.send(None)
            while not isinstance(waited, Reply):
                waited = self._coroutine.throw(
                    TypeError(f"only link.request() can be awaited here, not {waited!r}")
                )
        except StopIteration:
            pass
        except Exception as exc:  # noqa: BLE001 - passed to `then`
            error = exc
        except BaseException:  # KeyboardInterrupt and SystemExit
            if not self._closed:
                self._then(WebSocketStateException("it was interrupted"))
            raise
        else:
            if self._closed:
                self._coroutine.close()
            else:
                waited.when_done(self.go_on)
            return
        finally:
            self._running = False
        if not self._closed:
            self._then(error)

    def close(self) -> None:
        """End the coroutine early."""
        self._closed = True
        if not self._running:  # else it has closed its own link, and is closed when it waits
            self._coroutine.close()
