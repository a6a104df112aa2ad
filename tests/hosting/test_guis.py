"""A reactor inside of Qt's event loop, and of tkinter's; where they can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

#: In a process of its own: there is one application in a process, and its library prints.
QT = """
from importlib import import_module
from {binding}.QtCore import QCoreApplication, QTimer
from reactor.hosting.qt import qt_host
from tests.support.hosted import Conversation
try:
    qt_host()
except RuntimeError as exc:
    assert "no Qt application" in str(exc)
app = QCoreApplication([])
host = qt_host()
conversation = Conversation(
    host, lambda call: QTimer.singleShot(0, call), lambda: host.call_soon(app.quit)
)
QTimer.singleShot(5, conversation.start)
app.exec()
assert tuple(conversation.log) == Conversation.EXPECTED, conversation.log
assert host.loop._closed
print("as expected")
"""

TK = """
import tkinter
from reactor.hosting.tkinter import tkinter_host
from tests.support.hosted import Conversation
root = tkinter.Tk()
host = tkinter_host(root)
conversation = Conversation(
    host, lambda call: root.after(0, call), lambda: host.call_soon(root.destroy)
)
root.after(5, conversation.start)
root.mainloop()
assert tuple(conversation.log) == Conversation.EXPECTED, conversation.log
assert host.loop._closed
print("as expected")
"""


def run(program: str, *under: str) -> None:
    """Run a program in a process of its own, *under* what gives it a display."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [*under, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=40,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "as expected\n"


@pytest.mark.parametrize("binding", ["PySide6", "PyQt6"])
def test_qt(binding: str) -> None:
    pytest.importorskip(f"{binding}.QtCore", exc_type=ImportError)
    run(QT.format(binding=binding))


def test_tkinter() -> None:
    pytest.importorskip("tkinter", exc_type=ImportError)
    if os.environ.get("DISPLAY"):
        run(TK)
    elif xvfb_run := shutil.which("xvfb-run"):
        run(TK, xvfb_run, "--auto-servernum")
    else:
        pytest.skip("no display, and no xvfb-run on PATH; tests/peers/install.sh installs it")
