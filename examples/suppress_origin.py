"""Send no Origin header, with both classes."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    print("the app is connected")
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, suppress_origin=True)
    print("connected")
    ws.close()

    wsapp = websocket.WebSocketApp(url, on_open=on_open)
    wsapp.run_forever(suppress_origin=True)
