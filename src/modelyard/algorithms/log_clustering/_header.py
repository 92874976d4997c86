"""Finding the header of a log from its lines: columns that, in nearly every line, look like what a header holds."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from modelyard.formats._log_header import BRACKET, KINDS, LEVELS, NAMED, Column, ColumnKind, Header

SAMPLE = 2000
MOST_COLUMNS = 16
NEARLY_ALL = 0.95
_LONGEST = 1000
_CELL = re.compile(rf"({BRACKET}(?=[\s|:]|$):?|[^\s|]+)(\s*\|\s*|\s+|$)")
_MONTH_OR_DAY = re.compile(r"[\[(]?[A-Z][a-z]{2}[,)\]]?")
_CLOCK = re.compile(
    r".*?\d\d?:\d\d?:\d\d?(?!\d)|\d{4}[\-/.]\d\d?[\-/.]\d|\d\d?[\-/.]\d\d?(?:[\-/.]\d{2,4})?(?!\d)|(?:19|20)\d{6}(?!\d)"
)
_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?!\d)")
_EPOCH = re.compile(r"1\d{9}(?:\d{3}){0,3}(?:\.\d+)?")
_SHAPES = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}
_LEVEL_WORDS = re.compile(rf"{NAMED}[\[(<]?(?:{LEVELS})[\])>]?[:,]?", re.IGNORECASE)


class _Cells(NamedTuple):
    """One column of the sample: what stands in it, and how many of those end with a bar. Short lines have none."""

    texts: list[str]
    bars: int
    lines: int

    def share(self, pattern: re.Pattern[str]) -> float:
        return sum(pattern.fullmatch(text) is not None for text in self.texts) / self.lines


def detect(lines: Sequence[str]) -> Header:
    """The header that nearly all lines have; one without columns where there is none."""
    sample = [line[:_LONGEST] for line in _spread(lines) if line.strip()]
    if not sample:
        return Header()
    columns = _columns(sample)
    kinds = [_kind(cells) for cells in columns]
    end = _end(columns, kinds)
    found = tuple(
        Column(kind or "word", "bar" if cells.bars >= NEARLY_ALL * cells.lines else "blank")
        for kind, cells in zip(kinds[:end], columns, strict=False)
    )
    header = Header(columns=found)
    pattern = header.pattern()
    if pattern is None or sum(pattern.match(line) is not None for line in sample) < 0.8 * len(sample):
        return Header()
    return header


def _spread(lines: Sequence[str]) -> Sequence[str]:
    """At most SAMPLE lines from all over the log."""
    step = max(1, len(lines) // SAMPLE)
    return lines[::step][:SAMPLE]


def _columns(sample: Sequence[str]) -> list[_Cells]:
    rows = []
    for line in sample:
        row: list[tuple[str, bool]] = []
        at = len(line) - len(line.lstrip())
        while len(row) < MOST_COLUMNS and (found := _CELL.match(line, at)):
            row.append((found[1], "|" in found[2]))
            at = found.end()
        rows.append(row)
    columns = []
    for place in range(MOST_COLUMNS):
        cells = [row[place] for row in rows if place < len(row)]
        columns.append(_Cells([text for text, _ in cells], sum(bar for _, bar in cells), len(sample)))
    return columns


def _kind(cells: _Cells) -> ColumnKind | None:
    """What nearly all cells of a column are, None where they are words."""
    if not cells.texts:
        return None
    if cells.share(_SHAPES["time"]) >= NEARLY_ALL and _tells_time(cells):
        return "time"
    if cells.share(_LEVEL_WORDS) >= NEARLY_ALL:
        return "level" if cells.share(_SHAPES["level"]) >= NEARLY_ALL else "word"
    order: tuple[ColumnKind, ...] = ("number", "dash", "bracket", "component")
    return next((kind for kind in order if cells.share(_SHAPES[kind]) >= NEARLY_ALL), None)


def _tells_time(cells: _Cells) -> bool:
    """Numbers alone are no times: there must be a month, a clock, a date, or seconds since 1970."""
    plain = [text.strip("[](),") for text in cells.texts]
    forms = (_MONTH_OR_DAY, _CLOCK, _EPOCH)
    if any(_ADDRESS.match(text) for text in plain):
        return False
    return any(sum(form.match(text) is not None for text in plain) >= NEARLY_ALL * cells.lines for form in forms)


def _holds_clock(cells: _Cells) -> bool:
    return sum(_CLOCK.search(text) is not None for text in cells.texts) >= NEARLY_ALL * cells.lines


def _end(columns: Sequence[_Cells], kinds: Sequence[ColumnKind | None]) -> int:
    """How many columns are header: up to the last that can be nothing else, with what surely goes with it."""
    end, words, anchored = 0, 0, False
    for place, (cells, kind) in enumerate(zip(columns, kinds, strict=True)):
        barred = cells.bars >= NEARLY_ALL * cells.lines
        clock = kind in {"time", "level"} or (kind == "bracket" and _holds_clock(cells))
        if clock or (barred and anchored):
            end, words, anchored = place + 1, 0, True
        elif anchored and words <= (0 if kind == "number" else 1) and kind in {"number", "dash", "bracket"}:
            end, words = place + 1, 0
        elif anchored and kind == "component":
            return place + 1
        else:
            words += 1
            if words > (4 if anchored else 6):
                break
    return end if anchored else 0
