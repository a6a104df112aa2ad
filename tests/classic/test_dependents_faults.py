"""Published programs on this package, over a service that pings them, drops them and ends.

Each runs in a process of its own, which installs the package as ``websocket`` first. What is
expected is what these programs do on websocket-client.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.installed import run_installed, run_python
from ..support.peers import Serve, Talk
from ..support.websocket_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    build_frame,
    close_payload,
)


class Chat:
    """One connection, on which JSON is spoken. Pings and a close frame are answered.

    Parameters:
        talk: the connection.
        lines: further lines of the head that accepts it.

    Attributes:
        url: what the client has asked for.
    """

    def __init__(self, talk: Talk, *lines: str) -> None:
        self._talk = talk
        self._closing = False
        self.url = talk.upgrade(*lines).request_line.split()[1]

    def say(self, thing: Any) -> None:
        self.send(TEXT, json.dumps(thing).encode())

    def send(self, opcode: int, payload: bytes) -> None:
        self._talk.send(build_frame(opcode, payload))

    def frames(self) -> Iterator[Frame]:
        """Yield what the client sends."""
        while True:
            frame = self._talk.frame()
            if frame.opcode == PING:
                self.send(PONG, frame.payload)
            elif frame.opcode == CLOSE and not self._closing:
                self.send(CLOSE, frame.payload)
            yield frame

    def next(self, *opcodes: int) -> bytes:
        """Wait for a frame of one of these kinds; return its payload."""
        return next(frame.payload for frame in self.frames() if frame.opcode in opcodes)

    def hear(self) -> Any:
        return json.loads(self.next(TEXT))

    def reset(self) -> None:
        self._talk.reset()

    def end(self) -> None:
        """End TCP without a close frame."""
        self._talk.end()

    def await_close(self) -> None:
        """Wait for the client's close frame."""
        self.next(CLOSE)
        self._talk.end()

    def close(self, code: int) -> None:
        self._closing = True
        self.send(CLOSE, close_payload(code))
        self.next(CLOSE)
        self._talk.end()


def need(package: str) -> None:
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # not even what it is in
        found = None
    if found is None:
        pytest.skip(f"{package} is not installed")


def run(code: str, argument: str) -> list[str]:
    """Run a program; return the lines that it printed. Its own warnings are its own matter."""
    return run_installed(code, argument, warnings="default").splitlines()


# --- exchanges ----------------------------------------------------------------------------------


def test_pybit_is_reset_and_comes_back(serve: Serve) -> None:
    """It looks at the very type of the exception to decide whether to connect again."""

    def trades(chat: Chat, price: str) -> None:
        asked = chat.hear()
        assert (asked["op"], asked["args"]) == ("subscribe", ["publicTrade.BTCUSDT"])
        chat.say({"success": True, "op": "subscribe", "ret_msg": "", "req_id": asked["req_id"]})
        chat.say({"topic": "publicTrade.BTCUSDT", "data": [{"p": price}]})

    def first(talk: Talk) -> None:
        chat = Chat(talk)
        trades(chat, "1")
        chat.send(PONG, b"")
        assert chat.hear() == {"op": "ping"}  # its own, when a pong has come
        chat.reset()

    def second(talk: Talk) -> None:
        chat = Chat(talk)
        trades(chat, "2")
        chat.await_close()

    need("pybit")
    code = """
import sys, threading
import pybit.unified_trading as unified
unified.PUBLIC_WSS = sys.argv[1] + "/v5/public/{CHANNEL_TYPE}"
done = threading.Event()

def on_trade(message):
    print("price", message["data"][0]["p"], flush=True)
    if message["data"][0]["p"] == "2": done.set()

client = unified.WebSocket(testnet=True, channel_type="linear")
client.trade_stream("BTCUSDT", on_trade)
assert done.wait(30)
print("connected", client.is_connected())
client.exit()
print("connected", client.is_connected())
"""
    printed = run(code, serve(first, second).url)
    assert printed == ["price 1", "price 2", "connected True", "connected False"]


