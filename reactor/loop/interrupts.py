"""Signals and the event loop; above all Ctrl-C: KeyboardInterrupt where it does no harm.

What it is: :class:`Interrupts`, which a loop begins before its turns and ends behind them.
Meanwhile Ctrl-C raises KeyboardInterrupt at once only where user code runs, so that a handler that
hangs can be interrupted. In the library's own code, where it could tear a connection's state
apart, it waits for the end of the turn. A second one before that is raised wherever it comes.

What it must not know: what a turn does.

How it works. Python calls the handler of a signal on the main thread, between two instructions
of whatever runs there, and passes that frame. So the handler can tell where the program is:

- In the library's own code KeyboardInterrupt would tear a connection's state apart. It is deferred:
  the turn goes on to its end, and there it is raised.
- In user code it is raised at once, so that a handler that hangs can be interrupted.

The innermost frame of ours decides which of the two it is. Functions that call user code have a
mark on their code object (base/marks.py). If the innermost frame of ours has the mark, and is not
itself the one that runs, then what runs is user code.

What does not work:

- A function in C leaves no frame. Where the compiled twin calls a handler, the innermost frame of
  ours is that of the function that called the twin; so this one has the mark as well.
- A standard library function that a marked function calls would be taken for user code. So marked
  functions call nothing but user code and the library's own functions.
- A loop on another thread, or in a sub-interpreter, goes without all this: Python has signals
  handled on the main thread of the main interpreter only. Which one that is must be tried out:
  ``threading`` takes the thread that has imported it first for the main one.
"""

from __future__ import annotations

# Not the module "signal": its functions wrap those of C, for the sake of enums, and make them ten
# times as expensive. Two of them are called around each run_once().
from _signal import (  # type: ignore[import-not-found]
    SIGINT,
    default_int_handler,
    getsignal,
    set_wakeup_fd,
    signal,
)
from typing import TYPE_CHECKING, Any

from ..base.marks import is_marked

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Protocol

    class Interruptible(Protocol):
        """What is needed of the event loop."""

        _interrupted: bool

        def _wake_up(self) -> None: ...
        def call_soon_threadsafe(self, callback: Callable[..., object]) -> None: ...


__all__ = ["Interrupts"]


class Interrupts:
    """Ctrl-C while one loop runs. See the module.

    Parameters:
        loop: its attribute ``_interrupted`` is set where a KeyboardInterrupt is to be raised at
            the end of the turn, and its method ``_wake_up`` called, so that this end comes.
    """

    __slots__ = ("_borrowed", "_loop", "_replaced", "_watched")

    def __init__(self, loop: Interruptible) -> None:
        self._loop = loop
        self._replaced: Any = None  # the handler of SIGINT in whose place ours is
        self._borrowed: int | None = None  # the wake-up descriptor in whose place ours is
        self._watched: dict[int, Any] = {}  # signal number -> the handler that was there before

    def begin(self) -> None:
        """The loop begins to run. A handler of SIGINT that is the user's stays where it is."""
        handler = getsignal(SIGINT)
        # That of another loop: one of its callbacks runs this one.
        ours = type(getattr(handler, "__self__", None)) is Interrupts
        if handler is default_int_handler or ours:
            try:
                signal(SIGINT, self.on_signal)
                self._replaced = handler
            except ValueError:
                pass  # not the main thread of the main interpreter

    def borrow_wakeup(self, fd: int) -> None:
        """Have Python write a byte to *fd* whenever a signal comes, until the loop stops running.

        So a loop that waits without end notices a signal that came just before it began to wait.
        """
        try:
            self._borrowed = set_wakeup_fd(fd, warn_on_full_buffer=False)
        except ValueError:
            pass  # as above

    def end(self) -> None:
        """The loop has stopped running: all is as it was before."""
        if self._borrowed is not None:
            set_wakeup_fd(self._borrowed)
            self._borrowed = None
        if self._replaced is not None:
            if self.installed:  # else a callback has put another one in its place, which stays
                signal(SIGINT, self._replaced)
            self._replaced = None

    @property
    def installed(self) -> bool:
        """Whether our handler of SIGINT is the one of the process."""
        return bool(getsignal(SIGINT) == self.on_signal)

    def watch(self, signum: int, callback: Callable[[], object] | None) -> None:
        """Have the loop call *callback* when the process gets a signal; None: no longer.

        Raises ValueError on another thread than the main one.
        """
        if callback is None:
            if signum in self._watched:
                signal(signum, self._watched.pop(signum))
            return
        loop = self._loop

        def handle(_signum: int, _frame: FrameType | None) -> None:
            try:
                loop.call_soon_threadsafe(callback)
            except RuntimeError:
                pass  # it was closed by another thread, which cannot take this handler away

        ours = signum == SIGINT and self.installed
        previous = signal(signum, handle)
        # What is to come back is not what is there only for as long as the loop runs.
        self._watched.setdefault(signum, default_int_handler if ours else previous)

    def forget_all(self) -> None:
        """Put the handlers back that were there before :meth:`watch`."""
        for signum in list(self._watched):
            self.watch(signum, None)

    def on_signal(self, _signum: int, frame: FrameType | None) -> None:
        """Ctrl-C has come."""
        loop = self._loop
        if loop._interrupted or _in_user_code(frame):
            loop._interrupted = False
            raise KeyboardInterrupt
        loop._interrupted = True
        loop._wake_up()


def _in_user_code(frame: FrameType | None) -> bool:
    """Whether *frame* was called, directly or not, by a function that calls user code."""
    package = __name__.partition(".")[0] + "."
    innermost = frame
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(package):
            return frame is not innermost and is_marked(frame.f_code)
        frame = frame.f_back
    return False
