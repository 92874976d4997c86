"""What the control plane and a worker say to each other about predicting the rows of a table."""

from typing import Any, Literal

import msgspec

from modelyard.protocol.processes import HeldVersion

Output = Literal["csv", "jsonl", "parquet"]
OnError = Literal["strict", "tolerant"]

MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


class PredictSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A batch prediction: tables in, one file with their rows and predictions out, below the object prefix `place`.

    `tables` are the keys of canonical Parquet tables; or `file` is that of a file as it was uploaded, called
    `filename`. `parameters` are what a request for predictions may choose. With `on_error` strict a row that does not
    fit ends the job, with tolerant it stays without a prediction.
    """

    version: HeldVersion
    place: str
    tables: tuple[str, ...] = ()
    file: str | None = None
    filename: str = ""
    parameters: dict[str, Any] = {}
    output: Output = "csv"
    on_error: OnError = "strict"
    columns_limit: int = 5000
    unpacked_limit: int = 10 << 30


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that are done: the object with them, how many, and how many of these had to stay without a prediction.

    `read` is how many rows of the tables are behind it.
    """

    key: str
    read: int
    rows: int
    unfit: int


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker leaves to the next one: the tables where they came from a file, the pieces, the first problems."""

    tables: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    problems: tuple[dict[str, Any], ...] = ()


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the object with the result, its size in bytes, its rows, and what was wrong with which."""

    key: str
    size: int
    rows: int
    unfit: int
    seconds: float
    problems: tuple[dict[str, Any], ...] = ()
