"""Small services that the examples of feeds talk to: each follows the public documents of a real
one.

They run on the same loop as the example, and stop with it.
"""

import json

from reactor import WebSocketProtocol


class Service(WebSocketProtocol):
    """What they have in common: JSON, and a list of those that are connected."""

    def __init_subclass__(cls):
        cls.clients = []

    def on_open(self):
        self.topics = {}
        self.said = []
        self.clients.append(self)

    def on_message(self, message):
        request = json.loads(message)
        self.said.append(request)
        self.asked(request)

    def on_close(self, code, reason):
        if self in self.clients:
            self.clients.remove(self)

    def say(self, message):
        self.send(json.dumps(message))


class KrakenLike(Service):
    """Version 2 of Kraken's API: acknowledgements name channel and symbol, one for each symbol."""

    known = ("BTC/USD", "ETH/USD")

    def on_open(self):
        super().on_open()
        self.say({"channel": "status", "type": "update", "data": [{"system": "online"}]})

    def asked(self, request):
        method = request["method"]
        if method == "ping":
            self.say({"method": "pong", "req_id": request.get("req_id")})
            return
        channel = request["params"]["channel"]
        for symbol in request["params"]["symbol"]:
            if symbol not in self.known:
                error = f"Currency pair not supported {symbol}"
                self.say({"error": error, "method": method, "success": False, "symbol": symbol})
                continue
            result = {"channel": channel, "symbol": symbol}
            self.say({"method": method, "result": result, "success": True})
            if method == "subscribe":
                self.topics[channel, symbol] = None
            else:
                self.topics.pop((channel, symbol), None)

    @classmethod
    def trade(cls, symbol, number, price):
        """A trade has happened."""
        data = [{"symbol": symbol, "trade_id": number, "price": price, "qty": 1.0}]
        for client in list(cls.clients):
            if ("trade", symbol) in client.topics:
                client.say({"channel": "trade", "type": "update", "data": data})


class GraphQLLike(Service):
    """GraphQL over WebSocket, the subprotocol graphql-transport-ws."""

    def asked(self, request):
        kind = request["type"]
        if kind == "connection_init":
            if request["payload"]["token"] != "secret":
                self.close(4403, "Forbidden")
                return
            self.say({"type": "connection_ack"})
            self.say({"type": "ping"})
        elif kind == "subscribe":
            if request["id"] in self.topics:
                self.close(4409, f"Subscriber for {request['id']} already exists")
                return
            self.topics[request["id"]] = request["payload"]["variables"]["symbol"]
        elif kind == "complete":
            self.topics.pop(request["id"], None)

    @classmethod
    def price(cls, symbol, price):
        """A price has changed."""
        for client in list(cls.clients):
            for identity, wanted in list(client.topics.items()):
                if wanted == symbol:
                    payload = {"data": {"price": {"symbol": symbol, "value": price}}}
                    client.say({"type": "next", "id": identity, "payload": payload})

    @classmethod
    def end(cls, symbol):
        """There will be no more prices."""
        for client in list(cls.clients):
            for identity, wanted in list(client.topics.items()):
                if wanted == symbol:
                    del client.topics[identity]
                    client.say({"type": "complete", "id": identity})


class BinanceLike(Service):
    """Binance's combined streams: acknowledgements have the id of the request, and nothing else."""

    limit = 1024  # streams on a connection

    def asked(self, request):
        topics, method = request["params"], request["method"]
        if method == "SUBSCRIBE" and len(self.topics) + len(topics) > self.limit:
            error = {"code": 2, "msg": f"Invalid request: more than {self.limit} streams"}
            self.say({"error": error, "id": request["id"]})
            return
        for topic in topics:
            if method == "SUBSCRIBE":
                self.topics[topic] = None
            else:
                self.topics.pop(topic, None)
        self.say({"result": None, "id": request["id"]})

    @classmethod
    def trade(cls, symbol, number, price):
        """A trade has happened."""
        stream = f"{symbol.lower()}@aggTrade"
        data = {"e": "aggTrade", "s": symbol, "a": number, "p": str(price), "q": "1.0"}
        for client in list(cls.clients):
            if stream in client.topics:
                client.say({"stream": stream, "data": data})
