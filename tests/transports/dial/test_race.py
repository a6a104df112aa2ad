from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.exceptions import (
    WebSocketAddressException,
    WebSocketConnectException,
    WebSocketConnectRefusedException,
    WebSocketTimeoutException,
)
from reactor.loop.poller import wait_for
from reactor.loop.steps import Now, Wait
from reactor.loop.tasks import run_blocking
from reactor.transports.dial.race import DEFAULT_SOCKET_OPTION, dial, dial_unix
from reactor.transports.dial.resolver import Address

NEVER = None


class Driver:
    """Runs a coroutine under a clock of its own, and decides when each attempt has ended.

    Parameters:
        delays: for each attempt, in the order of their starts, how many seconds after its
            start it ends (the real outcome is waited for), or NEVER.

    Attributes:
        time: the clock.
        starts: when each attempt was first waited for.
    """

    def __init__(self, *delays: float | None) -> None:
        self.time = 100.0
        self.starts: list[float] = []
        self._delays = list(delays)
        # (fd, inode) -> when it ends. The inode, because the number of a closed fd comes back.
        self._ends: dict[tuple[int, int], float | None] = {}

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        value: Any = None
        try:
            while True:
                request = coroutine.send(value)
                value = self.time if isinstance(request, Now) else self._serve(request)
        except StopIteration as stop:
            return stop.value
        finally:
            coroutine.close()

    def _serve(self, request: Wait) -> set[int]:
        ends: list[tuple[float, int]] = []
        for fd in request.writes:
            key = fd, os.fstat(fd).st_ino
            if key not in self._ends:
                delay = self._delays[len(self.starts)]
                self._ends[key] = None if delay is None else self.time + delay
                self.starts.append(round(self.time - 100.0, 6))
            end = self._ends[key]
            if end is not None:
                ends.append((end, fd))
        first = min(ends, default=None)
        if first is not None and (request.until is None or first[0] <= request.until):
            self.time = max(self.time, first[0])
            return wait_for((), (first[1],), 10.0)
        assert request.until is not None, "this would wait for ever"
        assert request.until > self.time, "this would turn without end"
        self.time = request.until
        return set()

    @property
    def elapsed(self) -> float:
        return round(self.time - 100.0, 6)


def open_descriptors() -> set[int]:
    found = set()
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the one that listdir itself had open
            os.fstat(int(name))
            found.add(int(name))
    return found


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() - before == set()


@pytest.fixture
def sockets() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def listening(sockets: contextlib.ExitStack) -> Callable[[], Address]:
    """Makes addresses on which somebody listens."""

    def make() -> Address:
        sock = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        return Address(socket.AF_INET, sock.getsockname())

    return make


@pytest.fixture
def refusing(sockets: contextlib.ExitStack) -> Callable[[], Address]:
    """Makes addresses that are taken, but on which nobody listens."""

    def make() -> Address:
        sock = sockets.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        return Address(socket.AF_INET, sock.getsockname())

    return make


@pytest.fixture
def connect_errors(monkeypatch: pytest.MonkeyPatch) -> dict[Any, int]:
    """Addresses on which connect() fails at once, and how."""
    errors: dict[Any, int] = {}

    class Socket(socket.socket):
        def connect_ex(self, address: Any) -> int:
            return errors[address] if address in errors else super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Socket)
    return errors


def call(addresses: list[Address], **options: Any) -> Coroutine[Any, Any, socket.socket]:
    options.setdefault("until", None)
    return dial(addresses, host_name_for_errors="example.org", **options)


# --- one address --------------------------------------------------------------------------------


def test_the_winner_is_connected_and_non_blocking(listening: Callable[[], Address]) -> None:
    address = listening()
    with run_blocking(call([address])) as sock:
        assert sock.getpeername() == address.sockaddr
        assert sock.getblocking() is False


def test_ipv6(sockets: contextlib.ExitStack) -> None:
    try:
        server = sockets.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with run_blocking(call([Address(socket.AF_INET6, server.getsockname())])) as sock:
        assert sock.getpeername() == server.getsockname()


def test_the_default_options_are_set(listening: Callable[[], Address]) -> None:
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in DEFAULT_SOCKET_OPTION
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in DEFAULT_SOCKET_OPTION
    with run_blocking(call([listening()])) as sock:
        for level, name, value in DEFAULT_SOCKET_OPTION:
            got = sock.getsockopt(level, name)
            assert got == value if value > 1 else bool(got)


@pytest.mark.skipif(sys.platform != "linux", reason="not every platform has these")
def test_the_default_options_find_a_dead_peer_within_a_minute() -> None:
    values = {name: value for _, name, value in DEFAULT_SOCKET_OPTION}
    assert values[socket.TCP_KEEPIDLE] == 30
    assert values[socket.TCP_KEEPINTVL] == 10
    assert values[socket.TCP_KEEPCNT] == 3


