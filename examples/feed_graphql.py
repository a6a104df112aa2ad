"""A feed over GraphQL (the subprotocol graphql-transport-ws): every subscription has an id."""

import itertools
import json

from services import GraphQLLike

from reactor import Reactor
from reactor.feeds import Ended, Feed, Update

QUERY = "subscription ($symbol: String!) { price(symbol: $symbol) { symbol value } }"


class Prices(Feed):
    topics_per_message = 1
    ack_timeout = None  # the protocol confirms nothing
    message_pace = None

    def __init__(self, loop, url, token, **options):
        super().__init__(loop, url, subprotocols=["graphql-transport-ws"], **options)
        self.token = token
        self.numbers = itertools.count(1)
        self.topics_by_id = {}  # for each link: an id means something on one connection only

    async def login(self, link):
        await link.request(
            json.dumps({"type": "connection_init", "payload": {"token": self.token}}),
            match=lambda message: json.loads(message)["type"] == "connection_ack",
            timeout=5,
        )

    def on_link_open(self, link):
        self.topics_by_id[link] = {}

    def on_link_close(self, link, code, reason):
        self.topics_by_id.pop(link, None)

    def subscribe_message(self, topics, link):
        (symbol,) = topics
        identity = str(next(self.numbers))
        self.topics_by_id[link][identity] = symbol
        payload = {"query": QUERY, "variables": {"symbol": symbol}}
        return json.dumps({"id": identity, "type": "subscribe", "payload": payload})

    def unsubscribe_message(self, topics, link):
        ids = self.topics_by_id[link]
        gone = [identity for identity, symbol in ids.items() if symbol in topics]
        for identity in gone:
            del ids[identity]
        return [json.dumps({"id": identity, "type": "complete"}) for identity in gone]

    def parse(self, message, link):
        d = json.loads(message)
        kind = d["type"]
        if kind == "ping":
            link.send('{"type": "pong"}')
            return None
        topic = self.topics_by_id[link].get(d.get("id"))
        if topic is None:
            return None  # it was completed by us
        if kind == "next":
            return Update(topic, d["payload"]["data"]["price"])
        if kind in ("complete", "error"):
            del self.topics_by_id[link][d["id"]]
            return Ended(topic, d.get("payload", "complete"))
        return None

    def on_ended(self, topic, reason):
        print(topic, "has ended:", reason)


def main():
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, GraphQLLike, subprotocols=["graphql-transport-ws"])
        feed = Prices(loop, f"ws://127.0.0.1:{listener.port}/graphql", token="secret")

        def on_price(update):
            print(update.topic, update.data["value"])
            GraphQLLike.end(update.topic)
            if update.data["value"] == 2:
                loop.call_later(0.1, loop.stop)

        feed.subscribe("BTC", on_price)
        feed.subscribe("ETH", on_price)
        loop.call_later(0.5, GraphQLLike.price, "BTC", 1)
        loop.call_later(0.6, GraphQLLike.price, "ETH", 2)
        loop.run_forever()
        feed.close()


if __name__ == "__main__":
    main()
