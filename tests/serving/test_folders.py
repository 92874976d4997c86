"""The cache of version folders: bounded, and nothing goes that a living process holds."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.serving import publish
from fixtures.waiting import wait_until
from modelyard.core.settings import Settings
from modelyard.protocol.processes import HeldVersion
from modelyard.serving.folders import fetch, kept, prune, release
from modelyard.storage.objects.base import ObjectStore
from modelyard.storage.objects.opened import open_store

Get = Callable[[HeldVersion], Path]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", secret="0" * 64)


@pytest.fixture
def cache(settings: Settings) -> Path:
    return settings.data / "cache" / "versions"


@pytest.fixture
def get(settings: Settings, cache: Path) -> Iterator[Get]:
    """Fetches; what is fetched is released at the end."""
    got: list[Path] = []
    store: list[ObjectStore] = []

    def one(version: HeldVersion) -> Path:
        store[:] = store or [open_store(settings.objects_url)]
        got.append(fetch(version, store[0], cache))
        return got[-1]

    yield one
    for folder in got:
        release(folder)


def aged(folder: Path, seconds: float) -> None:
    """Let the folder's last use be so long ago."""
    lock = folder.parent.with_name("versions.locks") / folder.name
    os.utime(lock, (time.time() - seconds,) * 2)


def test_what_is_held_stays_however_old_and_what_is_released_goes(settings: Settings, cache: Path, get: Get) -> None:
    held, released = get(publish(settings, 1)), get(publish(settings, 2))
    release(released)
    for folder in (held, released):
        aged(folder, 31 * 86400)
    prune(cache)
    assert held.is_dir()
    assert [path.name for path in cache.iterdir()] == [held.name]
    assert [path.name for path in cache.with_name("versions.locks").iterdir()] == [held.name]


def test_what_was_used_lately_stays_and_above_the_bound_the_oldest_goes_first(
    settings: Settings, cache: Path, get: Get
) -> None:
    made = [get(publish(settings, number)) for number in (1, 2, 3)]
    for age, folder in zip((10, 30, 20), made, strict=True):
        release(folder)
        aged(folder, age)
    prune(cache)
    assert all(folder.is_dir() for folder in made)
    one = sum(path.stat().st_size for path in made[0].rglob("*"))
    prune(cache, largest=int(2.5 * one))
    assert [folder.is_dir() for folder in made] == [True, False, True]
    prune(cache, largest=0)
    assert list(cache.iterdir()) == []


def test_fetching_again_is_a_use(settings: Settings, cache: Path, get: Get) -> None:
    version = publish(settings, 1)
    aged(get(version), 31 * 86400)
    release(get(version))
    prune(cache)
    assert get(version).is_dir()


def test_a_download_makes_room(settings: Settings, cache: Path, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get(publish(settings, 1))
    release(first)
    monkeypatch.setattr(prune, "__kwdefaults__", {"largest": 1, "unused_seconds": 1e9})
    second = get(publish(settings, 2))
    assert [path.name for path in cache.iterdir()] == [second.name]


def test_what_another_process_holds_stays_until_it_ends_even_by_a_kill(
    settings: Settings, cache: Path, get: Get
) -> None:
    version = publish(settings, 1)
    program = f"""
import msgspec, sys, time
from pathlib import Path
from modelyard.protocol.processes import HeldVersion
from modelyard.serving.folders import fetch
from modelyard.storage.objects.opened import open_store
version = HeldVersion(slot=0, prefix="sales", model="churn", number=1, folder={version.folder!r}, checksum={version.checksum!r})
print(fetch(version, open_store({settings.objects_url!r}), Path({str(cache)!r})), flush=True)
time.sleep(600)
"""  # noqa: E501
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            folder = Path(holder.stdout.readline().strip())
            prune(cache, largest=0)
            assert folder.is_dir()
        finally:
            holder.kill()
    wait_until(lambda: prune(cache, largest=0) or not folder.exists())


def test_fetching_and_removing_at_once_never_gives_a_folder_that_goes(
    settings: Settings, cache: Path, get: Get
) -> None:
    versions = [publish(settings, number) for number in (1, 2)]
    get(versions[0])
    over = threading.Event()

    def remove() -> None:
        while not over.is_set():
            prune(cache, largest=0)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for turn in range(60):
            folder = get(versions[turn % 2])
            assert (folder / "SHA256SUMS").is_file()
            assert len(list(folder.iterdir())) == 4
            release(folder)
    finally:
        over.set()
        remover.join()


def test_only_its_owner_may_look_into_the_cache_and_a_sandbox_may_read_a_folder(
    settings: Settings, cache: Path, get: Get
) -> None:
    previous = os.umask(0o077)
    try:
        folder = get(publish(settings, 1))
    finally:
        os.umask(previous)
    assert cache.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


def test_what_is_kept_here_is_found_without_a_store_and_only_whole(settings: Settings, cache: Path, get: Get) -> None:
    version = publish(settings, 1)
    assert kept(version, cache) is None
    folder = get(version)
    assert kept(version, cache) == folder
    (folder / "model.onnx").write_bytes(b"damaged")
    assert kept(version, cache) is None
    assert not folder.exists()


def test_releasing_what_was_never_fetched_is_no_error(tmp_path: Path) -> None:
    release(tmp_path)
