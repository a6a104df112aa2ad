"""Small things of the public API: names, texts and binaries, requests."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Listener, Reactor, State, WebSocketProtocol
from reactor.feeds import Feed
from reactor.protocols.http.headers import Headers
from reactor.protocols.http.http11 import Request

from .support.recorder import Recorder
from .support.scene import Scene, text
from .support.websocket_frames import BINARY, PONG, TEXT, build_frame


class TestTextAndBinary:
    def test_on_message_hands_over_by_the_type(self, scene: Scene) -> None:
        came: list[Any] = []

        class Both(WebSocketProtocol):
            def on_text(self, text: str) -> None:
                came.append(("text", text))

            def on_binary(self, data: bytes) -> None:
                came.append(("binary", data))

        scene.open(Both(), text("a"), build_frame(BINARY, b"b"))
        assert came == [("text", "a"), ("binary", b"b")]

    def test_who_overrides_on_message_hears_of_neither(self, scene: Scene) -> None:
        class One(Recorder):
            def on_text(self, text: str) -> None:
                raise AssertionError

        one = One()
        scene.open(one, text("a"))
        assert one.messages == ["a"]
        assert one.errors == []

    def test_an_async_def_is_refused(self, scene: Scene) -> None:
        class Wrong(WebSocketProtocol):
            async def on_text(self, text: str) -> None:  # type: ignore[override]
                pass

        with pytest.raises(TypeError, match="on_text"):
            scene.loop.connect("ws://scene/", Wrong)


class TestNames:
    @pytest.mark.parametrize(
        "name", ["url", "state", "ending", "request", "response", "sock", "latency"]
    )
    def test_one_that_is_taken_is_an_error_that_says_so(self, name: str) -> None:
        class Mine(WebSocketProtocol):
            def __init__(self) -> None:
                setattr(self, name, "mine")

        with pytest.raises(AttributeError, match=rf"Mine\.{name} .* the name is taken"):
            Mine()

    def test_a_reactor_may_be_kept_under_its_name(self, scene: Scene) -> None:
        recorder = Recorder()
        scene.connect(recorder)
        assert recorder.loop is scene.loop
        recorder.loop = "mine"  # type: ignore[misc, assignment]
        assert vars(recorder)["loop"] == "mine"
        recorder.close()

    @pytest.mark.parametrize("base", [WebSocketProtocol, Feed])
    def test_private_names_are_the_users(self, base: type) -> None:
        ours = [name for name in vars(base) if name.startswith("_") and not name.endswith("__")]
        assert [name for name in ours if not name.startswith("_reactor_")] == []

    def test_names_that_look_like_ours_do_no_harm(self, scene: Scene) -> None:
        class Mine(Recorder):
            _trace = "mine"
            _wiretaps = 5

            def __init__(self) -> None:
                super().__init__()
                self._connection = self._error_log = "mine"

            def on_pong(self, payload: bytes) -> None:
                raise LookupError

        mine = Mine()
        peer = scene.open(mine, text("a"), build_frame(PONG, b""))
        mine.send("b")
        assert peer.told() == [(TEXT, b"b")]
        assert mine.messages == ["a"]
        assert isinstance(mine.errors[0], LookupError)
        assert (mine._connection, mine._error_log) == ("mine", "mine")

    def test_a_state_prints_as_its_name_and_is_a_number(self) -> None:
        assert str(State.OPEN) == f"{State.OPEN}" == "OPEN"
        assert f"{State.OPEN:>6}" == "  OPEN"
        assert f"{State.OPEN:d}" == "1"
        assert State.OPEN == 1

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("open_timeout", "connect_timeout"),
            ("timeout", "connect_timeout"),
            ("heartbeat", "ping_interval"),
            ("max_size", "max_message_size"),
            ("additional_headers", "header"),
            ("extra_headers", "header"),
            ("receive_timeout", "idle_timeout"),
            ("pong_timeout", "ping_timeout"),
            ("ping_timout", "ping_timeout"),
            ("user_agent_header", "header"),
            ("max_retries", "reconnect"),
            ("sock_opt", "sockopt"),
        ],
    )
    def test_an_option_of_another_library_is_known(
        self, scene: Scene, name: str, meant: str
    ) -> None:
        with pytest.raises(TypeError, match=f"did you mean '{meant}'"):
            scene.loop.connect("ws://scene/", Recorder, **{name: 1})


class TestRequest:
    def test_its_target_is_taken_apart(self) -> None:
        request = Request("GET", "/a%20b/%C3%BC?id=1&id=2&empty=&x=%26", Headers())
        assert request.path == "/a b/\u00fc"
        assert request.query == {"id": ["1", "2"], "empty": [""], "x": ["&"]}

    def test_without_a_query_it_is_empty(self) -> None:
        request = Request("GET", "/", Headers())
        assert (request.path, request.query, request.cookies) == ("/", {}, {})

    def test_its_cookies_are_by_name_and_the_first_counts(self) -> None:
        headers = Headers([("Cookie", 'a=1; b="two"; a=3; nonsense; =x'), ("Cookie", "c=x=y")])
        assert Request("GET", "/", headers).cookies == {"a": "1", "b": "two", "c": "x=y"}


def test_a_listener_is_generic_in_its_protocol_class(loop: Reactor) -> None:
    listener: Listener[Recorder] = loop.listen("127.0.0.1", 0, Recorder)
    assert listener.protocols == []
    listener.close()
