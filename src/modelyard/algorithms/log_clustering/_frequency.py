"""Groups of lines with one template each, from how often words stand together, in the manner of Brain (Yu et al. 2023).

Lines of one length are parted by their root, the largest set of words that are equally frequent: the constants of a
template are. Within a root, columns that still differ part a group further where they tell templates apart, and are
parameters where they do not. Which of both is judged by how many values a column has, whether other columns change
with it, and what the values and the words in front of them look like.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._log_lines import ANY, EMPTY, WILD
from modelyard.formats._log_tree import Tokens, is_word

Codes = NDArray[np.int32]
Rows = NDArray[np.intp]

LINKED = 8
"""Most values of a column that part a group when another column changes with it."""

DOMINANT = 20
"""How many times as many lines a value has that is the usual one of a parameter."""

QUOTES = frozenset({'"', "'"})

AMPLE = 4
"""So many words that two templates have in common make it likely that a word they differ in is a parameter."""

NAMED = frozenset({
    "user", "for", "from", "host", "to", "named", "by", "on", "node", "file", "name", "device", "of", "reason",
    "method", "mode", "type", "policy", "queue", "pool", "group", "topic", "service", "account", "folder", "table",
    "image", "role", "zone", "region", "via", "using", "as", "called", "now",
})  # fmt: skip
"""Words behind which a name or a choice comes."""

_OWNED = NAMED - {"for", "from", "to", "on", "of", "via", "using", "as", "now"}
"""Those of them behind which hardly a verb or a part of a fixed sentence comes."""

_TRANSPORTS = frozenset({"tcp", "udp", "icmp", "sctp", "tcp6", "udp6", "icmp6", "icmpv6"})
_COMPOUND = re.compile(r"\w+(?:[_\-./@]\w+)+|E[A-Z]{2,}\d?|SIG[A-Z0-9]+")
"""Names made of several words, and those of errors and signals."""

_LETTER_OR_RATIO = re.compile(r"[A-Z]|\w+/\w+")
"""Letters that number things, and units or pairs."""

_VERBS = (
    "(?:un)?(?:open|close|read|write|load|save|mount|lock|link|register|bind|pack|set)s?|(?:dis)?connects?"
    "|(?:re)?(?:start|name|move|boot)s?|stops?|begins?|ends?|gets?|adds?|puts?|creates?|deletes?|sends?|receives?"
    "|parses?|finds?|allocates?|frees?|enters?|leaves?|exits?|joins?|fails?|pass|passes"
)
_VERB = re.compile(_VERBS)
ACTION = re.compile(
    r"\w{2,}ed|\w{2,}ing|up|down|on|off|in|out|ok|done|lost|found|sent|gone|left|stuck|broken|not|new|old|all|no|yes"
    rf"|success|failure|error|warning|is|are|was|full|empty|first|last|{_VERBS}"
)
"""Words that say what happened, rather than with what."""


class Column(NamedTuple):
    """What differs in one place: its values, how many lines had each, the tokens in front and behind.

    `first` says that nothing stands in front; `constants` is how many words are the same in all the lines.
    """

    texts: Sequence[str]
    counts: Sequence[float]
    before: str
    behind: str
    first: bool
    constants: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """From how many different values on a column is a parameter: `values` usually."""

    values: int = 5

    def parameter(self, column: Column) -> bool:
        """Whether the column is one, as far as it can be told from itself."""
        return len(column.texts) >= self._least(column)

    def _least(self, column: Column) -> int:
        """From how many values on it is one."""
        words = [text.strip() for text in column.texts]
        if outcome(column):
            return len(words) + 1
        if any(ANY in text or EMPTY in text for text in column.texts):
            return 2
        if _names(words) or (not column.first and all(map(_LETTER_OR_RATIO.fullmatch, words))):
            return 2
        word = column.before.strip().casefold()
        if word == column.behind.strip() and word in QUOTES:
            return 2
        actions = sum(ACTION.fullmatch(text.casefold()) is not None and not text.isupper() for text in words)
        verbs = word == "to" and any(map(_VERB.fullmatch, words))
        if (word in NAMED and not verbs) or word == "=":
            # One value nearly always, others hardly ever: they come from outside.
            if min(column.counts) <= 2 and max(column.counts) >= DOMINANT * min(column.counts):
                return 2
            return min(2 if word in _OWNED and column.constants >= AMPLE else 3, self.values)
        if not column.first and column.behind.strip() not in {":", "("} and all(map(_COMPOUND.fullmatch, words)):
            return min(3, self.values)
        if column.first and column.constants < 3:
            return self.values * 2
        if 2 * actions > len(words):
            return self.values * 2
        if column.constants >= (AMPLE - 1 if column.first else AMPLE):
            return self.values if column.first else min(3, self.values)
        if all(text.isupper() for text in words) and column.behind != "=":
            return self.values + 2
        if not column.first and column.constants > 1 and not actions:
            return min(4, self.values)
        return self.values


def outcome(column: Column) -> bool:
    """Whether the column has one plain word, where else a mask stands, right behind another mask.

    A number behind a name and a word behind it are two templates: `job 7 57%` and `job 7 complete`.
    """
    words = [text.strip() for text in column.texts]
    plain = [text for text in words if text.isascii() and text.isalpha() and text.islower() and len(text) > 3]
    return (
        len(plain) == 1
        and len(words) > 1
        and all(text in {ANY, plain[0]} for text in words)
        and (column.before[-1:] == ANY)
    )


def _names(words: Sequence[str]) -> bool:
    """Whether all are names of what is one thing in every log: protocols below those of applications."""
    return all(word.casefold() in _TRANSPORTS for word in words)


def group(shapes: Sequence[Tokens], counts: Sequence[int], judgement: Judgement) -> list[list[int]]:
    """The shapes in groups, each by their places in `shapes`.

    All shapes of a group have one length, and quotes in the same places.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, shape in enumerate(shapes):
        quotes = [at for at, token in enumerate(shape) if token[-1] in QUOTES]
        alike.setdefault((len(shape), *quotes), []).append(place)
    groups: list[list[int]] = []
    for form in sorted(alike):
        places = alike[form]
        table = _Table([shapes[place] for place in places], np.array([counts[place] for place in places]), judgement)
        groups.extend([places[row] for row in rows.tolist()] for rows in table.groups())
    return groups


