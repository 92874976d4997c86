"""What a column is taken for, and which ones are left out."""

import numpy as np
import pytest

from modelyard.algorithms.tabular import columns
from modelyard.algorithms.tabular.table import Column, Table

RANDOM = np.random.default_rng(1)
ROWS = 200


def strings(name: str, values: list[str]) -> Column:
    return Column(name, "string", np.array(values, object))


def numbers(name: str, values: object, kind: str = "integer") -> Column:
    return Column(name, kind, np.array(values, float))


SENTENCES = [f"customer {number} called about a late box" for number in range(ROWS)]
CODES = [f"{number:04d}-XQ" for number in range(ROWS)]


@pytest.mark.parametrize(
    "column",
    [
        strings("customer", CODES),
        strings("customer", ["", "", *CODES[2:]]),
        numbers("customerID", RANDOM.permutation(ROWS) + 5000),
        numbers("customer_id", RANDOM.permutation(9 * ROWS)[:ROWS]),
        numbers("id", range(ROWS)),
        numbers("Unnamed: 0", range(ROWS)),
    ],
    ids=lambda column: column.name,
)
def test_what_only_names_rows_is_left_out(column: Column) -> None:
    assert columns.useless(column)


@pytest.mark.parametrize(
    "column",
    [
        strings("note", SENTENCES),
        strings("ticket", [f"T{number // 2}" for number in range(ROWS)]),
        numbers("income", RANDOM.permutation(9 * ROWS)[:ROWS]),
        numbers("paid", RANDOM.random(ROWS), "number"),
        numbers("grid", RANDOM.permutation(ROWS)),
        numbers("customer_id", [number // 3 for number in range(ROWS)]),
        strings("rarely", ["yes", *[""] * (ROWS - 1)]),
    ],
    ids=lambda column: column.name,
)
def test_what_may_teach_something_stays(column: Column) -> None:
    assert columns.useless(column) == ""


def test_empty_and_constant_columns_are_left_out_with_their_reason() -> None:
    assert columns.useless(strings("gone", [""] * 9)) == "has no values"
    assert columns.useless(numbers("gone", [np.nan] * 9)) == "has no values"
    assert columns.useless(numbers("same", [4] * 9)) == "has the same value in every row"


def test_kinds() -> None:
    assert columns.kind_of(strings("note", SENTENCES)) == "text"
    assert (
        columns.kind_of(
            strings("long", ["Credit card (automatic), paid monthly", "Mailed check, sent by the bank"] * 99)
        )
        == "category"
    )
    assert columns.kind_of(strings("short", ["a", "b"] * 50)) == "category"
    assert columns.kind_of(Column("since", "date", np.array(["2024-01-01"] * 5, object))) == "date"
    assert columns.kind_of(numbers("flag", [0, 1], "boolean")) == "boolean"


def test_a_field_says_what_was_seen() -> None:
    field = columns.describe(strings("c", ["b", "a", "b", ""]))
    assert (field.categories, field.missing, field.example) == (("b", "a"), 0.25, "b")
    field = columns.describe(numbers("n", [53.65, 0.1, np.nan, 7], "number"))
    assert (field.minimum, field.maximum, field.example, field.missing) == (0.1, 53.65, 7.0, 0.25)
    field = columns.describe(numbers("b", [1, 1, 0], "boolean"))
    assert (field.example, field.minimum) == (True, None)


def test_at_most_a_thousand_categories_are_listed() -> None:
    field = columns.describe(strings("c", [f"v{number}" for number in range(1500)] * 2))
    assert len(field.categories) == 1000


def test_choosing_keeps_the_order_and_names_reasons() -> None:
    table = Table(
        [
            strings("key", CODES),
            numbers("n", RANDOM.random(ROWS), "number"),
            strings("y", ["a", "b"] * 100),
            strings("c", ["x", "y"] * 100),
        ]
    )
    chosen = columns.choose(table, "y", ["c"])
    assert [field.name for field in chosen.fields] == ["n"]
    assert chosen.dropped == {"key": "identifies rows: nearly every value occurs once", "c": "left out on request"}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [(53.65, "number", 53.65), (3.0, "integer", 3), (1.0, "boolean", True), (float("nan"), "number", None)],
)
def test_an_example_value_becomes_the_same_float32_again(value: float, kind: str, expected: object) -> None:
    found = columns.plain(value, kind)
    assert found == expected
    assert type(found) is type(expected)