def test_binance_connector_is_reset_and_closed(serve: Serve) -> None:
    def subscribed(talk: Talk) -> Chat:
        chat = Chat(talk)
        asked = chat.hear()
        assert (asked["method"], asked["params"]) == ("SUBSCRIBE", ["btcusdt@trade"])
        chat.say({"result": None, "id": asked["id"]})
        return chat

    def first(talk: Talk) -> None:
        chat = subscribed(talk)
        chat.send(PING, b"beat")
        assert [chat.next(PONG), chat.next(PONG)] == [b"beat", b""]  # the second is its own
        assert chat.next(PING) == b""
        chat.next(TEXT)
        chat.reset()

    def second(talk: Talk) -> None:
        subscribed(talk).close(1000)

    need("binance")
    code = """
import queue, sys
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
events = queue.Queue()
handlers = {
    "on_" + name: lambda *args, name=name: events.put((name, *args[1:]))
    for name in ("open", "message", "ping", "pong", "error", "close")
}

def expect(*kinds):
    for kind in kinds:
        name, *args = events.get(timeout=20)
        assert name == kind, (name, args, kind)
        print(name, *(type(arg).__name__ if isinstance(arg, Exception) else arg for arg in args))

client = SpotWebsocketStreamClient(stream_url=sys.argv[1], **handlers)
client.trade(symbol="btcusdt", id=1)
expect("open", "message", "ping")
client.ping()
expect("pong")
client.send_message_to_server("go", id=2)
expect("error")
client = SpotWebsocketStreamClient(stream_url=sys.argv[1], **handlers)
client.trade(symbol="btcusdt", id=3)
expect("open", "message", "close")
client.stop()
"""
    printed = run(code, serve(first, second).url)
    assert printed == [
        "open",
        'message {"result": null, "id": 1}',
        "ping b'beat'",
        "pong",
        "error ConnectionResetError",
        "open",
        'message {"result": null, "id": 3}',
        "close",
    ]


def test_substrate_interface_connects_again(serve: Serve) -> None:
    def node(talk: Talk) -> None:
        chat = Chat(talk)
        while True:
            asked = chat.hear()
            if asked["method"] == "go":
                return chat.end()
            chat.say({"id": asked["id"], "result": "subscribed"})
            for number in range(2):
                update = {"subscription": "subscribed", "result": number}
                chat.say({"method": "update", "params": update})

    need("substrateinterface")
    code = """
import sys
from substrateinterface.transport.websocket import WebsocketTransport
transport = WebsocketTransport(sys.argv[1], ws_options={"timeout": 20})
print(transport.rpc_request({"id": 1, "method": "state"})["result"])

def on_update(message, number, subscription):
    print("update", message["params"]["result"], subscription)
    return number or None

transport.rpc_request({"id": 2, "method": "subscribe"}, result_handler=on_update)
transport.close()
print(transport.rpc_request({"id": 3, "method": "state"})["result"])  # connects again
try: transport.rpc_request({"id": 4, "method": "go"})
except Exception as exc: print(type(exc).__name__, exc)
print(transport.websocket.connected)
"""
    peer = serve(node)
    printed = run(code, peer.url)
    assert printed == [
        "subscribed",
        "update 0 subscribed",
        "update 1 subscribed",
        "subscribed",
        "WebSocketConnectionClosedException Connection to remote host was lost.",
        "False",
    ]
    assert peer.connections == 2


# --- cloud, containers, machines at home ----------------------------------------------------------


def test_azure_webpubsub_recovers_its_connection(serve: Serve) -> None:
    protocol = "Sec-WebSocket-Protocol: json.reliable.webpubsub.azure.v1"

    def connected(talk: Talk) -> Chat:
        chat = Chat(talk, protocol)
        said = {"userId": "u", "connectionId": "c1", "reconnectionToken": "t1"}
        chat.say({"type": "system", "event": "connected", **said})
        return chat

    def tell(chat: Chat, number: int) -> None:
        message = {"type": "message", "from": "group", "group": "g", "sequenceId": number}
        chat.say({**message, "dataType": "text", "data": f"message {number}"})

    def first(talk: Talk) -> None:
        chat = connected(talk)
        asked = chat.hear()
        assert (asked["type"], asked["group"]) == ("joinGroup", "g")
        chat.say({"type": "ack", "ackId": asked["ackId"], "success": True})
        tell(chat, 1)
        while chat.hear()["type"] != "sequenceAck":
            pass
        chat.reset()

    def second(talk: Talk) -> None:
        chat = connected(talk)
        assert "awps_connection_id=c1&awps_reconnection_token=t1" in chat.url
        tell(chat, 1)  # again: not to be told twice
        tell(chat, 2)
        chat.await_close()

    need("azure.messaging.webpubsubclient")
    code = """
import sys, threading
from azure.messaging.webpubsubclient import WebPubSubClient, WebPubSubClientCredential
done, stopped = threading.Event(), threading.Event()

def on_message(event):
    print(event.group, event.data, flush=True)
    if event.data == "message 2": done.set()

# It does not notice a connection that is open before it begins to wait for it; then it goes on
# when this time is over.
client = WebPubSubClient(WebPubSubClientCredential(sys.argv[1] + "/client/hubs/h"), start_timeout=5)
client.subscribe("group-message", on_message)
client.subscribe("stopped", lambda: stopped.set())
client.open()
client.join_group("g")
assert done.wait(40)
print("connected", client.is_connected())
client.close()
assert stopped.wait(20)
print("connected", client.is_connected())
"""
    printed = run(code, serve(first, second).url)
    assert printed == [
        "g message 1",
        "g message 2",
        "connected True",
        "connected False",
    ]


