"""Whether anybody runs the platform, asked of the kernel."""

import subprocess
import sys
import threading
import time

import pytest

from modelyard.core.lifeline import Lifeline

HOLDER = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); input()"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "up.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_without_a_file_nobody_promised_anything(tmp_path):
    assert Lifeline(tmp_path / "up.lock").held() is None


def test_a_killed_holder_is_noticed_at_once(tmp_path, holder):
    lifeline = Lifeline(tmp_path / "up.lock")
    assert lifeline.held() is True
    holder.kill()
    holder.wait()
    assert lifeline.held() is False


def test_waiting_ends_so_long_after_the_holder_did(tmp_path, holder):
    lifeline = Lifeline(tmp_path / "up.lock")
    alone = []
    watch = threading.Thread(
        target=lambda: alone.append(lifeline.wait_until_alone(threading.Event(), every=0.02, seconds=0.3))
    )
    watch.start()
    watch.join(0.5)
    assert watch.is_alive()
    holder.kill()
    began = time.monotonic()
    watch.join(10)
    assert alone == [True]
    assert time.monotonic() - began >= 0.3


def test_waiting_ends_when_it_is_given_up(tmp_path):
    given_up = threading.Event()
    given_up.set()
    assert Lifeline(tmp_path / "up.lock").wait_until_alone(given_up) is False
