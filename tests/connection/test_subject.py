"""Whatever a user has of a connection may be given to explain(), record() and trace()."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import reactor
from reactor import Reactor, State, WebSocketApp, WebSocketProtocol
from reactor.feeds import feeds_of
from reactor.monitor import explain, record
from reactor.monitor.recording.reading import read_recording

from ..monitor.world import Ticks
from ..support.asyncio_loops import Run
from ..support.driving import run_until
from ..support.recorder import Recorder
from ..support.serving import Echo

FACES = ("protocol", "connection", "listener's connection", "link", "app", "sock")


class Scene:
    """An echo server, and a connection to it, with whatever face; also before it is open."""

    def __init__(self, loop: Reactor, face: str) -> None:
        self.loop = loop
        self.listener = loop.listen("127.0.0.1", 0, Echo)
        self.url = f"ws://127.0.0.1:{self.listener.port}/"
        self.app = WebSocketApp(self.url, on_message=lambda app, message: self.came.append(message))
        self.came: list[Any] = []
        self.face = face
        self.client: Any = None
        self.open()
        run_until(loop, lambda: self.listener.protocols and self.is_open())

    def open(self) -> None:
        if self.face in ("app", "sock"):
            self.app.run_forever(dispatcher=self.loop)
        elif self.face == "link":
            Ticks(self.loop, self.url, proxy=None).subscribe("A")
        else:
            self.client = self.loop.connect(self.url, Recorder(), proxy=None)

    def is_open(self) -> bool:
        ours = self.client is None or self.client.state is State.OPEN
        return ours and explain(self.given).stats.activity == "open"

    @property
    def given(self) -> Any:
        """What the user has."""
        match self.face:
            case "protocol":
                return self.client
            case "connection":
                return next(each for each in self.loop.connections if each.protocol is self.client)
            case "listener's connection":
                (connection,) = self.listener.connections
                return connection
            case "link":
                return next(iter(feeds_of(self.loop)[0].links))
            case "app":
                return self.app
            case _:
                return self.app.sock

    def talk(self) -> None:
        """Have something said on it, which is sent back."""
        if self.face in ("app", "sock"):
            self.app.send("secret words")
            run_until(self.loop, lambda: "secret words" in self.came)
        elif self.face == "link":
            feed = feeds_of(self.loop)[0]
            feed.subscribe("secret words")
            run_until(self.loop, lambda: feed.stats().topics["LIVE"] == 2)
        else:
            self.client.send("secret words")
            run_until(self.loop, lambda: "secret words" in self.client.messages)


@pytest.fixture(params=FACES)
def scene(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[Scene]:
    with Reactor() as loop:
        yield Scene(loop, request.param)


def test_the_life_of_each_is_told(scene: Scene) -> None:
    explanation = explain(scene.given)
    assert explanation.stats.opens == 1
    assert "OPENED" in [event.step.name for event in explanation.events]


def test_the_frames_of_each_are_shown_until_it_is_called_off(scene: Scene) -> None:
    file = io.StringIO()
    given = scene.given
    reactor.trace(given, file)
    scene.talk()
    assert "Sent decoded" in file.getvalue()
    assert "secret words" in file.getvalue()
    reactor.trace(given, None)
    before = file.getvalue()
    if scene.face != "link":
        scene.talk()
    assert file.getvalue() == before


def test_each_can_be_recorded(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with record(scene.given, path):
        scene.talk()
    assert b"secret words" in path.read_bytes()
    assert len(read_recording(path)) == 1


def test_an_app_is_recorded_and_shown_in_all_its_runs(tmp_path: Path) -> None:
    path, file = tmp_path / "app.pcapng", io.StringIO()
    with Reactor() as loop:
        listener = loop.listen("127.0.0.1", 0, Echo)
        opened: list[Any] = []
        app = WebSocketApp(f"ws://127.0.0.1:{listener.port}/", on_open=opened.append)
        assert explain(app).stats.activity == app.stats.activity == "none"
        reactor.trace(app, file)
        with record(app, path):
            for number in (1, 2):
                app.run_forever(dispatcher=loop)
                run_until(loop, lambda: len(opened) == number)  # noqa: B023 - run at once
                app.send(f"number {number}")
                assert app.stats.messages_out == 1
                app.close()
                run_until(loop, lambda: explain(app).stats.activity == "ended")
    assert len(read_recording(path)) == 2
    assert "number 1" in file.getvalue()
    assert "number 2" in file.getvalue()


def test_a_program_may_have_numbers_of_its_own_in_an_app() -> None:
    class Mine(WebSocketApp):
        def __init__(self) -> None:
            super().__init__("ws://127.0.0.1:1/")
            self.stats = {"mine": 1}  # type: ignore[assignment]

    assert Mine().stats == {"mine": 1}
    assert explain(Mine()).stats.activity == "none"


def test_connections_of_tasks_are_taken_too(run: Run, tmp_path: Path) -> None:
    from reactor.asyncio import connect, serve

    shown = {"client": io.StringIO(), "server": io.StringIO()}

    async def main() -> None:
        there = asyncio.get_running_loop().create_future()

        async def echo(ws: Any) -> None:
            there.set_result(ws)
            async for message in ws:
                await ws.send(message)

        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/") as ws:
                other = await there
                with ExitStack() as stack:
                    for name, each in (("client", ws), ("server", other)):
                        reactor.trace(each, shown[name])
                        stack.enter_context(record(each, tmp_path / f"{name}.pcapng"))
                        assert explain(each).stats.activity == "open"
                    await ws.send("words")
                    assert await ws.recv() == "words"

    run(main())
    for name in ("client", "server"):
        assert "words" in shown[name].getvalue()
        assert b"words" in (tmp_path / f"{name}.pcapng").read_bytes()


@pytest.mark.parametrize("function", [explain, reactor.trace, record])
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (WebSocketProtocol, "did you mean an object of this class"),
        (WebSocketApp, "did you mean an object of this class"),
        (5, "not 5"),
        (None, "not None"),
        (State.OPEN, "not <State.OPEN"),
    ],
)
def test_anything_else_is_an_error_that_says_what_may_be_given(
    tmp_path: Path, function: Any, wrong: Any, says: str
) -> None:
    arguments = (tmp_path / "file",) if function is record else ()
    with pytest.raises(TypeError) as caught:
        function(wrong, *arguments)
    text = str(caught.value)
    assert text.startswith(f"{function.__name__}() takes a WebSocketProtocol object, a Web")
    assert "a WebSocketApp" in text
    assert "reactor.asyncio" in text
    assert "Link of a Feed" in text
    assert says in text
