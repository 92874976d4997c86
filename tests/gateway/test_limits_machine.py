"""What the gateways of one machine share of their limits, by a file: also where processes are killed."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from fixtures.limiters import CALLER, eventually, is_shared, running, told
from fixtures.waiting import wait_until
from modelyard.gateway.limits.machine import RECORDS, SETS, MachineLedger
from modelyard.protocol.routing import Rate

pytestmark = pytest.mark.anyio


async def test_gateways_of_one_machine_share_a_bucket(machine):
    async with running(machine(), machine()) as (one, other):
        assert await is_shared(one, other)


async def test_machines_without_a_redis_have_buckets_of_their_own(machine):
    async with running(machine(), machine("two")) as (one, other):
        assert not await is_shared(one, other)


async def test_a_gateway_that_starts_again_finds_what_was_spent(machine):
    async with running(machine()) as (limiter,):
        limiter.charge(CALLER, "sales", 5000)
        await told(limiter)
    async with running(machine()) as (limiter,):
        assert limiter.admit(CALLER, "sales") == 0.0
        limiter.charge(CALLER, "sales", 1)
        await eventually(lambda: limiter.admit(CALLER, "sales") > 4900)


async def test_only_the_owner_may_read_the_file(tmp_path):
    ledger = MachineLedger(tmp_path / "run" / "limits")
    await ledger.exchange([("b", 1.0)])
    assert (tmp_path / "run" / "limits").stat().st_mode & 0o777 == 0o600
    await ledger.close()


async def test_the_time_that_passes_pays_off(tmp_path):
    now = [100.0]
    ledger = MachineLedger(tmp_path / "limits", clock=lambda: now[0])
    assert await ledger.exchange([("b", 2.0), ("c", 1.0), ("b", 1.0)]) == [2.0, 1.0, 3.0]
    now[0] += 1.5
    assert await ledger.exchange([("b", 0.0), ("c", 0.25)]) == [1.5, 0.25]
    now[0] += 50
    assert await ledger.exchange([("b", 0.5)]) == [0.5]
    await ledger.close()


@pytest.mark.parametrize("left", [b"", b"nonsense", b"\xff" * 400_000], ids=["empty", "short", "long"])
async def test_a_file_that_something_else_left_there_is_harmless(tmp_path, left):
    (tmp_path / "limits").write_bytes(left)
    ledger = MachineLedger(tmp_path / "limits")
    assert await ledger.exchange([("b", 1.0)]) == [pytest.approx(1.0)]
    await ledger.close()


async def test_what_was_spent_before_the_machine_was_started_again_is_forgotten(tmp_path, monkeypatch):
    before = MachineLedger(tmp_path / "limits", clock=lambda: 1e9)
    await before.exchange([("b", 1.0)])
    await before.close()
    (tmp_path / "boot_id").write_text("another")
    monkeypatch.setattr("modelyard.gateway.limits.machine.BOOT", tmp_path / "boot_id")
    ledger = MachineLedger(tmp_path / "limits", clock=lambda: 10.0)
    assert await ledger.exchange([("b", 1.0)]) == [1.0]
    await ledger.close()


async def test_gateways_whose_file_was_cut_short_or_taken_away_find_each_other_again(tmp_path):
    one, other = (MachineLedger(tmp_path / "limits", clock=lambda: 7.0) for _ in range(2))
    for harm in (lambda: os.truncate(tmp_path / "limits", 40), (tmp_path / "limits").unlink):
        await one.exchange([("a", 1.0)])
        await other.exchange([("a", 1.0)])
        harm()
        assert await one.exchange([("b", 1.0)]) == [1.0]
        assert await other.exchange([("b", 1.0)]) == [2.0]
        (tmp_path / "limits").unlink(missing_ok=True)
    await one.close()
    await other.close()


async def test_where_more_buckets_are_in_use_than_there_is_room_those_that_owe_the_least_are_forgotten(tmp_path):
    ledger = MachineLedger(tmp_path / "limits", clock=lambda: 7.0)
    await ledger.exchange([("debtor", 1000.0)])
    many = [(f"bucket {number}", 1.0) for number in range(SETS * RECORDS * 2)]
    assert await ledger.exchange(many) == [1.0] * len(many)
    assert await ledger.exchange([("debtor", 1.0)]) == [1001.0]
    await ledger.close()


async def test_a_process_that_was_stopped_with_the_lock_stops_no_other(machine, caplog):
    settings = machine()
    file = settings.run_folder / "limits"
    async with running(settings, rate=Rate(requests=50)) as (limiter,):
        await eventually(file.exists)
        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for _ in range(3):
                assert limiter.admit(CALLER, "sales") == 0.0
                await told(limiter)
            await eventually(lambda: caplog.records)
        assert len(caplog.records) == 1
        assert "another process" in caplog.text
        assert limiter.admit(CALLER, "sales") == 0.0
        await eventually(lambda: not limiter._alone)


async def test_where_nothing_can_be_shared_each_gateway_goes_by_itself_and_says_so_once(machine, caplog):
    settings = machine()
    settings.run_folder.parent.mkdir(exist_ok=True)
    settings.run_folder.write_text("no folder")
    async with running(settings, rate=Rate(requests=3)) as (limiter,):
        for _ in range(3):
            assert limiter.admit(CALLER, "sales") == 0.0
            await told(limiter)
        assert 0 < limiter.admit(CALLER, "sales") < 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


SPENDING = """
    import asyncio, os, struct, sys
    from pathlib import Path
    from modelyard.core.errors import Unavailable
    from modelyard.gateway.limits.machine import MachineLedger

    async def spend():
        ledger = MachineLedger(Path(sys.argv[1]), clock=lambda: 0.0)
        before, after = (os.open(f"{sys.argv[2]}.{name}", os.O_CREAT | os.O_RDWR) for name in ("before", "after"))
        for count in range(1, 10**9):
            os.pwrite(before, struct.pack("q", count), 0)
            while True:
                try:
                    await ledger.exchange([("b", 1.0), (f"of {sys.argv[2]}", 1.0)])
                    break
                except Unavailable:
                    pass  # The others are quicker every time: nothing was added.
            os.pwrite(after, struct.pack("q", count), 0)

    asyncio.run(spend())
