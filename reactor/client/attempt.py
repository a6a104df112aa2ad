"""One attempt to connect: through the gate, and then through the connect pipeline.

What it is: :class:`Attempt`.

What it must not know: what follows on its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..base.marks import calls_user_code
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

#: Opens a connection up to the end of the opening handshake: see pipeline.py.
Pipeline = Callable[
    [str, ClientOptions, HeaderSource, "str | None"], Coroutine[Any, Any, ClientUpgrade]
]


class Attempt:
    """See the module. The loop's thread only.

    Args:
        loop: the event loop.
        url: ws:// or wss://.
        options: see ClientOptions; its functions are called when the gate opens.
        gate: what the attempt passes before it dials; None: nothing.
        pipeline: what runs then.
        connected: called with the outcome, which is None, and the exception, or None. Not when the
            attempt has been stopped.
        note: called with each step that is done, and its text.
    """

    __slots__ = (
        *("_asked_at", "_connected", "_gate", "_loop", "_note", "_number", "_options"),
        *("_pipeline", "_stopped", "_task", "_url"),
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
    ) -> None:
        self._note = note
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
        """Ask at the gate.

        Args:
            address: where the URL leads to.
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
        """The gate is open: begin the attempt, which has a time-out from now on."""
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
            self._landed()  # by one of the functions
            return
        coroutine = self._pipeline(self._url, options, header, cookie)
        if self._gate is not None and self._gate.journal.hears:
            self._gate.journal.attempt(str(parse_url(self._url)), self._number)
        self._task = task = Task(
            self._loop, coroutine, self._arrived, soon=False, on_note=self._note
        )
        task.start()

    def _arrived(self, upgrade: ClientUpgrade | None, error: Exception | None) -> None:
        self._landed()
        self._connected(upgrade, error)

    def _landed(self) -> None:
        """The attempt is in flight no longer."""
        self._task = None
        if self._gate is not None:
            self._gate.done()

    def stop(self) -> None:
        """Give it up, whether it is in flight or waits at the gate."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            self._landed()
        elif self._gate is not None:
            self._gate.leave(self._dial)

    def let_go(self) -> None:
        """In a forked child: close what it has."""
        if self._task is not None:
            self._task.cancel()  # its coroutine does
