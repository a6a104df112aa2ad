"""Native: work that blocks, on helper threads, while the loop goes on."""

import time

from reactor import Reactor, WebSocketProtocol


def look_up(key):  # a database, a file, a request
    time.sleep(0.2)
    return {"one": 1}[key]


class Server(WebSocketProtocol):
    def on_text(self, text):
        self.run_in_thread(look_up, text, then=self.found)

    def found(self, result, error):  # on the loop's thread again
        self.send(f"{error!r}" if error else f"{result}")


class Client(WebSocketProtocol):
    answers = 0

    def on_open(self):
        self.send("one")
        self.send("two")

    def on_text(self, text):
        print("answer:", text)
        self.answers += 1
        if self.answers == 2:
            print("the loop has ticked meanwhile:", ticks > 0)
            loop.stop()


def tick():
    global ticks
    ticks += 1


ticks = 0
with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, Server)
    loop.connect(f"ws://127.0.0.1:{listener.port}/", Client)
    loop.call_every(0.02, tick)
    loop.run_forever()
    loop.shutdown()
