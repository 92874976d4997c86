"""Groups that are one template after all: those that differ in one parameter, or in how many tokens one has."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from modelyard.algorithms.log_clustering._frequency import Column, Judgement
from modelyard.formats._log_lines import ANY, EMPTY, GAP, WILD, holds_mask
from modelyard.formats._log_tree import Tokens, constant_words, either, generalised, is_word

LONG_VALUE = 8
"""The most tokens that a fixed text may have which is a value of a parameter."""

KEPT = 0.8
"""The least share of the constants that two templates have in common which one for both must keep."""

MOST_ALIGNED = 30
FREE = 5
"""From how many rare continuations on what follows is free text."""

RARE = 5
"""How many times as many lines a template has that takes a rare one in."""

_MARKS = frozenset((ANY, EMPTY, GAP, WILD))
_BETWEEN = frozenset(",;:|#/-+.&>")


@dataclass
class Group:
    """Templates by length, and the places of the shapes that they stand for."""

    variants: list[Tokens]
    shapes: list[int] = field(default_factory=list)


def merged(groups: Sequence[Group], counts: Sequence[int], judgement: Judgement) -> list[Group]:
    """The groups with those put together that differ in one parameter, or in its length. `counts` are lines."""
    return _covered(_of_long_values(_of_one_form(_but_one_word(groups, counts, judgement))), counts)


def grown(old: Sequence[Group], new: Sequence[Group]) -> list[Group]:
    """The new groups, joined with those old ones that have their form. No two old ones are ever joined."""
    by_form = {form: group for group in reversed(old) for form in map(form_of, group.variants)}
    found: dict[int, Group] = {}
    for group in new:
        known = next((by_form[form] for form in map(form_of, group.variants) if form in by_form), None)
        if known is None:
            found[id(group)] = group
            continue
        into = found.setdefault(id(known), Group(list(known.variants), list(known.shapes)))
        into.variants = list(dict.fromkeys((*into.variants, *group.variants)))
        into.shapes.extend(group.shapes)
    return list(found.values())


def template(shapes: Sequence[Tokens]) -> Tokens:
    """What shapes of one length have in common."""
    found = shapes[0]
    for shape in shapes[1:]:
        if shape != found:
            found = generalised(found, shape)
    return found


def common(variants: Sequence[Tokens]) -> Tokens:
    """What templates of several lengths have in common, with gaps where they differ."""
    around = _around(variants)
    if around is not None and len(variants) > 1:
        start, end = around
        blank = all(variant[len(start)][0] == " " for variant in variants)
        return (*start, f" {GAP}" if blank else GAP, *end)
    found = variants[0]
    for variant in variants[1:MOST_ALIGNED]:
        found = _aligned(found, variant)
    return found


def _around(variants: Sequence[Tokens]) -> tuple[Tokens, Tokens] | None:
    """What stands before and behind the only parameter, where templates have one and the same."""
    forms = {form_of(variant) for variant in variants}
    form = next(iter(forms))
    if len(forms) > 1 or sum(token == WILD for token in form) != 1:
        return None
    place = form.index(WILD)
    start, end = form[:place], form[place + 1 :]
    plain = all(
        len(variant) > len(start) + len(end)
        and variant[: len(start)] == start
        and variant[len(variant) - len(end) :] == end
        for variant in variants
    )
    return (start, end) if plain else None


def _but_one_word(groups: Sequence[Group], counts: Sequence[int], judgement: Judgement) -> list[Group]:
    """Templates that differ in one token are one where that token has enough values, or any value already."""
    found = list(groups)
    longest = max((len(group.variants[0]) for group in found), default=0)
    for place in range(longest):
        alike: dict[tuple[str, ...], list[Group]] = {}
        for group in found:
            tokens = group.variants[0]
            if len(group.variants) == 1 and place < len(tokens) and not _delimiter(tokens[place]):
                alike.setdefault((*tokens[:place], WILD, *tokens[place + 1 :]), []).append(group)
        for tokens, same in alike.items():
            if len(same) > 1 and constant_words(tokens) and _one_parameter(place, tokens, same, counts, judgement):
                found = joined(found, same, [template([group.variants[0] for group in same])])
    return found


def _one_parameter(
    place: int, tokens: Tokens, same: Sequence[Group], counts: Sequence[int], judgement: Judgement
) -> bool:
    texts = [group.variants[0][place] for group in same]
    if any(WILD in text for text in texts):
        return True
    column = Column(
        texts=texts,
        counts=[sum(counts[shape] for shape in group.shapes) for group in same],
        before=tokens[place - 1] if place else "",
        behind=tokens[place + 1] if place + 1 < len(tokens) else "",
        first=not place,
        constants=constant_words(tokens),
    )
    return judgement.parameter(column)


def _of_one_form(groups: Sequence[Group]) -> list[Group]:
    """Templates that are the same once lists and runs of wildcards count as one wildcard are one."""
    forms: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        for form in {form_of(variant) for variant in group.variants}:
            forms.setdefault(form, []).append(group)
    found = list(groups)
    for form, same in forms.items():
        # By identity: a group may have gone into another by now.
        still = [group for group in found if any(group is each for each in same)]
        if len(still) > 1 and any(is_word(token) for token in form):
            variants = list(dict.fromkeys(variant for group in still for variant in group.variants))
            found = joined(found, still, by_length(variants))
    return found


def _of_long_values(groups: Sequence[Group]) -> list[Group]:
    """Templates with a fixed text of several tokens where another one has a parameter that is a word go into it."""
    parameters: dict[tuple[Tokens, Tokens], Group] = {}
    for group in groups:
        for variant in group.variants:
            for place, token in enumerate(variant):
                if WILD in token and constant_words(variant) >= 2:
                    parameters.setdefault((variant[:place], variant[place + 1 :]), group)
    found = list(groups)
    if not parameters:
        return found
    into = {id(group): group for group in groups}
    for group in groups:
        home = _home(group.variants[0], parameters) if len(group.variants) == 1 else None
        target = into[id(home)] if home is not None else group
        if target is not into[id(group)]:
            before = len(found)
            variants = by_length([*target.variants, *group.variants])
            found = joined(found, [target, group], variants)
            one = next(each for each in found if each.variants is variants) if len(found) < before else target
            into = {key: one if each is target or each is group else each for key, each in into.items()}
    return found


def _home(tokens: Tokens, parameters: dict[tuple[Tokens, Tokens], Group]) -> Group | None:
    """The group that has a parameter where these tokens have a fixed text."""
    for start in range(len(tokens)):
        for end in range(start + 2, min(start + LONG_VALUE, len(tokens)) + 1):
            if tokens[end - 1].strip() in _MARKS:
                break
            if end == start + 2 and tokens[start].strip() in _MARKS:
                break
            if (tokens[:start], tokens[end:]) in parameters and any(map(is_word, tokens[start:end])):
                return parameters[tokens[:start], tokens[end:]]
    return None


def _covered(groups: Sequence[Group], counts: Sequence[int]) -> list[Group]:
    """Rare templates go into one whose last parameter is of several lengths, where they differ in that alone."""
    found = list(groups)
    lines = {id(group): sum(counts[place] for place in group.shapes) for group in groups}
    by_start: dict[str, list[Group]] = {}
    for group in groups:
        by_start.setdefault(group.variants[0][0], []).append(group)
    for group in groups:
        if len(group.variants) < 2:
            continue
        shared = common(group.variants)
        if sum(GAP in token for token in shared) != 1 or constant_words(shared) < 2:
            continue
        place = next(place for place, token in enumerate(shared) if GAP in token)
        start, end = shared[:place], shared[place + 1 :]
        small = [
            other
            for other in by_start[group.variants[0][0]]
            if other is not group
            and len(other.variants) == 1
            and RARE * lines[id(other)] <= lines[id(group)]
            and _fits(start, end, other.variants[0])
        ]
        if small and any(group is each for each in found):
            still = [each for each in small if any(each is one for one in found)]
            variants = by_length([variant for each in (group, *still) for variant in each.variants])
            found = joined(found, [group, *still], variants)
    return found


def of_free_text(groups: Sequence[Group], counts: Sequence[int]) -> list[Group]:
    """Rare templates that begin alike up to a colon or dash, and go on in many ways and lengths, are one."""
    starts: dict[tuple[str, ...], list[tuple[Group, Tokens]]] = {}
    for group in groups:
        tokens = group.variants[0]
        for place in range(len(tokens) - 1):
            if _ends(tokens, place) and constant_words(tokens[:place]) >= 2:
                start = tuple(WILD if holds_mask(each) else each for each in tokens[: place + 1])
                starts.setdefault(start, []).append((group, tokens[place + 1 :]))
    found = list(groups)
    for start in sorted(starts, key=len, reverse=True):
        members = [(group, rest) for group, rest in starts[start] if any(group is each for each in found)]
        rare = [
            group
            for group, rest in members
            if sum(counts[place] for place in group.shapes if place >= 0) <= 2 or not constant_words(rest)
        ]
        lengths = {len(rest) for _, rest in members}
        if len(rare) >= FREE and len(lengths) > 2 and 5 * len(rare) >= 4 * len(members):
            found = joined(found, rare, by_length([variant for group in rare for variant in group.variants]))
    return found


def _fits(start: Tokens, end: Tokens, tokens: Tokens) -> bool:
    """Whether a template begins and ends like these."""
    inside = len(tokens) - len(start) - len(end)
    return inside >= 0 and all(
        one == two or WILD in one
        for one, two in zip((*start, *end), (*tokens[: len(start)], *tokens[len(tokens) - len(end) :]), strict=True)
    )


def by_length(variants: Sequence[Tokens]) -> list[Tokens]:
    """As few templates as cover these: those of one length as one, where that keeps the constants they share."""
    found: list[Tokens] = []
    for variant in dict.fromkeys(variants):
        for place, other in enumerate(found):
            if len(other) == len(variant):
                both = generalised(other, variant)
                if constant_words(both) >= KEPT * constant_words(_aligned(other, variant)):
                    found[place] = both
                    break
        else:
            found.append(variant)
    return found


def form_of(tokens: Tokens) -> tuple[str, ...]:
    """The tokens with every run of wildcards, and what stands between them in lists, as one."""
    form: list[str] = []
    pending: list[str] = []
    for token in _without_lists(tokens):
        if _wild(token):
            pending = []
            if not form or form[-1] != WILD:
                form.append(WILD)
        elif form and form[-1] == token and holds_mask(token):
            # One more item of a list.
            continue
        elif form and form[-1] == WILD and token.strip() in _BETWEEN:
            # Between two wildcards it is part of a list, in front of a word it is not.
            pending.append(token)
            form_tail = [*form, *pending]
            if len(pending) > 2:
                form, pending = form_tail, []
        else:
            form.extend(pending)
            pending = []
            form.append(token)
    return (*form, *pending)


def _without_lists(tokens: Tokens) -> list[str]:
    """The tokens with a wildcard for each list of words that has commas and no blanks."""
    found: list[str] = []
    place = 0
    while place < len(tokens):
        end = place
        while end + 2 < len(tokens) and tokens[end + 1] == "," and tokens[end + 2][0] != " " and _item(tokens[end + 2]):
            end += 2
        named = end + 1 < len(tokens) and tokens[end + 1].strip() in {"=", ":"}
        listed = end > place and _item(tokens[place]) and not named
        found.append(WILD if listed else tokens[place])
        place = end + 1 if listed else place + 1
    return found


def _item(token: str) -> bool:
    return not _delimiter(token)


def _wild(token: str) -> bool:
    return holds_mask(token) and not any(character.isalpha() for character in token if character not in _MARKS)


def _delimiter(token: str) -> bool:
    return not _wild(token) and not any(character.isalnum() for character in token) and ANY not in token


def joined(groups: Sequence[Group], same: Sequence[Group], variants: list[Tokens]) -> list[Group]:
    """The groups with `same` as one, in the place of the first of them."""
    gone = {id(group) for group in same}
    one = Group(variants, [shape for group in same for shape in group.shapes])
    found: list[Group] = []
    for group in groups:
        if id(group) not in gone:
            found.append(group)
        elif group is same[0]:
            found.append(one)
    return found


def _aligned(one: Tokens, other: Tokens) -> Tokens:
    """The longest common subsequence of constants, gaps between."""
    width = len(other) + 1
    best = [[0] * width for _ in range(len(one) + 1)]
    for place in range(len(one) - 1, -1, -1):
        for beside in range(len(other) - 1, -1, -1):
            if one[place] == other[beside] and GAP not in one[place]:
                best[place][beside] = best[place + 1][beside + 1] + 1
            else:
                best[place][beside] = max(best[place + 1][beside], best[place][beside + 1])
    return _walk(one, other, best)


def _walk(one: Tokens, other: Tokens, best: Sequence[Sequence[int]]) -> Tokens:
    found: list[str] = []
    place = beside = 0
    left: list[str] = []
    right: list[str] = []

    def close() -> None:
        if not left and not right:
            return
        if len(left) == len(right) == 1 and GAP not in left[0]:
            found.append(either(left[0], right[0]))
        else:
            blank = bool(left and right) and left[0][0] == right[0][0] == " "
            found.append(f" {GAP}" if blank else GAP)
        left.clear()
        right.clear()

    while place < len(one) and beside < len(other):
        if one[place] == other[beside] and GAP not in one[place]:
            close()
            found.append(one[place])
            place, beside = place + 1, beside + 1
        elif best[place + 1][beside] >= best[place][beside + 1]:
            left.append(one[place])
            place += 1
        else:
            right.append(other[beside])
            beside += 1
    left.extend(one[place:])
    right.extend(other[beside:])
    close()
    return tuple(found)


def _ends(tokens: Tokens, place: int) -> bool:
    """Whether a colon or dash stands there with a blank behind it, as in front of a free text."""
    return tokens[place].strip() in {":", "-"} and tokens[place + 1][0] == " "
