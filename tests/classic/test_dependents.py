"""Libraries that say ``import websocket``, on this package instead, over loopback.

Each runs in a process of its own, which installs the package as ``websocket`` first; the server
that it speaks to is a scripted one here.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor import Reactor, WebSocketProtocol

PREAMBLE = """
import sys
import reactor
reactor.install_as_websocket()
url = sys.argv[1]
"""


@contextmanager
def server(protocol: Callable[[], WebSocketProtocol], **options: Any) -> Iterator[str]:
    """Serve on a thread; yield host and port."""
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, protocol, **options)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.port}"
        finally:
            loop.stop()
            thread.join()


def run(package: str, code: str, url: str) -> str:
    """Run *code* with *package*, in a process that has this package as websocket."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code, url],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


class SocketIO(WebSocketProtocol):
    """A Socket.IO server that says hello, and echoes one event."""

    def on_open(self) -> None:
        timing = {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 10**6}
        self.send("0" + json.dumps({"sid": "engine", **timing}))

    def on_message(self, message: str | bytes) -> None:
        assert isinstance(message, str)
        if message.startswith("40"):
            self.send('40{"sid": "socket"}')
        elif message.startswith("42"):
            name, data = json.loads(message[2:])
            self.send("42" + json.dumps([f"{name} back", data]))


def test_python_socketio_runs_on_it() -> None:
    code = """
import socketio, websocket
assert websocket.WebSocket is reactor.WebSocket
client = socketio.Client()
done = client.eio.create_event()

@client.on("hello back")
def hello_back(data):
    print("got", data)
    done.set()

client.connect(url, transports=["websocket"])
client.emit("hello", {"number": 7})
assert done.wait(10)
client.disconnect()
print("transport", client.transport(), "connected", client.connected)
"""
    with server(SocketIO) as address:
        printed = run("socketio", code, f"http://{address}")
    assert printed.splitlines()[0] == "got {'number': 7}"


class Slack(WebSocketProtocol):
    """Slack's socket mode: says hello, sends an event, expects its acknowledgement."""

    def on_open(self) -> None:
        self.send('{"type": "hello"}')
        event = {"type": "events_api", "envelope_id": "e1", "payload": {"n": 1}}
        self.send(json.dumps(event))

    def on_message(self, message: str | bytes) -> None:
        if json.loads(message)["envelope_id"] == "e1":
            done = {"type": "events_api", "envelope_id": "e2", "payload": {"acknowledged": True}}
            self.send(json.dumps(done))


def test_slack_socket_mode_runs_on_it() -> None:
    code = """
import threading
from slack_sdk.socket_mode.websocket_client import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
done = threading.Event()

def on_request(client, request):
    print("request", request.envelope_id, request.payload)
    if request.envelope_id == "e1":
        client.send_socket_mode_response(SocketModeResponse(envelope_id="e1"))
    else:
        done.set()

client = SocketModeClient(app_token="none", ping_interval=5)
client.wss_uri = url
client.socket_mode_request_listeners.append(on_request)
client.connect()
assert done.wait(20)
assert client.is_connected()
client.close()
"""
    with server(Slack) as address:
        printed = run("slack_sdk", code, f"ws://{address}/link")
    assert printed.splitlines() == [
        "request e1 {'n': 1}",
        "request e2 {'acknowledged': True}",
    ]


class Pod(WebSocketProtocol):
    """Kubernetes' exec: what comes on channel 0 goes out on 1, in upper case."""

    def on_open(self) -> None:
        self.send(b"\x01ready\n")

    def on_message(self, message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
        assert data[:1] == b"\x00"
        if data == b"\x00exit\n":
            self.send(b'\x03{"status": "Success"}')
            self.close(1000)
        else:  # in one piece on the wire: a client that reads ahead must not lose the second
            self.send(b"\x01" + data[1:].upper())
            self.send(b"\x01more\n")


def test_kubernetes_exec_runs_on_it() -> None:
    code = """
from types import SimpleNamespace
from kubernetes.stream.ws_client import WSClient
configuration = SimpleNamespace(verify_ssl=False, cert_file=None, key_file=None, proxy=None,
                                proxy_headers=None, tls_server_name=None, ssl_ca_cert=None,
                                assert_hostname=None)
client = WSClient(configuration, url, {"authorization": "Bearer t"}, capture_all=True)
print(client.subprotocol, repr(client.readline_stdout(timeout=10)))
client.write_stdin("list things\\n")
print(repr(client.readline_stdout(timeout=10)))
print(repr(client.readline_stdout(timeout=10)))
client.write_stdin("exit\\n")
client.run_forever(timeout=10)
print("open", client.is_open(), "returned", client.returncode)
"""
    with server(Pod, subprotocols=["v4.channel.k8s.io"]) as address:
        printed = run("kubernetes", code, f"ws://{address}/exec")
    assert printed.splitlines() == [
        "v4.channel.k8s.io 'ready'",
        "'LIST THINGS'",
        "'more'",
        "open False returned 0",
    ]


class Browser(WebSocketProtocol):
    """WebDriver BiDi: answers a command with its own method, and sends an event."""

    def on_message(self, message: str | bytes) -> None:
        command = json.loads(message)
        self.send(json.dumps({"method": "log.entryAdded", "params": {"text": "an event"}}))
        self.send(json.dumps({"id": command["id"], "result": {"method": command["method"]}}))


def test_seleniums_websocket_module_runs_on_it() -> None:
    code = """
import threading
from selenium.webdriver.remote.websocket_connection import WebSocketConnection
connection = WebSocketConnection(url, 10, 0.05)

def command():
    result = yield {"method": "session.status", "params": {}}
    return result

print(connection.execute(command()))
connection.close()
print("threads", [t.name for t in threading.enumerate() if t is connection._ws_thread])
"""
    with server(Browser) as address:
        printed = run("selenium", code, f"ws://{address}/session")
    assert printed.splitlines() == ["{'method': 'session.status'}", "threads []"]
