"""Rows that cannot be read: they refuse the file by name, or are left out, counted and named."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.core.errors import Invalid
from modelyard.features.datasets.importers.errors import BadEncoding, BrokenRows, RaggedRows, Unreadable

Upload = Callable[..., Any]
SERIES = "time-series-prediction"
TOLERANT = {"on_error": "tolerant"}


def table(*broken: tuple[int, str], rows: int = 40) -> str:
    """A table of two columns in which some rows, counted from 1, are something else."""
    lines = [f"{n},x{n}" for n in range(1, rows + 1)]
    for number, line in broken:
        lines[number - 1] = line
    return "a,b\n" + "\n".join(lines) + "\n"


def test_strict_names_the_first_rows(uploaded: Upload) -> None:
    with pytest.raises(RaggedRows, match="Line 4 has 3 values") as caught:
        uploaded(table((3, "1,2,3"), (7, "1"), (9, '5,"x')), "t.csv")
    assert caught.value.detail["rows"] == [3, 7, 9]
    assert "line 8, 10" in caught.value.message
    assert "on_error=tolerant" in caught.value.message


def test_tolerant_leaves_them_out_and_says_so(uploaded: Upload) -> None:
    got = uploaded(table((3, "1,2,3"), (7, "1"), (9, '5,"x')), "t.csv", **TOLERANT)
    assert [row[0] for row in got.rows] == [n for n in range(1, 41) if n not in {3, 7, 9}]
    problem = got.problem("broken_rows")
    assert (problem["severity"], problem["count"], problem["rows"]) == ("warning", 3, [3, 7, 9])


def test_a_good_row_of_several_lines_is_no_broken_one(uploaded: Upload) -> None:
    got = uploaded(table((3, "1,2,3"), (5, '5,"two\nlines"')), "t.csv", **TOLERANT)
    assert (5, "two\nlines") in got.rows
    assert got.problem("broken_rows")["rows"] == [3]


def test_many_broken_rows_are_all_counted(uploaded: Upload) -> None:
    got = uploaded(table(*((n, "broken") for n in range(2, 60, 2)), rows=100), "t.csv", **TOLERANT)
    assert (got.problem("broken_rows")["count"], len(got.problem("broken_rows")["rows"])) == (29, 20)


def test_tolerance_ends_where_most_rows_are_broken(uploaded: Upload) -> None:
    with pytest.raises(RaggedRows):
        uploaded(table(*((n, "broken") for n in range(5, 41)), rows=40), "t.csv", **TOLERANT)


def test_bytes_that_are_no_text(uploaded: Upload) -> None:
    content = table().encode().replace(b"x7\n", "für ä ö\n".encode()).replace(b"x9\n", b"\xff\xfe\x80\n")
    with pytest.raises(BadEncoding, match="line 10"):
        uploaded(content, "t.csv")
    got = uploaded(content, "t.csv", **TOLERANT)
    assert len(got.rows) == 39
    assert (7, "für ä ö") in got.rows
    assert got.problem("no_text")["rows"] == [9]


def test_zero_bytes(uploaded: Upload) -> None:
    content = table((11, "11,\0"))
    assert uploaded(content, "t.csv", **TOLERANT).problem("no_text")["rows"] == [11]


def test_lines_that_are_no_objects(uploaded: Upload) -> None:
    lines = [json.dumps({"a": n}) for n in range(30)]
    lines[4], lines[9], lines[19] = "{broken", "17", '["list"]'
    with pytest.raises(Unreadable, match="Line 5 is no JSON"):
        uploaded("\n".join(lines), "t.jsonl")
    got = uploaded("\n".join(lines), "t.jsonl", **TOLERANT)
    assert (len(got.rows), got.problem("broken_rows")["rows"]) == (27, [5, 10, 20])


def series(*broken: tuple[int, str]) -> str:
    lines = [f"2024-01-01 {n // 60:02}:{n % 60:02}:00,{n}" for n in range(90)]
    for number, line in broken:
        lines[number - 1] = line
    return "time,value\n" + "\n".join(lines)


def test_times_and_values_that_are_none(uploaded: Upload) -> None:
    content = series((3, "yesterday,5"), (8, "2024-02-30 00:00:00,1"), (9, "2024-01-01 00:08:00,much"))
    with pytest.raises(BrokenRows, match="without a time in 'time': row 3, 8") as caught:
        uploaded(content, "s.csv", SERIES)
    assert caught.value.detail["rows"] == [3, 8]
    got = uploaded(content, "s.csv", SERIES, **TOLERANT)
    assert len(got.rows) == 87
    assert got.problem("no_time")["rows"] == [3, 8]
    assert got.problem("no_number")["rows"] == [9]


def test_a_column_that_holds_no_times_at_all_is_refused(uploaded: Upload) -> None:
    with pytest.raises(Invalid, match="'time' does not hold times"):
        uploaded("time,value\n" + "".join(f"soon {n},{n}\n" for n in range(20)), "s.csv", SERIES)


@pytest.mark.parametrize(("unit", "name"), [(1, "seconds"), (10**3, "milliseconds"), (10**6, "micro"), (10**9, "nano")])
@pytest.mark.parametrize("column", ["timestamp", "event_time", "ts", "createdDate"])
def test_unix_times_are_read_as_times(uploaded: Upload, unit: int, name: str, column: str) -> None:
    got = uploaded(
        f"{column},value\n" + "".join(f"{(1_700_000_000 + n) * unit},{n}\n" for n in range(30)), "s.csv", SERIES
    )
    assert str(got.rows[0][0]) == "2023-11-14 22:13:20"
    assert name in got.problem("unix_times")["message"]


@pytest.mark.parametrize(
    ("column", "written", "read"),
    [
        ("Month", "{year}-{month:02}", "2001-01-01"),
        ("period", "{year}/{month:02}", "2001-01-01"),
        ("Year", "{row}", "1901-01-01"),
        ("quarter", "{row}Q3", "1901-07-01"),
        ("quarter", "{row}-q4", "1901-10-01"),
    ],
)
def test_months_quarters_and_years_are_times_of_a_series(
    uploaded: Upload, column: str, written: str, read: str
) -> None:
    times = [written.format(year=2001 + n // 12, month=n % 12 + 1, row=1901 + n) for n in range(36)]
    got = uploaded(f"{column},value\n" + "".join(f"{time},{n}\n" for n, time in enumerate(times)), "s.csv", SERIES)
    assert str(got.rows[0][0]) == read


def test_numbers_that_are_no_times_stay_numbers(uploaded: Upload) -> None:
    content = "date,response_time,value\n" + "".join(f"2024-01-{n:02},{n},{n}\n" for n in range(1, 29))
    assert uploaded(content, "s.csv", SERIES).rows[4][1] == 5


def test_time_zones_are_brought_to_one_and_told(uploaded: Upload) -> None:
    zones = ["Z"] * 20 + ["+02:00", ""]
    lines = [f"2024-01-01T{n:02}:00:00{zone},{n}" for n, zone in enumerate(zones)]
    got = uploaded("time,value\n" + "\n".join(lines), "s.csv", SERIES)
    assert str(got.rows[20][0]) == "2024-01-01 18:00:00"
    assert (got.problem("mixed_time_zones")["count"], got.problem("mixed_time_zones")["rows"]) == (2, [21, 22])


def test_one_time_zone_is_nothing_to_tell(uploaded: Upload) -> None:
    lines = [f"2024-01-01T{n:02}:00:00+02:00,{n}" for n in range(20)]
    assert "mixed_time_zones" not in [
        each["code"] for each in uploaded("time,value\n" + "\n".join(lines), "s.csv", SERIES).problems
    ]
