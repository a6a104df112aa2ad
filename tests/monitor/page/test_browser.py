"""The page in a real browser: what it shows, by mouse, by keyboard, and with many rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reactor import Backoff, Reactor, WebSocketProtocol
from reactor.monitor import serve

from ...peers.support.browser import find_chromium
from ...support.browser import Page, open_page

NAME = "<img src=x onerror=document.title='taken'>"


class Echo(WebSocketProtocol):
    def on_message(self, message: str | bytes) -> None:
        self.send(message)


class Chatter(WebSocketProtocol):
    """Sends again what comes back, twice a second."""

    def on_open(self) -> None:
        self.send("hello, page")

    def on_message(self, message: str | bytes) -> None:
        self.loop.call_later(0.5, self.again)

    def again(self) -> None:
        if self.state.name == "OPEN":
            self.send("hello, page")

    def on_error(self, error: BaseException) -> None:
        pass


class Watched:
    """A reactor on a thread of its own, with a monitor.

    Attributes:
        url: of the page.
    """

    def __init__(self) -> None:
        self.chatters: list[Chatter] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        with Reactor() as self.loop:
            self.listener = self.loop.listen("127.0.0.1", 0, Echo)
            self.url = serve(self.loop, port=0).url
            self._ready.set()
            self.loop.run_forever()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the loop's thread, and wait for it."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(30)

    def connect(self, count: int) -> None:
        url = f"ws://127.0.0.1:{self.listener.port}"
        self.call(
            lambda: self.chatters.extend(
                self.loop.connect(f"{url}/{number}", Chatter, reconnect=Backoff())
                for number in range(count)
            )
        )

    def end(self) -> None:
        self.loop.stop()
        self._thread.join(30)


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.end()


@pytest.fixture
def open_it(watched: Watched) -> Any:
    browser = find_chromium()
    if browser is None:
        pytest.skip("chromium is not on PATH; as root, tests/peers/install.sh installs it")
    return lambda: open_page(browser, watched.url)


def shown(page: Page) -> Any:
    return page.run("document.getElementById('shown').textContent")


def test_it_shows_connections_and_one_by_keyboard(watched: Watched, open_it: Any) -> None:
    watched.connect(20)
    watched.call(
        lambda: watched.loop.connect(
            f"ws://127.0.0.1:1/{NAME}", Chatter, reconnect=Backoff(first=5)
        )
    )
    with open_it() as page:
        page.wait_for("document.getElementById('shown').textContent === '41'")
        page.wait_for("document.getElementById('rate-now').textContent.includes('in')")
        # The one whose name looks like HTML is there, and has done nothing.
        page.press("/", "/")
        page.type("onerror")
        page.wait_for("document.getElementById('shown').textContent === '1 of 41'")
        page.wait_for(
            "document.querySelector('.row:not([hidden])').textContent.includes('onerror')"
        )
        page.run("document.getElementById('search').value = ''")
        page.run("document.getElementById('search').dispatchEvent(new Event('input'))")
        assert page.run("document.querySelectorAll('img').length") == 0
        assert page.run("document.title").startswith("reactor")
        page.run("document.getElementById('grid').focus()")
        page.press("ArrowDown")
        page.press("ArrowDown")
        page.press("Enter", "\r")
        page.wait_for("document.getElementById('detail').open")
        page.wait_for("document.getElementById('explain').textContent.includes('is open')")
        page.wait_for("document.getElementById('frames').textContent.includes('hello, page')")
        page.press("Escape")
        page.wait_for("!document.getElementById('detail').open")
        assert page.problems == []


def test_it_sorts_and_filters(watched: Watched, open_it: Any) -> None:
    watched.connect(5)
    with open_it() as page:
        page.wait_for("document.getElementById('shown').textContent === '10'")
        page.run("document.querySelectorAll('#head button')[1].click()")
        page.wait_for("document.querySelectorAll('#head > div')[1].ariaSort === 'ascending'")
        names = page.run(
            "[...document.querySelectorAll('.row:not([hidden])')]"
            ".sort((a, b) => a.offsetTop - b.offsetTop).map((row) => row.children[1].textContent)"
        )
        assert names == sorted(names)
        page.run(
            "document.getElementById('state').value = 'waiting';"
            "document.getElementById('state').dispatchEvent(new Event('change'))"
        )
        page.wait_for("document.getElementById('shown').textContent === '0 of 10'")


def test_the_chosen_one_stays_when_it_ends_until_another_is_chosen(
    watched: Watched, open_it: Any
) -> None:
    watched.connect(2)
    with open_it() as page:
        page.wait_for("document.getElementById('shown').textContent === '4'")
        page.run("document.getElementById('grid').focus()")
        page.press("ArrowDown")
        page.wait_for("document.querySelector('.row.chosen')")
        number = page.run("Number(document.querySelector('.row.chosen').dataset.id)")
        watched.call(
            lambda: [each.abort() for each in list(watched.loop.connections) if id(each) == number]
        )
        page.wait_for("document.querySelector('.row.chosen').textContent.startsWith('ended')")
        page.press("ArrowDown")
        page.press("ArrowUp")
        page.press("ArrowDown")
        page.wait_for(
            "![...document.querySelectorAll('.row:not([hidden])')]"
            ".some((row) => row.textContent.startsWith('ended'))"
        )
        assert page.problems == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_nothing_is_wider_than_the_window(watched: Watched, open_it: Any, width: int) -> None:
    watched.connect(3)
    with open_it() as page:
        page.resize(width, 800)
        for dark in (False, True):
            page.set_dark(dark)
            page.wait_for("document.getElementById('shown').textContent === '6'")
            assert page.run("document.documentElement.scrollWidth") <= width
            light = page.run("getComputedStyle(document.body).backgroundColor")
            assert (light == "rgb(20, 23, 26)") is dark


def test_it_comes_back_when_its_connection_is_lost(watched: Watched, open_it: Any) -> None:
    from reactor.monitor.page.viewer import Viewer

    watched.connect(2)
    with open_it() as page:
        page.wait_for("document.getElementById('shown').textContent === '4'")
        watched.call(
            lambda: [
                each.abort()
                for each in list(watched.loop.connections)
                if isinstance(each.protocol, Viewer)
            ]
        )
        page.wait_for("document.getElementById('link').textContent.startsWith('connection lost')")
        page.wait_for("document.getElementById('link').textContent === 'live'")
        page.wait_for("document.getElementById('shown').textContent === '4'")


def test_a_thousand_connections_and_a_storm(watched: Watched, open_it: Any) -> None:
    watched.connect(500)
    with open_it() as page:
        page.wait_for("document.getElementById('shown').textContent === '1,000'")
        # Only what is in view is in the document.
        assert page.run("document.querySelectorAll('.row').length") < 60
        watched.call(lambda: [each.reconnect() for each in watched.chatters])
        page.run("document.getElementById('body').scrollTop = 1e9")
        page.wait_for("document.getElementById('shown').textContent === '1,000'")
        page.wait_for(
            "document.querySelector('.row:not([hidden])').getAttribute('aria-rowindex') > 900"
        )
        assert page.problems == []


#: Rows as the server would tell them, in portions of 500; returns the longest time, in ms, that
#: one portion, a search, a change of order, or a step of scrolling has held the page.
FIFTEEN_THOUSAND = """
(() => {
  const row = (id, now) => [id, now, "open", id % 2 ? "client" : "server", `ws://h${id}/`, `h${id}`,
    "", id * now, 0, 0, 0, null, 0, 1, 1, 0, 0.5, null];
  const times = [];
  const timed = (step) => {
    const begun = performance.now();
    step();
    times.push(performance.now() - begun);
  };
  for (const now of [1, 4]) {
    for (let first = 1; first <= 15000; first += 500) {
      const rows = Array.from({ length: 500 }, (_, index) => row(first + index, now));
      timed(() => handlers.rows({ rows }));
    }
    timed(arrange);
  }
  document.getElementById("search").value = "h149";
  timed(arrange);
  const found = order.length;
  document.getElementById("search").value = "";
  timed(() => document.querySelectorAll("#head button")[1].click());
  for (let top = 0; top < 15000 * 30; top += 30000) {
    document.getElementById("body").scrollTop = top;
    timed(show);
  }
  return { longest: Math.max(...times), found, rows: document.querySelectorAll(".row").length };
})()
"""


def test_fifteen_thousand_rows_stay_fluent(watched: Watched, open_it: Any) -> None:
    with open_it() as page:
        page.wait_for("document.getElementById('rate-now').textContent.includes('in')")
        result = page.run(FIFTEEN_THOUSAND)
        assert result["found"] == 111  # h149, h1490 to h1499, h14900 to h14999
        assert result["rows"] < 60
        # A step takes some 30 ms; much more would be work for each row that is not in view.
        assert result["longest"] < 1000
        assert page.problems == []
