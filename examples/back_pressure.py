"""Native: send no faster than the peer reads, from a source of any size."""

from reactor import Reactor, WebSocketProtocol

COUNT = 20_000


class Source(WebSocketProtocol):
    def __init__(self):
        self.numbers = iter(range(COUNT))
        self.most = 0

    def on_open(self):
        self.on_writable()

    def on_writable(self):  # the queue has drained
        while self.buffered_amount < 65_536:  # the option high_water
            number = next(self.numbers, None)
            if number is None:
                return
            self.send(f"{number:1000}")
            self.most = max(self.most, self.buffered_amount)


class Sink(WebSocketProtocol):
    received = 0

    def on_message(self, message):
        self.received += len(message)
        if self.received == COUNT * 1000:
            print("received 20 MB; the queue was never much above 64 KiB:", source.most < 80_000)
            loop.stop()


with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, Sink)
    source = loop.connect(f"ws://127.0.0.1:{listener.port}/", Source)
    loop.run_forever()
    loop.shutdown()
