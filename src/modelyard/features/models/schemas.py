"""What the model routes take and answer."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from modelyard.core.errors import Invalid

PART = r"[a-z0-9][a-z0-9_-]*"
RESERVED = frozenset({"latest", "production", "staging", "docs", "redoc", "openapi.json"})
Stage = Literal["staging", "production"]
ModelPath = Annotated[
    str,
    Field(pattern=rf"^{PART}(/{PART})+$", max_length=300, description="`<prefix>/<model>`", examples=["sales/churn"]),
]


class ModelName:
    """`<prefix>/<name>`, with the version where one is named."""

    def __init__(self, prefix: str, name: str, selector: str | None) -> None:
        self.prefix, self.name, self.selector = prefix, name, selector

    @property
    def path(self) -> str:
        """`<prefix>/<name>`."""
        return f"{self.prefix}/{self.name}"


def parse(text: str) -> ModelName:
    """`sales/churn`, `sales/churn/v3`, `sales/churn/production`, taken apart. Raises Invalid."""
    parts = text.strip("/").split("/")
    selector = parts.pop() if len(parts) > 2 and (parts[-1] in RESERVED or re.fullmatch(r"v?\d+", parts[-1])) else None
    if len(parts) < 2 or not all(re.fullmatch(PART, part) for part in parts):
        raise Invalid(
            f"{text!r} is no model. Write `prefix/model` or `prefix/model/vN`, in lower-case letters, digits, - and _.",
            fields=[{"field": "model", "message": "is no model"}],
        )
    if parts[-1] in RESERVED or re.fullmatch(r"v\d+|\d+", parts[-1]):
        raise Invalid(f"{parts[-1]!r} names a version, so no model can be called so.")
    return ModelName("/".join(parts[:-1]), parts[-1], selector)


class Prefix(BaseModel):
    """A namespace of models."""

    key: str
    prefix: str
    models: int
    created_at: datetime


class Model(BaseModel):
    """A model and which of its versions matter."""

    id: str
    prefix: str
    name: str
    path: str
    description: str
    versions: int
    latest_version: int | None
    production_version: int | None
    staging_version: int | None
    created_at: datetime
    created_by: str


class File(BaseModel):
    """One file of a version; `size` in bytes."""

    path: str
    size: int
    sha256: str


class Version(BaseModel):
    """One version, whole: what it takes and answers, how good it is, where it comes from."""

    id: str
    model: str
    prefix: str
    name: str
    version: str
    number: int
    stage: Stage | None
    scenario: str
    algorithm: str
    format: str
    signature: dict[str, Any]
    evaluation: dict[str, Any]
    lineage: dict[str, Any]
    files: list[File]
    checksum: str
    created_at: datetime
    created_by: str


class StageChange(BaseModel):
    """The stage a version is to bear; None takes it away. The version that had it loses it."""

    stage: Stage | None
