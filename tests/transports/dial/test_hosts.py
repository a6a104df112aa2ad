from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reactor.transports.dial import hosts
from reactor.transports.dial.hosts import LOOPBACK, known_addresses

Write = Callable[[str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Replaces the hosts file by one with this text, which begins empty."""
    path = tmp_path / "hosts"
    moment = 1_000_000_000

    def write(text: str) -> None:
        nonlocal moment
        path.write_text(text)
        moment += 1
        os.utime(path, (moment, moment))

    write("")
    monkeypatch.setattr(hosts, "HOSTS_FILE", str(path))
    return write


def test_names_of_the_file_are_known_with_all_their_addresses(write: Write) -> None:
    write(
        "127.0.0.1 localhost\n"
        "192.0.2.1\tfeed.example  feed # the old one: other.example\n"
        "\n"
        "# 192.0.2.9 feed.example\n"
        "2001:db8::1 feed.example\r\n"
        "192.0.2.3\n"
        "192.0.2.2 Feed.Example"
    )
    assert list(known_addresses("feed.example")) == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
    assert list(known_addresses("FEED")) == ["192.0.2.1"]
    assert list(known_addresses("feed.example.")) == list(known_addresses("feed.example"))
    assert list(known_addresses("localhost")) == ["127.0.0.1"]
    for name in ("other.example", "example", "#", "", "192.0.2.3"):
        assert not known_addresses(name)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "app.localhost"])
def test_localhost_needs_no_file(write: Write, name: str) -> None:
    assert known_addresses(name) == LOOPBACK
    os.unlink(hosts.HOSTS_FILE)
    assert known_addresses(name) == LOOPBACK
    assert not known_addresses("notlocalhost")


def test_a_file_that_has_changed_is_read_again(write: Write) -> None:
    write("192.0.2.1 feed\n")
    assert list(known_addresses("feed")) == ["192.0.2.1"]
    write("192.0.2.2 feed\n")
    assert list(known_addresses("feed")) == ["192.0.2.2"]
    os.unlink(hosts.HOSTS_FILE)
    assert not known_addresses("feed")


def test_a_file_that_has_not_changed_is_read_once(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("192.0.2.1 feed\n")
    known_addresses("feed")
    monkeypatch.setattr(hosts, "_read", lambda: pytest.fail("read again"))
    assert list(known_addresses("feed")) == ["192.0.2.1"]


def test_a_large_file_is_left_to_the_system(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_SIZE", 20)
    write("192.0.2.1 feed\n")
    assert known_addresses("feed")
    write("192.0.2.1 feed\n# advertisers\n")
    assert not known_addresses("feed")


def test_a_file_that_is_no_text_does_no_harm(write: Write) -> None:
    Path(hosts.HOSTS_FILE).write_bytes(b"\xff\xfe\x00 x\n192.0.2.1 feed\n")
    assert list(known_addresses("feed")) == ["192.0.2.1"]
