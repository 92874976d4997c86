"""The client of MLflow's scoring server: the calls that tests make of it."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from talk import answer_calls

# The client looks for scipy.sparse in a way that fails where there is no SciPy; an empty one is enough.
sys.modules["scipy"] = ModuleType("scipy")
sys.modules["scipy"].__path__ = []


def client(url: str) -> ScoringServerClient:
    # It is made for a server that has one model, at its root; its prefix is all that says where.
    made = ScoringServerClient("", 0)
    made.url_prefix = url
    return made


def ask(url: str, method: str, **arguments: Any) -> Any:
    return getattr(client(url), method)(**arguments)


def invoke(url: str, data: Any, frame: bool = False, params: dict[str, Any] | None = None) -> Any:
    """`frame`: the data, column by column, as a data frame."""
    return dict(client(url).invoke(pd.DataFrame(data) if frame else data, params))


def invoke_categorical(url: str, data: dict[str, list[Any]], column: str, dtypes: dict[str, str]) -> Any:
    """A frame as a user has it: with columns of pandas' and numpy's own types."""
    frame = pd.DataFrame(data).astype(dtypes)
    frame[column] = frame[column].astype("category")
    return client(url).invoke(frame).get_predictions("ndarray").tolist()


def invoke_array(url: str, data: list[Any]) -> Any:
    return dict(client(url).invoke(np.array(data, np.float64)))


if __name__ == "__main__":
    answer_calls({"ask": ask, "invoke": invoke, "invoke_categorical": invoke_categorical, "invoke_array": invoke_array})
