"""Native: many subscriptions on one thread, which reconnect by themselves."""

from embedded import echo_server

from reactor import Backoff, Reactor, WebSocketProtocol

COUNT = 200


class Subscription(WebSocketProtocol):
    waiting = COUNT

    def __init__(self, symbol):
        self.symbol = symbol

    def on_open(self):  # and after every reconnect
        self.send(f'{{"op": "subscribe", "symbol": "{self.symbol}"}}')

    def on_message(self, message):
        Subscription.waiting -= 1
        if Subscription.waiting == 0:
            print(f"{COUNT} subscriptions have received a message, the last one {message}")
            loop.stop()

    def on_error(self, error):
        print(self.symbol, error)


with echo_server() as url, Reactor() as loop:
    for number in range(COUNT):
        loop.connect(url, Subscription(f"SYM{number}"), ping_interval=20, reconnect=Backoff())
    loop.run_forever()
    loop.shutdown()
