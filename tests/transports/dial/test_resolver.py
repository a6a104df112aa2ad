from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.exceptions import WebSocketAddressException, WebSocketTimeoutException
from reactor.loop.helper_threads import HelperThreads, look_ups
from reactor.loop.steps import InThread, Now
from reactor.loop.tasks import run_blocking
from reactor.timers import ManualClock
from reactor.transports.dial import hosts, resolver
from reactor.transports.dial.resolver import (
    Address,
    clear_cache,
    forget_answer,
    interleave,
    look_up,
    resolve,
)

V4 = socket.AF_INET
V6 = socket.AF_INET6


def v4(number: int, port: int = 80) -> Address:
    return Address(V4, (f"192.0.2.{number}", port))


def v6(number: int, port: int = 80) -> Address:
    return Address(V6, (f"2001:db8::{number}", port, 0, 0))


class System:
    """Stands for getaddrinfo: answers from a dictionary, and counts."""

    def __init__(self) -> None:
        self.names: dict[str, list[Address]] = {}
        self.calls: list[tuple[object, ...]] = []

    def getaddrinfo(
        self, host: str, port: int, family: int, kind: int
    ) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        self.calls.append((host, port, family, kind))
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(a.family, kind, 6, "", a.sockaddr) for a in self.names[host]]


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    clear_cache()
    yield
    clear_cache()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(socket, "getaddrinfo", system.getaddrinfo)
    return system


# --- literal addresses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "family", "sockaddr"),
    [
        ("192.0.2.1", V4, ("192.0.2.1", 8080)),
        ("::1", V6, ("::1", 8080, 0, 0)),
        ("2001:db8::1", V6, ("2001:db8::1", 8080, 0, 0)),
        ("::ffff:192.0.2.1", V6, ("::ffff:192.0.2.1", 8080, 0, 0)),
        ("fe80::1%7", V6, ("fe80::1", 8080, 0, 7)),
        ("192.0.2.1.", V4, ("192.0.2.1", 8080)),
        ("127.1", V4, ("127.0.0.1", 8080)),
    ],
)
def test_a_literal_address_is_answered_without_any_step(
    system: System, host: str, family: int, sockaddr: tuple[object, ...]
) -> None:
    with pytest.raises(StopIteration) as stop:
        resolve(host, 8080, until=None).send(None)
    assert stop.value.value == [Address(family, sockaddr)]
    assert system.calls == []


def test_the_zone_of_a_literal_address_may_be_the_name_of_an_interface(system: System) -> None:
    index, name = socket.if_nameindex()[0]
    assert run_blocking(resolve(f"fe80::1%{name}", 80, until=None)) == [
        Address(V6, ("fe80::1", 80, 0, index))
    ]


@pytest.mark.parametrize("zone", ["", "no-such-if", "\u00b2", "a\0b"])
def test_an_unknown_zone_is_an_error_that_names_the_host(system: System, zone: str) -> None:
    with pytest.raises(WebSocketAddressException, match=r"zone of fe80::1%"):
        run_blocking(resolve(f"fe80::1%{zone}", 80, until=None))


@pytest.mark.parametrize(("host", "family"), [("192.0.2.1", V6), ("::1", V4)])
def test_a_literal_address_of_the_wrong_family_is_an_error(host: str, family: int) -> None:
    with pytest.raises(WebSocketAddressException, match=f"{host} is not an address of.*AF_INET"):
        run_blocking(resolve(host, 80, until=None, family=family))


def test_a_literal_address_of_the_wanted_family_is_fine() -> None:
    assert run_blocking(resolve("::1", 80, None, V6)) == [Address(V6, ("::1", 80, 0, 0))]


# --- names --------------------------------------------------------------------------------------


def test_localhost_resolves_to_this_machine() -> None:
    addresses = run_blocking(resolve("localhost", 80, until=None))
    assert addresses
    assert {address.sockaddr[0] for address in addresses} <= {"127.0.0.1", "::1"}
    assert {address.sockaddr[1] for address in addresses} == {80}


