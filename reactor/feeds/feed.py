"""Feed: the class that users subclass.

What it is: the face of a feed: its knobs, builders, ``parse`` and handlers, and what it can be
asked.

What it must not know: how topics are placed and asked for (reconciler.py), how links talk
(link.py), and how orders are carried out (driver.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base.mistakes import check_called, check_names, check_number
from ..exceptions import WebSocketStateException
from ..signatures import shows
from ..timers import Backoff, Pace
from .consumers import Handler, Subscription
from .driver import Driver
from .events import Event, Gap, Topic, TopicState, Update
from .explain import explain
from .heartbeat import Heartbeat
from .link import Link
from .mailbox import Drop, Mailbox
from .policy import FIVE_A_SECOND, FULL_JITTER, OnStale, Sequences, check_limit
from .signatures import KNOBS, OPTIONS, PIECES, Made, warn_of_misspelt
from .stats import FeedStats

if TYPE_CHECKING:
    from ..reactor import Reactor

__all__ = ["Feed"]

Message = str | bytes
Messages = Message | Iterable[Message] | None


class Feed(Made):
    """Subscriptions that outlive connections. Subclass it, and override the handlers you need.

    It opens as many links as its topics need, asks for them as fast as the service allows, asks
    again after every loss, and tells what may be missing. Nothing is opened before the first
    :meth:`subscribe`.

    Args:
        loop: the Reactor that it lives on.
        url: ws:// or wss://; a function that is called before every attempt; or a list of both,
            which links are spread over (redundant links of a topic go to different ones).
        options: as for ``Reactor.connect``; ``reconnect`` is a ``Backoff()`` unless told
            otherwise. And the attributes below, for this feed only; a class has them for all.

    Raises:
        ValueError: The URL, an option or a knob cannot be used; the message names it.
        TypeError: One of them is of the wrong type, or there is no such option.

    ``subscribe``, ``unsubscribe`` and ``close`` may be called from any thread; the rest, and all
    handlers, belong to the loop's thread.

    Attributes:
        topics_per_link: topics that a link carries; None: any number. One that is not over yet
            keeps its place.
        topics_per_message: topics in one message; None: any number.
        max_links: links at most; None: as many as the topics need. What they cannot carry waits,
            and ``on_error`` says so. A link that is being replaced is not counted.
        message_pace: messages that are sent on a link, whoever sends them; None: as fast as may
            be.
        connect_pace: attempts to connect to one host and port; None: as the Reactor says.
        ack_timeout: seconds that the service has to confirm; None: it confirms nothing, and what
            was asked for is live.
        ask_again: the wait before a topic is asked for again, after a timeout or a refusal that may
            be retried.
        stale_after: seconds without an update of a live topic after which it is STALE; None:
            never.
        on_stale_do: what becomes of a stale topic: "resubscribe", or "report".
        idle_after: seconds without any message (pongs do not count) after which a link is
            replaced; None: never.
        max_link_age: seconds that a link may be open: it is replaced before, without a hole; None:
            any time.
        redundancy: links that every topic is on; the first copy of an update counts.
        sequences: "contiguous": the sequence of an update is that of the one before plus one, or
            says otherwise by ``previous``. "increasing": a higher one is newer, and holes cannot
            be told.
        heartbeat: the service's own ping; None: it has none.
    """

    # The defaults are those of policy.py; a test compares them.
    topics_per_link: int | None = 50
    topics_per_message: int | None = 10
    max_links: int | None = None
    message_pace: Pace | None = FIVE_A_SECOND
    connect_pace: Pace | None = None
    ack_timeout: float | None = 5.0
    ask_again: Backoff = FULL_JITTER
    stale_after: float | None = 30.0
    on_stale_do: OnStale = "resubscribe"
    idle_after: float | None = 60.0
    max_link_age: float | None = 23 * 3600.0
    redundancy: int = 1
    sequences: Sequences = "contiguous"
    heartbeat: Heartbeat | None = None

    if not TYPE_CHECKING:  # see signatures.py

        @shows(OPTIONS)
        def __init__(
            self,
            loop: Reactor,
            url: str | Callable[[], str] | Sequence[str | Callable[[], str]],
            **options: Any,
        ) -> None:
            """See the class."""
            known = [*(each.name for each in OPTIONS), *PIECES]
            check_names(options, known, f"{type(self).__name__}()")
            for name in KNOBS:
                if name in options:
                    setattr(self, name, options.pop(name))
            self.loop = loop
            self._driver = Driver(self, loop, url, options, Feed)

    loop: Reactor
    _driver: Driver

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        warn_of_misspelt(cls, Feed)

    # Any is for topics here, so that a subclass may say that its topics are str, for example.

    # -- what a service looks like: override these ---------------------------------------------

    def subscribe_message(self, topics: list[Any], link: Link) -> Messages:
        """Return what asks for topics: str, bytes, a list of them, or None for nothing to say.

        Args:
            topics: at most ``topics_per_message`` of them.
            link: on which it will be sent.
        """
        raise NotImplementedError("a Feed needs subscribe_message()")

    def unsubscribe_message(self, topics: list[Any], link: Link) -> Messages:
        """Return what ends topics; as :meth:`subscribe_message`. Default: nothing is said."""
        return None

    def resume_message(self, positions: dict[Any, Update], link: Link) -> Messages:
        """Return what asks for topics from where they were left. Default: as for new ones.

        Args:
            positions: the last update of each topic; at most ``topics_per_message`` of them.
            link: on which it will be sent.
        """
        return self.subscribe_message(list(positions), link)

    def parse(self, message: Message, link: Link) -> Event | Iterable[Event] | None:
        """Return what a message says: an event, an iterable of events, or None.

        Args:
            message: str or bytes.
            link: on which it came.
        """
        raise NotImplementedError("a Feed needs parse()")

    async def login(self, link: Link) -> None:
        """Run on every link after it opens, before anything is asked for.

        Only ``link.request()`` can be awaited. What it raises goes to ``on_error``; the link is
        opened anew then.
        """

    # -- handlers: override those that you need ------------------------------------------------

    def on_update(self, topic: Any, update: Update) -> None:
        """An update of a topic whose subscription has no handler, or that nobody has asked for."""

    def on_subscribed(self, topic: Any) -> None:
        """A topic is LIVE: at first, and again after each loss."""

    def on_live(self) -> None:
        """Every wanted topic is LIVE or finally refused: at the start, and after each storm."""

    def on_refused(self, topic: Any, reason: Any, final: bool) -> None:
        """The service has refused a topic.

        Args:
            topic: which.
            reason: as ``parse`` has given it.
            final: True: it is not asked for again, unless it is subscribed anew.
        """

    def on_ended(self, topic: Any, reason: Any) -> None:
        """The service has ended a topic: it is wanted no longer, its subscriptions are closed."""

    def on_gap(self, topic: Any, gap: Gap) -> None:
        """Updates of a topic may be missing, or are: see Gap. Told before ``gap.next``."""

    def on_stale(self, topic: Any, silence: float) -> None:
        """A live topic has been silent for so many seconds."""

    def on_link_open(self, link: Link) -> None:
        """A link is open; ``login`` follows, and what is to be asked."""

    def on_link_close(self, link: Link, code: int, reason: str) -> None:
        """A link that was open is closed. Maps of ids by link are cleared here."""

    def on_error(self, error: Exception) -> None:
        """A link or an attempt has failed, or code of yours has raised something."""

    # -- what is wanted ----------------------------------------------------------------------

    def subscribe(
        self,
        topic: Topic,
        handler: Handler | None = None,
        replay_last: bool = False,
        stale_after: float | None = None,
        priority: float = 0,
    ) -> Subscription:
        """Want a topic. Returns at once; any thread, also while nothing is connected.

        Args:
            topic: which; anything hashable.
            handler: called with each Update, on the loop's thread; a Mailbox is one. None:
                ``on_update`` gets them.
            replay_last: whether *handler* gets the last update of a topic that others have
                subscribed already.
            stale_after: for this topic, in place of the feed's; ``math.inf``: never.
            priority: topics with a higher one are asked for first; then older ones.

        Raises:
            WebSocketStateException: The feed is closed.
            TypeError, ValueError: An argument cannot be used; the message names it.
        """
        return self.subscribe_many((topic,), handler, replay_last, stale_after, priority)[0]

    def subscribe_many(
        self,
        topics: Iterable[Topic],
        handler: Handler | None = None,
        replay_last: bool = False,
        stale_after: float | None = None,
        priority: float = 0,
        after: Mapping[Any, Update] | None = None,
    ) -> list[Subscription]:
        """Want many topics. Returns at once; any thread, also while nothing is connected.

        Args:
            topics: which; any iterable of them, but no str.
            handler, replay_last, stale_after, priority: as for :meth:`subscribe`, for all of them.
            after: the last updates that an earlier run of the program has taken. A topic that
                nobody has subscribed yet goes on after its one: the feed resumes there, drops
                what is not newer, and tells the gap if there is one.

        Returns:
            Their subscriptions, in the order of *topics*.

        Raises:
            WebSocketStateException: The feed is closed.
            TypeError, ValueError: An argument cannot be used; the message names it.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"handler must be a function or None, not {handler!r}")
        check_called("handler", handler)
        check_limit("stale_after", stale_after)
        if not isinstance(replay_last, bool):
            raise TypeError(f"replay_last must be True or False, not {replay_last!r}")
        check_number("priority", priority, "a number")
        if not isinstance(priority, (int, float)) or priority != priority:
            raise TypeError(f"priority must be a number, not {priority!r}")
        if isinstance(topics, (str, bytes)):
            raise TypeError(f"topics must be several topics, not {topics!r}")
        driver = self._driver
        if driver.closed:
            raise WebSocketStateException("the feed is closed")
        subscriptions = [Subscription(self, topic, handler) for topic in topics]
        for subscription in subscriptions:
            hash(subscription.topic)
        driver.call(
            driver.subscribe, subscriptions, replay_last, stale_after, priority, after or {}
        )
        return subscriptions

    def unsubscribe(self, topic: Topic) -> None:
        """Want a topic no longer, whoever has subscribed it. Any thread."""
        self._driver.call(self._driver.unsubscribe, topic)

    def close_subscription(self, subscription: Subscription) -> None:
        """See Subscription.close()."""
        self._driver.call(self._driver.close_subscription, subscription)

    def close(self) -> None:
        """Close all links, and want nothing any longer. Any thread; idempotent."""
        self._driver.call(self._driver.close)

    def mailbox(self, maxlen: int = 10_000, drop: Drop = "oldest") -> Mailbox:
        """Return a mailbox: a handler for ``subscribe`` that another thread takes updates from.

        Args:
            maxlen: updates that it holds at most.
            drop: "oldest", or "latest" for one update of each topic: see Mailbox.

        What a mailbox drops is told by ``on_gap`` with the reason "dropped", once until an update
        of that topic is taken. It is closed with the feed.
        """
        return self._driver.mailbox(maxlen, drop)

    # -- what there is to know ---------------------------------------------------------------

    def state(self, topic: Topic) -> TopicState | None:
        """Return the state of a topic; None for one that is not known."""
        record = self._driver.core.board.topics.get(topic)
        return None if record is None else record.state

    def topics(self) -> list[Topic]:
        """Return the topics that are wanted, the oldest first."""
        topics = self._driver.core.board.topics
        return [name for name, record in list(topics.items()) if record.wanted]

    @property
    def links(self) -> list[Link]:
        """The links that there are, open or not."""
        return list(self._driver.links)

    def stats(self) -> FeedStats:
        """Return a snapshot; looks at every topic."""
        return self._driver.stats()

    def explain(self, topic: Topic) -> str:
        """Return in words what is known of a topic, and what it waits for."""
        return explain(self._driver.core, topic, self._driver.loop.time())
