"""What a deployment holds, and how that changes: one new revision, one event, whoever changes it.

Users' operations and the controller's canaries go through `revise`, so the same rules hold for both: versions keep
their slots, replicas are replaced only where the set of versions changed, rules that no longer fit are dropped and
named.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core import ids
from modelyard.core.errors import NotFound
from modelyard.credentials.scope import covers
from modelyard.features.auth.operations import Principal, check
from modelyard.features.deployments import queries
from modelyard.features.deployments.errors import BadTraffic
from modelyard.features.deployments.schemas import DeployedCreate
from modelyard.features.deployments.shares import Entry, fitting
from modelyard.features.deployments.tables import DeploymentRow, EventRow, RevisionRow
from modelyard.features.models import operations as models
from modelyard.protocol.routing import Traffic

CONTROLLER = "controller"
"""What stands as the author of revisions that no user made."""

Held = dict[str, dict[int, Entry]]
"""Held versions by their model's path and their number."""


class Content(NamedTuple):
    """What a revision holds: versions in the order of their slots, and rules by model's path. To be changed freely."""

    versions: list[Entry]
    traffic: dict[str, Traffic]


def content(session: Session, row: DeploymentRow) -> Content:
    """What a deployment is to hold now."""
    found = queries.revision(session, row.id, row.revision)
    return content_of(found) if found else Content([], {})


def content_of(revision: RevisionRow) -> Content:
    """What a revision holds."""
    traffic = {path: msgspec.convert(rules, Traffic) for path, rules in revision.traffic.items()}
    return Content([dict(entry) for entry in revision.versions], traffic)


def by_model(session: Session, versions: Sequence[Entry]) -> Held:
    """The same entries by model and number; a version that was deleted is left out."""
    found = models.versions_by_id(session, [entry["version"] for entry in versions])
    held: Held = defaultdict(dict)
    for entry in versions:
        if entry["version"] in found:
            version, model = found[entry["version"]]
            held[models.name_of(model)][version.number] = entry
    return dict(held)


def get(session: Session, principal: Principal, key: str) -> DeploymentRow:
    """A deployment by key or id. Raises NotFound, also where the caller may see none of its models."""
    row = queries.deployment(session, principal.organisation, key)
    if row is None or not visible(session, principal, row):
        raise NotFound(f"There is no deployment {key!r}. See `modelyard deployment list`.")
    return row


def visible(session: Session, principal: Principal, row: DeploymentRow) -> bool:
    """Whether the caller may see at least one of its models."""
    if principal.prefixes is None:
        return True
    return any(
        covers(principal.prefixes, prefix_of(path)) for path in by_model(session, content(session, row).versions)
    )


def writable(session: Session, principal: Principal, key: str) -> DeploymentRow:
    """A deployment that the caller may change, kept from others until the transaction ends: two changes at once come
    one after the other.

    Raises NotFound, Forbidden.
    """
    row = queries.locked(session, get(session, principal, key).id)
    if row is None or row.wanted == "deleted":
        raise NotFound(f"There is no deployment {key!r}. See `modelyard deployment list`.")
    for path in by_model(session, content(session, row).versions):
        check(principal, "write", prefix=prefix_of(path))
    return row


def resolve(
    session: Session, principal: Principal, wanted: Sequence[DeployedCreate], *, complete: bool = True
) -> list[Entry]:
    """The versions that a caller named, as entries. `complete`: the weights of each model make 100.

    Raises NotFound, Forbidden, BadTraffic.
    """
    entries: list[Entry] = []
    totals: dict[str, int] = defaultdict(int)
    for item in wanted:
        name = models.parse(item.model)
        check(principal, "write", prefix=name.prefix)
        found = models.get_version(session, principal, name)
        entries.append({"version": found.version.id, "weight": item.weight})
        totals[name.path] += item.weight
    if len({entry["version"] for entry in entries}) < len(entries):
        raise BadTraffic("A version is named twice.")
    for path, total in totals.items():
        if complete and total != 100:
            raise BadTraffic(
                f"The weights of {path}'s versions make {total}, not 100.", detail={"model": path, "total": total}
            )
    return entries


def revise(
    session: Session,
    row: DeploymentRow,
    wanted: Content,
    reason: str,
    by: Principal | None,
    now: datetime,
    *,
    anew: bool = False,
) -> None:
    """Make `wanted` the content of a deployment. `by` None is the controller. `anew` replaces all replicas in any case.

    The same versions keep their order, so that replicas which hold exactly these fit the new revision too.
    """
    before = queries.revision(session, row.id, row.revision)
    slots = {entry["version"]: slot for slot, entry in enumerate(before.versions)} if before else {}
    same = before is not None and {entry["version"] for entry in wanted.versions} == set(slots)
    versions = sorted(wanted.versions, key=lambda entry: slots[entry["version"]]) if same else wanted.versions
    traffic, dropped = fitting(wanted.traffic, by_model(session, versions))
    if dropped:
        reason = f"{reason}; rules that no longer fit were dropped: {', '.join(dropped)}"
    row.revision += 1
    row.failures, row.not_before, row.message = 0, None, ""
    if row.wanted == "running":
        # Not ready from this moment on: whoever reads it next is not told of the revision before.
        row.state = "pending" if row.state in {"pending", "stopped", "failed"} else "updating"
    made = RevisionRow(
        id=ids.new("rev"),
        deployment=row.id,
        number=row.revision,
        content=before.content if before and same and not anew else row.revision,
        versions=versions,
        traffic={path: msgspec.to_builtins(rules) for path, rules in traffic.items()},
        note=reason,
        **(by.stamp(now) if by else {"organisation": row.organisation, "created_at": now, "created_by": CONTROLLER}),
    )
    session.add(made)
    models.hold(session, holder(row), [entry["version"] for entry in versions])
    note(session, row, "revision", f"revision {row.revision} by {who(by)}: {reason}", now)


def note(session: Session, row: DeploymentRow, kind: str, message: str, now: datetime) -> None:
    """Keep an event with its reason."""
    session.add(EventRow(id=ids.new("evt"), deployment=row.id, at=now, kind=kind, message=message))


def who(by: Principal | None) -> str:
    """Who changes something, in words."""
    return by.username if by else f"the {CONTROLLER}"


def holder(row: DeploymentRow) -> str:
    """By what name a deployment holds versions, so that they cannot be deleted."""
    return f"deployment {row.key}"


def prefix_of(path: str) -> str:
    """The prefix of a model's path."""
    return path.rpartition("/")[0]
