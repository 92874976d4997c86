"""Tables as they are read: the types of Parquet, gaps, names that need quoting, the same values from CSV."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from modelyard.algorithms.tabular import table
from modelyard.protocol.signature import Field

QUERY = '''
    SELECT * FROM (VALUES
        (1::BIGINT, 1.5::DOUBLE, true, 'a"b', DATE '2024-05-31', TIMESTAMP '2024-05-31 12:30:00', 2.25::DECIMAL(9,2)),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (3, 'inf', false, '', DATE '1066-10-14', TIMESTAMP '2024-05-31 00:00:00', 0),
        (9, 1e300, false, 'ü 漢', NULL, NULL, 1)
    ) AS t(whole, "real ""one""", flag, "te`xt", day, moment, price)
'''
FIELDS = (
    Field(name="whole", kind="integer"),
    Field(name='real "one"', kind="number"),
    Field(name="te`xt", kind="category"),
    Field(name="flag", kind="boolean"),
    Field(name="day", kind="date"),
    Field(name="moment", kind="date"),
)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "it's.parquet"
    duckdb.sql(QUERY).write_parquet(str(path))
    return path


def test_types_are_found(parquet: Path) -> None:
    assert table.schema([parquet]) == {
        "whole": "integer", 'real "one"': "number", "flag": "boolean", "te`xt": "string", "day": "date",
        "moment": "date", "price": "number",
    }  # fmt: skip


def test_values_are_plain_and_gaps_are_marked(parquet: Path) -> None:
    read = table.read_parquet(parquet, table.schema([parquet]))
    np.testing.assert_array_equal(read["whole"].values, [1, np.nan, 3, 9])
    np.testing.assert_array_equal(read["flag"].values, [1, np.nan, 0, 0])
    np.testing.assert_array_equal(read["price"].values, [2.25, np.nan, 0, 1])
    assert read["te`xt"].values.tolist() == ['a"b', "", "", "ü 漢"]
    assert read["day"].values.tolist() == ["2024-05-31", "", "1066-10-14", ""]
    assert read["moment"].values.tolist() == ["2024-05-31T12:30:00", "", "2024-05-31", ""]


def test_what_no_request_could_send_is_missing(parquet: Path) -> None:
    values = table.read_parquet(parquet, table.schema([parquet]))['real "one"'].values
    np.testing.assert_array_equal(values, [1.5, np.nan, np.nan, np.nan])


def test_a_batch_has_the_order_of_the_signature(parquet: Path) -> None:
    batch = table.read_parquet(parquet, table.schema([parquet])).batch(FIELDS)
    assert batch.numbers.dtype == np.float32
    np.testing.assert_array_equal(batch.numbers[0], [1, 1.5, 1])
    assert batch.strings[0].tolist() == ['a"b', "2024-05-31", "2024-05-31T12:30:00"]
    assert all(type(value) is str for value in batch.strings.ravel())


def test_a_csv_of_the_table_gives_the_same_batch(parquet: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    duckdb.sql(f"SELECT * FROM '{str(parquet).replace(chr(39), chr(39) * 2)}'").write_csv(str(path))
    expected = table.read_parquet(parquet, table.schema([parquet]))
    read = table.read_csv(path, FIELDS, "price", "number")
    for one, other in zip(read.batch(FIELDS), expected.batch(FIELDS), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(read["price"].values, expected["price"].values)


def test_a_column_that_one_file_lacks_is_missing_there(tmp_path: Path, parquet: Path) -> None:
    other = tmp_path / "other.parquet"
    duckdb.sql("SELECT 7::BIGINT AS whole, 'x' AS day").write_parquet(str(other))
    types = table.schema([parquet])
    both = table.merged([table.read_parquet(path, types) for path in (parquet, other)])
    assert both.rows == 5
    assert both["te`xt"].values.tolist()[-1] == ""
    assert both["day"].values.tolist()[-1] == ""
    np.testing.assert_array_equal(both["flag"].values, [1, np.nan, 0, 0, np.nan])


def test_rows_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    duckdb.sql("SELECT range AS n FROM range(500000)").write_parquet(str(path))
    values = table.read_parquet(path, {"n": "integer"})["n"].values
    np.testing.assert_array_equal(values, np.arange(500000))


def test_a_column_that_is_empty_in_one_file_holds_what_the_other_says(tmp_path: Path) -> None:
    duckdb.sql("SELECT 1.5::DOUBLE AS size, 'a' AS name").write_parquet(str(tmp_path / "full.parquet"))
    duckdb.sql("SELECT NULL::VARCHAR AS size, 'b' AS name").write_parquet(str(tmp_path / "empty.parquet"))
    paths = [tmp_path / "full.parquet", tmp_path / "empty.parquet"]
    types = table.schema(paths)
    assert types == {"size": "number", "name": "string"}
    found = table.merged([table.read_parquet(path, types) for path in paths])
    np.testing.assert_array_equal(found["size"].values, [1.5, np.nan])
