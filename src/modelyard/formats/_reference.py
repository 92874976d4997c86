"""Reading a request slowly and obviously: value by value, with a reason for everything that is refused.

The slow half of `formats/codec.py`, in a file of its own so that the fast half can be held against it.
"""

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, NoReturn

from modelyard.core.errors import Invalid, Malformed
from modelyard.protocol.signature import Field, Kind, Signature

LARGEST = 3.4028234663852886e38
"""The largest number that a float32 holds."""

FORECASTING = "time-series-prediction"
OPTIONS = ("parameters", "config")
"""What the options of a request are called."""

MOST_PROBLEMS = 20
MOST_COMPARED = 256
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUTH = {"true": True, "false": False, "1": True, "0": False}

Value = float | int | bool | str | None
Row = tuple[Value, ...]
Check = Callable[[Any], Value]


class Read(NamedTuple):
    """The checked rows of one body, each a tuple in the order of `Batch`: numbers, then strings, None for missing.

    `single` says that the body was one bare object; `parameters` are the options that it chooses, None for none.
    """

    rows: Sequence[Row]
    single: bool
    parameters: dict[str, Any] | None = None


class Wrong(Exception):
    """One value that does not fit; the text says what was expected and what came."""


class Problems:
    """What is wrong with a body, by place, in the order found."""

    def __init__(self) -> None:
        self.fields: list[dict[str, Any]] = []

    def add(self, field: str, row: int, message: str) -> None:
        """Note one; raises Invalid once there are enough of them."""
        self.fields.append({"field": field, "row": row, "message": message})
        if len(self.fields) >= MOST_PROBLEMS:
            self.settle()

    def settle(self) -> None:
        """Raise Invalid where anything was noted."""
        if self.fields:
            first = self.fields[0]
            place = f'Row {first["row"]}, column "{first["field"]}"'
            raise Invalid(f"{place}: {first['message']}", fields=self.fields)


