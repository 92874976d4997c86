"""What is written: a Parquet file for each piece, rows and predictions side by side; and all pieces as one file."""

# Names and paths in SQL are quoted; nothing in it is as a user has it.
# ruff: noqa: S608

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.formats._columns import Column, Kind
from modelyard.protocol.batch import Output
from modelyard.worker.predicting.tables import MEMORY, literal, quoted

_TYPES: dict[Kind, str] = {
    "text": "VARCHAR", "double": "DOUBLE", "single": "FLOAT", "integer": "BIGINT", "truth": "BOOLEAN"
}  # fmt: skip
_FORMATS: dict[Output, str] = {
    "csv": "FORMAT csv, HEADER true",
    "jsonl": "FORMAT json",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
_LARGEST_LINE = 64 << 20
_encode = msgspec.json.Encoder().encode


def write_piece(
    folder: Path, answers: Sequence[Column], source: str | None, present: Collection[str], unfit: NDArray[np.bool_]
) -> Path:
    """Write one piece into `folder`, which is made.

    `source` are the rows that were asked, as SQL reads them, with the columns `present`; the answers stand beside
    them, but for rows that are `unfit`, which got none. None: the answers are no rows' own.
    """
    folder.mkdir(parents=True)
    lines, piece = folder / "answers.jsonl", folder / "piece.parquet"
    _write_lines(lines, answers, unfit if source is not None else np.zeros(0, np.bool_))
    kinds = ", ".join(f"c{place}: '{_TYPES[column.kind]}'" for place, column in enumerate(answers))
    how = f"columns={{{kinds}}}, format='newline_delimited', maximum_object_size={_LARGEST_LINE}"
    names = ", ".join(f"c{place} AS {quoted(column.name)}" for place, column in enumerate(answers))
    with _connect(threads=1) as connection:
        if answers:
            connection.execute(f"CREATE TEMP TABLE answered AS SELECT {names} FROM read_json({literal(lines)}, {how})")
        query = "SELECT * FROM answered"
        if source is not None:
            kept = ", ".join(f"{quoted(name)} AS {quoted(new)}" for name, new in kept_names(present, answers).items())
            connection.execute(f"CREATE TEMP TABLE asked AS SELECT {kept} FROM {source}")
            query = "SELECT * FROM asked"
            if answers:
                query = "SELECT asked.*, answered.* FROM asked POSITIONAL JOIN answered"
        connection.execute(f"COPY ({query}) TO {literal(piece)} (FORMAT parquet, COMPRESSION zstd)")
    lines.unlink()
    return piece


def kept_names(present: Collection[str], answers: Sequence[Column]) -> dict[str, str]:
    """What the columns of the rows are called in the result: those that an answer has the name of become input_<name>.

    SQL does not tell upper from lower case.
    """
    taken = {column.name.casefold() for column in answers} | {name.casefold() for name in present}
    answered = {column.name.casefold() for column in answers}
    names = {}
    for name in present:
        new = name
        while new.casefold() in answered:
            new = f"input_{new}"
            if new.casefold() in taken:
                continue
            taken.add(new.casefold())
            break
        names[name] = new
    return names


def join(pieces: Sequence[Path], output: Output, target: Path) -> int:
    """Write all pieces, in order, into one file; how many rows it has."""
    read = f"read_parquet([{', '.join(map(literal, pieces))}], union_by_name=true)"
    with _connect(threads=2) as connection:
        connection.execute(f"COPY (SELECT * FROM {read}) TO {literal(target)} ({_FORMATS[output]})")
        found = connection.execute(f"SELECT count(*) FROM {read}").fetchone()
    return int(found[0]) if found else 0


def _write_lines(path: Path, answers: Sequence[Column], unfit: NDArray[np.bool_]) -> None:
    names = [f"c{place}" for place in range(len(answers))]
    rows = zip(*(column.values for column in answers), strict=True)
    nothing = dict.fromkeys(names)
    with path.open("wb") as file:
        for gap in unfit.tolist() if len(unfit) else ():
            file.write(_encode(nothing if gap else dict(zip(names, next(rows), strict=True))) + b"\n")
        for row in rows:
            file.write(_encode(dict(zip(names, row, strict=True))) + b"\n")


def _connect(*, threads: int) -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'")
    return connection
