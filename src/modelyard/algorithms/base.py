"""Seam: a built-in way to train in one scenario.

`algorithms/<scenario>/<algorithm>.py` holds exactly one `Algorithm`. It runs inside the sandbox. It is given rows with
their labels for training and validation, and test rows without labels; the platform splits and scores, the algorithm
only learns.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray
from pydantic import BaseModel

from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.signature import Signature

Form = TypeVar("Form", bound=BaseModel)


class Report(ABC):
    """How an algorithm says how it is doing; each call reaches the job's page at once."""

    @abstractmethod
    def progress(self, phase: str, fraction: float, eta_seconds: float | None = None) -> None:
        """How far: `fraction` of this algorithm's own work, 0 to 1, never going back."""

    @abstractmethod
    def metric(self, name: str, step: int, value: float) -> None:
        """One point of a metric's history."""

    @abstractmethod
    def log(self, line: str) -> None:
        """One line of the log."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What an algorithm learns from.

    `labels` and `validation_labels`, one for each row:

    classification: int64 indices into `signature.classes`
    regression: float64 values
    anomaly detection: int64, 1 for an anomaly, 0 for none, -1 where nobody said
    time series prediction: float64 values of the target. In `rows` the target stands among the numbers as well, since
    a request sends it as history; in `validation` (what follows on `rows`) it is NaN there
    log clustering: int64 numbers of the true groups, -1 where nobody said

    Where `signature.time` is given, rows are in order of time within each series. `previous` is the folder of a version
    (data only) that learning may go on from.
    """

    signature: Signature
    rows: Batch
    labels: NDArray[Any]
    validation: Batch
    validation_labels: NDArray[Any]
    seed: int
    previous: Path | None = None


class Trained(Predictor):
    """What `fit` returns: predicts with the training pipeline itself, and knows how to be saved."""

    @abstractmethod
    def save(self, folder: Path) -> str:
        """Write what is served into `folder`; the name of the format that reads it ("onnx" where it converts).

        A format of data is served directly and fast; "python" only ever inside a sandbox.
        """


class Algorithm(ABC, Generic[Form]):
    """One way to train.

    `title` and `description` are what the catalogue shows. `Parameters` is its form, made with `forms.parameter`.
    `requires` names packages that are not installed with the platform, such as `catboost`.
    """

    title: ClassVar[str]
    description: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()
    Parameters: type[Form]

    @abstractmethod
    def fit(self, data: TrainingData, parameters: Form, report: Report) -> Trained:
        """Learn. Deterministic for the same data, parameters and seed."""

    def finish(self, data: TrainingData, trained: Trained, parameters: Form, report: Report) -> Trained:  # noqa: ARG002
        """What is served: learned again from training and validation rows together, with what `fit` found out.

        The platform has the validation scores of `trained` by now. Without a method of its own an algorithm serves it.
        """
        return trained
