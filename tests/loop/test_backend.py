"""io_uring is used where it is asked for and can be had; where it cannot, the log says why."""

from __future__ import annotations

import errno
import logging
import os
import selectors
from typing import Any

import pytest

from reactor import Reactor
from reactor.loop import backend
from reactor.loop.event_loop import EventLoop

pytestmark = pytest.mark.usefixtures("no_leaks")


class FakeRing:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REACTOR_BACKEND", raising=False)


def refusing(code: int) -> Any:
    def new_ring() -> None:
        raise OSError(code, os.strerror(code))

    return new_ring


def test_without_a_backend_there_is_no_ring() -> None:
    loop = EventLoop()
    assert loop.poller.ring is None
    assert loop.no_ring == ""
    loop.close()


@pytest.mark.skipif(not hasattr(selectors, "EpollSelector"), reason="there is no epoll here")
def test_the_poller_has_the_ring_and_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = FakeRing()
    monkeypatch.setattr(backend, "new_ring", lambda: ring)
    for options, value in (({"backend": "io_uring"}, ""), ({}, "io_uring")):
        monkeypatch.setenv("REACTOR_BACKEND", value)
        ring.closed = False
        loop = EventLoop(**options)  # type: ignore[arg-type]
        assert loop.poller.ring is ring
        loop.close()
        assert ring.closed
        assert loop.poller.ring is None


@pytest.mark.skipif(not hasattr(selectors, "EpollSelector"), reason="there is no epoll here")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EPERM, "not allowed to use it: by seccomp"),
        (errno.ENOSYS, "this system has no io_uring"),
        (errno.EINVAL, "older than Linux 5.18"),
        (errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
)
def test_what_the_kernel_refuses_is_said_once_and_the_loop_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int, reason: str
) -> None:
    monkeypatch.setattr(backend, "new_ring", refusing(code))
    with caplog.at_level(logging.INFO, "reactor.loop"), Reactor(backend="io_uring") as loop:
        assert reason in loop.loop.no_ring
        loop.call_soon(loop.stop)
        loop.run_forever()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"io_uring is not used: {loop.loop.no_ring}"


def test_without_the_compiled_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "new_ring", None)
    with Reactor(backend="io_uring") as loop:
        assert loop.loop.no_ring == "the compiled part of reactor is not in use"


def test_with_another_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "new_ring", FakeRing)
    with Reactor(backend="io_uring", selector=selectors.SelectSelector()) as loop:
        assert loop.loop.no_ring == "the poller is a SelectorPoller, and not epoll's"


@pytest.mark.parametrize("wrong", ["epoll", "uring", "", 3])
def test_another_backend_is_a_mistake(wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"backend is {wrong!r}; it must be 'io_uring' or None"):
        Reactor(backend=wrong)


def test_another_one_in_the_environment_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REACTOR_BACKEND", "kqueue")
    with pytest.raises(ValueError, match="REACTOR_BACKEND is 'kqueue'"):
        Reactor()
