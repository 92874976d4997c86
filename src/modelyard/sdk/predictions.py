"""Calling models: rows in, predictions out."""

from __future__ import annotations

import csv
import io
import math
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
    def predict(self, model: str, data: Any = None, *, parameters: dict[str, Any] | None = None) -> Flow[Predictions]:
        """As `client.predict`."""
        found = Predictions()
        if parameters and (is_frame(data) or isinstance(data, (str, Path))):
            # A CSV text has no place for what a request chooses.
            text = csv_of(data) if is_frame(data) else _text(Path(data).expanduser()).read()
            data = _rows(text, (yield from self._kinds(model)))
        bodies = [*bodies_of(data, parameters)]
        for content, kind, until in bodies:
            try:
                answer = yield from call(self, _request(model, content, kind))
            except Invalid as error:
                raise _moved(error, len(found)) from None
            part = parse(answer, _Answer)
            found.extend(part.predictions)
            found.model, found.version = part.model, part.version
            # One request may be answered as a whole; several cannot be put together then.
            if len(bodies) > 1 and len(found) != until:
                raise Malformed(
                    f"{answer.url} answered {len(found)} predictions for {until} rows. Rows that belong together must "
                    "fit into one request: send fewer, or predict them as a job (`client.batch_predictions`)."
                )
        return found

    def _kinds(self, model: str) -> Flow[dict[str, str]]:
        """The kinds of the columns that a model takes, by name."""
        request = Request(method="GET", path=model_path(model), params={"get_meta": "true"})
        told = parse((yield from call(self, request)), _Described)
        return {column["name"]: column["kind"] for column in told.signature["inputs"]}


class _Described(BaseModel):
    signature: dict[str, Any]


class _Answer(BaseModel):
    predictions: list[dict[str, Any]]
    model: str
    version: str


def model_path(model: str) -> str:
    """Where a model or a version answers, below the platform's URL."""
    name = parse_model(model)
    return f"/models/{quote(name.path)}/{f'{name.selector}/' if name.selector else ''}"


def bodies_of(data: Any, parameters: Mapping[str, Any] | None = None) -> Iterator[tuple[bytes, str, int]]:
    """The requests that `data` makes: each body, its media type, and the number of rows up to its end."""
    chosen = {"parameters": dict(parameters)} if parameters else {}
    if data is None:
        yield encode(chosen), JSON, 0
        return
    if isinstance(data, Mapping):
        data = [data]
    if isinstance(data, (str, Path)):
        yield from _csv_bodies(_text(Path(data).expanduser()))
    elif is_frame(data):
        yield from _csv_bodies(io.StringIO(csv_of(data)))
    elif isinstance(data, Iterable):
        rows = list(data)
        if not rows or not any(all(isinstance(row, kind) for row in rows) for kind in (Mapping, str)):
            raise Invalid("There is nothing to predict: give one row or several, each a dictionary of columns.")
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = [row if isinstance(row, str) else dict(row) for row in rows[start : start + ROWS_AT_ONCE]]
            yield encode({"instances": part, **chosen}), JSON, start + len(part)
    else:
        raise Invalid(f"A {type(data).__name__} holds no rows. Give dictionaries, a data frame or a CSV file's path.")


def _rows(text: str, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a CSV text with a header, each cell as its column's kind has it; what does not fit stays a text."""
    found = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: _value(cell, kinds.get(name, "text")) for name, cell in row.items() if name} for row in found]


def _value(cell: str | None, kind: str) -> Any:
    bare = (cell or "").strip()
    if not bare:
        return None
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(bare.lower(), cell)
    if kind not in {"number", "integer"}:
        return cell
    try:
        number = float(bare)
    except ValueError:
        return cell
    return number if math.isfinite(number) else cell


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
