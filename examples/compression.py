"""Native: permessage-deflate, on both sides, and the size of the messages on the wire."""

import json

from embedded import echo_server

from reactor import Deflate, Reactor, WebSocketProtocol

PRICES = {"symbol": "BTC-USD", "bids": [[60000 - i, 0.5] for i in range(50)]}


class Book(WebSocketProtocol):
    def on_open(self):
        print("agreed:", self.response.headers["Sec-WebSocket-Extensions"])
        text = json.dumps(PRICES)
        first = self.send(text)
        again = self.send(text)  # refers back to the first one
        plain = self.send(text, compress=False)
        print(f"{len(text)} characters: {first} bytes, again {again}, uncompressed {plain}")
        self.left = 3

    def on_message(self, message):
        assert json.loads(message) == PRICES
        self.left -= 1
        if not self.left:
            self.close()

    def on_close(self, code, reason):
        print("closed", code)
        loop.stop()


with echo_server("--compression", "deflate") as url, Reactor() as loop:
    # A server that sends little need not keep a window; then we need none for it, either.
    loop.connect(url, Book, compression=Deflate(server_no_context_takeover=True))
    loop.run_forever()
