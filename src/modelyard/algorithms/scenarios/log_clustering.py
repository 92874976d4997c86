"""Logs: which lines were written by the same template.

Learning is without labels, so that all lines are learned from; where the release names no test lines, all of them are
judged against the true groups, as the field does it (Zhu et al. 2019). How many lines are matched is measured on the
last ones before these are learned from.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.scenarios.base import Aim, Answers, Part, Parts, Prepared, Scenario, Tables, Unfit
from modelyard.algorithms.scoring import Clusters, Judge
from modelyard.algorithms.tabular.labels import texts
from modelyard.algorithms.tabular.split import VALIDATION_SHARE, Purpose
from modelyard.algorithms.tabular.table import Table
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.signature import Field, Signature

FEWEST_LINES = 20
EXAMPLE_LENGTH = 500
LISTED = 1000


class LogClustering(Scenario):
    """Answers the number of a cluster to each line."""

    rows: ClassVar[str] = "lines"
    held_out: ClassVar[str] = "whose true groups no algorithm saw"
    baseline_is: ClassVar[str] = "the same cluster to every line"

    def does(self, signature: Signature) -> str:
        return f"Groups lines (`{signature.inputs[0].name}`) by the template that wrote them"

    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        text = aim.roles.get("text", "")
        if text not in tables["training"].columns:
            raise Unfit(
                "text_missing", "No column is named as the line. Say which one: it is the dataset's role `text`."
            )
        groups: dict[str, int] = {}
        own = {name: _part(table, text, aim.target, groups) for name, table in tables.items()}
        lines = sum(len(part.labels) for part in own.values())
        if lines < FEWEST_LINES:
            raise Unfit("too_few_rows", f"There are {lines} lines; at least {FEWEST_LINES} are needed. Add lines.")
        everything = own["training"]
        test = own.get("test", everything)
        held = max(1, round(len(everything.labels) * VALIDATION_SHARE))
        training, validation = _taken(everything, slice(None, -held)), _taken(everything, slice(-held, None))
        if "validation" in own:
            training, validation = everything, own["validation"]
        shown = next((line for line in everything.rows.strings[:, 0].tolist() if line.strip()), "")
        signature = Signature(
            scenario=aim.scenario,
            inputs=(Field(name=text, kind="text", example=shown[:EXAMPLE_LENGTH]),),
            target=aim.target,
            ignored=tuple(name for name in tables["training"].columns if name != text),
        )
        types = {name: tables["training"][name].type for name in (text, aim.target) if name}
        dropped = {name: "is not the line" for name in signature.ignored if name != aim.target}
        warnings = () if groups else ("No line has a true group: how well lines are put together, nobody measured.",)
        return Prepared(signature, Parts(training, validation, test), types, dropped, warnings)

    def judge(self, prepared: Prepared, purpose: Purpose) -> Judge:  # noqa: ARG002
        return Clusters()

    def baseline(self, prepared: Prepared) -> Answers:
        """Every line in the same cluster."""
        return np.zeros((len(prepared.parts.test.labels), 1), np.float32)

    def details(self, prepared: Prepared, answers: Answers, predictor: Predictor | None) -> dict[str, Any]:  # noqa: ARG002
        found, counts = np.unique(answers[:, 0].astype(np.int64), return_counts=True)
        sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
        unknown = sizes.pop(-1, 0)
        templates = getattr(predictor, "templates", None)
        listed = templates() if callable(templates) else [{"cluster": number} for number in sizes]
        for entry in listed:
            entry["test_lines"] = sizes.get(entry["cluster"], 0)
        listed.sort(key=lambda entry: -entry["test_lines"])
        return {"templates": {"unknown": unknown, "clusters": len(sizes), "templates": listed[:LISTED]}}

    def request(self, prepared: Prepared) -> dict[str, Any]:
        field = prepared.signature.inputs[0]
        lines = prepared.parts.test.rows.strings[:, 0].tolist()
        shown = [line for line in lines[:1000] if line.strip()][:3]
        return {"instances": [{field.name: line[:EXAMPLE_LENGTH]} for line in shown]}


def _part(table: Table, text: str, target: str, groups: dict[str, int]) -> Part:
    column = table[text]
    lines = np.array(texts(column), object) if column.values.dtype != object else column.values
    strings = np.empty((len(lines), 1), object)
    strings[:, 0] = lines
    return Part(Batch(np.empty((len(lines), 0), np.float32), strings), _labels(table, target, groups))


def _labels(table: Table, target: str, groups: dict[str, int]) -> NDArray[np.int64]:
    """The true group of each line, -1 where nobody said."""
    if not target or target not in table.columns:
        return np.full(table.rows, -1, np.int64)
    names = texts(table[target])
    return np.array([groups.setdefault(name, len(groups)) if name else -1 for name in names], np.int64)


def _taken(part: Part, rows: slice) -> Part:
    return Part(Batch(part.rows.numbers[rows], part.rows.strings[rows]), part.labels[rows])
