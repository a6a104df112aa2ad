"""One attempt to connect: through the gate, and then through the connect pipeline.

What it is: :class:`Attempt`.

What it must not know: what follows its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
from ..base.tracebacks import without_traceback
from ..exceptions import WebSocketException
from ..loop.tasks import Task
from ..protocols.history import Step
from ..protocols.http.handshake import HeaderSource
from .options import ClientOptions
from .pipeline import ClientUpgrade
from .url import parse_url

if TYPE_CHECKING:
    from ..loop.event_loop import EventLoop
    from .gate import Endpoint, Gate

__all__ = ["Attempt", "Pipeline"]

#: A function that opens a connection and makes the opening handshake: see pipeline.py.
Pipeline = Callable[
    [str, ClientOptions, HeaderSource, "str | None"], Coroutine[Any, Any, ClientUpgrade]
]


class Attempt:
    """One attempt, from :meth:`start` to its outcome. The loop's thread only.

    Args:
        loop: the event loop.
        url: ws:// or wss://.
        options: see ClientOptions; its functions are called when the attempt begins.
        gate: the gate that the attempt passes before it dials; None: it dials at once.
        pipeline: the coroutine function that connects.
        connected: called with the result and None, or with None and the exception; not if the
            attempt has been stopped.
        note: called with each step that is done, and its text.
        whose: returns for whom it is, in words.
    """

    __slots__ = (
        *("_asked_at", "_connected", "_gate", "_loop", "_note", "_number", "_options"),
        *("_pipeline", "_stopped", "_task", "_url", "_whose"),
    )

    def __init__(
        self,
        loop: EventLoop,
        url: str,
        options: ClientOptions,
        gate: Gate | None,
        pipeline: Pipeline,
        connected: Callable[[ClientUpgrade | None, Exception | None], object],
        note: Callable[[Step, str], object],
        whose: Callable[[], str],
    ) -> None:
        self._whose = whose
        self._note: Callable[[Step, str], object] = note
        self._asked_at = 0.0
        self._loop = loop
        self._url = url
        self._options = options
        self._gate = gate
        self._pipeline = pipeline
        self._connected = connected
        self._number = 0
        self._stopped = False
        self._task: Task[ClientUpgrade] | None = None  # while it is in flight

    def start(self, address: Endpoint, number: int, again: bool) -> None:
        """Begin as soon as the gate allows it.

        Args:
            address: the host and port of the URL.
            number: how many attempts of this connection have failed before, in a row.
            again: whether the connection has been open before.
        """
        self._number = number
        self._asked_at = self._loop.now
        if self._gate is None:
            self._dial()
        else:
            pace = self._options.connect_pace
            self._gate.ask(self._dial, address, again or number > 0, pace)

    @calls_user_code
    def _dial(self) -> None:
        """Begin: the gate has let the attempt through. The connect timeout runs from now on."""
        options = self._options
        if self._loop.now > self._asked_at:
            self._note(Step.ADMITTED, "")
        try:
            header = options.header
            header = header() if callable(header) else header
            cookie = options.cookie
            cookie = cookie() if callable(cookie) else cookie
        except BaseException as exc:
            self._landed()
            if not isinstance(exc, Exception):
                raise  # KeyboardInterrupt and SystemExit leave the loop
            self._connected(None, exc)
            return
        if self._stopped:
            self._landed()  # one of the functions has stopped it
            return
        coroutine = self._pipeline(self._url, options, header, cookie)
        if self._gate is not None and self._gate.journal.hears:
            self._gate.journal.attempt(parse_url(self._url).shown, self._number)
        self._task = task = Task(
            self._loop,
            coroutine,
            self._arrived,
            soon=False,
            on_note=self._note,
            whose=self._whose,
        )
        task.start()

    def _arrived(self, upgrade: ClientUpgrade | None, error: Exception | None) -> None:
        self._landed()
        if isinstance(error, WebSocketException):
            error = without_traceback(error)
        self._connected(upgrade, error)

    def _landed(self) -> None:
        """Tell the gate that the attempt is no longer in flight."""
        self._task = None
        self._note = _nothing  # the frames of an exception may keep this object
        if self._gate is not None:
            self._gate.done()

    def stop(self) -> None:
        """Give the attempt up, whether it is in flight or waits at the gate."""
        self._stopped = True
        if self._task is not None:
            try:
                self._task.cancel()
            finally:
                self._landed()
        elif self._gate is not None:
            self._gate.leave(self._dial)

    def let_go(self) -> None:
        """In a forked child, close the sockets of the attempt."""
        if self._task is not None:
            self._task.cancel()  # the coroutine closes them


def _nothing(step: Step, text: str) -> None:
    """Nobody notes what an attempt does after its end."""
