"""Links: the connections of a feed, and how it talks on them.

What it is: :class:`Link`, a place in the pool with a connection. With wire.py, the protocol object
on it, the only module of feeds that knows of connections.

What it must not know: which topics are wanted, and what answers mean.

How it works. A link asks the reconciler what to say next, has the user's builders make messages of
that, and sends them as the pace allows: one window for all messages, whoever asked for them. It
has one timer for all that is due on it. Whether a silent link, or topic, is dead is for the judge
to say (judge.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from ...base.marks import calls_user_code
from ...base.printable import without_secrets
from ...exceptions import (
    CloseCode,
    WebSocketConnectionClosedException,
    WebSocketException,
    WebSocketStateException,
)
from ...timers import Pace
from ..events import Topic
from ..settings import LIVED
from ..topics.batch import Batch
from ..topics.topic import Lane, Place
from .heartbeat import Pulse
from .judge import Judge
from .messages import Message, as_messages, check_message
from .requests import Replies, Reply, run
from .wire import Wire

if TYPE_CHECKING:
    from ...loop.answers import Running
    from ...timers import PaceWindow
    from ..driver import Driver
    from ..feed import Feed

__all__ = ["Link"]

#: By how much the windows of the pace are longer than the service's, which counts when messages
#: arrive: on their way, one may come nearer to the one before.
MARGIN = 1.02


class Link(Place):
    """A place in the pool of a feed, and its connection.

    Builders, ``parse`` and handlers are given one. It may be the key of a dict, and keeps
    attributes that a user adds; it stays the same over reconnects.

    Attributes:
        attempt: failed attempts in a row, counted until the link has lived 10 s (int).
    """

    def __init__(self, driver: Driver, lane: Lane, source: str | Callable[[], str]) -> None:
        super().__init__(lane, driver.policy.topics_per_link)
        self._driver = driver
        self._source = source
        self.loop = driver.loop
        self.parse = driver.feed.parse
        self.contiguous = driver.policy.sequences == "contiguous"
        pace = driver.policy.message_pace
        self._window: PaceWindow | None = (
            None if pace is None else Pace(pace.count, pace.per * MARGIN).window()
        )
        self._timer: Any = None
        self._timer_at = inf
        self._paced_until = 0.0
        self._outgoing: deque[tuple[Message, Callable[[float], object] | None]] = deque()
        self._replies = Replies(self.blame)
        self._login: Running | None = None  # while it runs
        self.pulse: Pulse | None = None
        self._judge = Judge(self, driver.policy.idle_after)
        self.attempt = 0
        self.opened_at: float | None = None
        self._wire = Wire(self)
        self._dialled = False
        self.over = False  # closed for good

    # -- what users see ----------------------------------------------------------------------

    @property
    def _reactor_subject(self) -> Wire:
        """See connection/subject.py."""
        return self._wire

    def whose(self) -> str:
        """For whom it works: see loop/names.py."""
        return type(self.feed).__qualname__

    def __repr__(self) -> str:
        state = "open" if self.is_open else "over" if self.over else "not open"
        return f"<Link {without_secrets(self.url) or '?'} {state}, {len(self.legs)} topics>"

    @property
    def url(self) -> str:
        """The URL of the latest attempt, as it was given; "" before the first."""
        return self._wire.url if self._dialled else ""

    @property
    def feed(self) -> Feed:
        """The feed that it belongs to."""
        return self._driver.feed

    @property
    def topics(self) -> list[Topic]:
        """The topics that have a place on this link, in no particular order."""
        return list(self.legs)

    @property
    def updates(self) -> int:
        """How many updates have taken the short way."""
        return self._wire.updates

    @property
    def age(self) -> float:
        """The seconds that it has been open; 0.0 while it is not open."""
        return 0.0 if self.opened_at is None else self.loop.time() - self.opened_at

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.opened_at is not None and not self.over

    def send(self, message: Message) -> None:
        """Send a message, as soon as the pace allows. The loop's thread only.

        Args:
            message: str or bytes.

        Raises:
            TypeError: It is neither.
            WebSocketStateException: The link is not open.
        """
        check_message(message)
        self._check_open()
        self._say(message)

    def request(
        self, message: Message, match: Callable[[Message], object], timeout: float = 5.0
    ) -> Reply:
        """Send a message, and wait for the answer: ``reply = await link.request(...)``.

        Args:
            message: str or bytes.
            match: called with each message that comes; returns whether it is the answer. The
                answer does not go to ``parse``.
            timeout: seconds that the service has.

        Returns:
            What can be awaited in ``login``; its result is the message that matched.

        Raises:
            TypeError, WebSocketStateException: As for :meth:`send`.
            WebSocketTimeoutException: Where it is awaited: no answer came in time.
            WebSocketConnectionClosedException: Where it is awaited: the link was closed.
        """
        if not callable(match):
            raise TypeError(f"match must be a function, not {match!r}")
        check_message(message)
        self._check_open()
        reply = Reply(match, self.loop.time() + timeout, self.loop.host_tasks)
        self._replies.add(reply)
        self._wire.attentive = True
        self._say(message)
        self._arm()
        return reply

    def _check_open(self) -> None:
        if not self.is_open:
            raise WebSocketStateException(f"{self!r} is not open")

    # -- the connection ----------------------------------------------------------------------

    def dial(self) -> None:
        """Open the connection, which is opened again after each loss."""
        self._driver.reactor.connect(self._source, self._wire, **self._driver.options)
        self._dialled = True

    def opened(self) -> None:
        """The connection is open, for the first time or again."""
        now = self.loop.time()
        self.opened_at = self._wire.heard = now
        heartbeat = self._driver.policy.heartbeat
        if heartbeat is not None:
            self.pulse = Pulse(heartbeat, now)
            self._wire.attentive = True
        self._driver.faults.guard(self._driver.feed.on_link_open, self)
        if not self.is_open:
            return  # closed by the handler
        if self._driver.logs_in:
            self._login = run(self.loop, self._log_in(), self._logged_in, self._login_fault)
        else:
            self._logged_in(None, None)
        self._driver.perform()
        self.wake()

    @calls_user_code
    async def _log_in(self) -> None:
        await self._driver.feed.login(self)

    def _logged_in(self, _: object, error: Exception | None) -> None:
        self._login = None
        if not self.is_open:
            return
        if error is not None:
            self._login_fault(error)
            self.drop("login failed")
            return
        self._driver.core.opened(self, self.loop.time())
        self._driver.perform()
        self.wake()

    def _login_fault(self, error: Exception) -> None:
        self._driver.faults.report(error, "login")

    def failed(self, error: Exception) -> None:
        """The connection, or an attempt, has failed."""
        if not self.over:
            self._driver.faults.tell(error)

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone, or an attempt has failed."""
        was_open = self.opened_at is not None
        lived, self.opened_at = self.age, None
        self.attempt = 0 if lived >= LIVED else self.attempt + 1
        try:
            self._silence_all()
        finally:
            ending = self._wire.ending
            final = ending is None or ending.final
            self._driver.link_closed(self, code, reason, was_open, final)

    def _silence_all(self) -> None:
        """Drop all that was to be sent or awaited on this connection."""
        self._outgoing.clear()
        self.pulse = None
        self._wire.attentive = False
        login, self._login = self._login, None
        try:
            if login is not None:
                login.cancel()
        finally:  # KeyboardInterrupt and SystemExit of its clean-up pass through
            self._replies.give_up()
            if self._timer is not None:
                self._timer.cancel()
                self._timer, self._timer_at = None, inf

    def drop(self, reason: str) -> None:
        """Give the connection up, and open it again."""
        if self.over or not self._dialled:
            return
        self._wire.reconnect(reason=reason)

    def end(self, reason: str, code: int = CloseCode.NORMAL) -> None:
        """Close the connection for good."""
        self.over = True
        try:
            self._silence_all()
        finally:
            if self._dialled:
                with suppress(WebSocketStateException):  # a subclass's connect() may have made none
                    self._wire.close(code, reason)

    # -- input -------------------------------------------------------------------------------

    def overhear(self, message: Message) -> bool:
        """Look whether a message is an answer that a request or the heartbeat waits for.

        Returns:
            Whether ``parse`` need not see it.
        """
        if self._replies.take(message):
            self._wire.attentive = bool(self._replies) or self.pulse is not None
            return True
        if self.pulse is not None:
            try:
                answered = self.pulse.answers(message)
            except Exception as exc:  # noqa: BLE001 - the user's function; reported
                self.blame(exc, "expect of the heartbeat", message)
                return False
            if answered:
                self._take_quietly(message)
            return answered
        return False

    @calls_user_code
    def _take_quietly(self, message: Message) -> None:
        """The answer to the heartbeat: ``parse`` may know it, and need not."""
        try:
            event = self.parse(message, self)
        except Exception:  # noqa: BLE001 - it was recognized already
            return
        self.take(event)

    def take(self, event: Any) -> None:
        """Process the events of one message that do not take the short way."""
        self._driver.take(self, event)

    def blame(self, error: Exception, blamed: str, message: Message) -> None:
        """Code of the user has raised something while it had a message."""
        self._driver.faults.report(error, blamed, message)

    # -- output ------------------------------------------------------------------------------

    def _say(self, message: Message, then: Callable[[float], object] | None = None) -> None:
        self._outgoing.append((message, then))
        self._flush()

    def _flush(self) -> bool:
        """Send what waits, as far as the pace allows. Return whether all of it was sent."""
        wire = self._wire
        while self._outgoing:
            now = self.loop.time()
            if self._window is not None:
                wait = self._window.wait(now)
                if wait > 0:
                    self._paced_until = now + wait
                    self._arm()
                    return False
                self._window.take(now)
            message, then = self._outgoing.popleft()
            try:
                wire.send(message)
            except WebSocketException as exc:
                if not isinstance(exc, WebSocketConnectionClosedException):
                    self._driver.faults.report(exc, "sending")
                    self.drop("cannot send")
                return False
            if then is not None:
                then(now)
        return True

    def wake(self) -> None:
        """Have the driver call this link soon: there may be something to send."""
        self._driver.wake(self)

    def pump(self) -> None:
        """Subscribe and unsubscribe, as far as the pace allows."""
        while self.is_open and self._flush() and self.ready:
            batch = self._driver.core.batches.take(self)
            if batch is None:
                break
            self._build(batch)
        self._arm()

    def _build(self, batch: Batch) -> None:
        driver, now = self._driver, self.loop.time()
        try:
            messages = as_messages(driver.build(batch, self))
        except BaseException as exc:
            driver.core.not_sent(self, batch, now)
            if not isinstance(exc, Exception):
                raise  # KeyboardInterrupt and SystemExit
            driver.faults.report(exc, f"{batch.ask.value}_message", batch.topics)
            return
        sent = partial(driver.core.sent, self, batch)
        if not messages:
            driver.core.unsaid(self, batch, now)
        for number, message in enumerate(messages, 1):
            self._outgoing.append((message, sent if number == len(messages) else None))

    # -- time --------------------------------------------------------------------------------

    def due_at(self) -> float:
        """Return when something is due here, in seconds of the loop's clock."""
        due = min(self.due(), self._judge.idle_at())
        if self._outgoing:
            due = min(due, self._paced_until)
        if self.pulse is not None:
            due = min(due, self.pulse.due())
        return min(due, self._replies.due())

    def _arm(self) -> None:
        """Set the timer for the time when something is due next. A timer may fire early."""
        if not self.is_open or self._judge.judging:
            return
        self._judge.look_at_topics()
        due = self.due_at()
        if due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = max(due, self.loop.time())
            self._timer = self.loop.call_at(self._timer_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, inf
        now = self.loop.now
        self._replies.expire(now)
        pulse = self.pulse
        if pulse is not None and pulse.beat(now):
            self._beat(pulse)
        driver = self._driver
        driver.core.tick(self, now)
        driver.perform()
        if not self.is_open:
            return
        self._judge.look(now)
        self.pump()

    def _beat(self, pulse: Pulse) -> None:
        try:
            message = pulse.message()
            check_message(message)
        except Exception as exc:  # noqa: BLE001 - the user's function; reported
            self._driver.faults.report(exc, "message of the heartbeat")
            return
        pulse.queued()
        self._say(message, pulse.sent)

    # -- what the judge asks and tells ---------------------------------------------------------

    @property
    def heard(self) -> float:
        """When a message last came, by the clock of the loop's turns."""
        return self._wire.heard

    def suspects(self, now: float) -> bool:
        """Whether a topic here looks silent."""
        return self._driver.core.silence.suspects(self, now)

    def condemned(self, why: str, reason: str) -> None:
        """It is dead: count that, and open it again."""
        self._driver.board.counts[why] += 1
        self.drop(reason)

    def acquitted(self, now: float) -> None:
        """It is alive; a topic on it may not be."""
        self._driver.core.silence.scan(self, now)
        self._driver.perform()
        self.pump()
