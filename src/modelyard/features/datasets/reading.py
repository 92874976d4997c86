"""Reads what a dataset holds, in the api: canonical tables of our own making, kept as local files while they are used.

DuckDB gets these files and nothing else: no other path, no network, no setting that could be changed by a query.
"""

import hashlib
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore

import duckdb
import numpy as np
from numpy.typing import NDArray

from modelyard.core import ids
from modelyard.core.folders import make_private
from modelyard.features.datasets.contents.view import PURPOSES, Part, View
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.importers.engine import connect
from modelyard.features.datasets.tables import SampleRow
from modelyard.storage.objects.base import ObjectStore
from modelyard.web.platform import Platform

LARGEST_CACHE = 4 << 30
TRIES = 3
AT_ONCE = 4
"""Readers at a time: each may take 256 MiB."""
_reading = BoundedSemaphore(AT_ONCE)


class Reader:
    """An open DuckDB over a dataset's samples; `folder` is for files of its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, view: View, folder: Path) -> None:
        self.connection, self.view, self.folder = connection, view, folder

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """The rows of a query, whose values are all parameters."""
        return list(self.connection.execute(sql, list(parameters)).fetchall())

    def arrays(self, sql: str, parameters: Sequence[object] = ()) -> dict[str, NDArray[np.generic]]:
        """The columns of a query as arrays; numbers with a mask where some are missing."""
        found: dict[str, NDArray[np.generic]] = self.connection.execute(sql, list(parameters)).fetchnumpy()
        return found


@contextmanager
def reader(platform: Platform, held: Held, samples: Sequence[SampleRow] | None = None) -> Iterator[Reader]:
    """A reader of all samples of a dataset, or of some."""
    chosen = held.samples if samples is None else samples
    folder = platform.settings.data / "scratch" / ids.new("rows")
    with _reading:
        make_private(make_private(folder.parent) / folder.name)
        try:
            parts = [_part(platform, sample, held, folder) for sample in chosen]
            with connect(folder, []) as connection:
                yield Reader(connection, View(connection, parts), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def purposes_of(objects: ObjectStore, sample: SampleRow) -> NDArray[np.uint8]:
    """What each row of a sample's table is for, as a place in PURPOSES."""
    if sample.purposes is None:
        return np.full(int(sample.profile["rows"]), PURPOSES.index(sample.purpose), np.uint8)
    found: NDArray[np.uint8] = np.load(io.BytesIO(objects.get(sample.purposes)), allow_pickle=False)
    return found


def local(platform: Platform, key: str, target: Path) -> Path:
    """An object that never changes as a file at `target`; fetched where it is not here yet.

    A second name for the file that is kept: whoever makes room meanwhile takes nothing from us.
    """
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            target.hardlink_to(_kept(platform, key))
            break
    else:
        platform.objects.download(key, target)
    return target


def _kept(platform: Platform, key: str) -> Path:
    folder = make_private(make_private(platform.settings.data / "cache") / "tables")
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.parquet"
    if not path.exists():
        draft = path.with_suffix(f".{ids.new('part')}")
        try:
            platform.objects.download(key, draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _make_room(folder, path)
    with suppress(OSError):
        path.touch()
    return path


def _part(platform: Platform, sample: SampleRow, held: Held, folder: Path) -> Part:
    return Part(
        sample=sample.id,
        path=local(platform, sample.table, folder / f"{sample.id}.parquet"),
        purpose=sample.purpose,
        purposes=purposes_of(platform.objects, sample) if sample.purposes is not None else None,
        edits=held.edits.get(sample.id, ()),
        blank=frozenset(column["name"] for column in sample.profile["columns"] if not column["distinct"]),
    )


def _make_room(folder: Path, kept: Path) -> None:
    """Removes what was used least lately, as far as there is too much."""
    found = []
    for path in folder.glob("*.parquet"):
        with suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= LARGEST_CACHE:
            return
        if path != kept:
            path.unlink(missing_ok=True)
            total -= size
