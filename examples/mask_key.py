"""A masking key of your own: with zeros, frames can be read in a network trace."""

from embedded import echo_server

import reactor as websocket


def zero_mask_key(_):
    return "\x00\x00\x00\x00"


def on_open(wsapp):
    wsapp.send("Hello from the app")


def on_message(wsapp, message):
    print(message)
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.set_mask_key(zero_mask_key)
    ws.connect(url)
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close()

    wsapp = websocket.WebSocketApp(
        url, on_open=on_open, on_message=on_message, get_mask_key=zero_mask_key
    )
    wsapp.run_forever()
