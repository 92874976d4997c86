"""Calling models: rows in, predictions out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from modelyard.core.errors import Invalid, Malformed
from modelyard.features.models.schemas import parse as parse_model
from modelyard.sdk.bodies import csv_of, is_frame
from modelyard.sdk.calls import call, encode, parse
from modelyard.sdk.entity import Listing
from modelyard.sdk.flow import Flow, Mode, Request, Resource, operation

ROWS_AT_ONCE = 10_000
CSV_AT_ONCE = 4 << 20
JSON, CSV = "application/json", "text/csv; charset=utf-8"


class Predictions(Listing[dict[str, Any]]):
    """One prediction for each row, in order, and which version answered."""

    model: str
    version: str


class Predicting(Resource[Mode]):
    """The URLs of published models."""

    @operation
    def predict(self, model: str, data: Any) -> Flow[Predictions]:
        """What `model` (`prefix/name`, or that with `/vN`) predicts.

        `data` is a row (a dictionary), rows, a data frame, or the path of a CSV file with a header. None and NaN are
        missing values. Large data is sent in parts. Raises Invalid, naming field and row; NotFound, Unavailable.
        """
        found = Predictions()
        for content, kind, until in bodies_of(data):
            try:
                answer = yield from call(self, _request(model, content, kind))
            except Invalid as error:
                raise _moved(error, len(found)) from None
            part = parse(answer, _Answer)
            found.extend(part.predictions)
            found.model, found.version = part.model, part.version
            if len(found) != until:
                raise Malformed(f"{answer.url} answered {len(found)} predictions for {until} rows.")
        return found


class _Answer(BaseModel):
    predictions: list[dict[str, Any]]
    model: str
    version: str


def model_path(model: str) -> str:
    """Where a model or a version answers, below the platform's URL."""
    name = parse_model(model)
    return f"/models/{quote(name.path)}/{f'{name.selector}/' if name.selector else ''}"


def bodies_of(data: Any) -> Iterator[tuple[bytes, str, int]]:
    """The requests that `data` makes: each body, its media type, and the number of rows up to its end."""
    if isinstance(data, Mapping):
        data = [data]
    if isinstance(data, (str, Path)):
        yield from _csv_bodies(_text(Path(data).expanduser()))
    elif is_frame(data):
        yield from _csv_bodies(io.StringIO(csv_of(data)))
    elif isinstance(data, Iterable):
        rows = list(data)
        if not rows or not all(isinstance(row, Mapping) for row in rows):
            raise Invalid("There is nothing to predict: give one row or several, each a dictionary of columns.")
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = [dict(row) for row in rows[start : start + ROWS_AT_ONCE]]
            yield encode({"instances": part}), JSON, start + len(part)
    else:
        raise Invalid(f"A {type(data).__name__} holds no rows. Give dictionaries, a data frame or a CSV file's path.")


def _csv_bodies(text: Iterable[str]) -> Iterator[tuple[bytes, str, int]]:
    rows = iter(csv.reader(text))
    header = next(rows, None)
    if header is None:
        raise Invalid("The table is empty. It needs a header and at least one row.")
    part, count = _Part(header), 0
    for row in rows:
        if not row:
            continue
        count += 1
        if part.add(row) >= CSV_AT_ONCE:
            yield part.content(), CSV, count
            part = _Part(header)
    if part.rows or not count:
        yield part.content(), CSV, count


class _Part:
    """A CSV under way, with its header."""

    def __init__(self, header: list[str]) -> None:
        self._text, self.rows = io.StringIO(), 0
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(header)

    def add(self, row: list[str]) -> int:
        self._writer.writerow(row)
        self.rows += 1
        return self._text.tell()

    def content(self) -> bytes:
        return self._text.getvalue().encode()


def _text(path: Path) -> io.StringIO:
    try:
        return io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")
    except UnicodeDecodeError:
        raise Malformed(f"{path} is not UTF-8. Save it as UTF-8, then try again.") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None


def _request(model: str, content: bytes, kind: str) -> Request:
    headers = {"content-type": kind, "accept": JSON}
    return Request(method="POST", path=model_path(model), headers=headers, content=content)


def _moved(error: Invalid, rows: int) -> Invalid:
    """The error about a part of the data, its rows counted from the beginning of the whole."""
    if rows:
        error.message = f"In the part that begins with row {rows}: {error.message}"
        error.fields = [field | {"row": field["row"] + rows} if "row" in field else field for field in error.fields]
    return error
