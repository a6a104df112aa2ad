"""Native: whom a server lets in: origins, subprotocols, sizes, connections from one address."""

import re

from reactor import Reactor, WebSocketProtocol


class Server(WebSocketProtocol):
    def on_message(self, message):
        self.send(message)


class Client(WebSocketProtocol):
    waiting = 0

    def __init__(self, name, message="hello"):
        self.name = name
        self.message = message
        Client.waiting += 1

    def on_open(self):
        print(self.name, "is in, by", self.subprotocol)
        self.send(self.message)

    def on_message(self, message):
        self.close()

    def on_error(self, error):
        """What on_close says is enough here."""

    def on_close(self, code, reason):
        error = self.ending.error
        print(self.name, "is out:", code, getattr(error, "status_code", None) or "")
        Client.waiting -= 1
        if not Client.waiting:
            loop.stop()


with Reactor() as loop:
    listener = loop.listen(
        "127.0.0.1",
        0,
        Server,
        origins=["https://app.example", re.compile(r"https://\w+\.partner\.example")],
        subprotocols=["v2", "v1"],
        max_message_size=1000,
        max_connections_per_address=20,
        on_overflow="pause",
    )
    url = f"ws://127.0.0.1:{listener.port}/"
    good = {"origin": "https://app.example", "subprotocols": ["v1", "v2"]}
    loop.connect(url, Client("a good one"), **good)
    loop.connect(url, Client("one that talks too much", "x" * 1001), **good)
    loop.connect(url, Client("one from elsewhere"), origin="https://evil.example")
    loop.run_forever()
    loop.shutdown()
