"""Show what crosses the wire: heads and frames, on stderr."""

from embedded import echo_server

import reactor as websocket

websocket.enableTrace(True)
with echo_server() as url:
    ws = websocket.WebSocket()
    ws.connect(url, origin="testing_websockets.com")
    ws.send("Hello, Server")
    print(ws.recv())
    ws.close()
