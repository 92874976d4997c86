"""From texts to numbers: weighted counts of words, of pairs of words and of pieces of words, as a sparse matrix.

The one place where it is done: training calls it on the texts that it learns from, serving on those that it is sent.
Words are looked up in a vocabulary. Pieces (runs of characters inside a word, its borders included) are hashed into
buckets (Weinberger et al. 2009) by arithmetic over whole arrays: they carry languages that write no spaces, spelling
mistakes, and inflection. Nothing here knows a language: no stop words, no stemming.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

BUCKETS = 1 << 20
"""How many buckets the pieces of words are hashed into."""

START, END = "\x02", "\x03"
"""Stand before the first and behind the last word of a text, in pairs only: how a text begins says much."""

CHUNK = 1_000_000
"""Characters that are taken apart at once: what bounds the memory."""

# Python's \w leaves out the vowel signs of Indic and South-East Asian scripts, and would cut words at each of them.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u109f\u1780-\u17d3"
_TOKEN = re.compile(rf"[\w{_MARKS}]+|[^\w\s]")
_SPACE = 32
_TRUE = np.ones(1, bool)
# Odd constants without structure (2^64 over the golden ratio; Stafford's mixer): products modulo 2^64 spread all bits.
_TURN = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_HALF = np.uint64(29)
_KEPT = np.uint64(44)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted, and how.

    `words` is the largest number of words in a row that is counted, 0 for none; pieces of words have `shortest` to
    `longest` characters, `longest` 0 for none. Of each text the first `characters` are read. `counts`: "sublinear" for
    1 + log(count), "binary" for 1. `normalised`: whether words, and likewise pieces, have length 1 in each text.
    """

    words: int = 2
    shortest: int = 2
    longest: int = 5
    characters: int = 10_000
    counts: str = "sublinear"
    normalised: bool = True


class Sparse(NamedTuple):
    """Rows of a sparse matrix, compressed: row i has `columns[starts[i]:starts[i + 1]]` and the values there."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


class Vocabulary(NamedTuple):
    """What has a column: `terms` (words and rows of them), then the `buckets` of pieces, ascending; weight of each."""

    terms: tuple[str, ...]
    buckets: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def size(self) -> int:
        """How many columns there are."""
        return len(self.terms) + len(self.buckets)


def joined(strings: NDArray[np.object_], columns: Sequence[int]) -> list[str]:
    """One text of each row: its columns one after the other, a line each."""
    if len(columns) == 1:
        texts: list[str] = strings[:, columns[0]].tolist()
        return texts
    return ["\n".join(row) for row in strings[:, list(columns)].tolist()]


def normalised(text: str, most: int) -> str:
    """The first `most` characters without case, in one form of writing (NFKC), with single spaces between words."""
    text = text[:most]
    if not text.isascii():
        # Half of a surrogate pair is no character: no file of ours could hold it.
        text = unicodedata.normalize("NFKC", text).encode("utf-8", "ignore").decode()
    return " ".join(text.lower().split())


def terms_of(text: str, longest: int) -> list[str]:
    """The words of a normalised text (punctuation marks count as such), and rows of up to `longest` of them."""
    if not longest or not text:
        return []
    words = _TOKEN.findall(text)
    found = words[:]
    if longest > 1:
        bounded = [START, *words, END]
        for length in range(2, longest + 1):
            found += map(" ".join, zip(*(bounded[at:] for at in range(length)), strict=False))
    return found


def pieces_of(texts: Sequence[str], shortest: int, longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bucket of each piece of the normalised `texts`, and the text that it is in.

    A piece lies inside a word with one space on either side (scikit-learn's `char_wb`): no piece spans two words.
    """
    together = f" {'  '.join(texts)} "
    points = np.frombuffer(together.encode("utf-32-le"), np.uint32)
    places = np.flatnonzero(points == _SPACE)
    gaps = np.diff(places)
    # From each character, how many there are up to the next space, both included: the longest piece that begins there.
    room = np.repeat(places[1:] + 1, gaps) - np.arange(len(points) - 1)
    room[places[:-1][gaps == 1]] = 0
    mixed = points * _MIX
    mixed ^= mixed >> _HALF
    lengths = np.arange(shortest, longest + 1)
    hashes = np.zeros((len(lengths), len(room)), np.uint64)
    hashed = mixed
    for length in range(2, min(longest, len(points)) + 1):
        hashed = hashed[:-1] * _TURN + mixed[length - 1 :]
        if length >= shortest:
            hashes[length - shortest, : len(hashed)] = hashed
    inside = room >= lengths[:, None]
    buckets = ((hashes[inside] * _MIX) >> _KEPT).view(np.int64)
    if len(texts) == 1:
        return buckets, np.zeros(len(buckets), np.int64)
    owners = np.repeat(np.arange(len(texts)), [len(text) + 2 for text in texts])[:-1]
    return buckets, np.broadcast_to(owners, inside.shape)[inside]


