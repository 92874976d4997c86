"""What the build routes take and answer."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from modelyard.features.models.schemas import ModelPath
from modelyard.features.training.schemas import Run

Task = Literal["tabular-classification", "tabular-regression"]


class BuildCreate(BaseModel):
    """An intent in plain words over a dataset's release; `target` overrules what the intent is understood to mean.

    `seconds` is a budget: no further candidate begins after it.
    """

    intent: str = Field(min_length=3, max_length=2000, examples=["predict which customers churn"])
    dataset: str
    release: int | None = Field(default=None, ge=1)
    model: ModelPath
    target: str | None = None
    seconds: float | None = Field(default=None, gt=0, le=86_400)


class Reason(BaseModel):
    """One thing that was decided: what, with which value, and on what evidence."""

    decision: str
    value: str
    because: str


class Plan(BaseModel):
    """How an intent was understood, before anything is trained."""

    scenario: Task
    target: str
    positive: str | None
    drop: list[str]
    candidates: list[str]
    reasons: list[Reason]


class ProfiledColumn(BaseModel, extra="allow"):
    """What is known of a column: `top` are its most frequent values with their counts."""

    name: str = Field(min_length=1)
    kind: str
    distinct: int = Field(ge=0)
    identifier: bool = False
    top: list[tuple[Any, float]] = Field(default_factory=list)


class TableProfile(BaseModel, extra="allow"):
    """A table as an import describes it; see `GET /api/v1/datasets/{name}/samples`."""

    columns: list[ProfiledColumn] = Field(min_length=1)


class PlanRequest(BaseModel):
    """An intent and a profile to read it against."""

    intent: str = Field(min_length=3, max_length=2000)
    profile: TableProfile
    target: str | None = None


class Build(Run):
    """A run that starts from an intent; its plan says how it was understood."""
