"""Features that are computed in front of a graph: dates taken apart, free text as a few numbers.

The one place where it is done: training calls it on the rows that it learns from, serving on the rows that it is sent.
What was learned is data (`features.json`), not code. A row's features never depend on the rows beside it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken
from modelyard.formats.base import Batch

FILE = "features.json"
EPOCH = date(1970, 1, 1).toordinal()

Part = Literal["year", "month", "day", "weekday", "ordinal", "hour"]
_WORD = re.compile(r"[^\W_]+")


class DateColumn(msgspec.Struct, frozen=True):
    """A string column that holds dates, and which parts of them become numbers. A missing date is NaN in all."""

    column: int
    parts: tuple[Part, ...]


class TextColumn(msgspec.Struct, frozen=True):
    """A string column that holds free text: latent semantic analysis over TF-IDF (Deerwester et al. 1990).

    `terms` are the words that count, `weights` their inverse document frequencies; row i of `components` places
    term i in the latent space. A text becomes its place there and the logarithm of its length in words.
    """

    column: int
    terms: tuple[str, ...]
    weights: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]


class Features(msgspec.Struct, frozen=True):
    """What becomes of a batch's string columns; `categories` are the ones that stay strings."""

    categories: tuple[int, ...]
    dates: tuple[DateColumn, ...] = ()
    texts: tuple[TextColumn, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self.dates or self.texts)

    def save(self, folder: Path) -> None:
        """Write `features.json`, where there is anything to compute."""
        if self.derived:
            (folder / FILE).write_bytes(msgspec.json.encode(self))


def load(folder: Path) -> Features | None:
    """What `Features.save` wrote; None where a batch is taken as it is. Raises Broken."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Features)
    except msgspec.DecodeError as error:
        raise Broken(f"{folder.name}/{FILE} cannot be read: {error}. Train the version again.") from error


class Featuriser:
    """Computes what `features` say."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._texts = [_Text(column) for column in features.texts]

    def __call__(self, batch: Batch) -> Batch:
        """Numbers with the derived ones appended (dates, then texts), and the strings that are categories."""
        if not self.features.derived:
            return batch
        dates = [date_numbers(batch.strings[:, item.column], item.parts) for item in self.features.dates]
        texts = [text(batch.strings[:, text.column]) for text in self._texts]
        numbers = np.concatenate([batch.numbers, *dates, *texts], axis=1)
        return Batch(numbers, batch.strings[:, list(self.features.categories)])


def date_numbers(values: NDArray[np.object_], parts: Sequence[Part]) -> NDArray[np.float32]:
    """The parts of ISO 8601 dates, shape (rows, parts): the ordinal counts days since 1970, the hour has a fraction."""
    rows = [[parsed[part] for part in parts] for parsed in map(date_parts, values.tolist())]
    return np.array(rows, np.float32).reshape(len(values), len(parts))


@lru_cache(maxsize=65536)
def date_parts(text: str) -> dict[Part, float]:
    """Every part of one date; NaN where it is missing or no date. Times with an offset are taken to UTC."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return dict.fromkeys(("year", "month", "day", "weekday", "ordinal", "hour"), float("nan"))
    hour = moment.hour + moment.minute / 60 + moment.second / 3600
    return {
        "year": moment.year, "month": moment.month, "day": moment.day, "weekday": moment.weekday(),
        "ordinal": moment.toordinal() - EPOCH, "hour": hour,
    }  # fmt: skip


def words(text: str) -> Iterator[str]:
    """The words of a text, without case."""
    return (found.group() for found in _WORD.finditer(text.casefold()))


class _Text:
    """One text column, ready to be computed."""

    def __init__(self, learned: TextColumn) -> None:
        self.column = learned.column
        self._places = {term: place for place, term in enumerate(learned.terms)}
        self._weights = np.array(learned.weights, np.float64)
        self._width = len(learned.components[0]) if learned.components else 0
        self._components = np.array(learned.components, np.float64).reshape(len(learned.terms), self._width)

    def __call__(self, values: NDArray[np.object_]) -> NDArray[np.float32]:
        rows = [self._row(text) for text in values.tolist()]
        return np.array(rows, np.float32).reshape(len(values), self._width + 1)

    def _row(self, text: str) -> NDArray[np.float64]:
        counts = Counter(words(text))
        row = np.zeros(self._width + 1)
        row[-1] = np.log1p(counts.total())
        known = [(place, count) for word, count in counts.items() if (place := self._places.get(word)) is not None]
        if known:
            places = [place for place, _ in known]
            weights = (1 + np.log([count for _, count in known])) * self._weights[places]
            row[:-1] = (weights / np.sqrt(weights @ weights)) @ self._components[places]
        return row
