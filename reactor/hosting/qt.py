"""Hosting: a reactor inside of Qt's event loop, by PySide6 or PyQt6.

What it is: :func:`qt_host`, which makes a reactor whose turns ``app.exec()`` runs.

What it must not know: what lives on the reactor, and widgets.

How it works. A QSocketNotifier watches the reactor's descriptor, a QTimer is the alarm, and another
one without a delay the nudge: see hosted.py. The reactor ends when the application is about to
quit.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..base.arguments import named, shows
from ..reactor import Reactor
from .hosted import Host

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers know it: it need not be installed

    from ..signatures import ReactorArguments

__all__ = ["qt_host"]

BINDINGS = ("PySide6", "PyQt6")


@shows(named(Reactor))
def qt_host(app: Any = None, **options: Unpack[ReactorArguments]) -> Reactor:
    """Return a new reactor whose turns Qt's event loop runs; it ends with the application.

    Its ``shutdown()`` waits in place, as that of any Reactor: windows stand still meanwhile.

    Args:
        app: the QCoreApplication, or QApplication; None: that of the process.
        options: those of Reactor.

    Raises:
        ImportError: neither PySide6 nor PyQt6 is installed.
        RuntimeError: there is no application yet.
        ValueError: the selector that was given has no descriptor.
    """
    core = _find_core()
    app = app or core.QCoreApplication.instance()
    if app is None:
        raise RuntimeError("there is no Qt application yet: make a QApplication before the host")
    reactor = Reactor(**options)
    _Host(reactor, core, app).start()
    return reactor


def _find_core() -> Any:
    """Return QtCore of the binding that the program has imported, or of one that there is."""
    loaded = [name for name in BINDINGS if f"{name}.QtCore" in sys.modules]
    for name in (*loaded, *BINDINGS):
        try:
            return import_module(f"{name}.QtCore")
        except ModuleNotFoundError:
            continue
    raise ImportError("a Qt host needs PySide6 or PyQt6, and neither is installed")


class _Host(Host):
    """See the module."""

    def __init__(self, reactor: Reactor, core: Any, app: Any) -> None:
        super().__init__(reactor)
        self._core = core
        self._app = app

    def watch(self, fd: int) -> None:
        """See Host."""
        core = self._core
        self._notifier = core.QSocketNotifier(fd, core.QSocketNotifier.Type.Read)
        self._notifier.activated.connect(lambda *_: self.run_turn())
        self._timer, self._soon = core.QTimer(), core.QTimer()
        for timer, callback in ((self._timer, self.on_alarm), (self._soon, self.run_turn)):
            timer.setSingleShot(True)
            timer.setTimerType(core.Qt.TimerType.PreciseTimer)
            timer.timeout.connect(callback)
        self._app.aboutToQuit.connect(self.finish)

    def unwatch(self, fd: int) -> None:
        """See Host."""
        self._notifier.setEnabled(False)
        self._soon.stop()

    def set_alarm(self, delay: float) -> None:
        """See Host."""
        self._timer.start(min(int(delay * 1000) + 1, 2**31 - 1))

    def stop_alarm(self) -> None:
        """See Host."""
        self._timer.stop()

    def nudge(self) -> None:
        """See Host."""
        self._soon.start(0)
