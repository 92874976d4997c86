"""Texts: which class a text belongs to. The same texts never stand on both sides of a split."""

from typing import ClassVar

import numpy as np

from modelyard.algorithms.scenarios._tables import TableScenario, check_parts, check_rows, prepared_of
from modelyard.algorithms.scenarios.base import Aim, Prepared, Tables, Unfit
from modelyard.algorithms.tabular import labels
from modelyard.algorithms.tabular import parts as tabular
from modelyard.algorithms.tabular.table import Table
from modelyard.protocol.signature import Field

EXAMPLE_LENGTH = 200


class TextClassification(TableScenario):
    """Answers the probability of each class."""

    columns_matter: ClassVar[bool] = False
    rows: ClassVar[str] = "texts"

    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        text = aim.roles.get("text", "")
        training = tables["training"]
        if text not in training.columns:
            raise Unfit(
                "text_missing", "No column is named as the text. Say which one: it is the dataset's role `text`."
            )
        if training[text].values.dtype != object:
            raise Unfit("text_type", f"The column {text!r} holds numbers, not texts. Name the column with the texts.")
        classes = self.classes(training, aim)
        codes = {value: code for code, value in enumerate(dict.fromkeys(training[text].values.tolist()))}
        groups = np.array([codes[value] for value in training[text].values.tolist()], np.int64)
        parts = tabular.divide(tables, aim.target, tabular.labeller(classes.names), aim.seed, groups=groups)
        check_parts(parts)
        shown = next((value for value in parts.training.table[text].values.tolist() if value.strip()), "")
        missing = float(np.mean(parts.training.table[text].values == ""))
        field = Field(name=text, kind="text", missing=round(missing, 6), example=shown[:EXAMPLE_LENGTH])
        others = {
            name: "is neither the text nor the label" for name in training.columns if name not in {text, aim.target}
        }
        return prepared_of(aim, parts, classes, (field,), others)

    def classes(self, training: Table, aim: Aim) -> labels.Classes:
        check_rows(training.rows)
        return labels.classes(training[aim.target], aim.positive)