def test_the_options_of_the_user_come_after_the_default_ones(
    listening: Callable[[], Address],
) -> None:
    options = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 0) for _ in range(1))
    with run_blocking(call([listening()], sockopt=options)) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is not configured")
def test_the_source_address(listening: Callable[[], Address]) -> None:
    with run_blocking(call([listening()], source_address=("127.0.0.2", 0))) as sock:
        assert sock.getsockname()[0] == "127.0.0.2"


# --- several addresses --------------------------------------------------------------------------


def test_a_silent_address_is_left_behind_after_the_stagger(
    listening: Callable[[], Address],
) -> None:
    silent, good = listening(), listening()
    driver = Driver(NEVER, 0.01)
    with driver.run(call([silent, good])) as sock:
        assert sock.getpeername() == good.sockaddr
    assert driver.starts == [0.0, 0.25]
    assert driver.elapsed == 0.26


def test_a_silent_address_may_still_win(listening: Callable[[], Address]) -> None:
    slow, silent = listening(), listening()
    driver = Driver(0.3, NEVER)
    with driver.run(call([slow, silent])) as sock:
        assert sock.getpeername() == slow.sockaddr
    assert driver.starts == [0.0, 0.25]
    assert driver.elapsed == 0.3


def test_a_quick_first_address_is_the_only_one_tried(listening: Callable[[], Address]) -> None:
    driver = Driver(0.2)
    driver.run(call([listening(), listening()])).close()
    assert driver.starts == [0.0]


def test_the_next_address_is_tried_as_soon_as_the_newest_failed(
    refusing: Callable[[], Address], listening: Callable[[], Address]
) -> None:
    good = listening()
    driver = Driver(0.1, 0.02, 0.01)
    with driver.run(call([refusing(), refusing(), good])) as sock:
        assert sock.getpeername() == good.sockaddr
    assert driver.starts == [0.0, 0.1, 0.12]


def test_the_failure_of_an_older_attempt_does_not_hurry_the_next(
    refusing: Callable[[], Address], listening: Callable[[], Address]
) -> None:
    driver = Driver(0.3, NEVER, 0.01)
    driver.run(call([refusing(), listening(), listening()])).close()
    assert driver.starts == [0.0, 0.25, 0.5]


def test_the_stagger_can_be_chosen(listening: Callable[[], Address]) -> None:
    driver = Driver(NEVER, NEVER, 0.0)
    driver.run(call([listening(), listening(), listening()], stagger=2.0)).close()
    assert driver.starts == [0.0, 2.0, 4.0]


def test_without_stagger_all_start_at_once(listening: Callable[[], Address]) -> None:
    driver = Driver(NEVER, NEVER, 1.0)
    driver.run(call([listening(), listening(), listening()], stagger=0.0)).close()
    assert driver.starts == [0.0, 0.0, 0.0]


def test_an_address_that_fails_on_the_spot_costs_no_time(
    connect_errors: dict[Any, int], listening: Callable[[], Address]
) -> None:
    far = Address(socket.AF_INET, ("192.0.2.1", 80))
    connect_errors[far.sockaddr] = errno.ENETUNREACH
    driver = Driver(0.0)
    driver.run(call([far, listening()])).close()
    assert driver.starts == [0.0]
    assert driver.elapsed == 0.0


def test_the_losers_are_closed(listening: Callable[[], Address]) -> None:
    addresses = [listening(), listening(), listening()]
    before = open_descriptors()
    driver = Driver(NEVER, NEVER, 0.01)
    with driver.run(call(addresses)) as sock:
        assert open_descriptors() - before == {sock.fileno()}
    assert len(driver.starts) == 3


# --- refused and unreachable --------------------------------------------------------------------


def test_refused(refusing: Callable[[], Address]) -> None:
    address = refusing()
    with pytest.raises(WebSocketConnectRefusedException) as caught:
        run_blocking(call([address]))
    assert caught.value.errno == errno.ECONNREFUSED
    assert isinstance(caught.value, ConnectionRefusedError)
    port = address.sockaddr[1]
    assert f"connection to example.org port {port} refused" in str(caught.value)


def test_refused_everywhere_names_every_address(refusing: Callable[[], Address]) -> None:
    addresses = [refusing(), refusing()]
    with pytest.raises(WebSocketConnectRefusedException) as caught:
        run_blocking(call(addresses))
    for address in addresses:
        assert f"127.0.0.1:{address.sockaddr[1]}" in str(caught.value)


