"""What classification and regression of tables share."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from modelyard.algorithms.scenarios import _drawings as drawings
from modelyard.algorithms.scenarios.base import Aim, Answers, Part, Parts, Prepared, Scenario, Tables, Unfit
from modelyard.algorithms.scoring import Judge, Question, score, trivial
from modelyard.algorithms.tabular import columns, labels
from modelyard.algorithms.tabular import parts as tabular
from modelyard.algorithms.tabular.split import Purpose
from modelyard.algorithms.tabular.table import Table
from modelyard.formats.base import Predictor
from modelyard.protocol.signature import Field, Signature

FEWEST_ROWS = 20
SUSPICIOUS = 0.999
"""Area under the curve or R² from which on a column probably tells the answer."""


class TableScenario(Scenario):
    """From the columns of a table to one of its columns."""

    columns_matter: ClassVar[bool] = True
    baseline_is: ClassVar[str] = "the same to every row: the shares of the classes, or the mean of the training rows"

    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        classes = self.classes(tables["training"], aim)
        parts = tabular.divide(tables, aim.target, tabular.labeller(classes.names), aim.seed)
        check_parts(parts)
        chosen = columns.choose(parts.training.table, aim.target, aim.drop)
        if not chosen.fields:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(chosen.dropped.items())[:10])
            raise Unfit(
                "no_features",
                f"No column is left to predict {aim.target!r} from ({reasons or 'there is no other'}). Add columns.",
            )
        return prepared_of(aim, parts, classes, chosen.fields, chosen.dropped)

    def classes(self, training: Table, aim: Aim) -> labels.Classes:
        """The classes of the target; none where it is a number. Raises Invalid."""
        raise NotImplementedError

    def judge(self, prepared: Prepared, purpose: Purpose) -> Judge:  # noqa: ARG002
        return question_of(prepared.signature)

    def does(self, signature: Signature) -> str:
        return f"Predicts {'the class of' if signature.classes else 'the number'} `{signature.target}`"

    def baseline(self, prepared: Prepared) -> Answers:
        return trivial(question_of(prepared.signature), prepared.parts.training.labels)

    def details(self, prepared: Prepared, answers: Answers, predictor: Predictor | None) -> dict[str, Any]:  # noqa: ARG002
        question, truth = question_of(prepared.signature), prepared.parts.test.labels
        if not question.classes:
            return {"residuals": drawings.residuals(truth, answers[:, 0])}
        found = {"confusion": drawings.confusion(prepared.signature.classes, truth, answers.argmax(axis=1))}
        if question.classes == 2 and 0 < (truth == question.positive).sum() < len(truth):
            found["curves"] = drawings.curves(truth == question.positive, answers[:, question.positive])
        return found

    def suspicion(self, prepared: Prepared, answers: Answers) -> tuple[str, ...]:
        question = question_of(prepared.signature)
        name = "roc_auc" if question.classes == 2 else "r2" if not question.classes else "accuracy"
        if not score(name, question, prepared.parts.test.labels, answers) >= SUSPICIOUS:
            return ()
        return (
            "Almost every test row is answered right: check whether a column tells the answer "
            "and would not be known when a prediction is asked for.",
        )

    def request(self, prepared: Prepared) -> dict[str, Any]:
        return example(prepared.parts.test, prepared.signature)


def prepared_of(
    aim: Aim, parts: tabular.Parts, classes: labels.Classes, fields: tuple[Field, ...], dropped: dict[str, str]
) -> Prepared:
    """What a scenario of rows that stand for themselves hands on."""
    table = parts.training.table
    signature = Signature(
        scenario=aim.scenario,
        inputs=fields,
        target=aim.target,
        classes=classes.names,
        positive=classes.positive,
        ignored=(*([aim.target] if aim.target else []), *dropped),
    )
    kept = Parts(*(Part(part.table.batch(fields), part.labels) for part in parts[:3]))
    types = {name: table[name].type for name in (*(field.name for field in fields), aim.target) if name}
    return Prepared(signature, kept, types, dropped, warnings(aim, parts))


def question_of(signature: Signature) -> Question:
    """How answers of this signature are judged."""
    positive = signature.classes.index(signature.positive) if signature.positive is not None else 1
    return Question(len(signature.classes), positive)


def check_rows(rows: int) -> None:
    """Raises Unfit where there are too few rows to learn and to judge."""
    if rows < FEWEST_ROWS:
        found = "1 row" if rows == 1 else f"{rows} rows"
        raise Unfit(
            "too_few_rows",
            f"The table has {found} with a target; at least {FEWEST_ROWS} are needed to learn and to judge. Add rows.",
            rows=rows,
            minimum=FEWEST_ROWS,
        )


def check_parts(parts: tabular.Parts) -> None:
    """Raises Unfit where a part has no rows, or all have too few."""
    check_rows(sum(len(part.labels) for part in parts[:3]))
    for purpose, part in (("validation", parts.validation), ("test", parts.test), ("training", parts.training)):
        if not len(part.labels):
            raise Unfit("too_few_rows", f"No {purpose} row has a target that can be used. Add labelled {purpose} rows.")


def warnings(aim: Aim, parts: tabular.Parts) -> tuple[str, ...]:
    """What is to be said of the rows themselves."""
    found = [
        f"{count:,} {purpose} rows were left out: they have no {aim.target!r}, or one that no training row has."
        for purpose, count in parts.unlabelled.items()
        if count
    ]
    return (*found, *few(len(parts.test.labels)))


def few(rows: int) -> list[str]:
    """A warning where few rows judge."""
    return [f"Only {rows} rows judge this model: take its metrics with care."] if rows < 100 else []


def example(part: Part, signature: Signature, row: int | None = None) -> dict[str, Any]:
    """One row as a client would send it: the one given, else the first with the fewest gaps."""
    numbers, strings = part.rows
    if row is None:
        row = int((np.isnan(numbers).sum(axis=1) + (strings == "").sum(axis=1)).argmin())
    values: dict[str, Any] = {}
    for place, field in enumerate(signature.numeric_inputs):
        values[field.name] = columns.plain(float(numbers[row, place]), field.kind)
    for place, field in enumerate(signature.string_inputs):
        values[field.name] = strings[row, place] or None
    return {field.name: values[field.name] for field in signature.inputs}


def rows_as_sent(part: Part, signature: Signature, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Some rows as a client would send them."""
    return [example(part, signature, row) for row in rows]
