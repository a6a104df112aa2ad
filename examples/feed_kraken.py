"""A feed of a service like Kraken (v2): a topic is a channel and a symbol, and so is every
answer."""

import json

from services import KrakenLike

from reactor import Reactor
from reactor.feeds import Feed, Heartbeat, Pace, Refused, Subscribed, Unsubscribed, Update


class Kraken(Feed):
    message_pace = Pace(10, per=1.0)
    heartbeat = Heartbeat(
        '{"method": "ping"}', every=30.0, expect=lambda message: '"pong"' in message, timeout=10.0
    )

    def subscribe_message(self, topics, link):
        return list(self.messages("subscribe", topics))

    def unsubscribe_message(self, topics, link):
        return list(self.messages("unsubscribe", topics))

    def messages(self, method, topics):
        """One message for each channel."""
        symbols = {}
        for channel, symbol in topics:
            symbols.setdefault(channel, []).append(symbol)
        for channel, some in symbols.items():
            yield json.dumps({"method": method, "params": {"channel": channel, "symbol": some}})

    def parse(self, message, link):
        d = json.loads(message)
        channel = d.get("channel")
        if channel == "trade":  # several trades in a message, numbered for each symbol
            return [
                Update((channel, trade["symbol"]), trade, sequence=trade["trade_id"])
                for trade in d["data"]
            ]
        if channel in ("ticker", "book"):
            return [Update((channel, each["symbol"]), each) for each in d["data"]]
        method = d.get("method")
        if method == "subscribe" and d["success"]:
            return Subscribed([(d["result"]["channel"], d["result"]["symbol"])])
        if method == "subscribe":  # the error names the symbol, but not the channel
            asked = [topic for topic in link.topics if topic[1] == d["symbol"]]
            return [Refused([topic], d["error"]) for topic in asked]
        if method == "unsubscribe" and d["success"]:
            return Unsubscribed([(d["result"]["channel"], d["result"]["symbol"])])
        return None  # status, heartbeat, pong

    def on_refused(self, topic, reason, final):
        print("refused:", topic, reason)

    def on_gap(self, topic, gap):
        print("missing:", topic, "after", gap.last and gap.last.sequence, gap.reason)


def main():
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, KrakenLike)
        feed = Kraken(loop, f"ws://127.0.0.1:{listener.port}/v2")

        def on_trade(update):
            print("trade", update.sequence, update.topic[1], update.data["price"])
            if update.sequence == 5:
                loop.stop()

        feed.subscribe(("trade", "BTC/USD"), on_trade)
        feed.subscribe(("trade", "NO/PE"))
        feed.on_live = lambda: [KrakenLike.trade("BTC/USD", number, 50_000) for number in (1, 2, 5)]
        loop.run_forever()
        feed.close()


if __name__ == "__main__":
    main()
