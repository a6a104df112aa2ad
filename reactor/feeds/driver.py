"""The driver: carries out what the reconciler orders, and calls the user's code.

What it is: the part that connects a Feed, its links and its reconciler. Only this module and
those in links/ call user code, through faults.py: an exception of it affects nothing else.

What it must not know: the life of a topic, the text of messages.

How it works. The reconciler appends orders; :meth:`Driver.perform` carries them out one by one. A
handler may do what it likes meanwhile: what follows from it is appended behind. Links that have
something to say are collected, and served in the loop's next batch of calls, so that many
subscriptions in a row make few messages. Calls from other threads wait in a queue, with one
wake-up for all of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..base.marks import calls_user_code
from ..base.printable import quoted
from ..exceptions import CloseCode, WebSocketException
from .consumers import Subscription, each, with_one, without
from .events import Ended, Gap, Refused, Subscribed, Topic, Unsubscribed, Update
from .faults import Faults
from .links.link import Link
from .mailbox import Drop, Mailbox
from .policy import Policy
from .roster import leave
from .settings import check_options, check_urls
from .stats import FeedStats, count
from .topics.batch import Ask, Batch
from .topics.board import Order
from .topics.reconciler import Reconciler
from .topics.topic import Lane, Place, Record

if TYPE_CHECKING:
    from ..reactor import Reactor
    from .feed import Feed

__all__ = ["Driver"]


class Driver:
    """See the module.

    Args:
        feed: whose handlers are called.
        loop, url, options: see Feed.
        base: Feed itself, whose methods may be overridden.
    """

    def __init__(
        self, feed: Feed, loop: Reactor, url: Any, options: dict[str, Any], base: type[Feed]
    ) -> None:
        self.feed = feed
        self.reactor = loop
        #: The loop of the reactor, which has the time and the calls.
        self.loop = loop.loop
        self.policy = Policy.of(feed)
        self.urls = check_urls(url)
        self.options = check_options(options, self.policy)
        kind = type(feed)
        self.logs_in = kind.login is not base.login
        resumes = kind.resume_message is not base.resume_message
        self.core = Reconciler(self.policy, resumes)
        self.board = self.core.board
        self.board.handler_of = self._handler_of
        self.links: dict[Link, None] = {}
        self.closed = False
        self.updates = 0  # that took the short way on links which are over
        self._dialled = 0
        self._awake: dict[Link, None] = {}
        self._timer: Any = None
        self._timer_at = inf
        self._pumping = False  # _pump() is among the loop's calls
        self._performing = False
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._called = False  # _run_calls() is among the loop's calls
        self._mailboxes: WeakSet[Mailbox] = WeakSet()
        self.faults = Faults(feed, self.loop.time, base)

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return type(self.feed).__qualname__

    # -- threads -----------------------------------------------------------------------------

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop's thread: now, if this is it, after those that wait.

        A feed that is closed has nothing left to do.
        """
        if self.closed:
            return
        self._calls.append((function, args))
        if threading.get_ident() == self.loop.thread_id:
            self._run_calls()
        elif not self._called:
            self._called = True
            self.loop.call_soon_threadsafe(self._serve_threads)

    def _serve_threads(self) -> None:
        self._called = False
        self._run_calls()

    def _run_calls(self) -> None:
        while self._calls:
            function, args = self._calls.popleft()
            function(*args)
        self.perform()

    # -- subscriptions -----------------------------------------------------------------------

    def subscribe(
        self,
        subscriptions: list[Subscription],
        replay_last: bool,
        stale_after: float | None,
        priority: float,
        after: Mapping[Topic, Update],
    ) -> None:
        """See Feed.subscribe_many()."""
        now = self.loop.time()
        for one in subscriptions:
            one.closed = one.closed or self.closed  # by another thread, or by a handler before it
            if one.closed:
                continue
            record = self.board.topics.get(one.topic)
            consumers = None if record is None else record.consumers
            consumers = with_one(consumers, one)
            record = self.core.want(one.topic, consumers, priority, stale_after, now)
            if one.topic in after and record.last is None:
                self.core.go_on_after(record, after[one.topic])
            if replay_last and record.last is not None and not self._on_its_way(record):
                self._give(one, record.last)

    def _on_its_way(self, record: Record) -> bool:
        """Whether the last update is still to be delivered."""
        orders = self.board.orders
        return any(order[0] is Order.DELIVER and order[1] is record for order in orders)

    def unsubscribe(self, topic: Topic) -> None:
        """See Feed.unsubscribe()."""
        record = self.board.topics.get(topic)
        if record is not None:
            for one in each(record.consumers):
                one.closed = True
            self.core.unwant(topic)

    def close_subscription(self, one: Subscription) -> None:
        """See Subscription.close()."""
        if one.closed:
            return
        one.closed = True
        record = self.board.topics.get(one.topic)
        if record is None or one not in each(record.consumers):
            return
        rest = without(record.consumers, one)
        if rest is None:
            self.core.unwant(one.topic)
        else:
            record.consumers = rest
            self.board.refresh(record)

    def end(self) -> None:
        """The loop is shut down or closed: as Feed.close(), after the calls that wait.

        What is known of the topics can still be read: a replayed feed is looked at afterwards.
        """
        self._calls.append((self.close, (CloseCode.GOING_AWAY, False)))
        self._run_calls()

    def close(self, code: int = CloseCode.NORMAL, forget: bool = True) -> None:
        """See Feed.close()."""
        if self.closed:
            return
        self.closed = True
        for record in list(self.board.topics.values()):
            for one in each(record.consumers):
                one.closed = True
            for leg in record.legs:
                leg.fast = None
        if forget:
            self.board.topics.clear()
        self.board.orders.clear()
        self.board.wanted = self.board.unsettled = 0
        self._awake.clear()
        if self._timer is not None:
            self._timer.cancel()
        self.updates += sum(link.updates for link in self.links)
        with ExitStack() as rest:  # from the last to the first, whatever one of them raises
            rest.callback(self.faults.conclude)
            rest.callback(leave, self)
            for mailbox in list(self._mailboxes):
                rest.callback(mailbox.close)
            rest.callback(self.links.clear)
            for link in reversed(self.links):
                rest.callback(link.end, "", code)

    def mailbox(self, maxlen: int, drop: Drop) -> Mailbox:
        """See Feed.mailbox()."""
        mailbox = Mailbox(maxlen, drop, self.loop.time, self._dropped, self.board.counts)
        self._mailboxes.add(mailbox)
        return mailbox

    def _dropped(self, update: Update, last: Update | None) -> None:
        record = self.board.topics.get(update.topic)
        if record is not None and record.wanted:
            self.board.counts["gaps"] += 1
            self.board.counts["gap dropped"] += 1
            self._gap(update.topic, Gap("dropped", last, None))

    # -- updates and their consumers -----------------------------------------------------------

    def _handler_of(self, record: Record) -> Callable[[Update], object]:
        consumers = record.consumers
        if isinstance(consumers, Subscription):
            handler = consumers.handler  # an empty mailbox is false
            return self._without_handler if handler is None else handler
        return self._to_many

    @calls_user_code
    def _without_handler(self, update: Update) -> None:
        self.feed.on_update(update.topic, update)

    def _to_many(self, update: Update) -> None:
        for one in each(self.board.topics[update.topic].consumers):
            self._give(one, update)

    def _give(self, one: Subscription, update: Update) -> None:
        if not one.closed:
            self.faults.guard(self._without_handler if one.handler is None else one.handler, update)

    @calls_user_code
    def take(self, link: Link, event: Any) -> None:
        """Take what ``parse`` has returned, unless it went the short way."""
        if event is None:
            return
        try:
            if isinstance(event, _EVENTS):
                self._take_one(link, event)
            elif isinstance(event, Iterable) and not isinstance(event, (str, bytes, dict)):
                for one in event:
                    try:
                        self._take_one(link, one)
                    except Exception as exc:  # noqa: BLE001 - the rest is no worse for it
                        self.faults.report(exc, "parse", one)
            else:
                raise TypeError(f"parse returned {quoted(event)}, which is no event")
        finally:
            self.perform()

    def _take_one(self, link: Link, event: Any) -> None:
        if self.closed or link.over:
            return
        core, now = self.core, self.loop.now
        if isinstance(event, Update):
            core.update(link, event, now)
            self.perform()
        elif isinstance(event, Subscribed):
            core.subscribed(link, event.topics, event.recovered, now)
        elif isinstance(event, Refused):
            core.refused(link, event.topics, event.reason, event.retry, now)
        elif isinstance(event, Unsubscribed):
            core.unsubscribed(link, event.topics, now)
        elif isinstance(event, Ended):
            core.ended(link, event.topics, event.reason, now)
        else:
            raise TypeError(f"parse returned {quoted(event)} among its events")

    # -- orders ------------------------------------------------------------------------------

    def perform(self) -> None:
        """Carry out all orders, those that follow from them as well; none if it is closed."""
        if self._performing or self.closed:
            return
        self._performing = True
        board = self.board
        try:
            while True:
                while board.orders:
                    order, *what = board.orders.popleft()
                    _PERFORM[order](self, *what)
                if not board.storm or board.unsettled or not board.wanted:
                    break
                board.storm = False
                self.faults.guard(self.feed.on_live)
        finally:
            self._performing = False

    def _open(self, lane: Lane) -> None:
        urls = self.urls[lane.index % len(self.urls) :: self.policy.redundancy]
        link = Link(self, lane, urls[self._dialled // self.policy.redundancy % len(urls)])
        self._dialled += 1
        self.core.pool.add(link)
        self.links[link] = None
        try:
            link.dial()
        except Exception as exc:  # noqa: BLE001 - the loop is closed, or an option is wrong
            self.faults.report(exc, "connecting")

    def _close_link(self, place: Place, reason: str) -> None:
        assert isinstance(place, Link)
        self.links.pop(place, None)
        self._awake.pop(place, None)
        self.updates += place.updates
        self.core.closed(place, self.loop.time())
        place.end(reason)

    def _wake_place(self, place: Place | None) -> None:
        if place is not None:
            assert isinstance(place, Link)
            self._awake[place] = None
        self._pump_soon()

    def wake(self, link: Link) -> None:
        """Serve a link in the next batch of calls."""
        self._awake[link] = None
        self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pumping and not self.closed:
            self._pumping = True
            if self.loop.running:
                self.loop.call_soon(self._pump)
            else:  # a host may sleep
                self.loop.call_soon_threadsafe(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        awake, self._awake = deque(self._awake), {}
        try:
            while awake and not self.closed:
                awake[0].pump()
                awake.popleft()
        finally:  # KeyboardInterrupt and SystemExit pass through; all that is left has its turn
            self._awake.update(dict.fromkeys(awake))
            if awake:
                self._pump_soon()
        self.perform()
        due = self.core.due()
        if self.closed or due >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = max(due, self.loop.time())
        self._timer = self.loop.call_at(self._timer_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, inf
        self.core.tick_all(self.loop.now)
        self.perform()
        self._pump_soon()

    def _deliver(self, record: Record, update: Update) -> None:
        if record.wanted:
            self.faults.guard(self._handler_of(record), update)

    def _subscribed(self, name: Topic) -> None:
        self._tell(name, self.feed.on_subscribed)

    def _gap(self, name: Topic, gap: Gap) -> None:
        self._tell(name, self.feed.on_gap, gap)

    def _stale(self, name: Topic, silence: float) -> None:
        self._tell(name, self.feed.on_stale, silence)

    def _refused(self, name: Topic, reason: object, final: bool) -> None:
        self._tell(name, self.feed.on_refused, reason, final)

    def _tell(self, name: Topic, handler: Callable[..., object], *what: object) -> None:
        """Call a handler about a topic, unless one before it has unsubscribed that topic."""
        record = self.board.topics.get(name)
        if record is not None and record.wanted:
            self.faults.guard(handler, name, *what)

    def _ended(self, name: Topic, reason: object, consumers: Any) -> None:
        for one in each(consumers):
            one.closed = True
        self.faults.guard(self.feed.on_ended, name, reason)

    def _stray(self, update: Update) -> None:
        self.faults.guard(self.feed.on_update, update.topic, update)

    def _overfull(self, waiting: int) -> None:
        policy = self.policy
        limits = f"max_links={policy.max_links} of topics_per_link={policy.topics_per_link}"
        self.faults.tell(WebSocketException(f"{limits} are full: {waiting} topics wait"))

    # -- links ---------------------------------------------------------------------------------

    def link_closed(self, link: Link, code: int, reason: str, was_open: bool, final: bool) -> None:
        """A link is closed, or an attempt has failed."""
        if not self.closed and not link.over:
            self.core.closed(link, self.loop.time())
        if was_open:
            self.faults.guard(self.feed.on_link_close, link, code, reason)
        if not self.closed and not link.over:
            if link.retiring:
                self._close_link(link, "replaced")
            elif final:
                self.faults.tell(WebSocketException(f"{link!r} is given up, and its topics wait"))
        self.perform()

    @calls_user_code
    def build(self, batch: Batch, link: Link) -> Any:
        """Have the user's builder make messages of a batch."""
        feed, topics = self.feed, batch.topics
        if batch.ask is Ask.UNSUBSCRIBE:
            return feed.unsubscribe_message(list(topics), link)
        if batch.ask is Ask.SUBSCRIBE:
            return feed.subscribe_message(list(topics), link)
        positions = {leg.topic.name: leg.topic.last for leg in batch.legs}
        return feed.resume_message(positions, link)  # type: ignore[arg-type]

    # -- figures -----------------------------------------------------------------------------

    def stats(self) -> FeedStats:
        """See Feed.stats()."""
        return count(self.board, self.links, self.updates)


_EVENTS = (Update, Subscribed, Refused, Unsubscribed, Ended)

_PERFORM: dict[Order, Callable[..., None]] = {
    Order.OPEN: Driver._open,
    Order.CLOSE: Driver._close_link,
    Order.WAKE: Driver._wake_place,
    Order.DELIVER: Driver._deliver,
    Order.SUBSCRIBED: Driver._subscribed,
    Order.REFUSED: Driver._refused,
    Order.ENDED: Driver._ended,
    Order.GAP: Driver._gap,
    Order.STALE: Driver._stale,
    Order.STRAY: Driver._stray,
    Order.OVERFULL: Driver._overfull,
}