def test_what_the_machine_knows_is_answered_without_any_step(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "hosts"
    file.write_text("192.0.2.1 feed\n2001:db8::1 feed\nfe80::1%no-such-if feed\n")
    monkeypatch.setattr(hosts, "HOSTS_FILE", str(file))
    for family, found in [(0, [v6(1), v4(1)]), (V4, [v4(1)]), (V6, [v6(1)])]:
        with pytest.raises(StopIteration) as stop:
            resolve("feed", 80, None, family).send(None)
        assert stop.value.value == found
    assert system.calls == []


def test_a_name_that_the_machine_knows_by_another_family_only_is_asked_for(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "hosts"
    file.write_text("2001:db8::1 feed\n")
    monkeypatch.setattr(hosts, "HOSTS_FILE", str(file))
    system.names["feed"] = [v4(7)]
    assert run_blocking(resolve("feed", 80, None, V4)) == [v4(7)]


def test_a_name_that_is_not_ascii_is_asked_for_as_it_is_in_the_dns(system: System) -> None:
    system.names["xn--strae-oqa.example"] = [v4(1)]
    assert run_blocking(resolve("Stra\xdfe.example", 80, None)) == [v4(1)]
    with pytest.raises(WebSocketAddressException) as caught:
        run_blocking(resolve("a\u200db.example", 80, None))
    assert repr("a\u200db.example") in str(caught.value)


def test_a_name_is_asked_for_stream_sockets_with_port_and_family(system: System) -> None:
    system.names["example.org"] = [v4(1, 443)]
    assert run_blocking(resolve("example.org", 443, None, V4)) == [v4(1, 443)]
    assert system.calls == [("example.org", 443, V4, socket.SOCK_STREAM)]


def test_the_call_is_handed_to_a_helper_thread_and_shared_by_host_port_and_family(
    system: System,
) -> None:
    coroutine = resolve("example.org", 80, 12.5)
    assert coroutine.send(None) == Now()
    request = coroutine.send(0.0)
    assert isinstance(request, InThread)
    assert request.function == system.getaddrinfo
    assert request.until == 12.5
    assert request.key == ("example.org", 80, 0)
    assert request.threads is look_ups
    coroutine.close()


def test_families_alternate_and_ipv6_comes_first(system: System) -> None:
    system.names["example.org"] = [v4(1), v4(2), v4(3), v6(1), v6(2)]
    assert run_blocking(resolve("example.org", 80, None)) == [v6(1), v4(1), v6(2), v4(2), v4(3)]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([], []),
        ([v4(1), v4(2)], [v4(1), v4(2)]),
        ([v6(2), v6(1)], [v6(2), v6(1)]),
        ([v6(1), v6(2), v6(3), v4(1)], [v6(1), v4(1), v6(2), v6(3)]),
        ([v4(1), v6(1), v4(1), v6(1)], [v6(1), v4(1)]),
    ],
)
def test_interleave(found: list[Address], wanted: list[Address]) -> None:
    assert interleave(found) == wanted


# --- what goes wrong ----------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_an_error_with_the_words_of_the_system(
    system: System,
) -> None:
    with pytest.raises(WebSocketAddressException) as caught:
        run_blocking(resolve("nowhere.invalid", 80, None))
    assert str(caught.value) == "cannot resolve 'nowhere.invalid': Name or service not known"
    assert isinstance(caught.value.__cause__, socket.gaierror)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".org", "a\0b"])
def test_a_host_that_is_no_name_at_all_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(WebSocketAddressException) as caught:
        run_blocking(resolve(host, 80, None))
    assert repr(host) in str(caught.value)


def test_a_thread_that_cannot_be_had_is_an_error_that_names_the_host() -> None:
    coroutine = resolve("example.org", 80, None)
    coroutine.send(None)
    coroutine.send(0.0)
    with pytest.raises(WebSocketAddressException) as caught:
        coroutine.throw(RuntimeError("can't start new thread"))
    assert str(caught.value) == "cannot resolve 'example.org': can't start new thread"


def test_an_empty_answer_is_an_error(system: System) -> None:
    system.names["empty.example"] = []
    with pytest.raises(WebSocketAddressException, match=r"'empty\.example': no addresses"):
        run_blocking(resolve("empty.example", 80, None))


