"""Templates in a tree of fixed depth (Drain, He et al. 2017), and what a template's wildcards stand for in a line.

The first level of the tree is the number of tokens, the next ones are the first tokens. Unlike in the paper a line
goes down both the branch of its token and that of any token, so that a template that fits is always found.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.formats._log_lines import GAP, WILD, Piece, holds_mask, only_mask

Tokens = tuple[str, ...]


class Variant(NamedTuple):
    """A template of one length: its tokens (WILD stands for any one), and the number of its cluster."""

    tokens: Tokens
    cluster: int


class _Entry:
    """A variant in a leaf, made for fast comparison."""

    __slots__ = ("expected", "fixed", "take", "variant")

    def __init__(self, variant: Variant) -> None:
        places = [place for place, token in enumerate(variant.tokens) if WILD not in token]
        self.variant = variant
        self.fixed = len(places)
        self.take = itemgetter(*places) if places else None
        self.expected: Any = self.take(variant.tokens) if self.take else None

    def fits(self, tokens: Tokens) -> bool:
        return self.take is None or self.take(tokens) == self.expected


class _Node:
    """Its branches by token, or in a leaf the variants."""

    __slots__ = ("children", "entries")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.entries: list[_Entry] = []


class Tree:
    """Finds the template of a shape. `depth` counts levels of tokens; `max_children` bounds the branches of a node."""

    def __init__(self, *, depth: int, max_children: int, similarity: float) -> None:
        self.depth, self.max_children, self.similarity = depth, max_children, similarity
        self._roots: dict[int, _Node] = {}
        self._all: dict[int, list[Variant]] = {}
        self._tables: dict[int, _Table] = {}

    def add(self, variant: Variant) -> None:
        """Put one more template in."""
        length = len(variant.tokens)
        node = self._roots.setdefault(length, _Node())
        for token in variant.tokens[: self.depth]:
            name = WILD if WILD in token else token
            if name not in node.children and len(node.children) >= self.max_children:
                name = WILD
            node = node.children.setdefault(name, _Node())
        node.entries.append(_Entry(variant))
        self._all.setdefault(length, []).append(variant)
        self._tables.pop(length, None)

    def exact(self, tokens: Tokens) -> Variant | None:
        """The template with the most constants among those that fit, None where none does."""
        root = self._roots.get(len(tokens))
        if root is None:
            return None
        nodes = [root]
        for token in tokens[: self.depth]:
            nodes = [
                child for node in nodes for name in (token, WILD) if (child := node.children.get(name)) is not None
            ]
        best: _Entry | None = None
        for node in nodes:
            for entry in node.entries:
                if (best is None or entry.fixed > best.fixed) and entry.fits(tokens):
                    best = entry
        return best.variant if best else None

    def nearest(self, tokens: Tokens) -> Variant | None:
        """The template of this length that the line is most like, if by the share `similarity` at least."""
        found = self.near(tokens)
        return found[0] if found is not None and found[1] >= self.similarity else None

    def near(self, tokens: Tokens) -> tuple[Variant, float] | None:
        """The template of this length of whose constant words the line has most, and the share; None without any."""
        variants = self._all.get(len(tokens))
        if not variants:
            return None
        if len(tokens) not in self._tables:
            self._tables[len(tokens)] = _Table(variants)
        place, share = self._tables[len(tokens)].nearest(tokens)
        return variants[place], share


class _Table:
    """The constant words of all templates of one length, as numbers."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._codes: dict[str, int] = {}
        rows = [[self._code(token) for token in variant.tokens] for variant in variants]
        self._table: NDArray[np.int32] = np.array(rows, np.int32)
        self._words = np.maximum((self._table >= 0).sum(axis=1), 1)

    def _code(self, token: str) -> int:
        return self._codes.setdefault(token, len(self._codes)) if is_word(token) else -1

    def nearest(self, tokens: Tokens) -> tuple[int, float]:
        line = np.array([self._codes.get(token, -2) for token in tokens], np.int32)
        shares = (self._table == line).sum(axis=1) / self._words
        place = int(shares.argmax())
        return place, float(shares[place])


@lru_cache(maxsize=65536)
def is_word(token: str) -> bool:
    """Whether the token is constant and says something: not a mask, not a mere delimiter."""
    return any(character.isalnum() for character in token) and WILD not in token and GAP not in token


def generalised(tokens: Tokens, other: Tokens) -> Tokens:
    """The template that covers two shapes of one length."""
    return tuple(one if one == two else either(one, two) for one, two in zip(tokens, other, strict=True))


def either(one: str, two: str) -> str:
    """What stands for either of two different tokens. A blank in front is kept where both have one."""
    return f" {WILD}" if one[0] == two[0] == " " else WILD


def parameters(template: Tokens, pieces: Sequence[Piece]) -> list[str] | None:
    """What each wildcard of a template stands for in a line, in order; None where the template does not fit.

    Fixed stretches between gaps are looked for from the left, the last at the end: one pass over the line, but for
    stretches that begin alike. A gap with a blank in front stands for one token at least.
    """
    gaps = [place for place, token in enumerate(template) if GAP in token]
    bounds = [-1, *gaps, len(template)]
    found: list[str] = []
    at = 0
    for before, behind in pairwise(bounds):
        stretch = template[before + 1 : behind]
        last = len(pieces) - len(stretch)
        first = at if before < 0 else at + (template[before][0] == " ")
        at_the_end = before >= 0 and behind == len(template)
        choices = range(max(first, last) if at_the_end else first, last + 1)
        start = next((place for place in choices if _stands(stretch, pieces, place)), None)
        if start is None or (before < 0 and start):
            return None
        if before >= 0:
            text = "".join(piece.raw for piece in pieces[at:start])
            if template[before][0] == " ":
                if text[0] != " ":
                    return None
                text = text[1:]
            found.append(text)
        for token, piece in zip(stretch, pieces[start:], strict=False):
            found.extend(_values(token, piece))
        at = start + len(stretch)
    return found if at == len(pieces) else None


def _stands(stretch: Tokens, pieces: Sequence[Piece], place: int) -> bool:
    return place + len(stretch) <= len(pieces) and all(
        token in {piece.token, piece.raw} or (WILD in token and (token[0] != " " or piece.raw[:1] == " "))
        for token, piece in zip(stretch, pieces[place:], strict=False)
    )


def _values(token: str, piece: Piece) -> Sequence[str]:
    if WILD in token:
        return [piece.raw[1:] if token[0] == " " else piece.raw]
    return piece.masked if holds_mask(token) else ()


def constant_words(tokens: Tokens) -> int:
    """How many tokens of a template are constant words."""
    return sum(is_word(token) and not only_mask(token) for token in tokens)