class Counter:
    """Counts what a recipe says in texts, by the columns of a vocabulary."""

    def __init__(self, recipe: Recipe, vocabulary: Vocabulary) -> None:
        self.recipe = recipe
        self.vocabulary = vocabulary
        self._places = {term: place for place, term in enumerate(vocabulary.terms)}
        self._columns = np.full(BUCKETS, -1, np.int64)
        self._columns[vocabulary.buckets] = np.arange(len(vocabulary.terms), vocabulary.size)

    def __call__(self, texts: Sequence[str]) -> Sparse:
        """One row of each text."""
        parts = [self._rows(chunk) for chunk in chunks(texts, self.recipe.characters)]
        if len(parts) == 1:
            return parts[0]
        return stacked(parts)

    def _rows(self, texts: Sequence[str]) -> Sparse:
        recipe, size = self.recipe, max(1, self.vocabulary.size)
        plain = [normalised(text, recipe.characters) for text in texts]
        keys = self._terms(plain)
        if recipe.longest and len(self.vocabulary.buckets):
            buckets, rows = pieces_of(plain, recipe.shortest, recipe.longest)
            columns = self._columns[buckets]
            known = columns >= 0
            keys = np.concatenate([keys, (rows * size + columns)[known] if len(texts) > 1 else columns[known]])
        keys.sort()
        first = np.flatnonzero(np.concatenate([_TRUE[: len(keys)], keys[1:] != keys[:-1]]))
        counts = np.diff(first, append=len(keys))
        rows, columns = np.divmod(keys[first], size)
        return self._weighted(len(texts), rows, columns, counts)

    def _terms(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The keys (row * columns + column) of the known words and rows of words."""
        size, longest, place_of = max(1, self.vocabulary.size), self.recipe.words, self._places.get
        found = [
            row * size + place
            for row, text in enumerate(texts)
            for term in terms_of(text, longest)
            if (place := place_of(term)) is not None
        ]
        return np.array(found, np.int64)

    def _weighted(
        self, texts: int, rows: NDArray[np.int64], columns: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Sparse:
        weights = self.vocabulary.weights[columns].astype(np.float64)
        if self.recipe.counts == "sublinear":
            weights *= 1 + np.log(counts)
        starts = np.searchsorted(rows, np.arange(texts + 1))
        if self.recipe.normalised:
            # Words and pieces are two kinds of evidence: each has the same say, however many there are.
            kinds = 2 * rows + (columns >= len(self.vocabulary.terms))
            lengths = np.sqrt(np.bincount(kinds, weights * weights, minlength=1))
            weights /= lengths[kinds]
        return Sparse(starts, columns.astype(np.int32), weights.astype(np.float32))


def stacked(parts: Sequence[Sparse]) -> Sparse:
    """All rows, one part below the other."""
    offsets = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
    return Sparse(
        np.concatenate([*starts, offsets[-1:]]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def chunks(texts: Sequence[str], characters: int) -> Iterator[Sequence[str]]:
    """The texts in order, so many at once that at most CHUNK characters are read together (one text at least)."""
    first, held = 0, 0
    for place, text in enumerate(texts):
        length = min(len(text), characters) + 2
        if held + length > CHUNK and place > first:
            yield texts[first:place]
            first, held = place, 0
        held += length
    yield texts[first:]
