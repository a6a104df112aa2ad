"""Accept any certificate. For tests only: anyone in between can read everything.

Without a URL, the certificate of the server is created by the package trustme.
"""

import ssl
import sys
import tempfile

from embedded import echo_server

import reactor as websocket


def on_open(wsapp):
    print("the app is connected")
    wsapp.close()


def serve_with_a_certificate_of_our_own(folder):
    import trustme

    path = f"{folder}/server.pem"
    trustme.CA().issue_cert("somewhere.example").private_key_and_cert_chain_pem.write_to_path(path)
    return echo_server("--certfile", path)


with tempfile.TemporaryDirectory() as folder:
    server = echo_server() if len(sys.argv) > 1 else serve_with_a_certificate_of_our_own(folder)
    with server as url:
        ws = websocket.WebSocket(sslopt={"cert_reqs": ssl.CERT_NONE})
        ws.connect(url)
        ws.send("Hello, Server")
        print(ws.recv())
        ws.close()

        wsapp = websocket.WebSocketApp(url, on_open=on_open)
        wsapp.run_forever(sslopt={"cert_reqs": ssl.CERT_NONE})
