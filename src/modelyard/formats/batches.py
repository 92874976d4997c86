"""Rows kept as plain files, so that a sandboxed process can be given them: arrays and strings, never pickles."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch


class _Strings(msgspec.Struct, array_like=True):
    """One column: its distinct values, and for each row which of them it is (little-endian int32)."""

    values: list[str]
    codes: bytes


def save_batch(folder: Path, batch: Batch) -> None:
    """Write the rows into `folder`, which is made."""
    folder.mkdir(parents=True)
    np.save(folder / "numbers.npy", np.ascontiguousarray(batch.numbers, np.float32), allow_pickle=False)
    columns = [_packed(batch.strings[:, place].tolist()) for place in range(batch.strings.shape[1])]
    (folder / "strings.msgpack").write_bytes(msgspec.msgpack.encode(columns))


def load_batch(folder: Path) -> Batch:
    """The rows that `save_batch` wrote."""
    numbers = load_array(folder / "numbers.npy")
    columns = msgspec.msgpack.decode((folder / "strings.msgpack").read_bytes(), type=list[_Strings])
    strings = np.empty((len(numbers), len(columns)), object)
    for place, column in enumerate(columns):
        strings[:, place] = np.array([*column.values, ""], object)[np.frombuffer(column.codes, "<i4")]
    return Batch(numbers, strings)


def load_array(path: Path) -> NDArray[Any]:
    """One array; a file with pickled objects in it is refused with ValueError."""
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array


def _packed(values: list[str]) -> _Strings:
    index: dict[str, int] = {}
    codes = [index.setdefault(value, len(index)) for value in values]
    return _Strings(list(index), np.array(codes, "<i4").tobytes())
