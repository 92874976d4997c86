"""Tables made in memory."""

from collections.abc import Callable

import numpy as np
import pytest

from modelyard.algorithms.tabular.table import Column, Table, Type


@pytest.fixture(scope="session")
def table() -> Callable[..., Table]:
    """`table(name=values)`: a table whose columns are of the types that their values have; `dates=` names dates."""

    def make(dates: tuple[str, ...] = (), **columns: object) -> Table:
        made = []
        for name, values in columns.items():
            array = np.asarray(values)
            if array.dtype.kind in "ifb":
                kind: Type = "number" if array.dtype.kind == "f" else "integer"
                made.append(Column(name, kind, array.astype(np.float64)))
            else:
                made.append(Column(name, "date" if name in dates else "string", np.array(list(values), object)))
        return Table(made)

    return make
