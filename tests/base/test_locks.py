"""Locks of the process, and what a forked child finds of them."""

from __future__ import annotations

import os
import threading

import pytest

from reactor.base.locks import ProcessLock

from ..support.threads import Background


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads, since 3.12
def test_a_forked_child_gets_a_lock_that_nobody_holds() -> None:
    lock = ProcessLock()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert free.wait(20)

    thread = Background(hold)
    assert held.wait(20)
    child = os.fork()
    if not child:
        with lock:
            os._exit(7)
    free.set()
    thread.result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_reentrant_one_can_be_entered_twice() -> None:
    lock = ProcessLock(threading.RLock)
    with lock, lock:
        pass


def test_it_keeps_others_out() -> None:
    lock = ProcessLock()
    order: list[str] = []

    def second() -> None:
        with lock:
            order.append("second")

    with lock:
        thread = Background(second)
        order.append("first")
    thread.result()
    assert order == ["first", "second"]
