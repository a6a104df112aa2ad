"""Feed: the class that users subclass.

What it is: the public class: its knobs, builders, ``parse`` and handlers, and its methods.

What it must not know: how topics are placed and asked for (topics/reconciler.py), how links talk
(links/link.py), and how orders are carried out (driver.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..base.arguments import shows
from ..base.mistakes import check_called, check_names, check_number
from ..exceptions import WebSocketStateException
from ..timers import Backoff, Pace
from .consumers import Handler, Subscription
from .driver import Driver
from .events import Event, Gap, Topic, TopicState, Update
from .explain import explain
from .links.heartbeat import Heartbeat
from .links.link import Link
from .mailbox import Drop, Mailbox
from .policy import FIVE_A_SECOND, FULL_JITTER, OnStale, Sequences, check_limit
from .roster import enter
from .settings import check_methods
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
            over which the links are distributed (redundant links of a topic get different ones).
        **options: as for ``Reactor.connect``; ``reconnect`` is by default a ``Backoff()``. The
            attributes below can also be given here, for this feed only.

    Raises:
        ValueError: The URL, an option or a knob cannot be used; the message names it.
        TypeError: One of them is of the wrong type, or there is no such option; or another method
            than ``login`` is an ``async def``.
        RuntimeError: The reactor is closed.

    ``subscribe``, ``unsubscribe`` and ``close`` may be called from any thread. All other methods
    and all handlers are for the loop's thread.

    Attributes:
        topics_per_link: the most topics on one link (50); None: any number. A topic counts until
            the service has confirmed its end.
        topics_per_message: the most topics in one message (10); None: any number.
        max_links: the most links; None: as many as the topics need. Topics for which there is no
            room wait, and ``on_error`` says so. A link that is being replaced does not count.
        message_pace: how many messages may be sent on a link, by the feed or by you (5 in a
            second); None: no limit.
        connect_pace: how fast attempts to connect to one host and port follow each other; None: as
            the Reactor says.
        ack_timeout: seconds that the service has to confirm (5); None: it confirms nothing, and a
            topic is live when it has been asked for.
        ask_again: the wait before a topic is asked for again, after a timeout or after a refusal
            that allows another attempt.
        stale_after: seconds without an update after which a live topic becomes STALE (30); None:
            never.
        on_stale_do: what the feed does with a stale topic: "resubscribe", or only "report" it.
        idle_after: seconds without any message (pongs do not count) after which a link is
            replaced (60); None: never.
        max_link_age: seconds that a link may be open (23 hours). It is replaced earlier, without a
            gap. None: no limit.
        redundancy: how many links carry each topic (1). The first copy of an update is delivered.
        sequences: "contiguous": the sequence number of an update is one more than that of the
            update before, unless ``previous`` says otherwise. "increasing": a higher number is
            newer, and missing updates cannot be noticed.
        heartbeat: the service's own kind of ping; None: it has none.
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
            self._reactor_driver = Driver(self, loop, url, options, Feed)
            check_methods(self, Feed)
            enter(self._reactor_driver)

    loop: Reactor
    _reactor_driver: Driver  # named so that self._driver is the user's, as in WebSocketProtocol

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        warn_of_misspelt(cls, Feed)

    # Any is for topics here, so that a subclass may say that its topics are str, for example.

    # -- what a service looks like: override these ---------------------------------------------

    def subscribe_message(self, topics: list[Any], link: Link) -> Messages:
        """Return the message that subscribes to topics: str, bytes, a list of them, or None.

        Args:
            topics: at most ``topics_per_message`` topics.
            link: the link on which it will be sent.
        """
        raise NotImplementedError("a Feed needs subscribe_message()")

    def unsubscribe_message(self, topics: list[Any], link: Link) -> Messages:
        """Return the message that unsubscribes from topics. Default: None, no message is sent."""
        return None

    def resume_message(self, positions: dict[Any, Update], link: Link) -> Messages:
        """Return the message that subscribes to topics from a position. Default: as for new ones.

        Args:
            positions: the last update of each topic; at most ``topics_per_message`` topics.
            link: the link on which it will be sent.
        """
        return self.subscribe_message(list(positions), link)

    def parse(self, message: Message, link: Link) -> Event | Iterable[Event] | None:
        """Return what a message says: an event, an iterable of events, or None.

        Args:
            message: str or bytes.
            link: the link on which it came.
        """
        raise NotImplementedError("a Feed needs parse()")

    async def login(self, link: Link) -> None:
        """Log in on a link that has opened, before any topic is subscribed to on it.

        ``link.request()`` can be awaited, what ``run_in_thread`` returns, and the steps of
        ``reactor.tasks``; on an ``asyncio_host()`` also whatever asyncio has. If it raises,
        ``on_error`` gets the exception and the link is opened again.
        """

    # -- handlers: override those that you need ------------------------------------------------

    def on_update(self, topic: Any, update: Update) -> None:
        """An update came for a topic without a handler, or without a subscription."""

    def on_subscribed(self, topic: Any) -> None:
        """A topic has become LIVE, for the first time or again after a loss."""

    def on_live(self) -> None:
        """Every wanted topic has become LIVE or was finally refused."""

    def on_refused(self, topic: Any, reason: Any, final: bool) -> None:
        """The service has refused a topic.

        Args:
            topic: the topic.
            reason: the reason that ``parse`` returned.
            final: True: the feed does not ask again, unless you subscribe to the topic again.
        """

    def on_ended(self, topic: Any, reason: Any) -> None:
        """The service has ended a topic. Its subscriptions are closed."""

    def on_gap(self, topic: Any, gap: Gap) -> None:
        """Updates of a topic are missing, or may be: see Gap. Called before ``gap.next`` is."""

    def on_stale(self, topic: Any, silence: float) -> None:
        """A live topic has been silent for *silence* seconds."""

    def on_link_open(self, link: Link) -> None:
        """A link is open. ``login`` and the subscriptions follow."""

    def on_link_close(self, link: Link, code: int, reason: str) -> None:
        """A link that was open is closed. Clear here what you keep for each link."""

    def on_error(self, error: Exception) -> None:
        """A link or an attempt has failed, or your own code has raised an exception."""

    # -- subscriptions -----------------------------------------------------------------------

    def subscribe(
        self,
        topic: Topic,
        handler: Handler | None = None,
        replay_last: bool = False,
        stale_after: float | None = None,
        priority: float = 0,
    ) -> Subscription:
        """Subscribe to a topic. It returns at once. Any thread, also while nothing is connected.

        Args:
            topic: the topic; any hashable object.
            handler: called with each Update, on the loop's thread; it may be a Mailbox. None:
                ``on_update`` is called.
            replay_last: whether *handler* gets the last update at once, if the topic has another
                subscription already.
            stale_after: seconds for this topic, in place of the feed's; ``math.inf``: never.
            priority: topics with a higher priority are asked for first; among equals, older ones.

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
        """Subscribe to many topics. It returns at once. Any thread.

        Args:
            topics: an iterable of topics, but not a str.
            handler: as for :meth:`subscribe`, for all of them; so are the other arguments.
            replay_last: likewise.
            stale_after: likewise.
            priority: likewise.
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
        driver = self._reactor_driver
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
        """End all subscriptions to a topic. Any thread."""
        self._reactor_driver.call(self._reactor_driver.unsubscribe, topic)

    def close_subscription(self, subscription: Subscription) -> None:
        """See Subscription.close()."""
        self._reactor_driver.call(self._reactor_driver.close_subscription, subscription)

    def close(self) -> None:
        """Close all links, subscriptions and mailboxes. Any thread; idempotent.

        A feed that is open when its reactor is shut down or closed is closed with it.
        """
        self._reactor_driver.call(self._reactor_driver.close)

    def mailbox(self, maxlen: int = 10_000, drop: Drop = "oldest") -> Mailbox:
        """Return a mailbox: a handler for ``subscribe`` from which another thread takes updates.

        When it drops updates of a topic, ``on_gap`` is called with the reason "dropped", once until
        an update of that topic is taken. The mailbox is closed with the feed.

        Args:
            maxlen: how many updates it holds at most (10,000).
            drop: "oldest", or "latest" for one update of each topic: see Mailbox.
        """
        return self._reactor_driver.mailbox(maxlen, drop)

    # -- state -------------------------------------------------------------------------------

    def state(self, topic: Topic) -> TopicState | None:
        """Return the state of a topic; None for an unknown one."""
        record = self._reactor_driver.core.board.topics.get(topic)
        return None if record is None else record.state

    def topics(self) -> list[Topic]:
        """Return the topics that are wanted, the oldest first."""
        topics = self._reactor_driver.core.board.topics
        return [name for name, record in list(topics.items()) if record.wanted]

    @property
    def links(self) -> list[Link]:
        """All links, open or not."""
        return list(self._reactor_driver.links)

    def stats(self) -> FeedStats:
        """Return the feed's counters. It looks at every topic."""
        return self._reactor_driver.stats()

    def explain(self, topic: Topic) -> str:
        """Return a text that says what is known of a topic, and what it waits for."""
        return explain(self._reactor_driver.core, topic, self._reactor_driver.loop.time())
