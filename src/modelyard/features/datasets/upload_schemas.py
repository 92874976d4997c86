"""What the upload routes take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from modelyard.features.datasets.schemas import Purpose

OnError = Literal["strict", "tolerant"]
UploadState = Literal["receiving", "importing", "done", "failed"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class UploadCreate(BaseModel):
    """A file that is to arrive in pieces: a table, a log, or an archive of some.

    `size` in bytes. `purpose` is what the rows are for where the folders of an archive do not say; where it is left out
    they are for training, or for what the sample that is replaced was for. `sha256` of the whole is checked when it is
    there. `on_error` says what becomes of broken rows: they refuse the file, or are left out. `replace` is the id of a
    sample that goes when this one comes.
    """

    filename: str = Field(min_length=1, max_length=255)
    size: int = Field(gt=0)
    purpose: Purpose | None = None
    sha256: Sha256 | None = None
    on_error: OnError = "strict"
    replace: str | None = Field(default=None, max_length=64)


class UploadComplete(BaseModel):
    """How a file that has arrived is to be imported; what is left out stays as it was said first."""

    on_error: OnError | None = None


class Upload(BaseModel):
    """A file on its way: `received` of its `size` bytes are there, so the next piece begins at that offset.

    `state` is receiving, importing while `job` reads it, done with the ids of `samples`, or failed with `failure`; what
    failed can be completed again with another `on_error`.
    """

    id: str
    dataset: str
    filename: str
    purpose: Purpose
    size: int
    received: int
    sha256: str | None
    on_error: OnError
    replace: str | None
    state: UploadState
    job: str | None
    samples: list[str]
    failure: dict[str, Any] | None
    created_at: datetime
    created_by: str
    touched_at: datetime
