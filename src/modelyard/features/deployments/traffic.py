"""How users share out a model's traffic: weights, header rules, a sticky header, shadows."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal
from modelyard.features.deployments import canaries, revisions
from modelyard.features.deployments.errors import BadTraffic, NotDeployed
from modelyard.features.deployments.revisions import Content
from modelyard.features.deployments.schemas import TrafficSet
from modelyard.features.deployments.shares import Entry, described
from modelyard.features.deployments.tables import DeploymentRow
from modelyard.features.models import operations as models
from modelyard.protocol.routing import HeaderRule, Shadow, Traffic

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
"""The name of a header field in lower case (RFC 9110, 5.6.2)."""
REFUSED = re.compile(
    r"(proxy-)?authorization|x-api-key|(set-)?cookie2?|host|connection|keep-alive|te|trailer|transfer-encoding|upgrade"
    r"|expect|via|(content|proxy)-.*"
)
"""Header fields that say who asks or how the message travels: they are never a reason to choose a version."""


def set_traffic(session: Session, principal: Principal, key: str, wanted: TrafficSet, now: datetime) -> DeploymentRow:
    """Share out a model's traffic anew; no replica is restarted by that. What `wanted` leaves out stays as it is.

    The weights are this deployment's: where other deployments hold the model too, a version's share is its weight
    within the sum of all. Raises NotFound, NotDeployed, BadTraffic, CanaryRunning.
    """
    row = revisions.writable(session, principal, key)
    path = whole_model(wanted.model)
    held = revisions.content(session, row)
    mine = revisions.by_model(session, held.versions).get(path)
    if not mine:
        raise NotDeployed(f"The deployment {row.key} does not hold {path}. Add it: `modelyard deployment add`.")
    canaries.refuse_while_running(session, row, path)
    before = {number: entry["weight"] for number, entry in mine.items()}, held.traffic.get(path, Traffic())
    if wanted.weights is not None:
        _set_weights(row, path, mine, wanted.weights)
    rules = Traffic(
        headers=before[1].headers if wanted.headers is None else _headers(row, path, mine, wanted),
        sticky=before[1].sticky
        if wanted.sticky is None
        else _header_name(wanted.sticky, "sticky")
        if wanted.sticky
        else None,
        shadows=before[1].shadows if wanted.shadows is None else _shadows(row, path, mine, wanted),
    )
    for place, shadow in enumerate(rules.shadows):
        if mine[shadow.version]["weight"]:
            raise _bad(
                f"v{shadow.version} of {path} has {mine[shadow.version]['weight']} % of the traffic, so it cannot be a "
                "shadow as well. Give it the weight 0, or take the shadow away.",
                f"shadows.{place}.version" if wanted.shadows is not None else f"weights.v{shadow.version}",
                "has a share of the traffic and is a shadow",
            )
    if ({number: entry["weight"] for number, entry in mine.items()}, rules) == before:
        return row
    shares = ", ".join(f"v{number} {entry['weight']} %" for number, entry in sorted(mine.items()))
    reason = "; ".join(words for words in (f"traffic of {path}: {shares}", described(rules)) if words)
    wanted_now = Content(held.versions, {**held.traffic, path: rules})
    revisions.revise(session, row, wanted_now, reason, principal, now)
    return row


def whole_model(text: str) -> str:
    """The path of a model that is named without a version. Raises Invalid."""
    name = models.parse(text)
    if name.selector is not None:
        raise _bad(f"{text!r} names a version. Write the model alone: {name.path!r}.", "model", "names a version")
    return name.path


def _set_weights(row: DeploymentRow, path: str, mine: dict[int, Entry], weights: dict[str, int]) -> None:
    for label in weights:
        _number(row, path, mine, label, f"weights.{label}")
    total = sum(weights.values())
    if total != 100:
        raise _bad(f"The weights of {path} make {total}, not 100.", "weights", f"make {total}, not 100", total=total)
    for number, entry in mine.items():
        entry["weight"] = weights.get(f"v{number}", 0)


def _headers(row: DeploymentRow, path: str, mine: dict[int, Entry], wanted: TrafficSet) -> tuple[HeaderRule, ...]:
    rules = tuple(
        HeaderRule(
            _header_name(rule.header, f"headers.{place}.header"),
            rule.value,
            _number(row, path, mine, rule.version, f"headers.{place}.version"),
        )
        for place, rule in enumerate(wanted.headers or ())
    )
    _refuse_twice([(rule.header, rule.value) for rule in rules], "headers", "{0[0]}={0[1]} is there twice")
    return rules


def _shadows(row: DeploymentRow, path: str, mine: dict[int, Entry], wanted: TrafficSet) -> tuple[Shadow, ...]:
    shadows = tuple(
        Shadow(_number(row, path, mine, shadow.version, f"shadows.{place}.version"), shadow.share)
        for place, shadow in enumerate(wanted.shadows or ())
    )
    _refuse_twice([shadow.version for shadow in shadows], "shadows", "v{0} is a shadow twice")
    return shadows


def _header_name(name: str, field: str) -> str:
    name = name.lower()
    if not TOKEN.fullmatch(name):
        raise _bad(f"{name!r} is no name of a header: write letters, digits and hyphens.", field, "is no header")
    if REFUSED.fullmatch(name):
        raise _bad(
            f"The header {name} says who asks or how the request travels, so it may not choose a version. "
            "Take a header of your own, such as x-tier.",
            field,
            "may not choose a version",
        )
    return name


def _number(row: DeploymentRow, path: str, mine: dict[int, Entry], label: str, field: str) -> int:
    number = int(label.removeprefix("v"))
    if number not in mine:
        there = ", ".join(f"v{other}" for other in sorted(mine))
        raise NotDeployed(
            f"The deployment {row.key} holds {there} of {path}, not {label}. "
            f"Add it: `modelyard deployment add {row.key} {path}/{label} --weight 0`.",
            fields=[{"field": field, "message": f"{label} is not held here"}],
        )
    return number


def _refuse_twice(items: Sequence[Any], field: str, said: str) -> None:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise _bad(f"{said.format(item)}: the second would never count.", f"{field}.{place}", "is there twice")


def _bad(message: str, field: str, short: str, **detail: Any) -> BadTraffic:
    return BadTraffic(message, fields=[{"field": field, "message": short}], detail=detail)
