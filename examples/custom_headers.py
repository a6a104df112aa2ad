"""Custom headers: a dict, a list, or a function that is called for every attempt."""

from embedded import echo_server

import reactor as websocket


def fresh_headers():
    return {"Authorization": "Bearer made-for-this-attempt"}


def on_open(wsapp):
    print("the app is connected")
    wsapp.close()


with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, header={"CustomHeader1": "123", "NewHeader2": "Test"})
    print("connected")
    ws.close()

    for header in ({"CustomHeader1": "123"}, ["CustomHeader1: 123"], fresh_headers):
        wsapp = websocket.WebSocketApp(url, header=header, on_open=on_open)
        wsapp.run_forever()
