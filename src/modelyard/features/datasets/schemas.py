"""What the dataset routes take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Purpose = Literal["training", "validation", "test"]
PURPOSES: tuple[Purpose, ...] = ("training", "validation", "test")
ReleaseState = Literal["preparing", "published", "archived", "failed"]
Role = Literal["time", "series", "text", "group"]
Column = Annotated[str, Field(min_length=1, max_length=256)]
Method = Literal["random", "stratified", "time", "group"]
RowId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}:[0-9]{1,15}$")]
Filter = Annotated[str, Field(min_length=1, max_length=2_000)]
MOST_ROWS = 10_000
"""Row ids that one request may name; more are named by a filter."""


class DatasetCreate(BaseModel):
    """A dataset to make, empty. `target` is the column to predict, where it is known already, `roles` name others."""

    name: Name
    scenario: str = "tabular-classification"
    description: str = Field(default="", max_length=10_000)
    target: Column | None = None
    roles: dict[Role, Column] = Field(default_factory=dict)


class DatasetUpdate(BaseModel):
    """What may change later; what is left out stays. `roles` replaces all of them."""

    description: str | None = Field(default=None, max_length=10_000)
    target: Column | None = None
    roles: dict[Role, Column] = Field(default_factory=dict)


class Dataset(BaseModel):
    """A dataset with the sums over its samples.

    `roles` say which columns are the time, the series, the text or the group. `counts` are the rows of each purpose.
    `revision` rises with each change of what a release would hold.
    """

    id: str
    name: str
    scenario: str
    description: str
    target: str | None
    roles: dict[str, str] = {}
    samples: int
    rows: int
    counts: dict[str, int] = {}
    size: int
    revision: int = 0
    latest_release: int | None
    created_at: datetime
    created_by: str


class Problem(BaseModel):
    """Something that validation found in a file: in how many rows, and the numbers of the first of them, from 1."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    count: int = 0
    rows: list[int] = []


class Sample(BaseModel):
    """One uploaded file; `size` in bytes, `profile` describes its columns.

    `purpose` is what its rows are for unless `mixed`: then each has its own, and `counts` says how many.
    """

    id: str
    dataset: str
    filename: str
    purpose: Purpose
    mixed: bool = False
    counts: dict[str, int] = {}
    size: int
    sha256: str
    rows: int
    profile: dict[str, Any]
    problems: list[Problem] = []
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, row: Any) -> "Sample":
        """A row of samples as it is shown."""
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "mixed"}
        return cls(**fields, mixed=row.purposes is not None)


class SampleUpdate(BaseModel):
    """What all rows of a sample are for from now on; releases already taken keep what it was."""

    purpose: Purpose


class Row(BaseModel):
    """One row: `id` is `<sample id>:<row number>`, numbered from 0 as in the file. A missing value is null."""

    id: str
    purpose: Purpose
    edited: bool
    values: dict[str, Any]


class RowPage(BaseModel):
    """Some of the `total` rows that fit the filter, and the columns with their types."""

    items: list[Row]
    total: int
    offset: int
    columns: dict[str, str]


class Where(BaseModel):
    """Which rows are meant: all that fit every condition. `filter` is written as in the listing of rows."""

    sample: str | None = Field(default=None, max_length=64)
    purpose: Purpose | None = None
    search: str | None = Field(default=None, max_length=1_000)
    filter: list[Filter] = Field(default_factory=list, max_length=50)


class RowsUpdate(BaseModel):
    """A change of some rows: named by `rows` (ids) or `where`, changed by `values`, `purpose` or `deleted`."""

    rows: list[RowId] | None = Field(default=None, min_length=1, max_length=MOST_ROWS)
    where: Where | None = None
    values: dict[Column, Any] | None = Field(default=None, min_length=1)
    purpose: Purpose | None = None
    deleted: bool | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> "RowsUpdate":
        if (self.rows is None) == (self.where is None):
            raise ValueError("name the rows by `rows` or by `where`, not by both")
        if sum(value is not None for value in (self.values, self.purpose, self.deleted)) != 1:
            raise ValueError("say one of `values`, `purpose` and `deleted`")
        return self


