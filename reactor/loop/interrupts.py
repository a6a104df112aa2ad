"""Signals and the event loop; above all Ctrl-C: KeyboardInterrupt where it does no harm.

What it is: :class:`Interrupts`, which a loop begins before its turns and ends after them. Meanwhile
Ctrl-C raises KeyboardInterrupt at once only where user code runs, so that a handler that hangs can
be interrupted. In the library's own code it is deferred to the end of the turn. A second Ctrl-C
before that is raised at once, wherever the program is.

What it must not know: what a turn does.

How it works. Python calls the handler of a signal on the main thread, between two instructions of
the code that runs there, and passes that code's frame. So the handler can tell where the program
is:

- In the library's own code KeyboardInterrupt would tear a connection's state apart. It is deferred:
  the turn runs to its end, and KeyboardInterrupt is raised there.
- In user code it is raised at once, so that a handler that hangs can be interrupted.

The innermost frame of the library decides which of the two it is. Functions that call user code
have a mark on their code object (base/marks.py). If the innermost frame of the library has the
mark, and is not the running frame itself, then user code is running.

What does not work:

- A function in C leaves no frame. Where the compiled twin calls a handler, the innermost frame of
  the library is that of the function that called the twin; so this function has the mark as well.
- A standard library function that a marked function calls would be taken for user code. So marked
  functions call nothing but user code and the library's own functions.
- A loop on another thread, or in a sub-interpreter, has none of this: Python handles signals on the
  main thread of the main interpreter only. The only way to find that thread is to try:
  ``threading`` takes the thread that first imported it for the main thread.
"""

from __future__ import annotations

# Not the module "signal": it wraps these functions of C to return enums, which makes them ten
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
        """What an Interrupts needs of the event loop."""

        _interrupted: bool

        def _wake_up(self) -> None: ...
        def call_soon_threadsafe(self, callback: Callable[..., object]) -> None: ...


__all__ = ["Interrupts"]


class Interrupts:
    """Ctrl-C while one loop runs. See the module.

    Args:
        loop: the event loop. Its attribute ``_interrupted`` is set if KeyboardInterrupt is to be
            raised at the end of the turn, and ``_wake_up`` is called, so that the turn ends soon.
    """

    __slots__ = ("_borrowed", "_loop", "_replaced", "_watched")

    def __init__(self, loop: Interruptible) -> None:
        self._loop = loop
        self._replaced: Any = None  # the handler of SIGINT that ours replaces
        self._borrowed: int | None = None  # the wake-up descriptor that ours replaces
        self._watched: dict[int, Any] = {}  # signal number -> the handler before watch()

    def begin(self) -> None:
        """The loop begins to run. If the user has set a handler of SIGINT, it stays."""
        handler = getsignal(SIGINT)
        # The handler of another loop: one of its callbacks runs this loop.
        ours = type(getattr(handler, "__self__", None)) is Interrupts
        if handler is default_int_handler or ours:
            try:
                signal(SIGINT, self.on_signal)
                self._replaced = handler
            except ValueError:
                pass  # not the main thread of the main interpreter

    def borrow_wakeup(self, fd: int) -> None:
        """Have Python write a byte to *fd* on every signal, until the loop stops running.

        So a loop that waits without a limit notices a signal that arrived just before the wait.
        """
        try:
            self._borrowed = set_wakeup_fd(fd, warn_on_full_buffer=False)
        except ValueError:
            pass  # as above

    def end(self) -> None:
        """The loop has stopped running: restore what was there before."""
        if self._borrowed is not None:
            set_wakeup_fd(self._borrowed)
            self._borrowed = None
        if self._replaced is not None:
            if self.installed:  # otherwise a callback has installed another handler, which stays
                signal(SIGINT, self._replaced)
            self._replaced = None

    @property
    def installed(self) -> bool:
        """Whether our handler of SIGINT is the one of the process."""
        return bool(getsignal(SIGINT) == self.on_signal)

    def watch(self, signum: int, callback: Callable[[], object] | None) -> None:
        """Have the loop call *callback* when the process gets a signal.

        Args:
            signum: the signal's number.
            callback: what to call; None restores the handler that was there before.

        Raises:
            ValueError: this is not the main thread.
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
                pass  # another thread has closed the loop, and cannot remove this handler

        ours = signum == SIGINT and self.installed
        previous = signal(signum, handle)
        # The handler to restore later is not the one that is there only while the loop runs.
        self._watched.setdefault(signum, default_int_handler if ours else previous)

    def forget_all(self) -> None:
        """Restore the handlers that were there before :meth:`watch`."""
        for signum in list(self._watched):
            self.watch(signum, None)

    def on_signal(self, _signum: int, frame: FrameType | None) -> None:
        """The user has pressed Ctrl-C."""
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
