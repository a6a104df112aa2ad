"""Native: a reactor inside of Qt's event loop (PySide6 or PyQt6, which this one needs)."""

import sys

from embedded import echo_server

from reactor import WebSocketProtocol
from reactor.hosting.qt import qt_host

try:
    from PySide6.QtCore import QCoreApplication
except ImportError:
    try:
        from PyQt6.QtCore import QCoreApplication
    except ImportError:
        sys.exit(print("inside_qt.py needs PySide6 or PyQt6"))


class Hosted(WebSocketProtocol):
    def on_open(self):
        self.send("Hello from a reactor inside Qt")

    def on_message(self, message):
        print(message)
        app.quit()


app = QCoreApplication(sys.argv)
host = qt_host()
with echo_server() as url:
    host.connect(url, Hosted)
    app.exec()
