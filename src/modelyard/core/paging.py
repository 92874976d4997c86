"""A page of a listing, the same shape in every listing."""

from typing import Generic, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of `total` items; `next_cursor` asks for the following ones, None at the end."""

    items: list[Item]
    next_cursor: str | None = None
    total: int
