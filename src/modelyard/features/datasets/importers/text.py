"""From bytes to UTF-8: which encoding a text file has, where that is certain, and where its bytes are no text."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from modelyard.features.datasets.importers.errors import BadEncoding, NotATable
from modelyard.features.datasets.validation import ROWS

CHUNK = 1 << 20
HEAD = 1 << 16
EXAMINED = 10_000
LONGEST_LINE = 4 << 20
MOST_BROKEN = 0.1
"""The share of lines that may be left out: with more the file is another one than it is taken for."""
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NEXT_STEP = "Save it as UTF-8 and upload it again."
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_UTF8_PAIR = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# What stands between two letters of a Western text besides letters.
_WITHIN_WORDS = "\u2018\u2019\u00b4\u00b7\u00ad\u2013\u2014\u00a0\u2026"


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a text whose letters take two or four bytes, by its mark or by where its zeros are."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if len(head) >= 4 and max(even, odd) > 0.4 * len(head) / 2 and min(even, odd) < 0.1 * max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def beginning(head: bytes) -> str:
    """The text of a file that begins with `head`, as far as it can be read, without its mark and leading blanks."""
    return head.decode(wide_encoding(head) or "utf-8", "ignore").lstrip("\ufeff \t\r\n")


def looks_like_text(head: bytes) -> bool:
    """Whether a file that begins with `head` may be text in any encoding."""
    return wide_encoding(head) is not None or len(_CONTROL.findall(head)) <= 0.005 * len(head)


class Dropped:
    """The lines that were left out of a text: how many, and the numbers of the first, from 1."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def add(self, number: int) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < ROWS:
            self.first.append(number)


def as_utf8(path: Path, folder: Path, *, mark: bool = True, dropped: Dropped | None = None) -> Path:
    """The file itself where it is UTF-8, else a copy below `folder` that is; `mark`: a mark at its start may stay.

    Where `dropped` is given, lines that are no text are left out and noted there, unless they are too many or the first
    one is. Raises BadEncoding, naming byte and line, and NotATable for bytes that are no text.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        return _as_utf8(path, head, folder, mark=mark)
    except (BadEncoding, NotATable):
        if dropped is None or wide_encoding(head) is not None:
            raise
        text = _without_broken_lines(path, folder / "text", dropped)
        if text is None:
            raise
        return text


def _as_utf8(path: Path, head: bytes, folder: Path, *, mark: bool) -> Path:
    encoding = wide_encoding(head)
    if encoding is None:
        wrong = _first_wrong_byte(path)
        if wrong is None and (mark or not head.startswith(codecs.BOM_UTF8)):
            return path
        encoding = "utf-8" if wrong is None else _western(path, wrong)
    return _converted(path, folder / "text", encoding)


def _without_broken_lines(path: Path, target: Path, dropped: Dropped) -> Path | None:
    """A copy without the lines that are no UTF-8; None where the first line or more than a tenth of them are none."""
    number = 0
    with path.open("rb") as source, target.open("wb") as file:
        while line := source.readline(LONGEST_LINE):
            number += 1
            if _is_text(line):
                file.write(line)
            elif number == 1:
                return None
            else:
                dropped.add(number)
    return target if dropped.count <= MOST_BROKEN * number else None


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in line


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _first_wrong_byte(path: Path) -> int | None:
    """Where a file stops to be UTF-8; None where it does not."""
    position, rest = 0, b""
    for chunk in _chunks(path):
        data = rest + chunk
        zero = data.find(b"\0")
        if zero >= 0:
            raise NotATable(f"The file holds a zero byte at position {position + zero:,}: it is no text. {_NEXT_STEP}")
        try:
            used = codecs.utf_8_decode(data, "strict", False)[1]
        except UnicodeDecodeError as error:
            return position + error.start
        position, rest = position + used, data[used:]
    return position if rest else None


def _western(path: Path, wrong: int) -> str:
    """`cp1252`, of which Latin-1 is a part, where the text can be nothing else that is likely."""
    runs = pairs = odd = 0
    for chunk in _chunks(path):
        for found in _BEYOND_ASCII.finditer(chunk):
            runs += 1
            pairs += bool(_UTF8_PAIR.search(found[0]))
            odd += not is_western(found[0], chunk[: found.start()][-1:], chunk[found.end() : found.end() + 1])
            if runs >= EXAMINED:
                break
        if runs >= EXAMINED:
            break
    if 2 * pairs >= runs:
        raise _bad(path, wrong, "is damaged: the rest is UTF-8, this byte is not")
    if odd > 0.02 * runs:
        raise _bad(path, wrong, "is neither UTF-8 nor Western European text, and the encoding cannot be told")
    return "cp1252"


def is_western(run: bytes, before: bytes, after: bytes) -> bool:
    """Whether bytes beyond ASCII, between `before` and `after`, read as Western European letters and signs."""
    try:
        text = run.decode("cp1252")
    except UnicodeDecodeError:
        return False
    letters = sum(letter.isalpha() for letter in text)
    if letters == len(text):
        return len(text) <= 3
    inside = before.isalpha() and after.isalpha()
    return not inside or all(letter.isalpha() or letter in _WITHIN_WORDS for letter in text)


def _converted(path: Path, target: Path, encoding: str) -> Path:
    decoder, position = codecs.getincrementaldecoder(encoding)(), 0
    with target.open("w", encoding="utf-8", newline="") as file:
        try:
            for chunk in _chunks(path):
                file.write(decoder.decode(chunk).removeprefix("\ufeff") if not position else decoder.decode(chunk))
                position += len(chunk)
            file.write(decoder.decode(b"", final=True))
        except UnicodeError as error:
            place = position + getattr(error, "start", 0)
            raise _bad(path, min(place, path.stat().st_size - 1), f"is no {encoding.upper()}") from None
    return target


def _bad(path: Path, position: int, why: str) -> BadEncoding:
    line, left = 1, position
    for chunk in _chunks(path):
        line += chunk[: max(left, 0)].count(b"\n")
        left -= len(chunk)
        if left <= 0:
            break
    return BadEncoding(
        f"The text {why} (byte {position:,}, line {line:,}). {_NEXT_STEP}", detail={"byte": position, "line": line}
    )