class RowsAdd(BaseModel):
    """Rows to append: each an object of column and value; a column that is left out is missing."""

    rows: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_ROWS)
    purpose: Purpose = "training"


class RowsChanged(BaseModel):
    """How many rows were changed, and what the dataset holds now."""

    changed: int
    counts: dict[str, int]
    revision: int


class Rule(BaseModel):
    """Rows that fit every filter get this purpose."""

    filter: list[Filter] = Field(min_length=1, max_length=50)
    purpose: Purpose


class Split(BaseModel):
    """How the rows are to be divided: by `rules`, or by a method and the shares of the purposes.

    Where no method is named the scenario and the roles of the columns decide. Shares are made to sum to 1. With
    `keep_existing` rows that are for validation or test already stay so.
    """

    method: Method | None = None
    training: float = Field(default=0.7, ge=0, le=1)
    validation: float = Field(default=0.15, ge=0, le=1)
    test: float = Field(default=0.15, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=1 << 32)
    group: Column | None = None
    time: Column | None = None
    keep_existing: bool = False
    rules: list[Rule] | None = Field(default=None, min_length=1, max_length=50)

    @model_validator(mode="after")
    def _some_training(self) -> "Split":
        if self.training <= 0:
            raise ValueError("some rows must be for training: give `training` a share above 0")
        return self


class SplitDone(BaseModel):
    """What a split made: the method that was used and the rows of each purpose."""

    method: str
    counts: dict[str, int]
    revision: int


class ClassCount(BaseModel):
    """How many rows have one of the target's values."""

    value: Any
    rows: int


class ClassShift(BaseModel):
    """One of the target's values with its share before and after, 0 to 1."""

    value: Any
    before: float
    after: float


class DatasetProfile(BaseModel):
    """What a dataset holds now, edits included: the columns with their distributions.

    `balance` counts the target's values by purpose. `series` are how many series there are and from when to when.
    """

    rows: int
    counts: dict[str, int]
    columns: list[dict[str, Any]]
    balance: dict[str, list[ClassCount]] | None
    series: dict[str, Any] | None
    revision: int


class Change(BaseModel):
    """An entry of a dataset's history."""

    id: str
    action: str
    detail: dict[str, Any]
    created_at: datetime
    created_by: str


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
    """An immutable snapshot of a dataset.

    While `state` is preparing, `job` makes its tables; `files`, `rows` and `checksum` are known when it is published.
    `failure` says why one could not be made.
    """

    id: str
    dataset: str
    dataset_name: str
    number: int
    state: ReleaseState
    note: str
    checksum: str
    rows: int
    counts: dict[str, int] = {}
    target: str | None = None
    roles: dict[str, str] = {}
    files: list[ReleaseFile]
    job: str | None = None
    failure: dict[str, Any] | None = None
    created_at: datetime
    created_by: str
    published_at: datetime | None = None


class ReleaseProfile(BaseModel):
    """What the columns of a release hold, as `Sample.profile` says it of a file."""

    rows: int
    columns: list[dict[str, Any]]


class FileChanges(BaseModel):
    """Files that one release has and another has not, or has with other content."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class ColumnShift(BaseModel):
    """How a column's values moved from one release to another, from what is known of their distributions.

    `psi` is the population stability index, `divergence` the Jensen-Shannon divergence in bits (0 to 1), `ks` the
    largest distance of the cumulative distributions of numbers, `missing` the shares of missing values before and
    after. `shifted` says that the difference is worth a look (psi of 0.2 and more).
    """

    name: str
    psi: float | None
    divergence: float | None
    ks: float | None
    missing: tuple[float, float]
    shifted: bool


class Comparison(BaseModel):
    """What changed from one release of a dataset to another."""

    before: int
    after: int
    same: bool
    files: FileChanges
    rows: dict[str, tuple[int, int]]
    columns_added: list[str]
    columns_removed: list[str]
    columns_changed: dict[str, tuple[str, str]]
    roles_changed: dict[str, tuple[str | None, str | None]]
    shifts: list[ColumnShift]
    balance: list[ClassShift]
