"""What comments say of the topics of a link."""

from __future__ import annotations

import socket
from typing import Any

from reactor.monitor.recording.heads import Topics, ends_of
from reactor.monitor.recording.packets import Endpoint


class Link:
    """Stands for a link of a feed."""

    def __init__(self, *topics: Any) -> None:
        self.legs: dict[Any, None] = dict.fromkeys(topics)


def test_what_was_added_and_removed_is_said_once() -> None:
    link: Any = Link("a", ("b", 1))
    topics = Topics(link)
    assert topics() == ['topics added: ["a", ["b", 1]]']
    assert topics() == ()
    link.legs = dict.fromkeys(["c"])
    assert topics() == ['topics added: ["c"]', 'topics removed: ["a", ["b", 1]]']


def test_there_is_an_end_to_it() -> None:
    link: Any = Link(*range(5000))
    *listed, last = Topics(link)()
    assert len(listed) == 20
    assert last == "and 3000 more"


def test_a_socket_that_is_gone_has_made_up_ends() -> None:
    with socket.socket() as sock:
        pass
    assert ends_of(sock) == (
        Endpoint(bytes((127, 0, 0, 1)), 0),
        Endpoint(bytes((127, 0, 0, 2)), 0),
    )
