"""JSON lines: objects, whose keys need not be the same in each."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.features.datasets.importers.errors import DuplicateColumns, NoRows, TooManyColumns, Unreadable

Import = Callable[..., Any]


def test_keys_become_columns_in_the_order_of_their_first_appearance(imported: Import) -> None:
    lines = ['{"b": 1, "a": "x"}', "", '{"a": null, "c/d": true}', '{"~\\"e": 2.5, "b": -3}']
    got = imported("\n".join(lines), "data.jsonl")
    assert got.types == {"b": "BIGINT", "a": "VARCHAR", "c/d": "BOOLEAN", '~"e': "DOUBLE"}
    assert got.rows == [(1, "x", None, None), (None, None, True, None), (-3, None, None, 2.5)]


def test_strings_stay_strings_but_dates_are_read(imported: Import) -> None:
    rows = [{"zip": "1234", "day": "2024-03-14", "mixed": 1, "truth": "true"}, {"mixed": "NA"}, {"mixed": 2.5}]
    got = imported("\n".join(map(json.dumps, rows)))
    assert got.types == {"zip": "VARCHAR", "day": "DATE", "mixed": "DOUBLE", "truth": "VARCHAR"}
    assert got.column("mixed") == [1.0, None, 2.5]
    assert got.column("day")[0] == dt.date(2024, 3, 14)


def test_what_is_nested_becomes_text(imported: Import) -> None:
    got = imported('{"a": {"b": [1, 2]}, "n": 1}\n{"a": [], "n": 2}\n')
    assert got.column("a") == ['{"b":[1,2]}', "[]"]


def test_numbers_that_are_none_are_missing(imported: Import) -> None:
    assert imported('{"a": NaN}\n{"a": 1.5}\n{"a": null}').column("a") == [None, 1.5, None]


@pytest.mark.parametrize("filename", ["data.json", "data.jsonl", "data.txt"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_is_read_too(imported: Import, filename: str, indent: int | None) -> None:
    content = json.dumps([{"a": 1, "b": "ü"}, {"a": 2}], indent=indent)
    assert imported(content, filename).rows == [(1, "ü"), (2, None)]


def test_utf_16_and_a_mark_are_read(imported: Import) -> None:
    for encoding in ("utf-16", "utf-8-sig"):
        assert imported('{"a": "ü"}\n{"a": "x"}\n'.encode(encoding), "data.jsonl").column("a") == ["ü", "x"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": 1}\n{"a": 2\n{"a": 3}\n', "Line 2 is no JSON"),
        ('{"a": 1}\n[1, 2]\n', "Entry 2 is array, not an object"),
        ('{"a": 1}\nnull\n', "Entry 2 is null"),
        ('{"a": 1}{"a": 2}\n', "Line 1 is no JSON"),
        ('{"a": ' + "[" * 5000 + "\n", "Line 1 is no JSON"),
        ("{}\n{}\n", "no keys"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(imported: Import, content: str, told: str) -> None:
    with pytest.raises(Unreadable, match=told):
        imported(content, "data.jsonl")


def test_doubled_keys_are_told(imported: Import) -> None:
    with pytest.raises(DuplicateColumns, match="An object has a key twice: 'a'"):
        imported('{"a": 1, "a": 2}\n')
    with pytest.raises(DuplicateColumns, match="'a', 'A'"):
        imported('{"a": 1}\n{"A": 2}\n')


def test_limits_are_held(imported: Import) -> None:
    with pytest.raises(TooManyColumns, match="3 columns"):
        imported('{"a": 1, "b": 2}\n{"c": 3}\n', limit=2)
    with pytest.raises(NoRows):
        imported("[]", "data.json")