def test_refused_counts_also_where_the_other_family_has_no_route(
    connect_errors: dict[Any, int], refusing: Callable[[], Address]
) -> None:
    far = Address(socket.AF_INET, ("192.0.2.1", 80))
    connect_errors[far.sockaddr] = errno.ENETUNREACH
    with pytest.raises(WebSocketConnectRefusedException, match=r"192\.0\.2\.1:80: Network is"):
        run_blocking(call([far, refusing()]))


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES])
def test_other_errors_have_their_errno(connect_errors: dict[Any, int], number: int) -> None:
    address = Address(socket.AF_INET, ("192.0.2.1", 80))
    connect_errors[address.sockaddr] = number
    with pytest.raises(WebSocketConnectException) as caught:
        run_blocking(call([address]))
    assert caught.value.errno == number
    assert not isinstance(caught.value, ConnectionRefusedError)
    assert "cannot connect to example.org:80" in str(caught.value)
    assert os.strerror(number) in str(caught.value)


def test_refused_here_and_unreachable_there_is_not_refused(
    connect_errors: dict[Any, int], refusing: Callable[[], Address]
) -> None:
    far = Address(socket.AF_INET, ("192.0.2.1", 80))
    connect_errors[far.sockaddr] = errno.EHOSTUNREACH
    with pytest.raises(WebSocketConnectException) as caught:
        run_blocking(call([refusing(), far]))
    assert not isinstance(caught.value, ConnectionRefusedError)
    assert "refused" in str(caught.value)
    assert "192.0.2.1:80" in str(caught.value)


def test_a_socket_that_connects_to_itself_is_refused(refusing: Callable[[], Address]) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        address = Address(socket.AF_INET, probe.getsockname())
        reuse = [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]
        with pytest.raises(WebSocketConnectRefusedException):
            run_blocking(call([address], sockopt=reuse, source_address=address.sockaddr))


def test_no_address() -> None:
    with pytest.raises(WebSocketAddressException, match=r"no address.*example\.org"):
        run_blocking(call([]))


# --- bad options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [(socket.SOL_SOCKET, 0x7FFF, 1), (socket.SOL_SOCKET,), (socket.SOL_SOCKET, "name", 1)],
)
def test_an_option_that_cannot_be_set_is_named(
    listening: Callable[[], Address], option: tuple[Any, ...]
) -> None:
    with pytest.raises(WebSocketConnectException) as caught:
        run_blocking(call([listening()], sockopt=[option]))
    assert repr(option) in str(caught.value)
    assert caught.value.errno is not None


def test_a_source_address_that_is_not_ours_is_named(listening: Callable[[], Address]) -> None:
    with pytest.raises(WebSocketConnectException) as caught:
        run_blocking(call([listening()], source_address=("192.0.2.1", 0)))
    assert "192.0.2.1" in str(caught.value)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_port_out_of_range_leaks_nothing() -> None:
    with pytest.raises(OverflowError):
        run_blocking(call([Address(socket.AF_INET, ("127.0.0.1", 70000))]))


# --- out of time, cancelled, out of descriptors -------------------------------------------------


def test_the_budget_ends_all_attempts(
    listening: Callable[[], Address], refusing: Callable[[], Address]
) -> None:
    refused, first, second = refusing(), listening(), listening()
    driver = Driver(0.1, NEVER, NEVER)
    with pytest.raises(WebSocketTimeoutException) as caught:
        driver.run(call([refused, first, second], until=105.0))
    assert driver.elapsed == 5.0
    port = refused.sockaddr[1]
    message = str(caught.value)
    assert message.startswith(f"timed out connecting to example.org:{port} (")
    assert f"127.0.0.1:{first.sockaddr[1]}: no answer" in message
    assert f"127.0.0.1:{second.sockaddr[1]}: no answer" in message
    assert f"127.0.0.1:{port}: Connection refused" in message


def test_the_budget_may_end_before_the_next_start(listening: Callable[[], Address]) -> None:
    driver = Driver(NEVER)
    with pytest.raises(WebSocketTimeoutException):
        driver.run(call([listening(), listening()], until=100.1))
    assert driver.starts == [0.0]
    assert driver.elapsed == 0.1


def test_without_any_budget_nothing_is_tried(listening: Callable[[], Address]) -> None:
    driver = Driver()
    with pytest.raises(WebSocketTimeoutException, match=r"timed out connecting to example\.org"):
        driver.run(call([listening()], until=100.0))
    assert driver.starts == []


def test_an_answer_that_came_counts_even_when_the_budget_is_over(
    listening: Callable[[], Address],
) -> None:
    driver = Driver(5.0)
    driver.run(call([listening()], until=105.0)).close()
    assert driver.elapsed == 5.0


