"""Close with a status code of your choice, with both classes."""

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    wsapp.send("Hello, Server")


def on_message(wsapp, message):
    print(message)
    wsapp.close(status=websocket.STATUS_PROTOCOL_ERROR)


def on_close(wsapp, close_status_code, close_msg):
    print("closed:", close_status_code)


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url)
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close(websocket.STATUS_PROTOCOL_ERROR)  # or ws.close(status=1002)

    wsapp = websocket.WebSocketApp(url, on_open=on_open, on_message=on_message, on_close=on_close)
    wsapp.run_forever(skip_utf8_validation=True)
