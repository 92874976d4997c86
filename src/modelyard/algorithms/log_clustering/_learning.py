"""Learning templates from lines as they are read: counting shapes, grouping them, holding later lines against them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from modelyard.algorithms.log_clustering import _frequency, _merging, _values
from modelyard.algorithms.log_clustering._frequency import Judgement
from modelyard.algorithms.log_clustering._merging import Group
from modelyard.formats._log_lines import Masks
from modelyard.formats._log_tree import Tokens, Tree, Variant
from modelyard.formats.log_templates import LONGEST_SAMPLE, SAMPLES, Cluster, Settings, tree_of

MOST_SHAPES = 20_000
"""Different shapes that are grouped at once; then only templates are kept of them."""

SIMILARITIES = tuple(round(0.4 + 0.05 * step, 2) for step in range(12))
_MOST_COMPARED = 4000


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How shapes are grouped. `most` bounds the clusters."""

    judgement: Judgement
    merge: bool
    most: int


class Seen:
    """Shapes with how many lines had them and the first such lines, in the order they came."""

    def __init__(self) -> None:
        self.counts: dict[Tokens, int] = {}
        self.keys: dict[Tokens, str] = {}

    def add(self, masks: Masks, keys: Counter[str]) -> None:
        """Count masked lines."""
        for key, count in keys.items():
            shape = masks.shape(key)
            if shape:
                self.counts[shape] = self.counts.get(shape, 0) + count
                self.keys.setdefault(shape, key)


def grouped(seen: Seen, rules: Rules) -> list[Group]:
    """The shapes in groups with their templates, in the order in which their first lines came."""
    shapes, counts = list(seen.counts), list(seen.counts.values())
    places = _frequency.group(shapes, counts, rules.judgement)
    groups = [Group([_merging.template([shapes[place] for place in each])], each) for each in places]
    if rules.merge:
        groups = _values.merged(groups, shapes, counts, rules.judgement)
    return sorted(groups, key=lambda group: min(group.shapes))


class Clusters:
    """Clusters that grow. Numbers never change; new clusters get the next ones."""

    def __init__(self, settings: Settings, masks: Masks, known: Iterable[Cluster]) -> None:
        self.masks = masks
        self.known = list(known)
        self.tree = tree_of(settings)
        self.left_out = 0
        for cluster in self.known:
            for variant in cluster.variants:
                self.tree.add(Variant(masks.generic_tokens(variant), cluster.number))

    def take(self, seen: Seen) -> Seen:
        """Count the lines that a template fits; those that none fits are given back."""
        new = Seen()
        for shape, count in seen.counts.items():
            found = self.tree.exact(shape)
            if found is None:
                new.counts[shape], new.keys[shape] = count, seen.keys[shape]
            else:
                self.known[found.cluster].count += count
        return new

    def extend(self, seen: Seen, rules: Rules, groups: Sequence[Group] | None = None) -> None:
        """Group what `take` gave back, and add it: to a cluster of the same form where there is one, else anew.

        `groups` are those of `seen`, where they are known already.
        """
        counts, shapes = list(seen.counts.values()), list(seen.counts)
        old = [
            Group([self.masks.generic_tokens(variant) for variant in cluster.variants], [-1 - cluster.number])
            for cluster in self.known
        ]
        if groups is None:
            groups = grouped(seen, rules)
        if old and rules.merge:
            groups = _merging.grown(old, groups)
        for group in groups:
            number = max((-1 - place for place in group.shapes if place < 0), default=len(self.known))
            fresh = [place for place in group.shapes if place >= 0]
            if not fresh:
                continue
            if number == len(self.known) and number >= rules.most:
                self.left_out += 1
                continue
            self._put(number, group, [shapes[place] for place in fresh], sum(counts[place] for place in fresh), seen)

    def _put(self, number: int, group: Group, shapes: Sequence[Tokens], count: int, seen: Seen) -> None:
        kinds = self._kinds(shapes, seen)
        if number == len(self.known):
            self.known.append(Cluster(number=number, template=(), variants=[], count=0, samples=[]))
        cluster = self.known[number]
        before = {self.masks.generic_tokens(variant): variant for variant in cluster.variants}
        for variant in group.variants:
            self.tree.add(Variant(variant, number))
        cluster.variants = [before.get(variant) or self._with_kinds(variant, kinds) for variant in group.variants]
        cluster.template = _merging.common(cluster.variants)
        cluster.count += count

    def _kinds(self, shapes: Sequence[Tokens], seen: Seen) -> dict[int, list[str]]:
        """By length, the tokens with the kinds of their masks where all lines agree, else of any kind."""
        found: dict[int, list[str]] = {}
        for shape in shapes:
            tokens = self.masks.tokens(seen.keys[shape])
            had = found.setdefault(len(shape), tokens)
            if had is not tokens:
                found[len(shape)] = [
                    one if one == two else three for one, two, three in zip(had, tokens, shape, strict=True)
                ]
        return found

    def _with_kinds(self, variant: Tokens, kinds: dict[int, list[str]]) -> Tokens:
        """The template with masks by their kinds, and units and names of days as they stand, where all lines agree."""
        tokens = kinds.get(len(variant))
        if tokens is None:
            return variant
        shape = self.masks.generic_tokens(tokens)
        return tuple(kind if one == token else one for one, token, kind in zip(variant, shape, tokens, strict=True))


def tree_of_groups(groups: Sequence[Group], settings: Settings) -> Tree:
    """A tree of the templates of groups."""
    tree = tree_of(settings)
    for number, group in enumerate(groups):
        for variant in group.variants:
            tree.add(Variant(variant, number))
    return tree


def similarity(shapes: Sequence[Tokens], groups: Sequence[Group], settings: Settings) -> float:
    """How alike a line and a template must be where none fits.

    Every second template shape plays a line never seen: the threshold is the one that puts most of them where the
    whole set does, wrong ones counted against it.
    """
    cluster = {place: number for number, group in enumerate(groups) for place in group.shapes}
    places = sorted(cluster)[:_MOST_COMPARED]
    known = Tree(depth=settings.depth, max_children=settings.max_children, similarity=0)
    for variant in _kept(shapes, places[::2], cluster):
        known.add(variant)
    scores = np.zeros(len(SIMILARITIES))
    for place in places[1::2]:
        if known.exact(shapes[place]) is None:
            near = known.near(shapes[place])
            if near is not None:
                reached = np.array(SIMILARITIES) <= near[1]
                scores += reached * (1 if near[0].cluster == cluster[place] else -1)
    best = np.flatnonzero(scores == scores.max())
    # Where several do as well, the middle one is the safest.
    return SIMILARITIES[int(best[len(best) // 2])]


def _kept(shapes: Sequence[Tokens], places: Sequence[int], cluster: dict[int, int]) -> Iterator[Variant]:
    """The templates of some of the shapes."""
    parts: dict[tuple[int, int], list[Tokens]] = {}
    for place in places:
        parts.setdefault((cluster[place], len(shapes[place])), []).append(shapes[place])
    for (number, _), members in parts.items():
        yield Variant(_merging.template(members), number)


def samples(lines: Sequence[str], found: Sequence[int], clusters: Sequence[Cluster]) -> None:
    """Keep the first lines of each cluster, as they came, where it has too few."""
    wanted = {cluster.number: SAMPLES - len(cluster.samples) for cluster in clusters}
    for line, number in zip(lines, found, strict=True):
        if number >= 0 and wanted.get(number, 0) > 0:
            text = line[:LONGEST_SAMPLE]
            if text not in clusters[number].samples:
                clusters[number].samples.append(text)
                wanted[number] -= 1
