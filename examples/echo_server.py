"""Native: an echo server, and a client for it on the same loop."""

from reactor import Reactor, WebSocketProtocol


class Echo(WebSocketProtocol):
    def on_open(self):
        print("a client asks for", self.url)

    def on_message(self, message):
        self.send(message)


class Client(WebSocketProtocol):
    def on_open(self):
        self.send("Hello, Server")

    def on_message(self, message):
        print(message)
        loop.stop()


with Reactor() as loop:
    # While a client does not read its echoes, nothing is read from it.
    listener = loop.listen("127.0.0.1", 0, Echo, on_overflow="pause")
    loop.connect(f"ws://127.0.0.1:{listener.port}/echo", Client)
    loop.run_forever()
    loop.shutdown()
