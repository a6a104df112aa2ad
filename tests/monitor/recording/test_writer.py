"""The thread that writes: it never keeps anybody waiting, and a disk that fails ends only it."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reactor.monitor.recording import writer as module
from reactor.monitor.recording.writer import Writer

from ...support.forking import in_child
from ...support.programs import run_program

pytestmark = pytest.mark.usefixtures("no_leaks")

Make = Callable[..., Writer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Starts writers; all of them are closed at the end."""
    made: list[Writer] = []

    def start(name: str = "file", limit: int = 1000, overwrite: bool = False) -> Writer:
        made.append(Writer(tmp_path / name, limit, overwrite))
        made[-1].start()
        return made[-1]

    yield start
    for writer in made:
        assert writer.close(20.0)


def test_what_is_put_is_in_the_file_after_close(make: Make, tmp_path: Path) -> None:
    writer = make()
    assert writer.put(b"one ")
    assert writer.put(b"two")
    assert writer.close(20.0)
    assert (tmp_path / "file").read_bytes() == b"one two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_that_exists_is_refused_unless_told_otherwise(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        Writer(tmp_path / "file", 1000, False)
    assert (tmp_path / "file").read_bytes() == b"precious"
    make(overwrite=True).close(20.0)
    assert (tmp_path / "file").read_bytes() == b""


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Writer(tmp_path / "no" / "file", 1000, False)


class Disk:
    """Stands for os.write: it may be slow, or full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.waits = threading.Event()
        self.room: int | None = None
        self.really = os.write
        monkeypatch.setattr(module.os, "write", self)

    def __call__(self, fd: int, data: Any) -> int:
        if threading.current_thread().name != "reactor-recorder":
            return self.really(fd, data)
        self.waits.set()
        self.go_on.wait(20.0)
        if self.room is None:
            return self.really(fd, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = self.really(fd, bytes(data[: self.room]))
        self.room -= size
        return size


def test_a_slow_disk_drops_and_keeps_nobody_waiting(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = make(limit=1000)
    assert writer.put(b"a" * 600)
    assert disk.waits.wait(20.0)
    assert writer.put(b"b" * 600)
    assert not writer.put(b"c")  # there is too much already
    assert writer.put(b"d", must=True)
    disk.go_on.set()
    assert writer.close(20.0)
    assert (tmp_path / "file").read_bytes() == b"a" * 600 + b"b" * 600 + b"d"


def test_a_disk_that_is_full_ends_it_with_one_line_and_a_whole_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch)
    disk.go_on.set()
    writer = make()
    writer.put(b"whole")
    while not (tmp_path / "file").read_bytes():
        threading.Event().wait(0.001)
    disk.room = 3
    writer.put(b"torn")
    while writer.error is None:
        threading.Event().wait(0.001)
    assert not writer.put(b"more")
    writer.turn_to(tmp_path / "next", None)
    assert writer.close(20.0)
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert isinstance(writer.error, OSError)
    (line,) = [record for record in caplog.records if record.name == "reactor.monitor"]
    assert line.levelno == logging.ERROR
    assert "No space left" in line.getMessage()
    assert not (tmp_path / "next").exists()


def test_what_fits_of_a_batch_stays(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = make()
    assert writer.put(b"a")
    assert disk.waits.wait(20.0)
    for piece in (b"one", b"two", b"three"):  # gather while the first is being written
        assert writer.put(piece)
    disk.room = 1 + 6 + 2
    disk.go_on.set()
    assert writer.close(20.0)
    assert (tmp_path / "file").read_bytes() == b"aonetwo"


def test_its_path_is_that_of_the_file_in_which_the_recording_ended(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = make("1")
    writer.put(b"a")
    assert disk.waits.wait(20.0)
    writer.turn_to(tmp_path / "2", None)
    writer.put(b"b")
    disk.room = 0
    disk.go_on.set()
    assert writer.close(20.0)
    assert writer.path == tmp_path / "1"


def test_the_next_file_may_take_the_place_of_an_old_one(make: Make, tmp_path: Path) -> None:
    writer = make("1")
    writer.put(b"one")
    writer.turn_to(tmp_path / "2", tmp_path / "1")
    writer.put(b"two")
    writer.close(20.0)
    assert [path.name for path in tmp_path.iterdir()] == ["2"]
    assert (tmp_path / "2").read_bytes() == b"two"


def test_zstandard_compresses(make: Make, tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    writer = make("file.zst", limit=1 << 20)
    writer.put(b"x" * 100_000)
    writer.close(20.0)
    data = (tmp_path / "file.zst").read_bytes()
    assert len(data) < 1000
    assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == b"x" * 100_000


def test_without_zstandard_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(module, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'reactor-websocket\[recording\]'"):
        Writer(tmp_path / "file.zst", 1000, False)
    assert not (tmp_path / "file.zst").exists()


PROGRAM = """
from pathlib import Path
from reactor.monitor.recording.writer import Writer

writer = Writer(Path({path!r}), 1000, False)
writer.start()
writer.put(b"until the end")
"""


def test_one_that_is_open_at_the_end_of_the_process_is_closed(tmp_path: Path) -> None:
    run_program(PROGRAM.format(path=str(tmp_path / "file")))
    assert (tmp_path / "file").read_bytes() == b"until the end"


def test_a_forked_child_leaves_the_file_to_its_parent(make: Make, tmp_path: Path) -> None:
    writer = make()
    writer.put(b"one ")
    assert in_child(lambda: writer.close(0.0)) == "True"
    writer.put(b"two")
    writer.close(20.0)
    assert (tmp_path / "file").read_bytes() == b"one two"


def test_all_that_are_open_are_closed_at_the_end(make: Make, tmp_path: Path) -> None:
    make().put(b"until the end")
    module._close_all()
    assert (tmp_path / "file").read_bytes() == b"until the end"


def test_in_another_process_there_is_nothing_to_wait_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = make()
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "getpid", lambda: -1)
        assert writer.close(0.0)


def test_a_disk_that_is_gone_cannot_be_cut_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(module.os, "ftruncate", fail)
    disk = Disk(monkeypatch)
    disk.room = 0
    disk.go_on.set()
    writer = make()
    writer.put(b"x")
    assert writer.close(20.0)
    assert writer.error is not None
    writer._file.give_up()  # again
    writer._file.close()
