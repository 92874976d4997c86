"""What the text in a column may mean: whole numbers, numbers, truth, dates, or just text.

A column takes the first form that fits all its values. Fitting is strict: a code such as 01234 stays text, a number of
twenty digits stays text, and 03/04/2024 is a date only where another row shows which of its parts is the day.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import duckdb

MISSING = (
    *("", "na", "n/a", "#n/a", "null", "none", "nan", "?", "-"),
    # No number that could be learned from.
    *("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"),
)
SAMPLE = 10_000
AT_ONCE = 50  # columns in one query


class Form(NamedTuple):
    """One way to read a value: a DuckDB type and the SQL that converts `{v}`, or gives null where it does not fit.

    Where `rival` is given, it must not fit all values too: then it would be a guess which of both is meant.
    """

    type: str
    sql: str
    rival: str | None = None

    def convert(self, value: str) -> str:
        """The SQL that converts `value`."""
        return self.sql.replace("{v}", value)


def _when(pattern: str, result: str) -> str:
    return f"CASE WHEN regexp_full_match({{v}}, '{pattern}') THEN {result} END"


def _day_first(pattern: str, order: str, times: bool) -> str:
    date = "regexp_replace({v}, '[.-]', '/', 'g')"
    formats = [f"{order} %H:%M:%S", f"{order} %H:%M"] if times else [order]
    clock = r" \d{1,2}:\d{2}(:\d{2})?" if times else ""
    parsed = f"try_strptime({date}, {formats})"
    return _when(pattern + clock, parsed if times else f"{parsed}::DATE")


_WHOLE = r"-?(0|[1-9]\d{0,17})"
_EXPONENT = r"([eE][+-]?\d{1,3})?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_SLASHED, _DASHED = r"\d{1,2}/\d{1,2}/\d{4}", r"\d{1,2}-\d{1,2}-\d{4}"
_THOUSANDS = r"-?[1-9]\d{0,2}(,\d{3})+"

BOOLEAN = Form("BOOLEAN", _when("(?i)true|false", "lower({v}) = 'true'"))
INTEGER = Form("BIGINT", _when(_WHOLE, "try_cast({v} AS BIGINT)"))
_FINITE = "CASE WHEN isfinite(try_cast({n} AS DOUBLE)) THEN try_cast({n} AS DOUBLE) END"
NUMBER = Form("DOUBLE", _when(rf"({_WHOLE}(\.\d*)?|-?\.\d+){_EXPONENT}", _FINITE.replace("{n}", "{v}")))
DECIMAL_COMMA = Form(
    "DOUBLE", _when(rf"({_WHOLE}(,\d*)?|-?,\d+){_EXPONENT}", _FINITE.replace("{n}", "replace({v}, ',', '.')"))
)
# 1,234 in a file that is not separated by semicolons: a thousand, or a bit more than one?
DECIMAL_COMMA_UNLESS_THOUSANDS = DECIMAL_COMMA._replace(
    rival=f"CASE WHEN NOT contains({{v}}, ',') OR regexp_full_match({{v}}, '{_THOUSANDS}') THEN 1 END"
)
TEXT = Form("VARCHAR", "{v}")

DATES = (
    Form("DATE", _when(_ISO_DATE, "try_cast({v} AS DATE)")),
    Form("DATE", _when(r"\d{4}/\d{2}/\d{2}", "try_strptime({v}, '%Y/%m/%d')::DATE")),
    # An offset is applied: stored times are UTC.
    Form(
        "TIMESTAMP",
        _when(rf"{_ISO_DATE}([T ]{_CLOCK}(Z|[+-]\d{{2}}(:?\d{{2}})?)?)?", "try_cast({v} AS TIMESTAMPTZ)::TIMESTAMP"),
    ),
    *(
        Form(kind, _day_first(r"\d{1,2}\.\d{1,2}\.\d{4}", "%d/%m/%Y", times))
        for kind, times in (("DATE", False), ("TIMESTAMP", True))
    ),
    *(
        Form(kind, _day_first(pattern, order, times), rival=_day_first(pattern, other, times))
        for pattern in (_SLASHED, _DASHED)
        for order, other in (("%d/%m/%Y", "%m/%d/%Y"), ("%m/%d/%Y", "%d/%m/%Y"))
        for kind, times in (("DATE", False), ("TIMESTAMP", True))
    ),
)
ANY = (BOOLEAN, INTEGER, NUMBER, *DATES, TEXT)


class Candidate(NamedTuple):
    """A column whose form is not settled: SQL for its text, and the forms it may take, the last of which always fits."""

    value: str
    forms: tuple[Form, ...]


def settle(connection: "duckdb.DuckDBPyConnection", table: str, candidates: list[Candidate]) -> list[Form]:
    """The first form of each column that fits all its values; the last where there are none. Two or three passes."""
    left = [list(candidate.forms) for candidate in candidates]
    head = f"(SELECT * FROM {table} LIMIT {SAMPLE})"
    open_ = [index for index, forms in enumerate(left) if len(forms) > 1]
    for start in range(0, len(open_), AT_ONCE):
        some = open_[start : start + AT_ONCE]
        _drop_unfit(connection, head, candidates, left, some)
    while open_ := [index for index in open_ if len(left[index]) > 1]:
        for start in range(0, len(open_), AT_ONCE):
            _confirm(connection, table, candidates, left, open_[start : start + AT_ONCE])
    return [forms[0] for forms in left]


def missing(value: str) -> str:
    """SQL for: there is nothing in `value`, or a word for nothing."""
    tokens = ", ".join(f"'{token}'" for token in MISSING)
    return f"({value} IS NULL OR lower({value}) IN ({tokens}))"


def _misfits(value: str, sql: str) -> str:
    converted = sql.replace("{v}", value)
    return f"count(*) FILTER (NOT {missing(value)} AND ({converted}) IS NULL)"


def _drop_unfit(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    candidates: list[Candidate],
    left: list[list[Form]],
    some: list[int],
) -> None:
    """Leaves the forms that fit the first rows."""
    wanted = [(index, form) for index in some for form in left[index][:-1]]
    counts = _select(connection, table, [_misfits(candidates[index].value, form.sql) for index, form in wanted])
    for (index, form), misfits in zip(wanted, counts, strict=True):
        if misfits:
            left[index].remove(form)


def _confirm(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    candidates: list[Candidate],
    left: list[list[Form]],
    some: list[int],
) -> None:
    """Leaves the first form alone where it fits all rows, and takes it away where it does not."""
    wanted = []
    for index in some:
        value, form = candidates[index].value, left[index][0]
        rival = _misfits(value, form.rival) if form.rival else "1"
        wanted += [f"count(*) FILTER (NOT {missing(value)})", _misfits(value, form.sql), rival]
    counts = _select(connection, table, wanted)
    for position, index in enumerate(some):
        present, misfits, rival_misfits = counts[3 * position : 3 * position + 3]
        if not present:
            left[index][:] = left[index][-1:]
        elif misfits or not rival_misfits:
            left[index].pop(0)
        else:
            left[index][:] = left[index][:1]


def _select(connection: "duckdb.DuckDBPyConnection", table: str, expressions: list[str]) -> list[int]:
    found = connection.execute(f"SELECT {', '.join(expressions)} FROM {table}").fetchone()
    return list(found or ())
