"""A feed whose updates another thread takes, from a mailbox that never holds more than so many."""

import json
import threading

from reactor import Reactor, WebSocketProtocol
from reactor.feeds import Feed, Update


class Service(WebSocketProtocol):
    """Confirms nothing, and sends three prices of every topic that it is asked for."""

    def on_text(self, text):
        for topic in json.loads(text):
            for price in (1, 2, 3):
                self.send(json.dumps({"topic": topic, "price": price}))


class Prices(Feed):
    ack_timeout = None  # what was asked for is live

    def subscribe_message(self, topics, link):
        return json.dumps(topics)

    def parse(self, message, link):
        data = json.loads(message)
        return Update(data["topic"], data["price"])


def consume(box):
    last = {}
    for update in box:  # until the feed is closed
        last[update.topic] = update.data
        if last == {"A": 3, "B": 3}:
            print("the last prices:", last)
            feed.close()
            loop.stop()


with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, Service)
    feed = Prices(loop, f"ws://127.0.0.1:{listener.port}/")
    box = feed.mailbox(maxlen=1000, drop="latest")  # of each topic at least the last one
    feed.subscribe_many(["A", "B"], box)
    thread = threading.Thread(target=consume, args=(box,))
    thread.start()
    loop.run_forever()
    thread.join()
    loop.shutdown()
