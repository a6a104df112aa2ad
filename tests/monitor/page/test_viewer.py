"""What a page is told, and when."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from reactor import Backoff, State, WebSocketProtocol
from reactor.feeds import Feed, Subscribed, Update
from reactor.monitor.page import serving, viewer
from reactor.testing import ManualReactor

from .watched import Page, Watched


class Silent(WebSocketProtocol):
    """Says nothing on its own, and takes errors."""

    def on_error(self, error: BaseException) -> None:
        pass


class Server(Silent):
    """Sends every message back."""

    def on_message(self, message: str | bytes) -> None:
        self.send(message)


def connect(watched: Watched, count: int = 1) -> list[Silent]:
    """Open connections to a server on the same loop: two rows for each."""
    loop = watched.loop
    listener = loop.listen("127.0.0.1", 0, Server)
    url = f"ws://127.0.0.1:{listener.port}"
    made = [loop.connect(f"{url}/{number}", Silent) for number in range(count)]
    loop.run_until(lambda: all(each.state.name == "OPEN" for each in made))
    return made


def row_of(page: Page, protocol: WebSocketProtocol) -> dict[str, Any]:
    return page.rows[id(protocol._reactor_connection)]


def test_a_page_is_told_of_every_connection(watched: Watched) -> None:
    made = connect(watched, 3)
    page = watched.open_page()
    watched.until(lambda: len(page.rows) >= 7)
    assert {row_of(page, each)["activity"] for each in made} == {"open"}
    assert sorted(each["role"] for each in page.rows.values()) == ["client"] * 4 + ["server"] * 3
    assert not any(
        row["place"].endswith("/live") for row in page.rows.values() if row["role"] == "server"
    )


def test_numbers_go_on(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    watched.until(lambda: id(one._reactor_connection) in page.rows)
    assert row_of(page, one)["messages_out"] == 0
    for _ in range(5):
        one.send("hello")
    watched.loop.run_until(lambda: one.stats.messages_in == 5)
    watched.until(lambda: row_of(page, one)["messages_in"] == 5)
    assert row_of(page, one)["messages_out"] == 5
    assert row_of(page, one)["silence"] >= 0


def test_those_that_come_and_go_while_one_looks(watched: Watched) -> None:
    page = watched.open_page()
    watched.until(lambda: page.of("tick"))
    (one,) = connect(watched)
    watched.until(lambda: id(one._reactor_connection) in page.rows)
    number = id(one._reactor_connection)
    one.abort()
    watched.until(lambda: number not in page.rows)


def test_a_connection_that_is_refused_again_and_again(watched: Watched) -> None:
    one = watched.loop.connect("ws://127.0.0.1:1/x", Silent, reconnect=Backoff(first=0.5))
    page = watched.open_page()
    watched.until(lambda: id(one._reactor_connection) in page.rows)
    watched.until(lambda: row_of(page, one)["attempts"] >= 3)
    assert "refused" in row_of(page, one)["last_error"]


def test_every_second_there_is_a_point(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    watched.until(lambda: len(page.of("tick")) == 3)
    for _ in range(50):
        one.send("hello")
    watched.loop.run_until(lambda: one.stats.messages_in == 50)
    watched.until(lambda: any(each["point"][1] >= 50 for each in page.of("tick")))
    assert dict(page.of("tick")[-1]["facts"])["ended"] == "0"


def test_a_page_that_comes_later_gets_the_history(watched: Watched) -> None:
    watched.loop.advance(700)
    page = watched.open_page()
    assert len(page.of("hello")[0]["history"]) == 600


def test_rows_in_view_are_told_every_second(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FIRST_ROWS", 1)
    monkeypatch.setattr(serving, "LATER_ROWS", 1)
    made = connect(watched, 15)  # 31 rows: three seconds for all of them
    page = watched.open_page()
    watched.until(lambda: len(page.rows) >= 31)
    number = id(made[7]._reactor_connection)
    page.ask(rows=[number, 12345])
    watched.until(lambda: len(page.of("tick")) >= 6)
    page.told[1:] = []
    watched.until(lambda: len(page.of("tick")) >= 4)
    told = [values[0] for message in page.of("rows") for values in message["rows"]]
    assert told.count(number) >= 4
    assert (
        max(told.count(id(each._reactor_connection)) for each in made if each is not made[7]) <= 3
    )


def test_a_portion_has_so_many_rows_and_no_more(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FIRST_ROWS", 10)
    monkeypatch.setattr(serving, "LATER_ROWS", 5)
    connect(watched, 30)
    page = watched.open_page()
    watched.until(lambda: len(page.of("tick")) >= 5)
    sizes = [len(message["rows"]) for message in page.of("rows")]
    assert sizes[:12] == [5, 10] * 6  # what all pages are told, and what this one does not know
    assert max(sizes[14:]) == 5


def test_pages_share_what_they_are_told_at_first(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FIRST_ROWS", 10)
    monkeypatch.setattr(serving, "LATER_ROWS", 1)
    connect(watched, 30)
    pages = [watched.open_page() for _ in range(5)]
    watched.until(lambda: all(len(page.rows) >= 60 for page in pages))
    for page in pages[1:]:
        assert 2 in [len(message["rows"]) for message in page.of("rows")]
    watched.until(lambda: not any(told.is_new for told in watched.monitor.viewers))


def test_pages_share_what_is_told_of_rows_in_view(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ALL_IN_VIEW", 8)
    made = connect(watched, 10)
    pages = [watched.open_page() for _ in range(2)]
    watched.until(lambda: all(len(page.rows) >= 20 for page in pages))
    monkeypatch.setattr(serving, "LATER_ROWS", 1)
    for page in pages:
        page.ask(rows=[id(each._reactor_connection) for each in made])
        page.told[1:] = []
    watched.until(lambda: all(len(page.of("tick")) >= 8 for page in pages))
    for page in pages:
        assert max(len(message["rows"]) for message in page.of("rows")[3:]) == 4


def test_one_connection_looked_at(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    number = id(one._reactor_connection)
    page.ask(detail=number)
    watched.until(lambda: page.of("detail"))
    first = page.of("detail")[-1]
    assert first["id"] == number
    assert "is open" in first["explain"]
    assert first["frames"] == []
    one.send("<b>look</b>\x1b")
    watched.until(lambda: page.of("detail")[-1]["frames"])
    frames = "\n".join(page.of("detail")[-1]["frames"])
    assert "<b>look</b>" in frames
    assert "\x1b" not in frames
    page.ask()
    watched.until(lambda: one._reactor_trace is None)  # it costs nothing any more


def test_the_page_goes_while_it_looks(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    page.ask(detail=id(one._reactor_connection))
    watched.until(lambda: one._reactor_trace is not None)
    page.abort()
    watched.until(lambda: one._reactor_trace is None)
    assert not watched.monitor.viewers


def test_two_pages_look_at_one(watched: Watched) -> None:
    (one,) = connect(watched)
    pages = [watched.open_page(), watched.open_page()]
    for page in pages:
        page.ask(detail=id(one._reactor_connection))
    watched.until(lambda: all(page.of("detail") for page in pages))
    pages[0].ask()
    one.send("still here")
    watched.until(lambda: "still here" in str(pages[1].of("detail")[-1]["frames"]))


def test_what_was_looked_at_has_ended(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    number = id(one._reactor_connection)
    page.ask(detail=number)
    watched.until(lambda: page.of("detail"))
    one.close()
    watched.until(lambda: "ended" in page.of("detail")[-1]["explain"])
    page.ask(detail=4711)
    watched.until(lambda: page.of("detail")[-1]["id"] == 4711)
    assert page.of("detail")[-1]["explain"] == "It has ended."


def test_one_that_the_user_traces_is_left_alone(watched: Watched) -> None:
    (one,) = connect(watched)
    own = one._reactor_trace = viewer  # anything
    page = watched.open_page()
    page.ask(detail=id(one._reactor_connection))
    watched.until(lambda: page.of("detail"))
    assert "elsewhere" in str(page.of("detail")[-1]["frames"]) or "another file" in str(
        page.of("detail")[-1]["frames"]
    )
    page.ask()
    watched.until(lambda: len(page.of("tick")) >= 3)
    assert one._reactor_trace is own


@pytest.mark.parametrize(
    "wrong",
    [
        *("nonsense", "[]", "{}", b"\xff", "[" * 50_000),
        '{"rows": 5, "detail": null, "topics": null, "find": ""}',
        '{"rows": [], "detail": "one", "topics": null, "find": ""}',
        '{"rows": [], "detail": null, "topics": null, "find": 5}',
    ],
)
def test_what_no_page_says(watched: Watched, wrong: str | bytes) -> None:
    page = watched.open_page()
    page.send(wrong)
    watched.loop.run_until(lambda: page.closed)
    assert page.closed is not None
    assert page.closed[0] == 1008
    assert watched.open_page().of("hello")  # others are not affected


def test_a_page_that_is_being_closed_does_not_stop_the_others(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = watched.open_page()
    right = watched.open_page()
    viewers = list(watched.monitor.viewers)
    wrong.send("nonsense")
    wrong.pause_reading()  # it does not answer the close frame
    watched.loop.run_until(lambda: any(each.state is not State.OPEN for each in viewers))
    before = len(right.of("tick"))
    for _ in range(40):
        watched.loop.advance(0.1)
    watched.loop.run_until(lambda: len(right.of("tick")) >= before + 2)
    assert not caplog.records


def test_what_goes_wrong_with_one_page_is_no_trouble_of_the_others(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = watched.open_page(), watched.open_page()
    told = next(iter(watched.monitor.viewers))
    monkeypatch.setattr(told, "turn", lambda *args: 1 / 0)
    watched.until(lambda: len(watched.monitor.viewers) == 1)
    (rest,) = (page for page in (wrong, right) if page.closed is None)
    before = len(rest.of("tick"))
    watched.until(lambda: len(rest.of("tick")) >= before + 2)
    assert [record.levelname for record in caplog.records if "dropped" in record.message] == [
        "ERROR"
    ]


def test_a_page_that_does_not_read_is_dropped(watched: Watched, loop: ManualReactor) -> None:
    connect(watched, 50)
    page = watched.open_page()
    (told,) = watched.monitor.viewers
    page.pause_reading()
    told.send = lambda *args: WebSocketProtocol.send(told, "x" * (4 << 20))  # type: ignore[method-assign]
    for _ in range(100):
        loop.advance(1)
        loop.run_once()
    assert not watched.monitor.viewers


class Trades(Feed):
    """A feed of a service that says yes to everything."""

    stale_after = None
    message_pace = None

    def subscribe_message(self, topics: Any, link: Any) -> str:
        return " ".join(topics)

    def parse(self, message: str | bytes, link: Any) -> Any:
        assert isinstance(message, str)
        topics = message.split()
        return [Subscribed(topics), *(Update(topic, topic) for topic in topics)]


def test_feeds_and_their_topics(watched: Watched) -> None:
    listener = watched.loop.listen("127.0.0.1", 0, Server)
    feed = Trades(watched.loop, f"ws://127.0.0.1:{listener.port}")
    feed.subscribe_many([f"<i>{number}" for number in range(30)], lambda update: None)
    page = watched.open_page()
    watched.until(lambda: page.of("feeds") and page.of("feeds")[-1]["feeds"])
    watched.until(lambda: page.of("feeds")[-1]["feeds"][0]["topics"].get("LIVE") == 30)
    card = page.of("feeds")[-1]["feeds"][0]
    assert card["name"] == "Trades"
    assert (card["links"], card["open_links"], card["updates"]) == (1, 1, 30)
    page.ask(topics=card["id"], find="<i>2")
    watched.until(lambda: page.of("topics"))
    told = page.of("topics")[-1]
    assert told["found"] == 11
    assert told["topics"][0] == ["<i>2", "LIVE"]
    watched.until(lambda: any(row["feed"] == "Trades" for row in page.rows.values()))


class Odd:
    """A topic that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Numbers(Trades):
    """Trades, of topics of any class."""

    def subscribe_message(self, topics: Any, link: Any) -> str:
        return "everything"


