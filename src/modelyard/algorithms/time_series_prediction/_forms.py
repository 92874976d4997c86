"""What the forms of all algorithms that predict series share."""

from typing import Annotated

from pydantic import Field

from modelyard.algorithms.forms import Form, Search, parameter

Season = Annotated[int, Field(ge=2, le=2100)]


class ForecastParameters(Form):
    """The form of a single method."""

    season_lengths: tuple[Season, ...] = parameter(
        (), "Season lengths",
        "After how many steps the series repeat, such as 24 and 168 for hourly values, at most two. "
        "Empty: found from the distance between values and tested on them.",
        group="Series", unit="steps", max_length=2,
    )  # fmt: skip
    interval_level: float = parameter(
        0.95, "Level of the intervals", "The share of true values that the intervals are to hold.",
        group="Intervals", ge=0.5, le=0.999,
    )  # fmt: skip
    windows: int = parameter(
        0, "Windows of the backtest",
        "How often the end of the history is held back and predicted, to choose methods and to measure errors. "
        "0: three for many series, more for few.",
        group="Backtest", ge=0, le=50,
    )  # fmt: skip
    memory: int = parameter(
        0, "Values looked at",
        "How many of the last values of a series its prediction looks at. 0: six seasons, at least 500, at most 2,500.",
        group="Series", unit="steps", ge=0, le=10_000, advanced=True,
    )  # fmt: skip


class LinearParameters(ForecastParameters):
    """The form of the linear map."""

    lookback: int = parameter(
        0, "Values per window", "How many of the last values the map looks at. 0: chosen on values held back.",
        group="Linear map", unit="steps", ge=0, le=2000,
    )  # fmt: skip


class TreeParameters(ForecastParameters):
    """The form of boosted trees."""

    trees: int = parameter(
        300, "Trees", "How many trees there are.", group="Trees", ge=10, le=2000,
        search=Search(100, 1000, log=True),
    )  # fmt: skip
    learning_rate: float = parameter(
        0.05, "Learning rate", "How much each tree corrects. Smaller learns finer and needs more trees.",
        group="Trees", ge=0.005, le=0.5, search=Search(0.01, 0.2, log=True),
    )  # fmt: skip
    num_leaves: int = parameter(
        31, "Leaves per tree", "More leaves follow finer patterns and overfit sooner.",
        group="Trees", ge=2, le=255, search=Search(8, 127, log=True),
    )  # fmt: skip
    min_child_samples: int = parameter(
        20, "Rows per leaf", "The fewest training rows in a leaf.", group="Trees", ge=1, le=1000,
        search=Search(5, 100, log=True), advanced=True,
    )  # fmt: skip
