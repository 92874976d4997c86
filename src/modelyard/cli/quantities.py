"""What options take as quantities: durations such as `90s`, `30d`, and sizes such as `512M`, `1G`."""

import re
from typing import Any

import click

UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


class Duration(click.ParamType[float]):
    """Seconds as a float, from `90`, `90s`, `15m`, `2h`, `30d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = _QUANTITY.fullmatch(value.strip())
        unit = UNITS.get((found[2] or "s").lower()) if found else None
        if found is None or unit is None or float(found[1]) == 0:
            self.fail(f"{value!r} is no duration. Write 90s, 15m, 2h or 30d.", param, ctx)
        return float(found[1]) * unit


class Size(click.ParamType[int]):
    """Bytes as an integer, from `4096`, `512M`, `1G`, `1.5GiB`; powers of 1,024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _QUANTITY.fullmatch(value.strip())
        power = POWERS.get(re.sub(r"i?b$", "", found[2].lower())) if found else None
        if found is None or power is None or float(found[1]) == 0:
            self.fail(f"{value!r} is no size. Write 512M, 1G or a number of bytes.", param, ctx)
        return int(float(found[1]) * 1024**power)


DURATION, SIZE = Duration(), Size()