def test_docker_attaches_to_a_container(serve: Serve) -> None:
    def container(talk: Talk) -> None:
        chat = Chat(talk)
        assert chat.url == "/v1.44/containers/abc/attach/ws?stdin=1&stdout=1&stream=1"
        while (line := chat.next(TEXT, BINARY)) != b"exit\n":
            chat.send(PING, b"")
            chat.send(BINARY, line.upper())
        chat.reset()

    need("docker")
    code = """
import sys, docker
client = docker.APIClient(base_url=sys.argv[1], version="1.44")
for last in ("close", "exit\\n"):
    attached = client.attach_socket("abc", {"stdin": 1, "stdout": 1, "stream": 1}, ws=True)
    attached.send("ls\\n")
    print(attached.recv(), attached.connected, attached.status)
    if last == "close":
        attached.close()
    else:
        attached.send_binary(last.encode())
        try: attached.recv()
        except Exception as exc: print(type(exc).__name__, exc)
client.close()
"""
    printed = run(code, f"tcp://127.0.0.1:{serve(container).port}")
    assert printed == [
        "b'LS\\n' True 101",
        "b'LS\\n' True 101",
        "ConnectionResetError [Errno 104] Connection reset by peer",
    ]


def test_obs_websocket_connects_again(serve: Serve) -> None:
    def studio(talk: Talk) -> Chat:
        chat = Chat(talk)
        chat.say({"op": 0, "d": {"obsWebSocketVersion": "5.0.0"}})
        assert chat.hear()["op"] == 1
        chat.say({"op": 2, "d": {"negotiatedRpcVersion": 1}})
        chat.send(PING, b"")
        asked = chat.hear()["d"]
        status = {"requestStatus": {"result": True}, "responseData": {"obsVersion": "30"}}
        chat.say({"op": 7, "d": {"requestId": asked["requestId"], **status}})
        return chat

    def first(talk: Talk) -> None:
        chat = studio(talk)
        change = {"eventType": "StudioModeStateChanged", "eventData": {"studioModeEnabled": True}}
        chat.say({"op": 5, "d": change})
        chat.hear()
        chat.end()

    def second(talk: Talk) -> None:
        studio(talk).await_close()

    need("obswebsocket")
    code = """
import sys, threading
from obswebsocket import events, obsws, requests
connects, changed = threading.Semaphore(0), threading.Event()
client = obsws("127.0.0.1", int(sys.argv[1]), "", legacy=False, timeout=20, authreconnect=1,
               on_connect=lambda client: connects.release())
client.register(lambda event: changed.set(), events.StudioModeStateChanged)
client.connect()
assert connects.acquire(timeout=20)
print(client.call(requests.GetVersion()).getObsVersion())
assert changed.wait(20)
client.ws.send("{}")
assert connects.acquire(timeout=20)
print(client.call(requests.GetVersion()).getObsVersion())
client.disconnect()
print(client.ws.connected)
"""
    printed = run(code, str(serve(first, second).port))
    assert printed == ["30", "30", "False"]