class _Table:
    """Shapes of one length as numbers: one row for each shape, one column for each token."""

    def __init__(self, shapes: Sequence[Tokens], counts: NDArray[np.int64], judgement: Judgement) -> None:
        names: dict[str, int] = {}
        rows = [[names.setdefault(token, len(names)) for token in shape] for shape in shapes]
        self.codes: Codes = np.array(rows, np.int32)
        self.counts = counts
        self.names = list(names)
        self.words = np.array([is_word(name) and ANY not in name for name in self.names])
        self.judgement = judgement

    def groups(self) -> list[Rows]:
        """The rows of each group."""
        found: list[Rows] = []
        everything = np.arange(len(self.codes))
        columns = np.arange(self.codes.shape[1])
        for rows in self._by_root(everything, columns, least_words=1):
            found.extend(self._parted(rows, frozenset()))
        return found

    def _by_root(self, rows: Rows, columns: NDArray[np.intp], least_words: int) -> list[Rows]:
        """Rows with one root each; the root of a row counts at least `least_words`, else the row has none."""
        frequency, words = self._frequencies(rows, columns)
        roots: dict[tuple[tuple[int, int], ...], list[int]] = {}
        codes = self.codes[np.ix_(rows, columns)]
        for row, (often, word, code) in enumerate(zip(frequency.tolist(), words.tolist(), codes.tolist(), strict=True)):
            sets: dict[int, list[tuple[int, int]]] = {}
            for place, times in enumerate(often):
                if word[place]:
                    sets.setdefault(times, []).append((place, code[place]))
            best = max(sets, key=lambda times: (len(sets[times]) * np.log2(times + 0.2), times), default=0)
            chosen = sets.get(best, [])
            roots.setdefault(tuple(chosen) if len(chosen) >= least_words and best > 1 else (), []).append(row)
        return [rows[members] for members in roots.values()]

    def _frequencies(self, rows: Rows, columns: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """How many lines have the same token in the same column, and which of the tokens are constant words."""
        codes = self.codes[np.ix_(rows, columns)]
        often = np.empty(codes.shape, np.int64)
        for place in range(codes.shape[1]):
            _, inverse = np.unique(codes[:, place], return_inverse=True)
            often[:, place] = np.bincount(inverse, weights=self.counts[rows]).astype(np.int64)[inverse]
        return often, self.words[codes]

    def _parted(self, rows: Rows, free: frozenset[int]) -> list[Rows]:
        """One group parted until what still differs is a parameter. `free` columns are known to be ones."""
        codes = self.codes[rows]
        varying = [place for place in np.flatnonzero((codes != codes[0]).any(axis=0)).tolist() if place not in free]
        if not varying:
            return [rows]
        inverses = {place: np.unique(codes[:, place], return_inverse=True) for place in varying}
        sizes = {place: len(inverses[place][0]) for place in varying}
        inner = self._by_root(rows, np.array(varying), least_words=3)
        if len(inner) > 1 and self._tell(rows, inner):
            return [part for members in inner for part in self._parted(members, free)]
        for place in sorted(varying, key=lambda place: (sizes[place], place)):
            values, inverse = inverses[place]
            if self._parts(rows, place, values, inverse, inverses):
                members = [rows[inverse == value] for value in range(len(values))]
                return [part for each in members for part in self._parted(each, free)]
        return [rows]

    def _tell(self, rows: Rows, inner: Sequence[Rows]) -> bool:
        """Whether inner roots part the group into few parts that came often."""
        often = sum(int(self.counts[members].sum()) > 1 for members in inner)
        return 2 * often > len(inner) and len(inner) <= max(LINKED, len(rows) // 2)

    def _parts(
        self,
        rows: Rows,
        place: int,
        values: Codes,
        inverse: NDArray[np.intp],
        others: dict[int, tuple[Codes, NDArray[np.intp]]],
    ) -> bool:
        """Whether a column tells templates apart."""
        texts = [self.names[value] for value in values.tolist()]
        line = self.codes[rows[0]].tolist()
        often = np.bincount(inverse, weights=self.counts[rows])
        column = Column(
            texts=texts,
            counts=often.tolist(),
            before=self._beside(line, place - 1, others),
            behind=self._beside(line, place + 1, others),
            first=not place,
            constants=int(self.words[line].sum()) - int(self.words[[line[other] for other in others]].sum()),
        )
        # A mask among words, or a delimiter: no words that could be constants.
        if not self.words[values].all() and not outcome(column) and sum(map(_constant, texts)) < len(texts):
            return False
        count = len(values)
        if not self.judgement.parameter(column):
            return True
        if count > LINKED:
            return False
        if (often > 1).sum() * 2 < count:
            return False
        return any(
            other != place and len(other_values) > 1 and self.words[other_values].all()
            and len(np.unique(inverse.astype(np.int64) * len(other_values) + other_inverse)) == count
            for other, (other_values, other_inverse) in others.items()
        )  # fmt: skip

    def _beside(self, line: Sequence[int], place: int, varying: Container[int]) -> str:
        """What stands there in all the lines: WILD where it varies, nothing outside of the lines."""
        if not 0 <= place < len(line):
            return ""
        return WILD if place in varying else self.names[line[place]]


def _constant(text: str) -> bool:
    return is_word(text) and ANY not in text
