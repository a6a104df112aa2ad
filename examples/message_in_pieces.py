"""Native: a message that is never whole in memory, on either side."""

from hashlib import sha256

from reactor import Reactor, WebSocketProtocol

PIECES = 256


def pieces():
    """Pieces of a file, a camera, a query: the next one is taken when there is room for it."""
    for number in range(PIECES):
        yield bytes([number]) * 65536


class Receiver(WebSocketProtocol):
    def __init__(self):
        self.size, self.digest = 0, sha256()

    def on_data(self, data, opcode, fin):
        self.size += len(data)
        self.digest.update(data)
        if fin:
            self.send(f"{self.size >> 20} MiB, {self.digest.hexdigest()[:8]}")

    def on_message(self, message):
        self.send(f"in between: {message}")


class Sender(WebSocketProtocol):
    def on_open(self):
        self.send_fragments(pieces())
        self.send("and one more")  # follows after it

    def on_message(self, message):
        print(message)
        if message.startswith("in between"):
            self.close()

    def on_close(self, code, reason):
        loop.stop()


with Reactor() as loop:
    listener = loop.listen(
        "127.0.0.1", 0, Receiver, fragments=True, fragment_size=65536, max_message_size=1 << 30
    )
    loop.connect(f"ws://127.0.0.1:{listener.port}/", Sender)
    loop.run_forever()
