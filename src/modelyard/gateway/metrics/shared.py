"""The folder in which the gateway processes of one machine tell each other what they counted.

    NAME.lock       held (flock(2)) as long as the process NAME lives: the kernel lets go, however it ends
    NAME.snapshot   what NAME counted, replaced whole
    totals          what those counted that are dead
    lock            held by whoever adds up

The dead are added to the totals once: the totals name whom they hold, and only then a dead process's files go. Whoever
is killed between the two leaves files that the next one removes without counting them again.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec

from modelyard.core.errors import Unavailable
from modelyard.core.folders import make_private
from modelyard.gateway.metrics.counts import Counts, Snapshot

log = logging.getLogger("modelyard.gateway")

LOCK_SECONDS = 0.25
"""How long to wait for the folder: adding up takes milliseconds, so whoever holds it longer has been stopped."""

_LOCK, _SNAPSHOT, _DRAFT = ".lock", ".snapshot", ".draft"
Kind = TypeVar("Kind")


class Totals(msgspec.Struct, array_like=True):
    """What the dead counted. `holds` names those of them whose files may still lie there."""

    holds: set[str] = set()
    counts: Counts = msgspec.field(default_factory=Counts)


class Shared:
    """The folder, seen by the process `name`. Raises Forbidden, Broken or OutOfSpace where it cannot be made."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = make_private(folder)
        self._name = quote(name, safe="")
        self._last = b""
        # Locked before it is there under its name: nobody finds it unlocked and takes its process for dead.
        draft = self._path(self._name, _DRAFT)
        self._held = os.open(draft, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        draft.replace(self._path(self._name, _LOCK))

    def publish(self, data: bytes) -> None:
        """Let the others see an encoded Snapshot. Raises OSError."""
        if data != self._last:
            _replace(self._path(self._name, _SNAPSHOT), data)
            self._last = data

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody else adds up. Raises Unavailable where somebody does so for too long, OSError."""
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise Unavailable("Another gateway is adding up the metrics at the moment.", retry_after=1)
                time.sleep(0.002)
            yield
        finally:
            os.close(descriptor)

    def others(self, keep: Callable[[Counts], Counts] | None = None) -> tuple[Counts, dict[str, Snapshot]]:
        """What the dead counted, and what each other living process last published. To be called while `alone`.

        Where there is no other living process, `keep` says what of the totals is worth keeping.
        """
        totals = self._read(self._folder / "totals", Totals) or Totals()
        names = {path.name.removesuffix(_LOCK) for path in self._folder.glob(f"*{_LOCK}")} - {self._name}
        living = {name for name in names if self._lives(name)}
        snapshots = {name: self._read(self._path(name, _SNAPSHOT), Snapshot) for name in sorted(names)}
        dead = names - living
        for name in dead - totals.holds:
            snapshot = snapshots[name]
            if snapshot is not None:
                totals.counts.add(snapshot.counts)
        if keep is not None and not living:
            totals.counts = keep(totals.counts)
        if dead:
            totals.holds = dead
            self._bury(totals)
        return totals.counts, {unquote(name): found for name in sorted(living) if (found := snapshots[name])}

    def close(self) -> None:
        """Be dead to the others."""
        os.close(self._held)

    def _bury(self, totals: Totals) -> None:
        """Keep the totals, then remove the files of those whom they hold. What fails is done by the next one."""
        try:
            _replace(self._folder / "totals", msgspec.msgpack.encode(totals))
            for name in sorted(totals.holds):
                for ending in (f"{_SNAPSHOT}{_DRAFT}", _SNAPSHOT, _LOCK):
                    self._path(name, ending).unlink(missing_ok=True)
        except OSError as error:
            log.warning("The metrics of ended gateways cannot be added up in %s: %s", self._folder, error)

    def _lives(self, name: str) -> bool:
        try:
            descriptor = os.open(self._path(name, _LOCK), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, path: Path, kind: type[Kind]) -> Kind | None:
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("The metrics in %s cannot be read and are left out: %s", path, error)
            return None

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}{ending}"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, data: bytes) -> None:
    """Write the file whole or not at all. Not synced: what a power cut takes is counted from nothing again."""
    draft = path.with_name(f"{path.name}{_DRAFT}")
    draft.write_bytes(data)
    draft.replace(path)
