"""Native: a protocol class with all its handlers."""

from embedded import echo_server

from reactor import Reactor, WebSocketProtocol


class Chatty(WebSocketProtocol):
    def on_open(self):
        print("open, subprotocol", self.subprotocol)
        self.ping(b"are you there?")
        self.send("text")

    def on_message(self, message):
        print("message", message)
        if message == "text":
            self.send(b"bytes")
        else:
            self.close(4000, "that was all")

    def on_ping(self, payload):
        print("ping", payload)

    def on_pong(self, payload):
        print("pong", payload)

    def on_error(self, error):
        print("error", error)

    def on_close(self, code, reason):
        print("closed", code, reason)
        loop.stop()


with echo_server() as url, Reactor() as loop:
    loop.connect(url, Chatty)
    loop.run_forever()
