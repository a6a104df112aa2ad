"""A feed of a service like Binance: combined streams, ids, five messages a second, 24 hours."""

import itertools
import json

from services import BinanceLike

from reactor import Reactor
from reactor.feeds import Feed, Pace, Refused, Subscribed, Unsubscribed, Update


class Binance(Feed):
    topics_per_link = 1024
    topics_per_message = 200
    message_pace = Pace(5, per=1.0)
    max_link_age = 23 * 3600.0  # the service closes every connection after 24 hours

    def __init__(self, loop, url, **options):
        super().__init__(loop, url, **options)
        self.numbers = itertools.count(1)
        self.requests = {}  # for each link: what was asked for by id

    def on_link_open(self, link):
        self.requests[link] = {}

    def on_link_close(self, link, code, reason):
        self.requests.pop(link, None)

    def subscribe_message(self, topics, link):
        return self.message("SUBSCRIBE", topics, link)

    def unsubscribe_message(self, topics, link):
        return self.message("UNSUBSCRIBE", topics, link)

    def message(self, method, topics, link):
        identity = next(self.numbers)
        self.requests[link][identity] = method, topics
        return json.dumps({"method": method, "params": topics, "id": identity})

    def parse(self, message, link):
        d = json.loads(message)
        if "stream" in d:
            return self.update(d["stream"], d["data"])
        method, topics = self.requests[link].pop(d["id"], (None, ()))
        if method == "SUBSCRIBE" and "error" in d:
            return Refused(topics, d["error"]["msg"], retry=True)
        if method == "SUBSCRIBE":
            return Subscribed(topics)
        if method == "UNSUBSCRIBE":
            return Unsubscribed(topics)
        return None

    def update(self, stream, data):
        """Trades are numbered; a change of an order book says which numbers it covers."""
        if data["e"] == "aggTrade":
            return Update(stream, data, sequence=data["a"])
        if data["e"] == "depthUpdate":
            return Update(stream, data, sequence=data["u"], previous=data["U"] - 1)
        return Update(stream, data)

    def on_gap(self, topic, gap):
        print("missing:", topic, gap.reason)


def main():
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, BinanceLike)
        feed = Binance(loop, f"ws://127.0.0.1:{listener.port}/stream")

        def on_trade(update):
            print(update.topic, update.data["p"])
            if update.sequence == 12:
                loop.stop()

        feed.subscribe("btcusdt@aggTrade", on_trade)
        feed.on_live = lambda: [BinanceLike.trade("BTCUSDT", number, 50_000) for number in (7, 12)]
        loop.run_forever()
        feed.close()


if __name__ == "__main__":
    main()