@pytest.mark.skipif(sys.platform != "linux", reason="what a full backlog does depends")
def test_a_host_whose_backlog_is_full_is_silent(sockets: contextlib.ExitStack) -> None:
    server = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(8):
        filler = sockets.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(server.getsockname())
    coroutine = call([Address(socket.AF_INET, server.getsockname())], until=3.0)
    assert coroutine.send(None) == Now()
    request = coroutine.send(0.0)
    assert isinstance(request, Wait)
    assert request.until == 3.0
    assert wait_for((), request.writes, 0.0) == set()
    assert coroutine.send(set()) == Now()
    with pytest.raises(WebSocketTimeoutException):
        coroutine.send(3.0)


def test_cancelling_closes_every_attempt(listening: Callable[[], Address]) -> None:
    addresses = [listening(), listening(), listening()]
    before = open_descriptors()
    coroutine = call(addresses, stagger=0.0)
    assert coroutine.send(None) == Now()
    request = coroutine.send(0.0)
    assert len(open_descriptors() - before) == len(request.writes) == 3
    coroutine.close()
    assert open_descriptors() == before


def test_an_error_of_the_driver_closes_every_attempt(listening: Callable[[], Address]) -> None:
    addresses = [listening(), listening()]
    before = open_descriptors()
    coroutine = call(addresses, stagger=0.0)
    coroutine.send(None)
    coroutine.send(0.0)
    with pytest.raises(RuntimeError, match="the driver"):
        coroutine.throw(RuntimeError("the driver"))
    assert open_descriptors() == before


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.dup(0)  # the lowest free number: one more must not be had
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left(listening: Callable[[], Address]) -> None:
    addresses = [listening(), listening()]
    port = addresses[0].sockaddr[1]
    with no_descriptor_left(), pytest.raises(WebSocketConnectException) as caught:
        Driver().run(call(addresses))
    assert caught.value.errno == errno.EMFILE
    assert f"no file descriptor left to connect to example.org:{port}" in str(caught.value)
    Driver(0.0).run(call(addresses)).close()  # and afterwards it works again


# --- Unix sockets -------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # the name of a Unix socket is short: about 100 bytes
    return "socket"


@pytest.fixture
def unix_server(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        yield server


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_unix(unix_server: socket.socket, path: str, kind: Callable[[str], Any]) -> None:
    unix_server.listen()
    with run_blocking(dial_unix(kind(path), None)) as sock:
        assert sock.getpeername() == path
        assert sock.getblocking() is False


def test_unix_refused(unix_server: socket.socket, path: str) -> None:
    with pytest.raises(WebSocketConnectRefusedException, match="Unix socket socket refused") as e:
        run_blocking(dial_unix(path, None))
    assert e.value.errno == errno.ECONNREFUSED


def test_unix_missing(path: str) -> None:
    with pytest.raises(WebSocketConnectException, match="Unix socket socket: No such file") as e:
        run_blocking(dial_unix(path, None))
    assert e.value.errno == errno.ENOENT


@pytest.mark.parametrize("name", ["x" * 200, "a\0b"])
def test_unix_with_a_name_that_cannot_be(path: str, name: str) -> None:
    with pytest.raises(WebSocketConnectException, match="cannot connect to the Unix socket"):
        run_blocking(dial_unix(name, None))


@pytest.fixture
def full_unix_server(unix_server: socket.socket, path: str) -> Iterator[socket.socket]:
    unix_server.listen(0)
    with contextlib.ExitStack() as stack:
        while True:
            filler = stack.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            if filler.connect_ex(path) != 0:
                break
        yield unix_server


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
def test_unix_with_a_full_backlog_times_out(full_unix_server: socket.socket, path: str) -> None:
    driver = Driver()
    with pytest.raises(WebSocketTimeoutException, match="timed out connecting to the Unix socket"):
        driver.run(dial_unix(path, 102.0))
    assert driver.elapsed == 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
def test_unix_with_a_full_backlog_is_tried_again(
    full_unix_server: socket.socket, path: str
) -> None:
    coroutine = dial_unix(path, None)
    time = 0.0
    request = coroutine.send(None)
    while not isinstance(request, Wait):
        request = coroutine.send(time)
    full_unix_server.accept()[0].close()
    assert request.until is not None
    assert coroutine.send(set()) == Now()
    with pytest.raises(StopIteration) as stop:
        coroutine.send(request.until)
    stop.value.value.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
def test_unix_cancelled(full_unix_server: socket.socket, path: str) -> None:
    before = open_descriptors()
    coroutine = dial_unix(path, None)
    coroutine.send(None)
    assert len(open_descriptors() - before) == 1
    coroutine.close()
    assert open_descriptors() == before


def test_unix_without_descriptor(unix_server: socket.socket, path: str) -> None:
    unix_server.listen()
    with no_descriptor_left(), pytest.raises(WebSocketConnectException) as caught:
        Driver().run(dial_unix(path, None))
    assert caught.value.errno == errno.EMFILE
