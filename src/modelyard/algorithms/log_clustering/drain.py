"""Templates by word frequency, found again in a tree of fixed depth: after Brain (Yu et al. 2023) and Drain (He 2017).

Lines are read once. Their masked shapes are counted, grouped by how often words stand together, and groups that are one
template are merged. A tree of the templates (Drain's) then says of any line, seen or not, which one it is.
"""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import field_validator

from modelyard.algorithms.base import Algorithm, Report, Trained, TrainingData
from modelyard.algorithms.forms import Form, Search, parameter
from modelyard.algorithms.log_clustering import _header, _learning
from modelyard.algorithms.log_clustering._frequency import Judgement
from modelyard.algorithms.log_clustering._learning import Clusters, Rules, Seen
from modelyard.core.errors import Broken, Invalid
from modelyard.formats import log_templates
from modelyard.formats._log_header import Header, of_format
from modelyard.formats._log_lines import KINDS, check_expression
from modelyard.formats._log_tree import Tree
from modelyard.formats.base import Batch
from modelyard.formats.log_templates import Cluster, LogTemplates, Settings, tree_of

CHUNK = 20_000
_MOST_AT_ONCE = 4000
"""Different shapes beyond which templates are not grouped again just to say how learning goes."""

_OFTEN = 3
"""How many times as many shapes there must be to group them again for that."""


