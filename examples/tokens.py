"""Native: a token that runs out: a new one for each attempt, and at once after a refusal."""

from reactor import Accept, Backoff, HTTPResponse, Reactor, WebSocketProtocol

tokens = iter(["old", "new"])


def make_header():  # called before every attempt
    return {"Authorization": f"Bearer {next(tokens)}"}


class Account(WebSocketProtocol):
    def on_open(self):
        print("let in")
        loop.stop()

    def on_error(self, error):
        """It is expected: without this method it would be logged."""

    def on_retry(self, attempt, delay, error):
        print("refused:", error.status_code)
        return 0  # seconds; None: as the Backoff says; False: give up


def process_request(request, sock):
    if request.headers.get("Authorization") == "Bearer new":
        return Accept()
    return HTTPResponse(401)


with Reactor() as loop:
    listener = loop.listen("127.0.0.1", 0, process_request=process_request)
    url = f"ws://127.0.0.1:{listener.port}/"
    loop.connect(url, Account, header=make_header, reconnect=Backoff())
    loop.run_forever()
    loop.shutdown()
