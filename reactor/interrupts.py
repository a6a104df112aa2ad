"""Signals and the event loop; above all Ctrl-C: KeyboardInterrupt where it does no harm.

What it is: :class:`Interrupts`, which a loop begins before its turns and ends behind them.
Meanwhile Ctrl-C raises KeyboardInterrupt at once only where user code runs, so that a handler that
hangs can be interrupted. In the library's own code, where it could tear a connection's state
apart, it waits for the end of the turn. A second one before that is raised wherever it comes.

What it must not know: what a turn does.

How it works. Python calls the handler of a signal on the main thread, between two instructions
of whatever runs there, and hands it that frame. The innermost frame that is ours decides: if it
is one of the functions that call user code (:data:`CALLS_USER_CODE`), and is not itself the one
that runs, user code runs.

A loop that runs on another thread, or in a sub-interpreter, goes without: Python has signals
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

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Protocol

    class Interruptible(Protocol):
        """What is needed of the event loop."""

        _interrupted: bool

        def _wake_up(self) -> None: ...
        def call_soon_threadsafe(self, callback: Callable[..., object]) -> None: ...


__all__ = ["CALLS_USER_CODE", "Interrupts"]

#: Modules, and the functions in them that call user code themselves. They should call no other
#: Python code that is not ours: it would be taken for the user's.
CALLS_USER_CODE: dict[str, frozenset[str]] = {
    f"reactor.{module}": frozenset(functions.split())
    for module, functions in {
        "loop": "_run _run_turns _run_handlers _run_calls",
        "timers.wheel": "fire",
        "within": "_awaiting",
        "verbs": "_on_readable _on_writable _read_pending on_time _send_at_once go_on",
        "reactor": "connect _shut_down _abort_all",
        "dispatcher": "deliver call call_on_error",
        "outbox": "_send_next",
        "client_connection": "_connect",
        "server": "_upgraded",
        "accept": "_ask",
        "admission": "choose_subprotocol further_headers",
        "classic.callbacks": "call",
        "classic.app_run": "_url",
        "classic.options": "_current_header _current_cookie",
        # They call what may be compiled, and leaves no frame between them and user code; as do
        # those of the loop and of the reactor that run turns.
        "connection": "_attach",
        "holding": "_receive_rest",
        "transports.stream": "read_now _drain",
        "transports.tls_stream": "_read_pending",
    }.items()
}


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
            functions = CALLS_USER_CODE.get(module, frozenset())
            return frame is not innermost and frame.f_code.co_name in functions
        frame = frame.f_back
    return False
