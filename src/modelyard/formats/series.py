"""Rows that are in order of time: which series they belong to, when they are, and how far apart.

Shared by whatever learns from series and whatever serves them. Times are UTC.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Signature

Times = NDArray[np.datetime64]
DAY = 86_400_000_000
"""Microseconds."""


class Series(NamedTuple):
    """One series of a batch: `rows` are its places there, in order of time; `times` are datetime64[us]."""

    name: str
    rows: NDArray[np.intp]
    times: Times


class Step(NamedTuple):
    """How far apart two values are: `months` of the calendar, or microseconds."""

    months: int
    micros: int

    def after(self, last: np.datetime64, count: int) -> Times:
        """The `count` times that follow on `last`. The day of the month stays, but for months that are too short."""
        ahead = np.arange(1, count + 1)
        if not self.months:
            following: Times = last.astype("datetime64[us]") + ahead * np.timedelta64(self.micros, "us")
            return following
        month = last.astype("datetime64[M]")
        into = last.astype("datetime64[us]") - month.astype("datetime64[us]")
        at_the_end = (last.astype("datetime64[D]") + 1).astype("datetime64[M]") != month
        months = month + ahead * self.months
        starts, ends = months.astype("datetime64[us]"), (months + 1).astype("datetime64[us]")
        clock = into % np.timedelta64(DAY, "us")
        latest = ends - np.timedelta64(DAY, "us") + clock
        found: Times = latest if at_the_end else np.minimum(starts + into, latest)
        return found


def series_of(signature: Signature, batch: Batch) -> list[Series]:
    """The series of a batch by order of appearance, each in order of time (rows of one time stay in their order).

    Raises Invalid where a row has no time, or one that is none.
    """
    times = times_of(signature, batch)
    if signature.series is None:
        order = _in_order(times)
        return [Series("", order, times[order])] if batch.rows else []
    place = [field.name for field in signature.string_inputs].index(signature.series)
    names: dict[str, int] = {}
    codes = np.array([names.setdefault(name, len(names)) for name in batch.strings[:, place].tolist()], np.intp)
    order = np.lexsort((times, codes))
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return [
        Series(name, order[bounds[code] : bounds[code + 1]], times[order[bounds[code] : bounds[code + 1]]])
        for name, code in names.items()
    ]


def times_of(signature: Signature, batch: Batch) -> Times:
    """The time of each row as datetime64[us]. Raises Invalid."""
    place = [field.name for field in signature.string_inputs].index(signature.time or "")
    texts = batch.strings[:, place]
    try:
        times = _parsed(texts.tolist())
    except ValueError as error:
        raise Invalid(f"{signature.time} holds something that is no time: {error}.") from None
    absent = np.flatnonzero(np.isnat(times))
    if len(absent):
        raise Invalid(f"Row {int(absent[0]) + 1} has no {signature.time}. Give every row one.")
    return times


def step_of(times: Times) -> Step:
    """The usual distance between neighbours of one sorted series: whole months where they are, else the median."""
    if len(times) < 2:
        return Step(0, DAY)
    gaps = np.diff(times).astype(np.int64)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return Step(0, DAY)
    usual = int(np.median(gaps))
    if usual >= 28 * DAY:
        months = np.diff(times.astype("datetime64[M]")).astype(np.int64)
        typical = int(np.median(months))
        days = times.astype("datetime64[D]") - times.astype("datetime64[M]").astype("datetime64[D]")
        same_day = len(np.unique(days)) == 1 or bool((days >= np.timedelta64(27, "D")).all())
        if typical >= 1 and same_day:
            return Step(typical, 0)
    return Step(0, usual)


def texts_of(times: Times) -> list[str]:
    """Times as they are written in answers: ISO 8601, UTC, as short as nothing is lost."""
    whole = times.astype("datetime64[s]")
    unit = "s" if (whole == times).all() else "us"
    return [f"{text}Z" for text in np.datetime_as_string(times, unit=cast("Any", unit)).tolist()]


def _parsed(texts: list[str]) -> Times:
    """ISO 8601 as UTC. numpy reads many at once, but no offsets."""
    if not any(text[-1:] == "Z" or "+" in text or "-" in text[10:] for text in texts):
        plain: Times = np.array(texts, "U").astype("datetime64[us]")
        return plain
    moments = [datetime.fromisoformat(text) if text else None for text in texts]
    naive = [each.astimezone(UTC).replace(tzinfo=None) if each and each.tzinfo else each for each in moments]
    return np.array(naive, "datetime64[us]")


def _in_order(times: Times) -> NDArray[np.intp]:
    if len(times) < 2 or bool((times[1:] >= times[:-1]).all()):
        return np.arange(len(times))
    return np.argsort(times, kind="stable")
