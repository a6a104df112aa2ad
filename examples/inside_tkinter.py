"""Native: a reactor inside of tkinter's main loop (which needs a display)."""

import sys

from embedded import echo_server

from reactor import WebSocketProtocol

try:
    import tkinter

    root = tkinter.Tk()
except Exception as exc:  # noqa: BLE001 - of tkinter, which may not be there
    sys.exit(print("inside_tkinter.py needs tkinter and a display:", exc))

from reactor.hosting.tkinter import tkinter_host


class Hosted(WebSocketProtocol):
    def on_open(self):
        self.send("Hello from a reactor inside tkinter")

    def on_message(self, message):
        print(message)
        root.destroy()


host = tkinter_host(root)
with echo_server() as url:
    host.connect(url, Hosted)
    root.mainloop()
