"""Made series: seasons, trends, and everything that goes wrong with them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from modelyard.algorithms.base import TrainingData
from modelyard.formats.base import Batch
from modelyard.protocol.signature import Field, Signature


def signature_of(horizon: int | None, *, named: bool = True, extra: Sequence[Field] = ()) -> Signature:
    fields = [Field(name="when", kind="date"), *extra, Field(name="y", kind="number")]
    if named:
        fields.insert(1, Field(name="shop", kind="category"))
    return Signature(
        scenario="time-series-prediction", inputs=tuple(fields), target="y", time="when",
        series="shop" if named else None, horizon=horizon,
    )  # fmt: skip


def rows_of(series: dict[str, tuple[np.ndarray, np.ndarray]], *, named: bool = True) -> Batch:
    """Rows of (times, values) by name."""
    times = np.concatenate([np.datetime_as_string(times.astype("datetime64[s]")) for times, _ in series.values()])
    strings = np.empty((len(times), 2 if named else 1), object)
    strings[:, 0] = times.tolist()
    if named:
        strings[:, 1] = np.repeat(list(series), [len(times) for times, _ in series.values()])
    values = np.concatenate([values for _, values in series.values()])
    return Batch(values.astype(np.float32)[:, None], strings)


def data_of(
    series: dict[str, tuple[np.ndarray, np.ndarray]], held: int, horizon: int | None, *, named: bool = True
) -> TrainingData:
    """The last `held` values of each series are the validation rows."""
    before = {name: (times[:-held], values[:-held]) for name, (times, values) in series.items() if len(times) > held}
    after = {name: (times[-held:], values[-held:] * np.nan) for name, (times, values) in series.items()
             if len(times) > held}  # fmt: skip
    return TrainingData(
        signature=signature_of(horizon, named=named),
        rows=rows_of(before, named=named),
        labels=np.concatenate([values for _, values in before.values()]),
        validation=rows_of(after, named=named),
        validation_labels=np.concatenate([series[name][1][-held:] for name in after]),
        seed=1,
    )


def hours(count: int, length: int, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Hourly series that repeat every day."""
    random = np.random.default_rng(seed)
    times = np.datetime64("2024-03-01T00:00:00") + np.arange(length) * np.timedelta64(3600, "s")
    day = np.sin(np.arange(length) * 2 * np.pi / 24)
    return {
        f"shop {place}": (times, (20 + 5 * day + random.normal(0, 0.5, length)) * 10.0 ** random.integers(-3, 4))
        for place in range(count)
    }


def months(length: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A monthly series that grows, with a season that grows along."""
    random = np.random.default_rng(seed)
    places = np.arange(length)
    values = (100 + places) * (1 + 0.3 * np.sin(places * 2 * np.pi / 12)) * random.normal(1, 0.01, length)
    return np.datetime64("2015-01", "M") + places, values


@pytest.fixture(scope="session")
def many_hours() -> TrainingData:
    """25 hourly series, two weeks each."""
    return data_of(hours(20, 12 * 24), 24, 24)


@pytest.fixture(scope="session")
def one_month_series() -> TrainingData:
    """One monthly series without a name."""
    return data_of({"": months()}, 12, 12, named=False)


@pytest.fixture(scope="session")
def make() -> Callable[..., TrainingData]:
    return data_of
