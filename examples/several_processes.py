"""Native: several processes on one port, among which the kernel distributes the clients (Linux)."""

import multiprocessing
import os
import signal
import socket

from reactor import Reactor, WebSocketProtocol


class WhoAmI(WebSocketProtocol):
    def on_open(self):
        self.send(str(os.getpid()))


def work(port, ready):
    with Reactor() as loop:
        loop.signal(signal.SIGTERM, loop.stop)
        loop.listen("127.0.0.1", port, WhoAmI, reuse_port=True)
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.shutdown()


seen = set()


class Client(WebSocketProtocol):
    def on_message(self, message):
        seen.add(message)
        self.close()

    def on_close(self, code, reason):
        if len(seen) == 2:
            print("2 processes have answered")
            self.loop.stop()
        else:
            self.loop.connect(self.url, Client)


def main():
    with Reactor() as loop, socket.socket() as place:
        # Finds a free port, and keeps it for the others; it does not listen itself.
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        ready = [context.Event() for _ in range(2)]
        workers = [context.Process(target=work, args=(port, event)) for event in ready]
        for worker in workers:
            worker.start()
        for event in ready:
            event.wait()
        loop.connect(f"ws://127.0.0.1:{port}/", Client)
        loop.run_forever()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
