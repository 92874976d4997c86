"""Seam: one kind of problem. What an implementation has to say, and the plain values that go in and out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.algorithms.base import TrainingData
from modelyard.algorithms.scoring import Judge
from modelyard.algorithms.tabular.split import Purpose
from modelyard.algorithms.tabular.table import Table, Type
from modelyard.core.errors import Invalid
from modelyard.formats.base import Batch, Predictor
from modelyard.protocol.signature import Signature

Answers = NDArray[np.float32]
Predict = Callable[[Batch], Answers]
Tables = Mapping[Purpose, Table]


class Unfit(Invalid):
    """The tables cannot be learned from; `code` says why."""

    def __init__(self, code: str, message: str, **detail: Any) -> None:
        super().__init__(message, detail=detail)
        self.code = code  # type: ignore[misc]


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be learned: the column to predict ("" where there is none) and what other columns are.

    `roles` are `time`, `series`, `text`, `group` to a column's name; `horizon` is in steps; `drop` are columns to leave
    out.
    """

    scenario: str
    target: str = ""
    roles: dict[str, str] = {}
    horizon: int | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    seed: int = 0


class Part(NamedTuple):
    """Rows with their labels, as algorithms/base.py describes them for each scenario."""

    rows: Batch
    labels: NDArray[Any]


class Parts(NamedTuple):
    """What is learned from, what decides, and what judges; the labels of the last are shown to nobody."""

    training: Part
    validation: Part
    test: Part


class Prepared(NamedTuple):
    """A release made ready. `types` are those of the columns in use, `dropped` says why others are left out.

    `notes` is whatever the scenario needs again to judge.
    """

    signature: Signature
    parts: Parts
    types: dict[str, Type]
    dropped: dict[str, str]
    warnings: tuple[str, ...]
    notes: Any = None


class Scenario(ABC):
    """One kind of problem.

    `columns_matter`: whether shuffling one input column after the other says what matters. `rows` is what a row is
    called, `held_out` what is particular about those that judge, `baseline_is` what the baseline answers.
    """

    columns_matter: ClassVar[bool] = False
    rows: ClassVar[str] = "rows"
    held_out: ClassVar[str] = "that no algorithm saw"
    baseline_is: ClassVar[str]

    @abstractmethod
    def does(self, signature: Signature) -> str:
        """What a version does, as a sentence of a card begins: "Predicts the number `price`"."""

    @abstractmethod
    def prepare(self, aim: Aim, tables: Tables) -> Prepared:
        """From tables to rows; those of `training` are split where a purpose has none. Raises Invalid."""

    @abstractmethod
    def judge(self, prepared: Prepared, purpose: Purpose) -> Judge:
        """How answers to the validation or test rows are measured."""

    @abstractmethod
    def baseline(self, prepared: Prepared) -> Answers:
        """What is answered to the test rows by a predictor that knows next to nothing."""

    def answers(self, prepared: Prepared, predict: Predict, given: Answers) -> Answers:  # noqa: ARG002
        """The answers to the test rows that are judged.

        `given` are the training pipeline's, `predict` asks the served form.
        """
        return given

    def details(self, prepared: Prepared, answers: Answers, predictor: Predictor | None) -> dict[str, Any]:  # noqa: ARG002
        """What the files below `evaluation/` hold, by name. `predictor` is the served form where it is only data."""
        return {}

    def suspicion(self, prepared: Prepared, answers: Answers) -> tuple[str, ...]:  # noqa: ARG002
        """Warnings where a result is too good to be true, or cannot be trusted."""
        return ()

    def since(self, prepared: Prepared) -> Batch | None:  # noqa: ARG002
        """What happened after the rows that were learned from: once judged, a version answers from there on."""
        return None

    @abstractmethod
    def request(self, prepared: Prepared) -> dict[str, Any]:
        """A request as a client would send it, for a signature's example."""


def training_data(prepared: Prepared, seed: int) -> TrainingData:
    """What an algorithm is given: never the test part."""
    parts = prepared.parts
    return TrainingData(
        signature=prepared.signature,
        rows=parts.training.rows,
        labels=parts.training.labels,
        validation=parts.validation.rows,
        validation_labels=parts.validation.labels,
        seed=seed,
    )
