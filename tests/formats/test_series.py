"""Rows in order of time: which series, when, how far apart, and what follows."""

# Times are UTC here and bear no zone.
# ruff: noqa: DTZ001

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.formats.series import DAY, Step, series_of, step_of, texts_of, times_of
from modelyard.protocol.signature import Field, Signature

ONE = Signature(scenario="any", inputs=(Field(name="when", kind="date"),), target="", time="when")
MANY = Signature(
    scenario="any", inputs=(Field(name="who", kind="category"), Field(name="when", kind="date")), target="",
    time="when", series="who",
)  # fmt: skip


def batch(*rows: str | tuple[str, ...]) -> Batch:
    listed = [row if isinstance(row, tuple) else (row,) for row in rows]
    strings = np.array(listed, object).reshape(len(listed), len(listed[0]) if listed else 1)
    return Batch(np.zeros((len(listed), 0), np.float32), strings)


def moments(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


def test_rows_of_many_series_are_put_in_order_of_time_and_keep_their_places() -> None:
    found = series_of(MANY, batch(("b", "2026-01-02"), ("a", "2026-01-05"), ("b", "2026-01-01"), ("a", "2026-01-04")))
    assert [(series.name, series.rows.tolist()) for series in found] == [("b", [2, 0]), ("a", [3, 1])]
    assert found[0].times.tolist() == [datetime(2026, 1, 1), datetime(2026, 1, 2)]


def test_rows_of_one_time_stay_as_they_came() -> None:
    (found,) = series_of(ONE, batch("2026-01-02", "2026-01-01", "2026-01-01"))
    assert found.rows.tolist() == [1, 2, 0]


def test_no_rows_are_no_series() -> None:
    assert series_of(ONE, batch()) == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T13:00:00+01:00",
        "2026-03-01 07:00:00-05:00",
        "2026-03-01 12:00",
        "2026-03-01T12",
    ],
)
def test_a_time_may_be_written_in_any_zone(text: str) -> None:
    # A row without an offset beside one with it: both are read.
    assert times_of(ONE, batch(text, "2026-03-01T12:00:00Z")).tolist() == [datetime(2026, 3, 1, 12)] * 2


@pytest.mark.parametrize(("text", "said"), [("soon", "is no time"), ("", "Row 2 has no when")])
def test_what_is_no_time_is_named(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        times_of(ONE, batch("2026-01-01", text))


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (["2026-01-01T00", "2026-01-01T01", "2026-01-01T02"], Step(0, DAY // 24)),
        (["2026-01-01", "2026-01-02", "2026-01-05", "2026-01-06", "2026-01-07"], Step(0, DAY)),
        (["2026-01-05", "2026-01-12", "2026-01-19"], Step(0, 7 * DAY)),
        (["2026-01-01", "2026-02-01", "2026-03-01"], Step(1, 0)),
        (["2026-01-31", "2026-02-28", "2026-03-31"], Step(1, 0)),
        (["2025-03-31", "2025-06-30", "2025-09-30"], Step(3, 0)),
        (["2020-01-01", "2021-01-01", "2022-01-01"], Step(12, 0)),
        (["2026-01-01", "2026-01-31", "2026-03-02"], Step(0, 30 * DAY)),
        (["2026-01-01"], Step(0, DAY)),
        (["2026-01-01", "2026-01-01"], Step(0, DAY)),
    ],
)
def test_the_usual_distance_is_found(times: list[str], step: Step) -> None:
    assert step_of(moments(*times)) == step


def test_ends_of_months_follow_on_ends_of_months() -> None:
    assert texts_of(Step(1, 0).after(moments("2026-01-31")[0], 3)) == [
        "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z",
    ]  # fmt: skip


@given(
    start=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),
    micros=st.integers(1, 400 * DAY),
    count=st.integers(1, 50),
)
def test_what_follows_at_fixed_distances_is_plain_arithmetic(start: datetime, micros: int, count: int) -> None:
    found = Step(0, micros).after(np.datetime64(start, "us"), count).tolist()
    assert found == [start + timedelta(microseconds=micros * (number + 1)) for number in range(count)]


@given(
    start=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), months=st.integers(1, 24), count=st.integers(1, 30)
)
def test_what_follows_in_months_falls_into_the_right_month(start: datetime, months: int, count: int) -> None:
    found = Step(months, 0).after(np.datetime64(start, "us"), count).tolist()
    for number, each in enumerate(found, start=1):
        assert (each.year - start.year) * 12 + each.month - start.month == months * number
        assert each.time() == start.time()
        last_of_month = (start + timedelta(days=1)).month != start.month
        assert (
            each.day == start.day
            or (each + timedelta(days=1)).month != each.month
            or (last_of_month and each.day >= 28)
        )


def test_times_are_written_so_that_nothing_is_lost() -> None:
    times = moments("2026-01-01T00:00:00.000001")
    (text,) = texts_of(times)
    assert datetime.fromisoformat(text) == datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
