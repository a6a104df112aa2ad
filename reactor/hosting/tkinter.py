"""Hosting: a reactor inside of tkinter's main loop.

What it is: :func:`tkinter_host`, which makes a reactor whose turns ``mainloop()`` runs.

What it must not know: what lives on the reactor.

How it works. Tk watches the reactor's descriptor (``createfilehandler``, on Unix), and has
``after`` for the alarm and the nudge: see hosted.py. The reactor ends when the root window is
destroyed.
"""

from __future__ import annotations

import tkinter
from typing import TYPE_CHECKING, Any

from ..base.arguments import named, shows
from ..reactor import Reactor
from .hosted import Host

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..signatures import ReactorArguments

__all__ = ["tkinter_host"]


@shows(named(Reactor))
def tkinter_host(root: tkinter.Misc, **options: Unpack[ReactorArguments]) -> Reactor:
    """Return a new reactor whose turns the main loop of tkinter runs; it ends with the root window.

    Its ``shutdown()`` waits in place, as that of any Reactor: windows stand still meanwhile.

    Args:
        root: the root window, or a widget in it.
        options: those of Reactor.

    Raises:
        RuntimeError: this Tk cannot watch descriptors (on Windows).
        ValueError: the selector that was given has no descriptor.
    """
    reactor = Reactor(**options)
    _Host(reactor, root.winfo_toplevel()).start()
    return reactor


class _Host(Host):
    """See the module."""

    def __init__(self, reactor: Reactor, root: Any) -> None:
        super().__init__(reactor)
        self._root = root
        self._after: str | None = None

    def watch(self, fd: int) -> None:
        """See Host."""
        tk = self._root.tk
        if not hasattr(tk, "createfilehandler"):
            raise RuntimeError("this Tk cannot watch a descriptor, so it cannot host a reactor")
        tk.createfilehandler(fd, tkinter.READABLE, lambda *_: self.run_turn())
        self._root.bind("<Destroy>", self._destroyed, add="+")

    def unwatch(self, fd: int) -> None:
        """See Host."""
        try:
            self._root.tk.deletefilehandler(fd)
        except tkinter.TclError:
            pass  # Tk has gone

    def set_alarm(self, delay: float) -> None:
        """See Host."""
        self.stop_alarm()
        self._after = self._root.after(int(delay * 1000) + 1, self.on_alarm)

    def stop_alarm(self) -> None:
        """See Host."""
        if self._after is not None:
            try:
                self._root.after_cancel(self._after)
            except tkinter.TclError:
                pass  # Tk has gone
            self._after = None

    def nudge(self) -> None:
        """See Host."""
        try:
            self._root.after(0, self.run_turn)
        except tkinter.TclError:
            pass  # Tk has gone

    def on_alarm(self) -> None:
        """See Host."""
        self._after = None
        super().on_alarm()

    def _destroyed(self, event: Any) -> None:
        if event.widget is self._root:
            self.finish()
