"""What a Feed is made with, as ``inspect.signature``, type checkers and editors show it.

What it is: :class:`Made`, the declaration of the constructor for type checkers and editors, which
is not run; :data:`KNOBS` and :data:`OPTIONS`, the same names at run time; and a warning about names
in a subclass that look like misspelt ones.

What it must not know: what the options mean.

How it works. As signatures.py one floor below does for ``connect``, whose options these are, and
the knobs of policy.py. tests/test_signatures.py holds all of them and their documentation together.
"""

from __future__ import annotations

import warnings
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Literal

from ..base.arguments import parameters
from ..base.mistakes import warn_if_misspelt
from ..client.options import ClientOptions, OpeningArguments
from ..connection.options import MessageArguments
from .policy import FIVE_A_SECOND, FULL_JITTER, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client.options import HandshakeWatch, TextSource
    from ..protocols.deflate import Deflate
    from ..protocols.http.handshake import HeaderSource
    from ..reactor import Reactor
    from ..timers import Backoff, Pace
    from ..transports.proxy import Proxy
    from .links.heartbeat import Heartbeat
    from .policy import OnStale, Sequences

__all__ = ["KNOBS", "OPTIONS", "PIECES", "FeedArguments", "Made", "warn_of_misspelt"]

#: Options of ``connect`` that are not for a feed, which takes whole messages.
PIECES = ("decode_text", "fragments")


def _options() -> list[Parameter]:
    """The knobs, and the options of the connections."""
    knobs = parameters(Policy)
    others = {each.name: each for each in parameters(ClientOptions)}
    others["reconnect"] = others["reconnect"].replace(default=FULL_JITTER)
    for name in (*PIECES, *(each.name for each in knobs)):
        others.pop(name, None)
    return [*knobs, *others.values()]


#: The names of the knobs, and the parameters that the constructor takes by name.
KNOBS = tuple(each.name for each in parameters(Policy))
OPTIONS = tuple(_options())


class Made:
    """How a Feed is made. The constructor is Feed's own: see there."""

    if TYPE_CHECKING:

        def __init__(
            self,
            loop: Reactor,
            url: str | Callable[[], str] | Sequence[str | Callable[[], str]],
            *,
            topics_per_link: int | None = 50,
            topics_per_message: int | None = 10,
            max_links: int | None = None,
            message_pace: Pace | None = FIVE_A_SECOND,
            connect_pace: Pace | None = None,
            ack_timeout: float | None = 5.0,
            ask_again: Backoff = FULL_JITTER,
            stale_after: float | None = 30.0,
            on_stale_do: OnStale = "resubscribe",
            idle_after: float | None = 60.0,
            max_link_age: float | None = 23 * 3600.0,
            redundancy: int = 1,
            sequences: Sequences = "contiguous",
            heartbeat: Heartbeat | None = None,
            ping_interval: float | None = 20.0,
            ping_timeout: float | None = 20.0,
            ping_payload: str | bytes = b"",
            ping_when_idle: bool = True,
            idle_timeout: float | None = None,
            close_timeout: float = 5.0,
            max_message_size: int = 16 * 1024 * 1024,
            max_fragments: int = 65536,
            fragment_size: int | None = None,
            compression: Deflate | Literal["deflate"] | None = None,
            max_head_size: int = 65536,
            max_header_count: int = 128,
            write_limit: int = 16 * 1024 * 1024,
            on_overflow: Literal["raise", "close", "pause"] = "raise",
            high_water: int = 65536,
            low_water: int = 16384,
            header: HeaderSource | Callable[[], HeaderSource] = None,
            cookie: TextSource = None,
            origin: str | None = None,
            host: str | None = None,
            suppress_origin: bool = False,
            suppress_host: bool = False,
            connection: str | None = None,
            subprotocols: Sequence[str] = (),
            connect_timeout: float | None = 10.0,
            redirect_limit: int = 3,
            sslopt: Mapping[str, Any] | None = None,
            sslkeylogfile: str | None = None,
            sockopt: Sequence[tuple[Any, ...]] = (),
            source_address: tuple[str, int] | None = None,
            unix_path: str | None = None,
            sock: Any = None,
            plain_sock: bool = False,
            start_tls: bool = False,
            proxy: Proxy | str | bool | None = True,
            no_proxy: Sequence[str] | None = None,
            proxy_sslopt: Mapping[str, Any] | None = None,
            proxy_timeout: float | None = None,
            mask_key: Callable[[int], bytes | str] | None = None,
            reconnect: Backoff | float | None = FULL_JITTER,
            lenient: bool = False,
            watch: HandshakeWatch | None = None,
        ) -> None:
            """See Feed."""


class FeedArguments(OpeningArguments, MessageArguments, total=False):
    """What a :class:`Feed` is made with, as keyword arguments of a function of one's own.

    ``def mine(loop: Reactor, **options: Unpack[FeedArguments]) -> Feed``
    """

    topics_per_link: int | None
    topics_per_message: int | None
    max_links: int | None
    message_pace: Pace | None
    ack_timeout: float | None
    ask_again: Backoff
    stale_after: float | None
    on_stale_do: OnStale
    idle_after: float | None
    max_link_age: float | None
    redundancy: int
    sequences: Sequences
    heartbeat: Heartbeat | None


def warn_of_misspelt(subclass: type, base: type) -> None:
    """Warn of names in a class that mean nothing to its base, but look as if they should.

    These are names like those which it looks for, misspelt, and options of connect(), which a Feed
    takes when it is made and not as attributes of its class.

    Args:
        subclass: a subclass of Feed.
        base: Feed.
    """
    looked_for = [*KNOBS, "parse", *(name for name in vars(base) if name.startswith("on_"))]
    looked_for += [name for name in vars(base) if name.endswith("_message")]
    options = {option.name for option in OPTIONS}
    for name in vars(subclass):
        if name.startswith("_") or hasattr(base, name):
            continue
        if name in options and not callable(getattr(subclass, name)):
            warnings.warn(
                f"{subclass.__name__}.{name} means nothing to a Feed: {name} is an option of "
                f"connect(), which a Feed takes when it is made: {subclass.__name__}(loop, url, "
                f"{name}=...)",
                stacklevel=3,
            )
        else:
            warn_if_misspelt(subclass, name, looked_for, "a Feed")
