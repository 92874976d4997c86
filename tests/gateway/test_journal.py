"""The usage journal: what is told to be kept is in the file once, whatever happens to the disk and the process."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fixtures.usage import lines, record
from modelyard.gateway import journal as module
from modelyard.gateway.journal import Journal, adopt
from modelyard.protocol.usage import UsageRecord

SMALL = 64 << 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "usage"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    made = Journal(folder, name="gateway")
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes 64 KiB: a disk of that size, or where none can be mounted, a limit on files."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def rows_in(folder: Path) -> list[int]:
    """What tells the records of a folder's journals apart, in the order of the files' names."""
    files = sorted(folder.glob("*.journal"), key=lambda path: int(path.stem.rpartition("-")[2]))
    return [made.rows for path in files for made in msgspec.json.Decoder(UsageRecord).decode_lines(path.read_bytes())]


def test_what_was_added_is_in_the_file_once_flush_says_so(journal: Journal, folder: Path) -> None:
    for number in range(3):
        journal.add(record(number))
    assert not folder.exists()
    assert journal.flush()
    journal.add(record(3))
    assert rows_in(folder) == [0, 1, 2]
    assert journal.flush()
    assert journal.flush()
    assert journal.path is not None
    assert journal.path.read_bytes() == lines(*map(record, range(4)))
    assert journal.kept == journal.path.stat().st_size


def test_nobody_else_may_look_into_it(journal: Journal, folder: Path) -> None:
    journal.add(record())
    journal.flush()
    assert journal.path is not None
    assert (folder.stat().st_mode & 0o777, journal.path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_closing_keeps_what_was_added(folder: Path) -> None:
    journal = Journal(folder, name="gateway")
    journal.add(record(7))
    journal.close()
    assert rows_in(folder) == [7]


def test_a_file_that_has_grown_is_followed_by_another(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 1000)
    for number in range(50):
        journal.add(record(number))
        assert journal.flush()
    files = list(folder.glob("*.journal"))
    assert len(files) > 2
    assert max(path.stat().st_size for path in files) < 1200
    assert rows_in(folder) == list(range(50))
    assert sum(descriptor is not None for descriptor in map(adopt, files)) == len(files) - 1


def test_a_living_gateway_s_file_cannot_be_adopted_until_it_is_left(journal: Journal) -> None:
    journal.add(record())
    journal.flush()
    path = journal.path
    assert path is not None
    assert adopt(path) is None
    journal.leave()
    descriptor = adopt(path)
    assert descriptor is not None
    assert adopt(path) is None
    os.close(descriptor)


def test_a_deleted_file_cannot_be_adopted(tmp_path: Path) -> None:
    assert adopt(tmp_path / "gone.journal") is None


def test_two_journals_never_share_a_name(folder: Path) -> None:
    names = set()
    for _ in range(20):
        made = Journal(folder, name="same")
        made.add(record())
        made.flush()
        assert made.path is not None
        names.add(made.path.name)
        made.path.unlink()
        made.close()
    assert len(names) == 20


@pytest.mark.parametrize("deleted", [False, True])
def test_a_new_file_that_somebody_takes_for_a_left_one_is_not_written(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch, *, deleted: bool
) -> None:
    taken: list[int] = []
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        """Somebody else is quicker with the first file."""
        if not taken:
            path = next(folder.iterdir())
            taken.append(os.open(path, os.O_RDONLY))
            lock(taken[0], how)
            if deleted:
                path.unlink()
                os.close(taken[0])
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    journal.add(record(5))
    assert journal.flush()
    assert rows_in(folder) == [5]
    assert journal.path is not None
    assert journal.path.name.endswith("-2.journal")
    if not deleted:
        os.close(taken[0])


def test_a_name_that_cannot_be_written_as_it_is_costs_no_record(journal: Journal, folder: Path) -> None:
    journal.add(record(1))
    journal.add(record(2, model="\udcff\ud800"))
    assert journal.flush()
    assert rows_in(folder) == [1, 2]


def test_a_full_disk_keeps_what_was_acknowledged_and_nothing_else(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(small_disk / "usage", name="gateway")
    kept: list[int] = []
    refused = 0
    for turn in range(200):
        turned = range(turn * 40, turn * 40 + 40)
        for number in turned:
            journal.add(record(number))
        if journal.flush():
            kept += turned
        else:
            refused += 1
    assert refused
    assert kept
    assert rows_in(small_disk / "usage") == kept
    assert journal.path is not None
    assert journal.kept == journal.path.stat().st_size
    assert [entry.levelname for entry in caplog.records] == ["ERROR"]
    journal.close()


def test_when_there_is_room_again_records_are_kept_again(small_disk: Path) -> None:
    journal = Journal(small_disk / "usage", name="gateway")
    journal.add(record(1))
    assert journal.flush()
    for number in range(2000):
        journal.add(record(number))
    assert not journal.flush()
    journal.add(record(2))
    assert journal.flush()
    journal.close()
    assert rows_in(small_disk / "usage") == [1, 2]


def test_what_cannot_be_kept_is_not_kept_later_either(journal: Journal, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("in the way")
    journal.add(record(1))
    assert not journal.flush()
    folder.unlink()
    assert journal.flush()
    journal.add(record(2))
    assert journal.flush()
    assert rows_in(folder) == [2]


def test_a_disk_that_takes_a_part_at_a_time_gets_all(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    for number in range(20):
        journal.add(record(number))
    assert journal.flush()
    assert rows_in(folder) == list(range(20))


def test_a_part_that_was_written_before_the_disk_was_full_is_taken_back(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.add(record(1))
    journal.flush()
    write, parts = os.write, iter([100, 0])

    def full(descriptor: int, data: bytes) -> int:
        part = next(parts)
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, bytes(data)[:part])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for number in range(2, 20):
            journal.add(record(number))
        assert not journal.flush()
    assert rows_in(folder) == [1]
    journal.add(record(20))
    assert journal.flush()
    assert rows_in(folder) == [1, 20]


WRITER = """
import os, sys
from pathlib import Path
from fixtures.usage import record
from modelyard.gateway import journal as module
module.FILE_BYTES = 1 << 20
journal = module.Journal(Path(sys.argv[1]), name="killed")
number = 0
while True:
    begin = number
    for number in range(begin, begin + 1 + begin % 97):
        journal.add(record(number))
    number += 1
    assert journal.flush()
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize("told", [1, 500, 3000])
def test_a_process_that_is_killed_at_full_speed_has_kept_all_that_it_told_once(folder: Path, told: int) -> None:
    """It tells after each flush how many records it has flushed in all, as answers would go out then."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, env={"PYTHONPATH": path}
    ) as writer:
        assert writer.stdout is not None
        heard = [writer.stdout.readline() for _ in range(told)]
        writer.send_signal(signal.SIGKILL)
        heard += writer.stdout.readlines()
    acknowledged = int([line for line in heard if line.endswith(b"\n")][-1])
    files = sorted(folder.glob("*.journal"), key=lambda each: int(each.stem.rpartition("-")[2]))
    whole = [line for each in files for line in each.read_bytes().split(b"\n")[:-1]]
    found = [msgspec.json.decode(line, type=UsageRecord).rows for line in whole]
    assert found == list(range(len(found)))
    assert len(found) >= acknowledged
    for each in files:
        descriptor = adopt(each)
        assert descriptor is not None
        os.close(descriptor)
