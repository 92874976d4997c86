"""What a profile says of a table: every figure against one counted by other means."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest

from modelyard.features.datasets import profile as profiles
from modelyard.features.datasets.importers.run import import_file
from modelyard.features.datasets.profile import ColumnProfile, Profile, describe


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        yield opened


def column(connection: duckdb.DuckDBPyConnection, query: str) -> ColumnProfile:
    """The profile of the only column of a query."""
    (found,) = describe(connection, f"({query})").columns
    return found


def test_numbers_are_summed_up_as_numpy_does(connection: duckdb.DuckDBPyConnection) -> None:
    values = np.random.default_rng(1).normal(50, 20, 5000)
    connection.execute("CREATE TABLE t (x DOUBLE)")
    connection.executemany("INSERT INTO t VALUES (?)", [[value] for value in [*values[:500].tolist(), None, None]])
    got = column(connection, "SELECT x FROM t")
    kept = values[:500]
    assert (got.kind, got.type, got.missing, got.distinct, got.identifier) == ("number", "DOUBLE", 2, 500, False)
    assert got.minimum == pytest.approx(kept.min())
    assert got.maximum == pytest.approx(kept.max())
    assert got.mean == pytest.approx(kept.mean())
    assert got.deviation == pytest.approx(kept.std(ddof=1))
    assert got.quantiles == pytest.approx(
        {f"p{share}": np.percentile(kept, share) for share in (5, 25, 50, 75, 95)}, rel=1e-9
    )
    counts, edges = np.histogram(kept, bins=20)
    assert got.histogram is not None
    assert got.histogram.counts == tuple(counts)
    assert got.histogram.edges == pytest.approx(edges)
    assert got.examples == tuple(float(f"{value:.10g}") for value in kept[:5])


def test_values_are_counted_most_frequent_first(connection: duckdb.DuckDBPyConnection) -> None:
    got = column(connection, "SELECT chr((97 + least(range % 30, 24))::INT) AS x FROM range(300)")
    assert got.top[0] == ("y", 60)
    assert got.top[1:] == tuple((chr(97 + number), 10) for number in range(19))
    assert (got.kind, got.distinct, got.minimum, got.histogram) == ("category", 25, None, None)


def test_two_classes_come_with_their_counts(connection: duckdb.DuckDBPyConnection) -> None:
    for cast in ("BIGINT", "BOOLEAN"):
        got = column(connection, f"SELECT (range % 4 = 0)::{cast} AS x FROM range(100)")
        assert got.top == ((False, 75), (True, 25))
        assert got.distinct == 2


def test_dates_are_told_as_text(connection: duckdb.DuckDBPyConnection) -> None:
    day = column(connection, "SELECT DATE '2024-01-01' + range::INT AS x FROM range(366)")
    assert (day.kind, day.minimum, day.maximum, day.identifier) == ("date", "2024-01-01", "2024-12-31", False)
    assert day.examples[0] == "2024-01-01"
    moment = column(connection, "SELECT TIMESTAMP '2024-01-01 10:00:00' AS x")
    assert (moment.type, moment.minimum, moment.top) == (
        "TIMESTAMP",
        "2024-01-01T10:00:00",
        (("2024-01-01T10:00:00", 1),),
    )


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT 'a sentence of several words, number ' || range AS x FROM range(500)", "text"),
        ("SELECT repeat('ab', 40) || range AS x FROM range(500)", "text"),
        ("SELECT 'bank transfer that is automatic, kind ' || range % 4 AS x FROM range(500)", "category"),
        ("SELECT 'city ' || range % 50 AS x FROM range(500)", "category"),
        ("SELECT NULL::VARCHAR AS x FROM range(5)", "category"),
        ("SELECT range AS x FROM range(5)", "integer"),
    ],
)
def test_text_is_told_from_categories(connection: duckdb.DuckDBPyConnection, query: str, kind: str) -> None:
    assert column(connection, query).kind == kind


@pytest.mark.parametrize(
    ("query", "identifier"),
    [
        ("SELECT range * 7 AS customerID FROM range(100)", True),
        ("SELECT range * 7 AS order_id FROM range(100)", True),
        ('SELECT range * 7 AS "Unnamed: 0" FROM range(100)', True),
        ("SELECT 1000 + range AS x FROM range(100)", True),
        ("SELECT md5(range::VARCHAR) AS x FROM range(100)", True),
        ("SELECT range * 7 AS salary FROM range(100)", False),
        ("SELECT range * 7 AS humidity FROM range(100)", False),
        ("SELECT range % 99 AS id FROM range(100)", False),
        ("SELECT nullif(range, 5) AS id FROM range(100)", False),
        ("SELECT 'Anna Number ' || range AS name FROM range(100)", False),
        ("SELECT range / 7 AS id FROM range(100)", False),
        ("SELECT DATE '2024-01-01' + range::INT AS id FROM range(100)", False),
        ("SELECT 1 AS id", False),
    ],
)
def test_what_names_the_rows_is_an_identifier(
    connection: duckdb.DuckDBPyConnection, query: str, identifier: bool
) -> None:
    assert column(connection, query).identifier is identifier


def test_extremes_do_no_harm(connection: duckdb.DuckDBPyConnection) -> None:
    huge = column(connection, "SELECT unnest([1e308, -1e308, 5e-324]) AS x")
    assert (huge.maximum, huge.deviation, huge.histogram) == (1e308, None, None)
    same = column(connection, "SELECT 3.5 ::DOUBLE AS x FROM range(10)")
    assert same.histogram == profiles.Histogram((3.5, 3.5), (10,))
    near = column(connection, "SELECT 1e15 + (range % 3) * 0.125 AS x FROM range(30)")
    assert near.histogram is not None
    assert sum(near.histogram.counts) == 30
    large = column(connection, "SELECT unnest([9223372036854775807, -9223372036854775807]) AS x")
    assert (large.minimum, large.maximum) == (-9223372036854775807, 9223372036854775807)
    empty = column(connection, "SELECT NULL::DOUBLE AS x FROM range(3)")
    assert (empty.missing, empty.distinct, empty.minimum, empty.quantiles, empty.top) == (3, 0, None, None, ())


def test_long_values_are_cut_and_odd_names_kept(connection: duckdb.DuckDBPyConnection) -> None:
    got = column(connection, 'SELECT repeat(\'x\', 5000) AS "a ""b"" c"')
    assert got.name == 'a "b" c'
    assert len(got.examples[0]) == len(got.top[0][0]) == 200
    late = column(connection, "SELECT CASE WHEN range > 900 THEN 'seen' END AS x FROM range(1000)")
    assert late.examples == ("seen",)


def test_large_tables_are_estimated_but_keys_and_classes_are_counted(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE t AS SELECT range * 3 AS id, range % 2 AS class, hash(range)::DOUBLE AS x, "
        "md5((range % 150000)::VARCHAR) AS token FROM range(1200000)"
    )
    got = {found.name: found for found in describe(connection, "t").columns}
    assert (got["id"].distinct, got["id"].identifier, got["class"].distinct) == (1_200_000, True, 2)
    assert got["x"].distinct == pytest.approx(1_200_000, rel=0.1)
    assert got["token"].distinct == pytest.approx(150_000, rel=0.1)
    assert got["class"].top == ((0, 600_000), (1, 600_000))
    assert got["id"].quantiles == pytest.approx(
        {"p5": 180_000, "p25": 900_000, "p50": 1_800_000, "p75": 2_700_000, "p95": 3_420_000}, rel=0.02
    )
    assert describe(connection, "t") == describe(connection, "t")


def test_a_profile_is_plain_json(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE t AS SELECT range AS a, range / 7 AS b, range % 2 = 0 AS c, 'x' || range AS d, "
        "DATE '2024-01-01' AS e, TIMESTAMP '2024-01-01 10:00:00' AS f, NULL::DOUBLE AS g FROM range(50)"
    )
    found = describe(connection, "t")
    encoded = msgspec.json.encode(found)
    assert msgspec.json.decode(encoded, type=Profile) == found
    plain: dict[str, Any] = msgspec.json.decode(encoded)
    assert plain["rows"] == 50
    assert [each["name"] for each in plain["columns"]] == list("abcdefg")
    assert statistics.fmean(float(value) for value, _ in plain["columns"][0]["top"]) == 9.5


def test_a_thousand_columns_are_profiled(tmp_path: Path) -> None:
    wide = tmp_path / "wide.csv"
    names = ",".join(f"c{number}" for number in range(1000))
    rows = (",".join(str((row * 31 + number) % 97) for number in range(1000)) for row in range(300))
    wide.write_text(names + "\n" + "\n".join(rows))
    found = import_file(wide, "wide.csv", tmp_path)
    assert len(found.columns) == 1000
    assert all(each.distinct == 97 and each.histogram for each in found.columns)