class DrainParameters(Form):
    """The form."""

    similarity: float | None = parameter(
        None, "Similarity", "Share of a template's constant words that a line must have to belong to it where no "
        "template fits exactly. Empty: chosen from the lines.",
        ge=0.1, le=1.0, search=Search(0.3, 0.9, step=0.1),
    )  # fmt: skip
    values: int = parameter(
        5, "Values of a parameter", "From how many different words in one place on that place counts as a parameter. "
        "Fewer words there make templates of their own.",
        ge=2, le=50, search=Search(3, 8, step=1),
    )  # fmt: skip
    merge: bool = parameter(
        True, "Merge templates", "Put templates together that differ in one parameter, or in how many words one has.",
    )  # fmt: skip
    depth: int = parameter(
        3, "Depth of the tree", "How many tokens from the left lead a line through the tree of templates. It changes "
        "the speed, not the result.",
        group="Tree", ge=1, le=8, advanced=True,
    )  # fmt: skip
    max_children: int = parameter(
        100, "Branches of a node", "The most tokens that a node of the tree tells apart; the rest shares a branch.",
        group="Tree", ge=2, le=10_000, advanced=True,
    )  # fmt: skip
    max_clusters: int = parameter(
        10_000, "Most clusters", "A bound on memory: lines that need further templates belong to no cluster.",
        group="Tree", ge=1, le=200_000, advanced=True,
    )  # fmt: skip
    detect_header: bool = parameter(
        True, "Find the header", "Look for what stands in front of every message (date, time, level, component, "
        "process) and leave it out.", group="Lines",
    )  # fmt: skip
    header_format: str = parameter(
        "", "Header format", "How lines begin, where finding it fails, such as: <Date> <Time> <Level> <Component>: "
        "<Content>. Empty: found from the lines.", group="Lines", max_length=500,
    )  # fmt: skip
    masks: tuple[str, ...] = parameter(
        tuple(KINDS), "Masks", f"What always counts as a parameter. All kinds: {', '.join(KINDS)}.",
        group="Lines", advanced=True,
    )  # fmt: skip
    own_masks: tuple[str, ...] = parameter(
        (), "Own masks", "Further masks, each as name=regular expression, such as: order=ORD-[0-9]+.",
        group="Lines", max_length=50,
    )  # fmt: skip

    @field_validator("masks")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in KINDS:
                raise ValueError(f"there is no mask {name!r}; choose among: {', '.join(KINDS)}")
        return names

    @field_validator("own_masks")
    @classmethod
    def _expressions(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for name, expression in map(_named, texts):
                check_expression(name, expression)
        except Invalid as error:
            raise ValueError(error.message) from None
        return texts

    @field_validator("header_format")
    @classmethod
    def _readable(cls, text: str) -> str:
        try:
            if text:
                of_format(text)
        except Invalid as error:
            raise ValueError(error.message) from None
        return text


class TrainedTemplates(LogTemplates, Trained):
    """The very predictor that is served."""


class Drain(Algorithm[DrainParameters]):
    """Groups by word frequency, serves from a tree."""

    title = "Templates (Drain)"
    description = "Finds the templates behind the lines from how often words stand together. Fast, needs no labels."
    Parameters = DrainParameters

    def fit(self, data: TrainingData, parameters: DrainParameters, report: Report) -> Trained:
        return _Run(data, parameters, report).learn(_lines(data.rows))

    def finish(self, data: TrainingData, trained: Trained, parameters: DrainParameters, report: Report) -> Trained:  # noqa: ARG002 - learned anew, so that numbers are in the order of the lines
        return _Run(data, parameters, report).learn([*_lines(data.rows), *_lines(data.validation)])


class _Grouped(NamedTuple):
    """How shapes were grouped when it was last said: how many, into how many templates, and these."""

    shapes: int
    templates: int
    tree: Tree


class _Run:
    """One time of learning."""

    def __init__(self, data: TrainingData, parameters: DrainParameters, report: Report) -> None:
        if not data.signature.string_inputs:
            raise Invalid("Log clustering needs a text column with the lines. Choose one.")
        self._signature = data.signature
        self._previous = data.previous
        self._parameters = parameters
        self._report = report
        self._rules = Rules(
            judgement=Judgement(values=parameters.values), merge=parameters.merge, most=parameters.max_clusters
        )

    def learn(self, lines: Sequence[str]) -> TrainedTemplates:
        """Read the lines, group, and make the predictor."""
        settings, known = self._start(lines)
        reader = LogTemplates(self._signature, settings, known)
        clusters = Clusters(settings, reader.masks, known)
        seen = self._read(lines, reader, clusters)
        self._report.progress("grouping", 0.85)
        settings = self._extend(seen, clusters, settings)
        trained = TrainedTemplates(self._signature, settings, clusters.known)
        self._report.progress("checking", 0.95)
        self._check(lines, trained)
        if clusters.left_out:
            self._report.log(f"{clusters.left_out} templates were left out: the most there may be were reached.")
        self._report.progress("done", 1.0)
        return trained

    def _start(self, lines: Sequence[str]) -> tuple[Settings, list[Cluster]]:
        """How lines are read, and the clusters that learning goes on from."""
        form = self._parameters
        if self._previous is not None:
            settings, known = _previous(self._previous)
            self._report.log(
                f"Going on from {len(known)} templates, with the header and the masks they were made with."
            )
            return settings, known
        if form.header_format:
            header = Header(format=form.header_format)
        else:
            header = _header.detect(lines) if form.detect_header else Header()
        self._report.log(f"Header of the lines: {header.describe()}.")
        settings = Settings(
            header=header, kinds=form.masks, own=tuple(map(_named, form.own_masks)),
            similarity=form.similarity or 0.7, depth=form.depth, max_children=form.max_children,
        )  # fmt: skip
        return settings, []

    def _read(self, lines: Sequence[str], reader: LogTemplates, clusters: Clusters) -> Seen:
        """Count the shapes of all lines; what no template of before fits. Too many are grouped on the way."""
        seen, began = Seen(), time.monotonic()
        for start, end in pairwise(_bounds(len(lines))):
            keys = Counter(reader.masks.keys(reader.contents(lines[start:end])))
            chunk = Seen()
            chunk.add(reader.masks, keys)
            self._say(chunk, seen, clusters, reader.settings, end)
            for shape, count in clusters.take(chunk).counts.items():
                seen.counts[shape] = seen.counts.get(shape, 0) + count
                seen.keys.setdefault(shape, chunk.keys[shape])
            if len(seen.counts) > _learning.MOST_SHAPES:
                clusters.extend(seen, self._rules)
                seen = Seen()
            spent = time.monotonic() - began
            self._report.progress("reading", 0.8 * end / len(lines), spent * (len(lines) / end - 0.8) / 0.8)
        return seen

    def _say(self, chunk: Seen, seen: Seen, clusters: Clusters, settings: Settings, read: int) -> None:
        """The history: how many templates there are, and the share of new lines that they fit."""
        if not seen.counts:
            self._grouped = _Grouped(0, 0, tree_of(settings))
        elif _OFTEN * self._grouped.shapes <= len(seen.counts) <= _MOST_AT_ONCE:
            groups = _learning.grouped(seen, self._rules)
            self._grouped = _Grouped(len(seen.counts), len(groups), _learning.tree_of_groups(groups, settings))
        known = len(clusters.known) + self._grouped.templates
        trees = [clusters.tree, self._grouped.tree]
        lines = sum(chunk.counts.values())
        fitting = sum(
            count for shape, count in chunk.counts.items() if any(tree.exact(shape) is not None for tree in trees)
        )
        self._report.metric("templates", read, known)
        self._report.metric("share of new lines that a template fits", read, fitting / max(1, lines))

    def _extend(self, seen: Seen, clusters: Clusters, settings: Settings) -> Settings:
        """Group what is left, and choose the similarity where nobody did."""
        chosen = self._parameters.similarity
        groups = None
        if chosen is None and seen.counts and self._previous is None:
            groups = _learning.grouped(seen, self._rules)
            chosen = _learning.similarity(list(seen.counts), groups, settings)
            self._report.log(f"Similarity for lines that no template fits: {chosen}.")
        clusters.extend(seen, self._rules, groups)
        return Settings(
            header=settings.header, kinds=settings.kinds, own=settings.own, depth=settings.depth,
            max_children=settings.max_children, similarity=chosen or settings.similarity,
        )  # fmt: skip

    def _check(self, lines: Sequence[str], trained: TrainedTemplates) -> None:
        """Keep samples, and say how it went."""
        few = lines[:: max(1, len(lines) // CHUNK)]
        found = trained.predict(_batch(few))[:, 0].astype(int).tolist()
        _learning.samples(few, found, trained.clusters)
        fitting = sum(number >= 0 for number in found) / max(1, len(found))
        self._report.metric("templates", len(lines) + 1, len(trained.clusters))
        self._report.metric("share of new lines that a template fits", len(lines) + 1, fitting)
        self._report.log(f"{len(trained.clusters)} templates from {len(lines)} lines; {fitting:.1%} of the lines fit.")


def _lines(batch: Batch) -> list[str]:
    return batch.strings[:, 0].tolist() if batch.strings.shape[1] else []


def _batch(lines: Sequence[str]) -> Batch:
    strings = np.empty((len(lines), 1), object)
    strings[:, 0] = lines
    return Batch(np.empty((len(lines), 0), np.float32), strings)


def _bounds(lines: int) -> list[int]:
    """Where chunks begin and end: short ones at first, so that there is something to say early on."""
    bounds = sorted({0, lines, *(lines * share // 8 for share in (1, 2, 4))} if lines <= 4 * CHUNK else {0, lines})
    if lines > 4 * CHUNK:
        bounds = [0, *range(CHUNK // 4, CHUNK, CHUNK // 4), *range(CHUNK, lines, CHUNK), lines]
    return bounds


def _named(text: str) -> tuple[str, str]:
    name, equals, expression = text.partition("=")
    if not equals:
        raise Invalid(f"The mask {text[:40]!r} has no name. Write it as name=regular expression.")
    return name.strip(), expression


def _previous(folder: Path) -> tuple[Settings, list[Cluster]]:
    try:
        return log_templates.read(folder)
    except Broken as error:
        raise Invalid(f"Learning cannot go on from the version before: {error.message}") from error