"""
ASKING = """
    import asyncio, os, struct, sys, time
    from pathlib import Path
    from modelyard.core.settings import Settings
    from modelyard.gateway.limits import Limiter
    from modelyard.protocol.routing import Caller, Rate, RoutingTable

    async def ask():
        caller = Caller(id="key_1", user="usr_1", rate=Rate(requests=float(sys.argv[3])))
        limiter = Limiter(Settings(data=Path(sys.argv[1])), name=sys.argv[2])
        limiter.swap(RoutingTable(number=1, keys={"digest": caller}))
        sharing = asyncio.create_task(limiter.run())
        after, count = os.open(f"{sys.argv[2]}.after", os.O_CREAT | os.O_RDWR), 0
        while True:
            for _ in range(20):
                if not limiter.admit(caller, "sales"):
                    count += 1
                    os.pwrite(after, struct.pack("q", count), 0)
            await asyncio.sleep(0.001)

    asyncio.run(ask())
"""


class Crowd:
    """Processes that run the same program, and count what they do in files."""

    def __init__(self, folder: Path, code: str, size: int, *arguments: str) -> None:
        self._names = [folder / f"process-{number}" for number in range(size)]
        place, *more = arguments
        command = [sys.executable, "-c", textwrap.dedent(code), place]
        self.processes = [subprocess.Popen([*command, str(name), *more]) for name in self._names]

    def counts(self, ending="after"):
        files = [name.with_suffix(f".{ending}") for name in self._names]
        return [struct.unpack("q", file.read_bytes() or bytes(8))[0] if file.exists() else 0 for file in files]

    def kill(self, *which):
        for process in [self.processes[one] for one in which] or self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def crowd(folder, code, size, *arguments):
    made = Crowd(folder, code, size, *arguments)
    try:
        yield made
    finally:
        made.kill()


def test_killed_processes_neither_hold_up_the_others_nor_harm_the_file(tmp_path):
    with crowd(tmp_path, SPENDING, 4, str(tmp_path / "limits")) as processes:
        wait_until(lambda: min(processes.counts()) > 200, 60)
        processes.kill(0)
        seen = processes.counts()
        wait_until(lambda: min(map(int.__sub__, processes.counts()[1:], seen[1:])) > 200, 60)
        processes.kill()
        done, begun = processes.counts(), processes.counts("before")

    async def levels():
        ledger = MachineLedger(tmp_path / "limits", clock=lambda: 0.0)
        names = ["b", *(f"of {tmp_path / f'process-{number}'}" for number in range(4))]
        found = await ledger.exchange([(name, 0.0) for name in names])
        await ledger.close()
        return found

    everything, *each = asyncio.run(levels())
    assert sum(done) <= everything <= sum(begun)
    assert all(low <= level <= high for low, level, high in zip(done, each, begun, strict=True))


def test_processes_of_one_machine_that_ask_as_fast_as_they_can_get_what_one_would(machine, tmp_path):
    rate, size = 200, 4
    with crowd(tmp_path, ASKING, size, str(machine().data), str(rate)) as processes:
        wait_until(lambda: min(processes.counts()) > 0, 60)
        began = time.monotonic()
        before = sum(processes.counts())
        wait_until(lambda: time.monotonic() > began + 3, 60)
        processes.kill(0)
        left = sum(processes.counts())
        # What the four overspent at first is paid off by all of them; then the rest go on.
        wait_until(lambda: sum(processes.counts()) > left + rate, 60)
        wait_until(lambda: time.monotonic() > began + 6, 60)
        went, took = sum(processes.counts()), time.monotonic() - began
    # At the most each process empties a bucket that it believes to be full, once; without sharing it were all the time.
    assert went - before <= rate * took + size * rate
    assert rate * took * 0.5 <= went