def test_samsungtvws_hears_when_the_television_goes(serve: Serve) -> None:
    def television(talk: Talk) -> Chat:
        chat = Chat(talk)
        assert chat.url.startswith("/api/v2/channels/samsung.remote.control?name=")
        chat.say({"event": "ms.channel.connect", "data": {"token": "123"}})
        asked = chat.hear()
        assert (asked["method"], asked["params"]["DataOfCmd"]) == ("ms.remote.control", "KEY_HOME")
        return chat

    def first(talk: Talk) -> None:
        chat = television(talk)
        chat.say({"event": "ed.edenTV.update", "data": {}})
        chat.send(PING, b"")
        chat.close(1001)

    def second(talk: Talk) -> None:
        television(talk).reset()

    def third(talk: Talk) -> None:
        television(talk).await_close()

    need("samsungtvws")
    code = """
import sys, threading
from samsungtvws import SamsungTVWS
heard = threading.Event()
television = SamsungTVWS("127.0.0.1", port=int(sys.argv[1]), timeout=20, key_press_delay=0)

def on_event(event, response):
    print(event, flush=True)
    heard.set()

television.start_listening(on_event)
television.send_key("KEY_HOME")
assert heard.wait(20)
television._recv_loop.join(20)
print("alive", television.is_alive(), television.token)
television.close()
television.send_key("KEY_HOME")
try: television.connection.recv()
except Exception as exc: print(type(exc).__name__)
television.close()
television.send_key("KEY_HOME")
print("alive", television.is_alive())
television.close()
print("alive", television.is_alive())
"""
    printed = run(code, str(serve(first, second, third).port))
    assert printed == [
        "ed.edenTV.update",
        "alive False 123",
        "ConnectionResetError",
        "alive True",
        "alive False",
    ]


# --- tools ---------------------------------------------------------------------------------------


def test_streamlinks_websocket_client_connects_again(serve: Serve) -> None:
    def first(talk: Talk) -> None:
        chat = Chat(talk)
        assert chat.hear() == {"hello": 1}
        chat.next(PING)
        chat.say("first")
        chat.await_close()

    def second(talk: Talk) -> None:
        chat = Chat(talk)
        assert (chat.url, chat.hear()) == ("/again", {"hello": 1})
        chat.say("second")
        chat.hear()
        chat.reset()

    need("streamlink")
    code = """
import queue, sys
from streamlink import Streamlink
from streamlink.plugin.api.websocket import WebsocketClient
events = queue.Queue()

class Client(WebsocketClient):
    def on_open(self, app): self.send_json({"hello": 1})
    def on_message(self, app, data): events.put(data)
    def on_pong(self, app, data): events.put("pong")
    def on_error(self, app, error): events.put(type(error).__name__)
    def on_close(self, app, code, reason): events.put((code, reason))

def expect(event):
    while (found := events.get(timeout=20)) != event:
        assert found == "pong", found
    print(event)

client = Client(Streamlink(), sys.argv[1], ping_interval=0.05)
client.start()
expect("pong")
expect('"first"')
client.reconnect(url=sys.argv[1] + "/again", closeopts={"reason": "elsewhere"})
expect((1000, "elsewhere"))
expect('"second"')
client.send_json("go")
expect("ConnectionResetError")
expect((None, None))
client.join(20)
print("alive", client.is_alive())
client.close()
"""
    printed = run(code, serve(first, second).url)
    assert printed == [
        "pong",
        '"first"',
        "(1000, 'elsewhere')",
        '"second"',
        "ConnectionResetError",
        "(None, None)",
        "alive False",
    ]


def test_robot_framework_talks_and_is_reset(serve: Serve, tmp_path: Path) -> None:
    def service(talk: Talk) -> None:
        chat = Chat(talk)
        assert chat.next(PING) == b"beat"
        chat.send(TEXT, chat.next(TEXT).upper())
        chat.next(BINARY, CLOSE)
        chat.reset()

    need("robot")
    need("WebSocketClient")
    (tmp_path / "talk.robot").write_text(
        """
*** Settings ***
Library    WebSocketClient

*** Test Cases ***
Talks And Is Reset
    ${ws}=    WebSocketClient.Connect    URL    timeout=${20}
    WebSocketClient.Ping    ${ws}    beat
    ${sent}=    WebSocketClient.Send    ${ws}    hello
    Should Be Equal As Integers    ${sent}    11
    ${code}    ${data}=    WebSocketClient.Recv Data    ${ws}    ${True}
    Should Be Equal As Integers    ${code}    10
    ${got}=    WebSocketClient.Recv    ${ws}
    Should Be Equal    ${got}    HELLO
    WebSocketClient.Send Binary    ${ws}    ${{b'go'}}
    Run Keyword And Expect Error    ConnectionResetError: [[]Errno 104] Connection reset by peer
    ...    WebSocketClient.Recv    ${ws}
    WebSocketClient.Close    ${ws}
""".replace("URL", serve(service).url)
    )
    nothing = [f"--{name}=NONE" for name in ("output", "log", "report")]
    arguments = ["-m", "reactor.websocket", "-m", "robot", *nothing, "talk.robot"]
    result = run_python(*arguments, cwd=tmp_path, warnings="default")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 test, 1 passed, 0 failed" in result.stdout
