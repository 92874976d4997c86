"""The header of a log's lines: what stands in front of the message, and taking it off.

A header is a list of columns, each of a kind; so it is data, and the expression that reads it is made here. A line that
does not begin so is all message, as the lines of a stack trace are.
"""

import re
from typing import Literal

import msgspec

from modelyard.core.errors import Invalid

ColumnKind = Literal["time", "number", "level", "dash", "bracket", "component", "word"]

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
BRACKET = r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
LEVELS = (
    "TRACE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERR|ERROR|FATAL|CRIT|CRITICAL|SEVERE|ALERT|EMERG|FAILURE|FINE|"
    "VERBOSE|PANIC|[VDIWEF]"
)
NAMED = r"(?:[A-Za-z_]{1,20}=\"?)?"
"""The name of a field in front of its value: `level=info`."""

KINDS: dict[ColumnKind, str] = {
    "time": rf"{NAMED}[\[(]?(?:(?:{_MONTHS}|{_DAYS})|\d[0-9:.,/_TZ+\-]*|[+\-]\d\d:?\d\d)[\]),:]*",
    "number": r"[\[(#]?\d+[\])]?,?:?",
    "level": rf"{NAMED}[\[(<]?(?:{LEVELS}|{LEVELS.lower()}|{LEVELS.title()})(?![A-Za-z])[\])>]?[:,]?",
    "dash": r"[\-*+]+",
    "bracket": rf"{BRACKET}:?",
    "component": r"[^\s|]*:",
    "word": r"[^\s|]+",
}
MOST_FIELDS = 20


class Column(msgspec.Struct, frozen=True):
    """One column, and what parts it from the next."""

    kind: ColumnKind
    separator: Literal["blank", "bar"] = "blank"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """How lines begin: `columns`, or a `format` such as "<Date> <Level> <Component>: <Content>". Neither: no header."""

    columns: tuple[Column, ...] = ()
    format: str = ""

    def pattern(self) -> re.Pattern[str] | None:
        """What reads the header; the message follows where it ends. Raises Invalid for a format that is none."""
        if self.format:
            return of_format(self.format)
        if not self.columns:
            return None
        parts = (
            f"(?>{KINDS[column.kind]})" + (r"\s*\|\s*" if column.separator == "bar" else r"(?:\s+|$)")
            for column in self.columns
        )
        return re.compile(r"\s*" + "".join(parts))

    def describe(self) -> str:
        """In words."""
        if self.format:
            return self.format
        return " ".join(column.kind for column in self.columns) or "none"


def of_format(text: str) -> re.Pattern[str]:
    """The expression of a format with fields in angle brackets, the last of which is <Content>. Raises Invalid."""
    parts = re.split(r"<(\w+)>", text)
    fields, last = parts[1::2], parts[-1]
    if not fields or fields[-1] != "Content" or last or len(fields) > MOST_FIELDS or len(text) > 500:
        raise Invalid(
            f"The header format {text[:80]!r} is none. Name each field in angle brackets and end with the message, as "
            "in: <Date> <Time> <Level> <Component>: <Content>."
        )
    pattern = r"\s*" + _literal(parts[0])
    for literal in parts[2:-1:2]:
        if not literal:
            raise Invalid(f"Two fields of the header format {text[:80]!r} touch. Write what stands between them.")
        # Atomic: the first place where what follows a field fits is where it ends, so reading takes one pass.
        pattern += rf"(?>.*?{_literal(literal)})"
    return re.compile(pattern)


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", text))
