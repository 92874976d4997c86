"""What the catalogue routes take and answer."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

NONE = "none"
"""What a task names as its configuration to have none, not even the default one."""

ConfigurationName = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64, description="Lower-case letters, digits, - and _.")
]
Title = Annotated[str, Field(max_length=200)]
Description = Annotated[str, Field(max_length=2000)]


class Scenario(BaseModel):
    """A kind of problem. `default` is what is trained where nobody names an algorithm: one, or a configuration's id."""

    name: str
    title: str
    description: str
    algorithms: int
    default: str | None


class Algorithm(BaseModel):
    """A built-in way to train; `parameters` is the JSON schema of its form.

    `requires` names packages that do not come with the platform, `installed` says whether they are here.
    `default_configuration` is the id of the configuration that applies where a task names none.
    """

    name: str
    scenario: str
    title: str
    description: str
    parameters: dict[str, Any]
    enabled: bool
    requires: list[str]
    installed: bool
    default_configuration: str | None


class AlgorithmChange(BaseModel):
    """Whether an algorithm may be used."""

    enabled: bool


class ScenarioChange(BaseModel):
    """What is trained where nobody names an algorithm: one, or a configuration's id; None leaves it to the platform."""

    default: str | None


class ConfigurationCreate(BaseModel):
    """A configuration to make. `parameters` are those that differ from the algorithm's own; `default` makes it the one
    that applies where a task of this algorithm names none."""

    algorithm: str = Field(examples=["tabular-classification/lightgbm"])
    name: ConfigurationName
    title: Title = ""
    description: Description = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    default: bool = False


class ConfigurationChange(BaseModel):
    """What is to change of a configuration; `parameters` take the place of those before."""

    title: Title | None = None
    description: Description | None = None
    parameters: dict[str, Any] | None = None
    enabled: bool | None = None
    default: bool | None = None


class Configuration(BaseModel):
    """Named parameters of an algorithm. `builtin` ones come with it and are not changed."""

    id: str
    algorithm: str
    name: str
    title: str
    description: str
    parameters: dict[str, Any]
    enabled: bool
    default: bool
    builtin: bool
    created_at: datetime | None
    created_by: str | None