def test_topics_whose_text_cannot_be_had(watched: Watched) -> None:
    listener = watched.loop.listen("127.0.0.1", 0, Server)
    feed = Numbers(watched.loop, f"ws://127.0.0.1:{listener.port}")
    feed.subscribe_many([Odd(), "plain"], lambda update: None)
    page = watched.open_page()
    watched.until(lambda: page.of("feeds") and page.of("feeds")[-1]["feeds"])
    page.ask(topics=page.of("feeds")[-1]["feeds"][0]["id"])
    watched.until(lambda: page.of("topics"))
    assert [name for name, _ in page.of("topics")[-1]["topics"]] == ["<Odd>", "plain"]


def test_a_number_is_not_used_again_before_the_page_knows(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    number = id(one._reactor_connection)
    watched.until(lambda: number in page.rows)
    one.abort()
    del one
    watched.loop.settle()
    made = connect(watched, 40)
    watched.until(lambda: number not in page.rows)
    assert number not in map(id, (each._reactor_connection for each in made))
    watched.until(lambda: len(page.rows) >= 80)


@dataclass
class Unhashable(Silent):
    """Equal to others, as a dataclass is, and so without a hash."""

    name: str = ""


def test_the_frames_of_a_class_that_cannot_be_hashed(watched: Watched) -> None:
    listener = watched.loop.listen("127.0.0.1", 0, Server)
    one = watched.loop.connect(f"ws://127.0.0.1:{listener.port}", Unhashable)
    watched.loop.run_until(lambda: one.state is State.OPEN)
    page = watched.open_page()
    page.ask(detail=id(one._reactor_connection))
    watched.until(lambda: page.of("detail"))
    one.send("look")
    watched.until(lambda: "look" in str(page.of("detail")[-1]["frames"]))
    page.ask()
    watched.until(lambda: one._reactor_trace is None)


def test_nothing_is_kept_alive_when_nobody_looks_any_more(watched: Watched) -> None:
    (one,) = connect(watched)
    page = watched.open_page()
    page.ask(rows=[id(one._reactor_connection)])
    watched.until(lambda: page.of("rows"))
    page.abort()
    watched.until(lambda: not watched.monitor.viewers)
    watched.loop.advance(1)
    gone = weakref.ref(one)
    one.abort()
    del one
    watched.loop.settle()
    gc.collect()
    assert gone() is None


def test_many_pages_at_once(watched: Watched) -> None:
    connect(watched, 5)
    pages = [watched.open_page() for _ in range(100)]
    watched.until(lambda: all(len(page.of("tick")) >= 3 for page in pages))
    assert all(len(page.rows) >= 10 for page in pages)
