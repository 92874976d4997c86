"""Which type a column of text becomes."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

Import = Callable[..., Any]
DAY, NIGHT = dt.date(2024, 3, 14), dt.datetime(2024, 3, 14, 22, 5)  # noqa: DTZ001 - stored without a zone


def one(imported: Import, values: list[str], delimiter: str = "|") -> tuple[str, list[Any]]:
    """The type and the values of a column beside another one."""
    got = imported("\n".join([f"x{delimiter}other", *(f"{value}{delimiter}o" for value in values)]))
    return got.types["x"], got.column("x")


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["1", "-2", "0"], "BIGINT", [1, -2, 0]),
        (["123456789012345678", "1"], "BIGINT", [123456789012345678, 1]),
        (["1", "2.5", ".5", "3.", "-1e3", "2E-2"], "DOUBLE", [1.0, 2.5, 0.5, 3.0, -1000.0, 0.02]),
        (["1", "", "NA", "n/a", "NULL", "NaN", "?", "-", "None"], "BIGINT", [1] + [None] * 8),
        (["1.5", " ", "inf", "-Infinity", "1e999"], "VARCHAR", ["1.5", None, "inf", "-Infinity", "1e999"]),
        (["1.5", "inf", "-Infinity"], "DOUBLE", [1.5, None, None]),
        (["true", "FALSE", "True", "NA"], "BOOLEAN", [True, False, True, None]),
        (["yes", "no"], "VARCHAR", ["yes", "no"]),
        (["0", "1"], "BIGINT", [0, 1]),
        (["01234", "99999"], "VARCHAR", ["01234", "99999"]),
        (["-07", "3"], "VARCHAR", ["-07", "3"]),
        (["00.5", "1.5"], "VARCHAR", ["00.5", "1.5"]),
        (["12345678901234567890", "1"], "VARCHAR", ["12345678901234567890", "1"]),
        (["+491234", "1"], "VARCHAR", ["+491234", "1"]),
        (["1_000", "2"], "VARCHAR", ["1_000", "2"]),
        (["1,234", "2,345"], "VARCHAR", ["1,234", "2,345"]),
        (["0x1F", "2"], "VARCHAR", ["0x1F", "2"]),
        (["12 %", "3"], "VARCHAR", ["12 %", "3"]),
        (["NA", "", "null"], "VARCHAR", ["NA", None, "null"]),
        (["NA", "Namibia"], "VARCHAR", ["NA", "Namibia"]),
        ([" padded ", "x"], "VARCHAR", ["padded", "x"]),
        (["2024-03-14", ""], "DATE", [DAY, None]),
        (["2024/03/14", "2024/01/31"], "DATE", [DAY, dt.date(2024, 1, 31)]),
        (["2024-13-14", "2024-03-14"], "VARCHAR", ["2024-13-14", "2024-03-14"]),
        (["2024-03-14T22:05", "2024-03-14 22:05:00", "2024-03-14T22:05:00Z"], "TIMESTAMP", [NIGHT] * 3),
        (["2024-03-15T00:05:00+02:00", "2024-03-14T22:05:00.000"], "TIMESTAMP", [NIGHT] * 2),
        (["14/03/2024", "3/3/2024"], "DATE", [DAY, dt.date(2024, 3, 3)]),
        (["03/14/2024", "3/3/2024"], "DATE", [DAY, dt.date(2024, 3, 3)]),
        (["14-03-2024 22:05", "03-04-2024 22:05:00"], "TIMESTAMP", [NIGHT, dt.datetime(2024, 4, 3, 22, 5)]),  # noqa: DTZ001
        (["14.03.2024", "03.04.2024"], "DATE", [DAY, dt.date(2024, 4, 3)]),
        (["03.04.2024", "05.06.2024"], "DATE", [dt.date(2024, 4, 3), dt.date(2024, 6, 5)]),
        (["03/04/2024", "05/06/2024"], "VARCHAR", ["03/04/2024", "05/06/2024"]),
        (["14/03/2024", "03/14/2024"], "VARCHAR", ["14/03/2024", "03/14/2024"]),
        (["14/03/2024", "14-03-2024"], "VARCHAR", ["14/03/2024", "14-03-2024"]),
        (["31/02/2024", "14/03/2024"], "VARCHAR", ["31/02/2024", "14/03/2024"]),
        (["14/03/24", "15/03/24"], "VARCHAR", ["14/03/24", "15/03/24"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_column_takes_the_form_that_fits_all_its_values(
    imported: Import, values: list[str], kind: str, read: list[Any]
) -> None:
    assert one(imported, values) == (kind, read)


@pytest.mark.parametrize(
    ("delimiter", "values", "kind", "read"),
    [
        (";", ["1,5", "-0,25", "3", ",5", "NA"], "DOUBLE", [1.5, -0.25, 3.0, 0.5, None]),
        (";", ["1,234", "2,345"], "DOUBLE", [1.234, 2.345]),
        (";", ["1.234,5", "2,5"], "VARCHAR", ["1.234,5", "2,5"]),
        ("\t", ["1,5", "2,25"], "DOUBLE", [1.5, 2.25]),
        ("\t", ["1,234", "12"], "VARCHAR", ["1,234", "12"]),
        ("\t", ["0,125", "0,250"], "DOUBLE", [0.125, 0.25]),
        (",", ['"1,5"', '"2,5"'], "VARCHAR", ["1,5", "2,5"]),
    ],
)
def test_a_decimal_comma_is_read_where_it_can_be_nothing_else(
    imported: Import, delimiter: str, values: list[str], kind: str, read: list[Any]
) -> None:
    assert one(imported, values, delimiter) == (kind, read)


def test_one_value_far_below_decides(imported: Import) -> None:
    many = 20_000
    assert one(imported, ["1"] * many + ["2.5"])[0] == "DOUBLE"
    assert one(imported, ["1"] * many + ["x"])[0] == "VARCHAR"
    assert one(imported, ["03/04/2024"] * many + ["14/03/2024"])[1][-1] == DAY
    assert one(imported, [""] * many + ["true"])[0] == "BOOLEAN"
    assert one(imported, ["2024-03-14"] * many + ["2024-03-14 22:05:00"])[0] == "TIMESTAMP"