class Reader:
    """Reads bodies for one signature. `fields` are its inputs in the order of a row.

    `optional` are the columns that a body may leave out. `empty` says that a body without rows can be answered.
    """

    def __init__(self, signature: Signature, *, empty: bool = False) -> None:
        self.fields = (*signature.numeric_inputs, *signature.string_inputs)
        # Rows of a series whose value is not known are those to be predicted.
        self.optional = frozenset({signature.target} if signature.scenario == FORECASTING else ())
        self.empty = empty
        self._names = {field.name for field in self.fields}
        needed = [field for field in self.fields if field.name not in self.optional]
        self._bare = needed[0].name if len(needed) == 1 and not needed[0].numeric else None
        self._of_json = [_check(field) for field in self.fields]
        self._of_text = [_check_text(field) for field in self.fields]

    def json(self, body: bytes) -> Read:
        """The rows of a JSON body in any of its forms. Raises Malformed or Invalid."""
        value = parse(body)
        if isinstance(value, list):
            return Read(self.instances(value), single=False)
        if not isinstance(value, dict):
            raise Invalid(
                f'Expected an object or a list of objects, got {describe(value)}. Send {{"instances": [{{...}}]}}.'
            )
        form = self._form(value)
        parameters = self._parameters(value, strict=form is not None)
        if form is not None:
            read = self.columns if form == "columns" else self.instances
            return Read(read(value[form]), single=False, parameters=parameters)
        if self.empty and not value.keys() - set(OPTIONS):
            return Read([], single=False, parameters=parameters)
        return Read(self.instances([value]), single=True, parameters=parameters)

    def csv(self, body: bytes) -> Read:
        """The rows of a CSV text with a header. Raises Malformed or Invalid."""
        try:
            lines = [line for line in csv.reader(io.StringIO(_text(body), newline=""), strict=True) if line]
        except csv.Error as error:
            raise Malformed(f"The body is no CSV text: {error}.") from None
        if not lines:
            raise Invalid("The CSV text is empty. Its first line must name the columns.")
        header, cells = lines[0], lines[1:]
        if not cells and not self.empty:
            raise Invalid("The CSV text has a header but no rows.")
        places = self.places(header)
        problems = Problems()
        rows = []
        for number, line in enumerate(cells):
            if len(line) != len(header):
                problems.add("", number, f"this row has {len(line)} cells, the header has {len(header)}.")
                continue
            values = ["" if place is None else line[place] for place in places]
            rows.append(self._row(values, self._of_text, number, problems))
        problems.settle()
        return Read(rows, single=False)

    def _form(self, value: Mapping[str, Any]) -> str | None:
        """The key that gives a body its form; None for a bare object. `data` and `texts` are words for `instances`."""
        found = [key for key, kind in (("instances", list), ("columns", dict)) if self._means(value, key, kind)]
        found = found or [key for key in ("data", "texts") if isinstance(value.get(key), list)]
        if len(found) > 1:
            raise Invalid(f"The body has both `{found[0]}` and `{found[1]}`. Send one of them.")
        return found[0] if found else None

    def _parameters(self, value: Mapping[str, Any], *, strict: bool) -> dict[str, Any] | None:
        """The options of a body. Not `strict`, where it is a bare object, what is no object of options is a column."""
        found = [key for key in OPTIONS if isinstance(value.get(key), dict)]
        if len(found) > 1:
            raise Invalid("The body has both `parameters` and `config`. Send one of them.")
        wrong = next((key for key in OPTIONS if strict and value.get(key) is not None and key not in found), None)
        if wrong is not None:
            raise Invalid(f"`{wrong}` must be an object of options, got {describe(value[wrong])}.")
        return value[found[0]] if found else None

    def _means(self, value: Mapping[str, Any], key: str, kind: type) -> bool:
        """Whether `key` gives the body its form, rather than being a column of a bare object. Null counts as absent."""
        found = value.get(key)
        if found is None or (key in self._names and not isinstance(found, kind)):
            return False
        if not isinstance(found, kind):
            wanted = "a list of objects" if kind is list else "an object of lists"
            raise Invalid(f"`{key}` must be {wanted}, got {describe(found)}.")
        return True

    def instances(self, instances: Sequence[Any]) -> list[Row]:
        """The rows of a list of objects; of strings too, where one string is all that is needed. Raises Invalid."""
        if not instances:
            if self.empty:
                return []
            raise Invalid("There are no instances. Send at least one row.")
        problems = Problems()
        rows = []
        for number, each in enumerate(instances):
            instance = {self._bare: each} if self._bare is not None and isinstance(each, str) else each
            if not isinstance(instance, dict):
                problems.add("", number, f"expected an object, got {describe(instance)}.")
                continue
            for field in self.fields:
                if field.name not in instance and field.name not in self.optional:
                    problems.add(field.name, number, self._absent(field, instance))
            values = [instance.get(field.name) for field in self.fields]
            rows.append(self._row(values, self._of_json, number, problems))
        problems.settle()
        return rows

    def columns(self, columns: Mapping[str, Any]) -> list[Row]:
        """The rows of an object of lists. Raises Invalid."""
        problems = Problems()
        sent = [columns[name] for name in self._names if name in columns]
        count = max((len(column) for column in sent if isinstance(column, list)), default=0)
        columns = {**dict.fromkeys(self.optional, [None] * count), **columns}
        for field in self.fields:
            if field.name not in columns:
                problems.add(field.name, 0, self._absent(field, columns))
            elif not isinstance(columns[field.name], list):
                problems.add(field.name, 0, f"expected a list of values, got {describe(columns[field.name])}.")
        problems.settle()
        values = [columns[field.name] for field in self.fields]
        count = max((len(column) for column in values), default=0)
        for field, column in zip(self.fields, values, strict=True):
            if len(column) != count:
                problems.add(field.name, len(column), f"this column has {len(column)} values, others have {count}.")
        problems.settle()
        if not count and not self.empty:
            raise Invalid("There are no rows. Send at least one value in each column.")
        rows = [self._row(row, self._of_json, number, problems) for number, row in enumerate(zip(*values, strict=True))]
        problems.settle()
        return rows

    def _row(self, values: Sequence[Any], checks: Sequence[Check], number: int, problems: Problems) -> Row:
        checked: list[Value] = []
        for field, value, check in zip(self.fields, values, checks, strict=True):
            try:
                checked.append(None if value is None or value == "" else check(value))
            except Wrong as wrong:
                problems.add(field.name, number, str(wrong))
        return tuple(checked)

    def column(self, place: int, values: Sequence[Any]) -> tuple[list[Value], list[dict[str, Any]]]:
        """The checked values of one column alone, and what is wrong with them, at most MOST_PROBLEMS."""
        name, check = self.fields[place].name, self._of_json[place]
        checked: list[Value] = []
        wrongs: list[dict[str, Any]] = []
        for number, value in enumerate(values):
            try:
                checked.append(None if value is None or value == "" else check(value))
            except Wrong as wrong:
                wrongs.append({"field": name, "row": number, "message": str(wrong)})
                if len(wrongs) == MOST_PROBLEMS:
                    break
        return checked, wrongs

    def places(self, header: Sequence[str]) -> list[int | None]:
        """Where each field is among these column names, None for an optional one that is not.

        Raises Invalid where one is missing or there twice.
        """
        problems = Problems()
        for field in self.fields:
            if field.name not in header and field.name in self.optional:
                continue
            if field.name not in header:
                problems.add(field.name, 0, self._absent(field, dict.fromkeys(header)))
            elif header.count(field.name) > 1:
                problems.add(field.name, 0, "the header names this column more than once.")
        problems.settle()
        return [header.index(field.name) if field.name in header else None for field in self.fields]

    def _absent(self, field: Field, sent: Mapping[str, Any]) -> str:
        # Comparing is slow, and a body may name any number of columns.
        few = islice((name for name in sent if name not in self._names), MOST_COMPARED)
        spare = {name.strip().casefold(): name for name in few}
        near = difflib.get_close_matches(field.name.strip().casefold(), spare, n=1, cutoff=0.75)
        if near:
            return f'this column is missing. Did you mean it by "{spare[near[0]]}"?'
        return "this column is missing. Send null where its value is not known."


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start} does not belong there.") from None


