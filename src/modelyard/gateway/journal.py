"""The usage journal: one line for each answered call, in a file of this gateway's own, before the answer is given.

A line is a UsageRecord as a JSON array. What is added in one turn of the loop is kept by one `write`. The promise is
for killed processes: what was written is with the kernel, whatever becomes of the gateway. It is not for power cuts,
since nothing waits for the disk; a line that such a cut tore is left aside by whoever ships the file.

A file is locked (flock(2)) for as long as its gateway writes it. One that can be locked has lost its gateway or is
full: any gateway may ship and delete it; see `shipping.py`.
"""

import fcntl
import logging
import os
import secrets
from pathlib import Path

import msgspec

from modelyard.protocol.usage import UsageRecord

log = logging.getLogger("modelyard.gateway")

SUFFIX = ".journal"
FILE_BYTES = 64 << 20
"""A file that has grown to this size is followed by a new one."""

_encoder = msgspec.json.Encoder()


class Journal:
    """Writes the files `<name>-<token>-<n>.journal` in `folder` (0700). Of one thread, the event loop's.

    `path` is the file that is being written, None where there is none, and `kept` how many of its bytes hold whole
    lines of answers that were given: what lies behind may be taken back.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        self.folder = folder
        # A name is never used twice: the api remembers by it how far a journal was taken.
        self._name = f"{name}-{secrets.token_hex(4)}"
        self._number = 0
        self._descriptor: int | None = None
        self._added: list[UsageRecord] = []
        self._failing = False
        self.path: Path | None = None
        self.kept = 0

    def add(self, record: UsageRecord) -> None:
        """Have a record written by the next `flush`."""
        self._added.append(record)

    def flush(self) -> bool:
        """Write what was added; whether it is kept.

        False (a full disk, a lost folder): nothing of it is in the journal, and its answers must not be given.
        """
        added = self._added
        if not added:
            return True
        try:
            data = _encoder.encode_lines(added)
        except UnicodeEncodeError:
            data = _encoder.encode_lines([_encodable(record) for record in added])
        added.clear()
        try:
            self._write(data)
        except OSError as error:
            self._take_back()
            if not self._failing:
                log.error("Calls cannot be recorded in %s, and are refused until they can: %s", self.folder, error)
            self._failing = True
            return False
        if self._failing:
            log.info("Calls are recorded again.")
            self._failing = False
        return True

    def leave(self) -> None:
        """Be done with the present file, so that it can be shipped and deleted; the next record begins a new one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self.path, self.kept = None, None, 0

    def close(self) -> None:
        """Write what was added, and leave the file to whoever ships it."""
        self.flush()
        self.leave()

    def _write(self, data: bytes) -> None:
        if self.kept >= FILE_BYTES:
            self.leave()
        descriptor = self._begin() if self._descriptor is None else self._descriptor
        written = os.write(descriptor, data)
        while written < len(data):
            # A disk that is nearly full takes a part, and says so with the next write.
            written += os.write(descriptor, memoryview(data)[written:])
        self.kept += len(data)

    def _begin(self) -> int:
        """Begin a new file, locked. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self._number += 1
            path = self.folder / f"{self._name}-{self._number}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if _is_ours(descriptor):
                self._descriptor, self.path = descriptor, path
                return descriptor
            # Somebody who ships took the empty file for one that was left, and deletes it.

    def _take_back(self) -> None:
        """Cut the file behind its last whole line of an answer that was given."""
        if self._descriptor is None:
            return
        try:
            os.ftruncate(self._descriptor, self.kept)
        except OSError as error:
            log.error("%s cannot be cut back to what was answered: %s", self.path, error)
            self.leave()


def adopt(path: Path) -> int | None:
    """A descriptor that reads and locks a file whose gateway is gone or done with it.

    None where it is being written or shipped, or is not there any more. Closing the descriptor unlocks it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    return descriptor if _is_ours(descriptor) else None


def _is_ours(descriptor: int) -> bool:
    """Lock an open file; where another has locked it, or it was deleted meanwhile, it is closed. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        deleted = os.fstat(descriptor).st_nlink == 0
    except BlockingIOError:
        deleted = True
    except OSError:
        os.close(descriptor)
        raise
    if deleted:
        os.close(descriptor)
    return not deleted


def _encodable(record: UsageRecord) -> UsageRecord:
    """The record with what UTF-8 has no bytes for replaced."""
    texts = {name: getattr(record, name) for name in ("caller", "prefix", "model")}
    return msgspec.structs.replace(
        record, **{name: text.encode(errors="replace").decode() for name, text in texts.items()}
    )
