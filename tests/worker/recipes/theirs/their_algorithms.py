"""An installed package with one algorithm that behaves as its parameter says."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field

from modelyard.algorithms import registry
from modelyard.algorithms.base import Algorithm, Trained


class Settings(BaseModel):
    """How to behave."""

    behaviour: Literal["unconvertible", "python", "different", "inexact", "crash", "memory", "nan", "link", "exit"] = (
        Field(default="unconvertible", title="Behaviour", description="How to behave.")
    )


class Wrapped(Trained):
    """A linear model whose saving or answering goes wrong."""

    def __init__(self, inner, behaviour):
        self.signature, self.inner, self.behaviour = inner.signature, inner, behaviour

    def predict(self, batch):
        answers = self.inner.predict(batch)
        if self.behaviour == "nan":
            answers[0, 0] = np.nan
        if self.behaviour == "different":
            answers = answers[:, ::-1].copy()
        if self.behaviour == "inexact":
            answers = answers * np.float32(1 + 2e-5)
        return answers

    def save(self, folder: Path):
        if self.behaviour == "unconvertible":
            raise NotImplementedError("no graph for this")
        if self.behaviour == "python":
            return "python"
        if self.behaviour == "link":
            (folder / "model.onnx").symlink_to("/etc/hostname")
            return "onnx"
        return self.inner.save(folder)


class Theirs(Algorithm[Settings]):
    """Logistic regression, and then something goes wrong."""

    title = "Theirs"
    description = "Goes wrong."
    Parameters = Settings

    def fit(self, data, parameters, report):
        if parameters.behaviour == "crash":
            raise RuntimeError("secret row 17\nsecond line")
        if parameters.behaviour == "memory":
            raise MemoryError
        if parameters.behaviour == "exit":
            raise SystemExit(0)
        linear = registry.get("tabular-classification/linear")
        return Wrapped(linear().fit(data, linear.Parameters(), report), parameters.behaviour)