def parse(body: bytes, *, nan: bool = False) -> Any:
    """A JSON value. With `nan`, NaN, which is no JSON but written by many clients, is null. Raises Malformed."""
    text = _text(body)
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_nan if nan else _no_constant)
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.") from None


def _integer(digits: str) -> int | float:
    # Python refuses very long integers and is slow on long ones; no column can hold them exactly anyway.
    return int(digits) if len(digits) < 40 else float(digits)


def _nan(name: str) -> None:
    if name != "NaN":
        _no_constant(name)


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"The body is no JSON: {name} is no JSON value. Send null where a value is missing.")


def describe(value: Any) -> str:
    """A JSON value's kind in words, with the value itself where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, date):
        return f"the date {value.isoformat()}"
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return f"the {'string' if isinstance(value, str) else 'number'} {shown if len(shown) <= 42 else shown[:40] + '…'}"


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"expected a number, got {describe(value)}.{_unquoted(value)}")
    if not -LARGEST <= value <= LARGEST:
        raise Wrong(f"the number is too large; the largest is {LARGEST:.6g}.")
    return value


def _whole(value: Any) -> Value:
    if not float(_number(value) or 0).is_integer():
        raise Wrong(f"expected a whole number, got {describe(value)}.")
    return value  # type: ignore[no-any-return]


def _boolean(value: Any) -> Value:
    if isinstance(value, bool | int | float) and value in {0, 1}:
        return bool(value)
    raise Wrong(f"expected true or false, got {describe(value)}.{_unquoted(value)}")


def _string(value: Any) -> Value:
    if not isinstance(value, str):
        raise Wrong(f"expected a string, got {describe(value)}.")
    if "\x00" in value:
        raise Wrong("the string holds a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Wrong("the string holds half a surrogate pair, which is no character.") from None
    return value


def _category(categories: Container[str], value: Any) -> Value:
    """A string; or a number or boolean whose text was a category in training."""
    if isinstance(value, bool | int | float):
        for form in _forms(value):
            if form in categories:
                return form
    return _string(value)


def _date(value: Any) -> Value:
    """ISO 8601, a month as its first day; or a number, the seconds since 1970 in UTC, as that."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _moment(value)
    text = _string(value)
    if isinstance(text, str) and _MONTH.fullmatch(text):
        text = f"{text}-01"
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        raise Wrong(f"expected a date such as 2024-05-31 or 2024-05-31T12:00:00Z, got {describe(value)}.") from None
    return text


def _moment(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()}Z"
    except (ValueError, OverflowError, OSError):
        raise Wrong(f"expected seconds since 1970, got {describe(seconds)}. Milliseconds must be divided.") from None


def _date_text(text: str) -> Value:
    """A cell has no type: digits that are no date in ISO 8601 are seconds."""
    try:
        return _date(text)
    except Wrong:
        if not _NUMBER.fullmatch(text.strip()):
            raise
        return _moment(float(text))


def _number_text(whole: bool, text: str) -> Value:
    bare = text.strip()
    if not bare:
        return None
    if not _NUMBER.fullmatch(bare):
        raise Wrong(f"expected a number, got {describe(text)}.")
    return _whole(float(bare)) if whole else _number(float(bare))


def _boolean_text(text: str) -> Value:
    bare = text.strip().lower()
    if bare and bare not in _TRUTH:
        raise Wrong(f"expected true or false, got {describe(text)}.")
    return _TRUTH.get(bare)


_CHECKS: dict[Kind, Check] = {"number": _number, "integer": _whole, "boolean": _boolean, "text": _string, "date": _date}


def _check(field: Field) -> Check:
    """What judges a JSON value of this field. Raises Wrong."""
    return partial(_category, frozenset(field.categories)) if field.kind == "category" else _CHECKS[field.kind]


def _check_text(field: Field) -> Check:
    """What judges a CSV cell of this field. Raises Wrong."""
    if field.kind in {"number", "integer"}:
        return partial(_number_text, field.kind == "integer")
    if field.kind == "date":
        return _date_text
    return _boolean_text if field.kind == "boolean" else _check(field)


def _unquoted(value: Any) -> str:
    """The next step for a value that would fit without its quotes."""
    fits = isinstance(value, str) and (_NUMBER.fullmatch(value.strip()) or value.strip().lower() in _TRUTH)
    return " Send it without quotes." if fits else ""


def _forms(value: bool | float) -> list[str]:
    """How a value that is no string may have been written in the training table."""
    if isinstance(value, bool):
        return [str(value).lower(), str(value)]
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return [str(value), str(int(value))]
    return [str(value)]
