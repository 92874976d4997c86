"""The tokens of BERT without case: words taken apart into the longest pieces of a vocabulary (Wu et al. 2016).

As in the reference implementation: control characters go, accents go, punctuation and Chinese characters stand alone.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
LONGEST_WORD = 100
"""Longer words are unknown."""

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef\U0002f800-\U0002fa1f"
_PLAIN = re.compile(rf"[^\W_{_CHINESE}]+|[{_CHINESE}]|[^\s]")


class WordPiece:
    """Texts to numbers of tokens. Raises ValueError where the special tokens are not in the vocabulary."""

    def __init__(self, vocabulary: Sequence[str], longest: int) -> None:
        self.vocabulary = tuple(vocabulary)
        self.longest = longest
        self._places = {token: place for place, token in enumerate(self.vocabulary)}
        missing = [token for token in (UNKNOWN, FIRST, LAST) if token not in self._places]
        if missing or longest < 2:
            raise ValueError(f"the vocabulary lacks {', '.join(missing)}, or a text has no room for both ends")

    def __call__(self, text: str) -> list[int]:
        """At most `longest` tokens: the first ones of the text between the tokens of its two ends."""
        found: list[int] = []
        for word in words(text):
            found += self._pieces(word)
            if len(found) >= self.longest - 2:
                break
        return [self._places[FIRST], *found[: self.longest - 2], self._places[LAST]]

    def _pieces(self, word: str) -> list[int]:
        known = self._places.get(word)
        if known is not None:
            return [known]
        unknown = [self._places[UNKNOWN]]
        if len(word) > LONGEST_WORD:
            return unknown
        found: list[int] = []
        first = 0
        while first < len(word):
            mark = "##" if first else ""
            ends = range(len(word), first, -1)
            last = next((end for end in ends if mark + word[first:end] in self._places), None)
            if last is None:
                return unknown
            found.append(self._places[mark + word[first:last]])
            first = last
        return found


def words(text: str) -> Iterator[str]:
    """The words of a text: without case, accents and control characters; each mark and Chinese character is one."""
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_cleaned, text))
        text = "".join(map(_bare, unicodedata.normalize("NFD", text.lower())))
    return (found.group() for found in _PLAIN.finditer(text.lower()))


@lru_cache(maxsize=8192)
def _cleaned(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character).startswith("C") or character == "\ufffd" else character


@lru_cache(maxsize=8192)
def _bare(character: str) -> str:
    return "" if unicodedata.category(character) == "Mn" else character
