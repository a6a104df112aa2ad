"""Native: a connection that comes back, and what its handlers are told meanwhile."""

from reactor import Backoff, Reactor, WebSocketProtocol


class Unsteady(WebSocketProtocol):
    """Drops its first client."""

    clients = 0

    def on_open(self):
        Unsteady.clients += 1
        if Unsteady.clients == 1:
            self.close(1012, "restarting")


class Client(WebSocketProtocol):
    def on_open(self):
        print("open")

    def on_reconnect(self):
        print("open again")
        self.close()

    def on_retry(self, attempt, delay, error):
        print("attempt", attempt, "is planned")

    def on_close(self, code, reason):
        print("closed:", code, reason, "for good" if self.ending.final else "for now")
        if self.ending.final:
            loop.stop()


with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, Unsteady)
    loop.connect(f"ws://127.0.0.1:{listener.port}/", Client, reconnect=Backoff(first=0.1))
    loop.run_forever()
    loop.shutdown()
