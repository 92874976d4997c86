"""What the dataset routes take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Purpose = Literal["training", "validation", "test"]
ReleaseState = Literal["preparing", "published", "archived", "failed"]


class DatasetCreate(BaseModel):
    """A dataset to make, empty. `target` is the column to predict, where it is known already."""

    name: Name
    scenario: str = "tabular-classification"
    description: str = Field(default="", max_length=10_000)
    target: str | None = Field(default=None, max_length=256)


class DatasetUpdate(BaseModel):
    """What may change later; what is left out stays."""

    description: str | None = Field(default=None, max_length=10_000)
    target: str | None = Field(default=None, max_length=256)


class Dataset(BaseModel):
    """A dataset with the sums over its samples."""

    id: str
    name: str
    scenario: str
    description: str
    target: str | None
    samples: int
    rows: int
    size: int
    latest_release: int | None
    created_at: datetime
    created_by: str


class Sample(BaseModel):
    """One uploaded file; `size` in bytes, `profile` describes its columns."""

    id: str
    dataset: str
    filename: str
    purpose: Purpose
    size: int
    sha256: str
    rows: int
    profile: dict[str, Any]
    created_at: datetime
    created_by: str


class SampleUpdate(BaseModel):
    """A sample's purpose may be changed; releases already taken keep the old one."""

    purpose: Purpose


class ReleaseCreate(BaseModel):
    """A release to take of the dataset as it is now."""

    note: str = Field(default="", max_length=10_000)


class ReleaseFile(BaseModel):
    """One file of a release."""

    sample: str
    filename: str
    purpose: Purpose
    size: int
    sha256: str
    rows: int


class Release(BaseModel):
    """An immutable snapshot of a dataset."""

    id: str
    dataset: str
    dataset_name: str
    number: int
    state: ReleaseState
    note: str
    checksum: str
    rows: int
    files: list[ReleaseFile]
    created_at: datetime
    created_by: str