def test_a_system_that_does_not_answer_in_time_is_a_timeout_that_names_the_host(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    answer = threading.Event()

    def getaddrinfo(*args: object) -> list[object]:
        answer.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        with pytest.raises(WebSocketTimeoutException) as caught:
            run_blocking(resolve("slow.example", 80, clock.now()), clock)
        assert str(caught.value) == "timed out resolving slow.example"
    finally:
        answer.set()


def test_a_name_that_waits_behind_too_many_others_says_so(
    monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    answer, entered = threading.Event(), threading.Event()

    def getaddrinfo(*args: object) -> list[object]:
        entered.set()
        answer.wait()
        return []

    threads = HelperThreads(limit=1, patience=0.0, ceiling=1)
    monkeypatch.setattr(resolver, "look_ups", threads)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    threads.submit(InThread(getaddrinfo, (), None, None), lambda *_: None)
    assert entered.wait(20)
    try:
        with pytest.raises(WebSocketTimeoutException) as caught:
            run_blocking(resolve("good.example", 80, clock.now()), clock)
        assert str(caught.value) == (
            "timed out resolving good.example (all threads wait for names without an answer)"
        )
    finally:
        answer.set()


def test_cancelling_while_the_system_is_asked_leaves_nothing_in_the_cache(system: System) -> None:
    coroutine = resolve("example.org", 80, None)
    coroutine.send(None)
    assert isinstance(coroutine.send(0.0), InThread)
    coroutine.close()
    assert not resolver._cache


# --- the cache ----------------------------------------------------------------------------------


def test_an_answer_is_used_again_until_its_time_is_over(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    first = run_blocking(resolve("example.org", 80, None), clock)
    system.names["example.org"] = [v4(2)]
    clock.advance(29.9)
    assert run_blocking(resolve("example.org", 80, None), clock) == first == [v4(1)]
    clock.advance(0.1)
    assert run_blocking(resolve("example.org", 80, None), clock) == [v4(2)]
    assert len(system.calls) == 2


def test_other_ports_and_families_are_other_answers(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    for port, family in [(80, 0), (443, 0), (80, V4)]:
        run_blocking(resolve("example.org", port, None, family), clock)
    assert len(system.calls) == 3


def test_the_ttl_can_be_chosen_and_zero_asks_each_time(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    for _ in range(3):
        run_blocking(resolve("example.org", 80, None, ttl=0), clock)
    assert len(system.calls) == 3
    clock.advance(100)
    run_blocking(resolve("example.org", 80, None, ttl=101), clock)
    assert len(system.calls) == 3


def test_failures_are_not_remembered(system: System, clock: ManualClock) -> None:
    with pytest.raises(WebSocketAddressException):
        run_blocking(resolve("example.org", 80, None), clock)
    system.names["example.org"] = [v4(1)]
    assert run_blocking(resolve("example.org", 80, None), clock) == [v4(1)]


def test_an_answer_found_under_a_clock_that_is_ahead_is_not_used(
    system: System, clock: ManualClock
) -> None:
    system.names["example.org"] = [v4(1)]
    run_blocking(resolve("example.org", 80, None), clock)
    run_blocking(resolve("example.org", 80, None), ManualClock(clock.now() - 1))
    assert len(system.calls) == 2


def test_changing_an_answer_does_not_change_the_cache(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    run_blocking(resolve("example.org", 80, None), clock).clear()
    run_blocking(resolve("example.org", 80, None), clock).clear()
    assert run_blocking(resolve("example.org", 80, None), clock) == [v4(1)]
    assert len(system.calls) == 1


def test_clear_cache_forgets(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    run_blocking(resolve("example.org", 80, None), clock)
    clear_cache()
    run_blocking(resolve("example.org", 80, None), clock)
    assert len(system.calls) == 2


def test_the_cache_is_bounded_and_the_oldest_answer_goes_first(
    system: System, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "CACHE_SIZE", 2)
    for name in ("a.example", "b.example", "c.example"):
        system.names[name] = [v4(1)]
        run_blocking(resolve(name, 80, None), clock)
    system.calls.clear()
    for name in ("b.example", "c.example", "a.example"):
        run_blocking(resolve(name, 80, None), clock)
    assert [call[0] for call in system.calls] == ["a.example"]


def test_an_answer_that_led_nowhere_can_be_forgotten(system: System, clock: ManualClock) -> None:
    system.names["example.org"] = [v4(1)]
    answer = run_blocking(look_up("example.org", 80, None), clock)
    forget_answer(answer)
    system.names["example.org"] = [v4(2)]
    newer = run_blocking(look_up("example.org", 80, None), clock)
    assert newer.addresses == (v4(2),)
    forget_answer(answer)  # somebody is late: what was found since is kept
    assert run_blocking(look_up("example.org", 80, None), clock) is newer


def test_all_who_wait_for_the_same_call_get_the_same_answer() -> None:
    first, second = (look_up("example.org", 80, None) for _ in range(2))
    found = [(V4, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    for coroutine in (first, second):
        coroutine.send(None)
        coroutine.send(5.0)
    answers = []
    for moment, coroutine in ((6.0, first), (6.1, second)):
        coroutine.send(found)
        with pytest.raises(StopIteration) as stop:
            coroutine.send(moment)
        answers.append(stop.value.value)
    assert answers[0] is answers[1]


@pytest.mark.parametrize("host", ["192.0.2.1", "::1"])
def test_there_is_nothing_to_forget_of_a_literal_address(host: str) -> None:
    forget_answer(run_blocking(look_up(host, 80, None)))
