"""The model that all serve: 20 numbers and 2 categories, scaled and one-hot encoded, a logistic regression.

Imported by the peers' servers too, in environments of their own: nothing here needs more than scikit-learn and pandas,
and those only where the pipeline is fitted. It is fitted to convergence, so that each scikit-learn finds the same.

    python -m benchmarks.serving.pipeline FILE      fits it and keeps it with joblib
"""

import math
import random
import sys
from collections.abc import Sequence
from typing import Any

NUMBERS = tuple(f"num_{place}" for place in range(20))
CATEGORIES = {
    "region": ("north", "south", "east", "west", "centre"),
    "plan": tuple(f"plan_{letter}" for letter in "abcdefghijkl"),
}
CLASSES = ("No", "Yes")
Row = dict[str, Any]


def rows(count: int, seed: int) -> list[Row]:
    """Made-up rows."""
    dice = random.Random(seed)
    return [
        {
            **{name: round(dice.gauss(0, 1), 4) for name in NUMBERS},
            **{name: dice.choice(labels) for name, labels in CATEGORIES.items()},
        }
        for _ in range(count)
    ]


def labels(table: Sequence[Row], seed: int) -> list[str]:
    """What the rows are: Yes or No, by a rule and chance."""
    dice = random.Random(seed)
    weights = [dice.gauss(0, 0.5) for _ in NUMBERS]
    effects = {label: dice.gauss(0, 1) for labels in CATEGORIES.values() for label in labels}

    def chance(row: Row) -> float:
        z = sum(weight * row[name] for weight, name in zip(weights, NUMBERS, strict=True))
        return 1 / (1 + math.exp(-z - sum(effects[row[name]] for name in CATEGORIES)))

    return [CLASSES[dice.random() < chance(row)] for row in table]


def fit() -> Any:
    """The scikit-learn pipeline."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = rows(5000, seed=0)
    columns = [
        ("numbers", StandardScaler(), list(NUMBERS)),
        ("categories", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
    ]
    steps = [("columns", ColumnTransformer(columns)), ("model", LogisticRegression(tol=1e-8, max_iter=10_000))]
    return Pipeline(steps).fit(pd.DataFrame(table), labels(table, seed=0))


if __name__ == "__main__":
    import joblib

    joblib.dump(fit(), sys.argv[1])
