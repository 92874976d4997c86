"""Parquet: types are kept, brought to the canonical ones."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.features.datasets.importers.errors import DuplicateColumns, NoRows, TooManyColumns, Unreadable

Import = Callable[..., Any]
Write = Callable[[str], Path]


def test_every_type_has_a_canonical_one(imported: Import, parquet: Write) -> None:
    got = imported(
        parquet(
            "SELECT 1::TINYINT AS tiny, 2::UINTEGER AS unsigned, 3::HUGEINT AS huge, 1.5::FLOAT AS float, "
            "2.5::DECIMAL(5, 2) AS decimal, true AS truth, 'x' AS text, 'a'::ENUM ('a', 'b') AS enum, "
            "DATE '2024-03-14' AS day, TIMESTAMP '2024-03-14 22:05:00' AS local, "
            "TIMESTAMPTZ '2024-03-15 00:05:00+02:00' AS zoned, TIME '10:00:00' AS clock, [1, 2] AS list, "
            "{'a': 1} AS struct, 'bytes'::BLOB AS blob"
        ),
        "table.parquet",
    )
    night = dt.datetime(2024, 3, 14, 22, 5)  # noqa: DTZ001 - stored without a zone
    numbers = ["BIGINT", "BIGINT", "DOUBLE", "DOUBLE", "DOUBLE", "BOOLEAN"]
    assert list(got.types.values()) == [
        *numbers,
        "VARCHAR",
        "VARCHAR",
        "DATE",
        "TIMESTAMP",
        "TIMESTAMP",
        *["VARCHAR"] * 4,
    ]
    assert got.rows == [
        (
            1,
            2,
            3.0,
            1.5,
            2.5,
            True,
            "x",
            "a",
            dt.date(2024, 3, 14),
            night,
            night,
            "10:00:00",
            "[1, 2]",
            "{'a': 1}",
            "bytes",
        )
    ]


def test_what_is_no_number_is_missing_and_text_stays_text(imported: Import, parquet: Write) -> None:
    got = imported(
        parquet("SELECT * FROM (VALUES ('nan'::DOUBLE, '01'), ('inf'::DOUBLE, ' '), (1.5, '2')) AS t(number, code)")
    )
    assert got.types == {"number": "DOUBLE", "code": "VARCHAR"}
    assert got.rows == [(None, "01"), (None, None), (1.5, "2")]


def test_the_index_of_pandas_is_left_out(imported: Import, parquet: Write) -> None:
    assert list(imported(parquet('SELECT 1 AS a, 0 AS "__index_level_0__"')).types) == ["a"]


def test_a_file_name_does_not_matter(imported: Import, parquet: Write) -> None:
    assert imported(parquet("SELECT 1 AS a"), "data.bin").rows == [(1,)]


def test_what_is_wrong_is_told(imported: Import, parquet: Write) -> None:
    with pytest.raises(NoRows):
        imported(parquet("SELECT 1 AS a WHERE false"))
    with pytest.raises(DuplicateColumns, match="'a', 'A'"):
        imported(parquet('SELECT 1 AS a, 2 AS "A "'))
    with pytest.raises(TooManyColumns):
        imported(parquet("SELECT 1 AS a, 2 AS b, 3 AS c"), limit=2)


def test_a_damaged_file_is_told(imported: Import, parquet: Write) -> None:
    content = parquet("SELECT range AS a, 'x' || range AS b FROM range(10000)").read_bytes()
    for damaged in (content[:-20], content[:100], b"PAR1", content[:4] + bytes(len(content) - 8) + content[-4:]):
        with pytest.raises(Unreadable, match="Parquet"):
            imported(damaged, "table.parquet")
    half = len(content) // 2
    with pytest.raises(Unreadable):
        imported(content[: half - 5000] + bytes(5000) + content[half:], "table.parquet")
    with pytest.raises(Unreadable, match="encrypted"):
        imported(b"PARE" + content[4:-4] + b"PARE", "table.parquet")
    with pytest.raises(Unreadable):
        imported(bytes(range(256)) * 10, "table.parquet")
