"""Merging groups until none belong together: also by what all of the log says about values.

A word that is a parameter's value in one template is hardly a constant of another. What stands in quotes, in brackets
or behind a colon is one text however many words it has, and a parameter like any where it takes enough values.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from modelyard.algorithms.log_clustering import _merging
from modelyard.algorithms.log_clustering._frequency import ACTION, AMPLE, NAMED, QUOTES, Judgement
from modelyard.algorithms.log_clustering._merging import LONG_VALUE, Group, by_length, form_of, joined
from modelyard.formats._log_lines import ANY, EMPTY, WILD
from modelyard.formats._log_tree import Tokens, constant_words, is_word

_MESSAGES = frozenset({"msg", "message", "event", "action"})
"""Fields whose quoted text says what happened."""

_CLOSING = {'"': '"', "'": "'", "(": ")", "[": "]", "{": "}"}
LONG_LIST = 32
"""The most tokens of a list or map in brackets."""

_TAIL = 8
_NAME = 3
"""The most words of a name."""

_OWN = 0.75
"""The least share of different words among those of texts that are values."""

_REMARK = 3
"""Tokens of a word in parentheses."""

_CHOICES = 3


def merged(
    groups: Sequence[Group], shapes: Sequence[Tokens], counts: Sequence[int], judgement: Judgement
) -> list[Group]:
    """The groups with those put together that belong together. `counts` are the lines of each shape."""
    found = list(groups)
    while True:
        before = len(found)
        found = _merging.merged(found, counts, judgement)
        known = {word for word in _vocabulary(found, shapes, counts) | _choices(found) if not _happened(word)}
        found = _with_remarks(_of_texts(_of_known_values(found, known), known, judgement), known)
        if len(found) == before:
            found = _merging.of_free_text(found, counts)
            if len(found) == before:
                return found


def _vocabulary(groups: Sequence[Group], shapes: Sequence[Tokens], counts: Sequence[int]) -> set[str]:
    """Words that are the value of a parameter at least as often as they are constants."""
    free: Counter[str] = Counter()
    fixed: Counter[str] = Counter()
    for group in groups:
        for variant, places in _by_variant(group, shapes):
            lines = [counts[place] for place in places]
            total = sum(lines)
            columns = list(zip(*(shapes[place] for place in places), strict=True))
            for token, column in zip(variant, columns, strict=True):
                if WILD in token:
                    for text, count in zip(column, lines, strict=True):
                        free[text] += count
                else:
                    fixed[token.strip()] += total
    values: Counter[str] = Counter()
    for text, count in free.items():
        values[text.strip()] += count
    return {word for word, count in values.items() if count >= fixed[word] and is_word(word)}


def _by_variant(group: Group, shapes: Sequence[Tokens]) -> Iterator[tuple[Tokens, list[int]]]:
    """Each template of the group with the places of the shapes that it stands for."""
    lengths: dict[int, list[int]] = {}
    for place in group.shapes:
        lengths.setdefault(len(shapes[place]), []).append(place)
    for variant in group.variants:
        places = lengths.get(len(variant), [])
        if sum(len(variant) == len(other) for other in group.variants) > 1:
            fits = [all(one == two or WILD in two for one, two in zip(shapes[place], variant, strict=True))
                    for place in places]  # fmt: skip
            lengths[len(variant)] = [place for place, fit in zip(places, fits, strict=True) if not fit]
            places = [place for place, fit in zip(places, fits, strict=True) if fit]
        if places:
            yield variant, places


def _choices(groups: Sequence[Group]) -> set[str]:
    """Words of which three or more stand for each other in two templates alike."""
    around: dict[tuple[Tokens, Tokens], set[str]] = {}
    for group in groups:
        for variant in group.variants:
            for place, token in enumerate(variant):
                if place and is_word(token):
                    around.setdefault((variant[:place], variant[place + 1 :]), set()).add(token.strip())
    sets = sorted({frozenset(words) for words in around.values() if len(words) >= _CHOICES}, key=sorted)
    several = Counter(frozenset(words) for words in around.values() if len(words) >= _CHOICES)
    found = {word for words, times in several.items() if times > 1 for word in words}
    for place, one in enumerate(sets):
        for other in sets[place + 1 :]:
            if len(one & other) >= _CHOICES:
                found |= one & other
    return found


def _of_known_values(groups: Sequence[Group], known: set[str]) -> list[Group]:
    """Templates that are the same but for words that are values elsewhere are one."""
    forms: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        for form in {form_of(_opened(variant, known)) for variant in group.variants}:
            forms.setdefault(form, []).append(group)
    return _all_joined(groups, [same for form, same in forms.items() if any(map(is_word, form))])


def _with_remarks(groups: Sequence[Group], known: set[str]) -> list[Group]:
    """Templates that are the same but for one word in parentheses behind a parameter at the end are one."""
    forms: dict[Tokens, list[Group]] = {}
    for group in groups:
        for variant in group.variants:
            opened = _opened(variant, known)
            remark = len(opened) > _REMARK and opened[-3] == " (" and opened[-1] == ")" and is_word(opened[-2])
            plain = opened[:-3] if remark else opened
            if WILD in plain[-1] and constant_words(plain) > AMPLE:
                forms.setdefault(plain, []).append(group)
    return _all_joined(groups, list(forms.values()))


def _of_texts(groups: Sequence[Group], known: set[str], judgement: Judgement) -> list[Group]:
    """Templates that are the same but for the text in one place that may hold any are one."""
    places: dict[tuple[Tokens, Tokens, _Least], list[tuple[Group, Tokens]]] = {}
    for group in groups:
        for variant in group.variants:
            opened = tuple(WILD if "/" in token else token.strip() for token in _opened(variant, known))
            for start, end, least in _texts(variant, judgement):
                around = (opened[:start], opened[end:], least)
                places.setdefault(around, []).append((group, variant[start:end]))
    together = [
        [group for group, _ in members]
        for (_, rest, place), members in places.items()
        if _any_text({value for _, value in members}, place, last=not rest)
    ]
    return _all_joined(groups, together)


def _any_text(values: set[Tokens], place: "_Least", *, last: bool) -> bool:
    """Whether these are texts of a parameter rather than parts of as many templates."""
    if place.map:
        return _in_any_order([_keys(value) for value in values])
    if (place.phrases and not _phrases(values)) or (last and not _own_words(values) and not all(map(_list, values))):
        return False
    phrases = _phrases(values) or (place.reason and not any(_happened(token) for value in values for token in value))
    least = max(2, place.values - 1) if last and phrases else place.values
    return len(values) >= least or (len(values) > 1 and any(WILD in token for value in values for token in value))


def _phrases(values: set[Tokens]) -> bool:
    """Whether these are plain words, of several lengths: hardly constants of as many templates."""
    return len({len(value) for value in values}) > 1 and all(is_word(token) for value in values for token in value)


def _own_words(values: set[Tokens]) -> bool:
    """Whether these have few words in common: siblings among templates do."""
    words = [token for value in values for token in value if is_word(token)]
    return len(set(words)) >= _OWN * len(words)


def _list(tokens: Tokens) -> bool:
    """Whether these are single words with the same mark between each two."""
    return len(set(tokens[1::2])) == 1 and not is_word(tokens[1]) and all(map(is_word, tokens[::2]))


def _happened(token: str) -> bool:
    word = token.strip()
    return not word.isupper() and ACTION.fullmatch(word.casefold()) is not None


def _keys(tokens: Tokens) -> list[str]:
    return [name.strip() for name, mark in pairwise(tokens) if mark == "="]


def _in_any_order(maps: Sequence[Sequence[str]]) -> bool:
    """Whether two keys stand in one order here and in the other there, or any key stands in one place."""
    if len(maps) > 1 and any(WILD in key for keys in maps for key in keys):
        return True
    orders = {pair for keys in maps for pair in combinations(keys, 2)}
    return any((two, one) in orders for one, two in orders if one != two)


class _Least(NamedTuple):
    """From how many values on a text is a parameter.

    `phrases` if they must be ones. `reason` if the line says what happened, and then why. `map` if they are names with
    values, of which the order counts.
    """

    values: int
    phrases: bool = False
    reason: bool = False
    map: bool = False


def _texts(tokens: Tokens, judgement: Judgement) -> Iterator[tuple[int, int, _Least]]:
    """Where a text stands that may be a parameter, first and behind the last, and when it is one."""
    for start, token in enumerate(tokens[:-1]):
        mark = token.strip()
        if mark in _CLOSING:
            wanted = _CLOSING[mark]
            ends = range(start + 2, min(start + (LONG_LIST if mark in "[{" else LONG_VALUE) + 2, len(tokens)))
            end = next((end for end in ends if tokens[end].strip() == wanted), None)
            named = tokens[start - 2].strip().casefold() if start >= 2 and tokens[start - 1] == "=" else ""
            if end is not None and named not in _MESSAGES and _outside(tokens, start + 1, end):
                yield start + 1, end, _Least(2 if mark in QUOTES else judgement.values)
        elif mark == ":" and tokens[start + 1][0] == " " and len(tokens) - start <= _TAIL + 1:
            plain = not any(ANY in each or EMPTY in each for each in tokens[start + 1 :])
            if plain and constant_words(tokens[:start]) >= 2:
                reason = any(map(_happened, tokens[:start]))
                values = min(4, judgement.values) if reason else judgement.values
                yield start + 1, len(tokens), _Least(values, reason=reason)
        elif mark in NAMED:
            yield from _named(tokens, start + 1, judgement)
    yield from _map(tokens)


def _named(tokens: Tokens, start: int, judgement: Judgement) -> Iterator[tuple[int, int, _Least]]:
    """What stands behind a word that names: one to three words, in front of another one."""
    for end in range(start + 1, min(start + _NAME, len(tokens) - 1) + 1):
        if not is_word(tokens[end - 1]) or ANY in tokens[end - 1]:
            return
        if is_word(tokens[end]) and _outside(tokens, start, end) > 1:
            yield start, end, _Least(min(3, judgement.values), phrases=True)


def _map(tokens: Tokens) -> Iterator[tuple[int, int, _Least]]:
    """Pairs of names and values to the end of the line."""
    start = end = len(tokens)
    while start >= 3 and tokens[start - 2] == "=" and (WILD in tokens[start - 3] or is_word(tokens[start - 3])):
        end, start = start, start - 3
        if start and tokens[start - 1] in {";", ","}:
            start -= 1
    start += start < len(tokens) and tokens[start] in {";", ","}
    if start < end and constant_words(tokens[:start]) > 1:
        yield start, len(tokens), _Least(2, map=True)


def _outside(tokens: Tokens, start: int, end: int) -> int:
    return constant_words(tokens[:start]) + constant_words(tokens[end:])


def _opened(tokens: Tokens, known: set[str]) -> Tokens:
    """The tokens with a wildcard for each known value."""
    return tuple(
        (f" {WILD}" if token[0] == " " else WILD)
        if token.strip() in known or WILD in token or (ANY in token and is_word(token))
        else token
        for token in tokens
    )


def _all_joined(groups: Sequence[Group], together: Sequence[Sequence[Group]]) -> list[Group]:
    """The groups with each of the sets as one; sets that share a group are one set."""
    found = list(groups)
    into = {id(group): group for group in groups}
    for members in together:
        same = list({id(into[id(group)]): into[id(group)] for group in members}.values())
        if len(same) < 2:
            continue
        variants = by_length(list(dict.fromkeys(variant for group in same for variant in group.variants)))
        same = [group for group in found if any(group is each for each in same)]
        found = joined(found, same, variants)
        one = next(group for group in found if group.variants is variants)
        into = {key: one if any(group is each for each in same) else group for key, group in into.items()}
    return found
