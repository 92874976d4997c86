"""What the catalogue routes answer."""

from typing import Any

from pydantic import BaseModel


class Scenario(BaseModel):
    """A kind of problem."""

    name: str
    title: str
    description: str
    algorithms: int


class Algorithm(BaseModel):
    """A built-in way to train; `parameters` is the JSON schema of its form."""

    name: str
    scenario: str
    title: str
    description: str
    parameters: dict[str, Any]
