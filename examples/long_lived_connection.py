"""A long-lived connection: callbacks, until it is closed."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    wsapp.send("Hello, Server")


def on_message(wsapp, message):
    print(message)
    wsapp.close()


with echo_server() as url:
    wsapp = websocket.WebSocketApp(url, on_open=on_open, on_message=on_message)
    wsapp.run_forever()
