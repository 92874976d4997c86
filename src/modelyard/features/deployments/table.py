"""The routing table, built from a snapshot of the rows and what cannot change: versions are read once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.orm import Session

from modelyard.core.settings import MIB, Settings
from modelyard.features.auth import operations as auth
from modelyard.features.deployments import observed_queries
from modelyard.features.deployments.snapshot import NOTHING, Revision, Snapshot, revision_of
from modelyard.features.deployments.tables import DeploymentRow, ReplicaRow
from modelyard.features.limits import operations as limits
from modelyard.features.models import operations as models
from modelyard.protocol import answers
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.routing import (
    Caller,
    Column,
    HeaderRule,
    ModelRoute,
    Rate,
    RouteState,
    RoutingTable,
    Schema,
    Shadow,
    Target,
    Traffic,
    VersionRoute,
)

EMBEDDED_BYTES = 64 * MIB
"""Every gateway process would hold it: a larger version is held by replicas only."""

Rates = tuple[dict[str, Rate], dict[str, Rate]]
"""How fast keys (by their id) may ask, and prefixes may be asked."""


class Facts(NamedTuple):
    """What never changes of a version. `path` is its model's; `light` is whether gateways may hold it at all."""

    path: str
    held: HeldVersion
    schema: Schema
    light: bool


class TableMaker:
    """Builds routing tables one after the other, all but what changed from memory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._facts: dict[str, Facts] = {}
        self._micros: dict[str, float] | None = None
        self._callers: tuple[tuple[int, ...], dict[str, Caller], dict[str, Caller]] | None = None
        self._made: tuple[Any, RoutingTable] | None = None

    def make(self, session: Session, snapshot: Snapshot) -> RoutingTable:
        """The routing table as the rows have it now, not yet numbered; the last one again where nothing changed."""
        stages, rates = models.stages(session), limits.rates(session)
        callers = auth.callers_mark(session, snapshot.now)
        mark = (snapshot.mark(), stages, rates, callers)
        if self._made is None or self._made[0] != mark:
            if self._callers is None or self._callers[0] != callers:
                self._callers = (callers, *auth.callers(session, snapshot.now))
            self._made = (mark, self._build(session, snapshot, stages, rates, *self._callers[1:]))
        return self._made[1]

    def _build(
        self,
        session: Session,
        snapshot: Snapshot,
        stages: Mapping[str, str],
        rates: Rates,
        keys: dict[str, Caller],
        users: dict[str, Caller],
    ) -> RoutingTable:
        served = [self._served(session, snapshot, row) for row in reversed(snapshot.deployments)]
        self._read_versions(session, snapshot, served)
        routes: dict[str, list[VersionRoute]] = defaultdict(list)
        rules: dict[str, list[Traffic]] = defaultdict(list)
        for item in served:
            shown: set[tuple[str, int]] = set()
            for revision, ready, state in item.contents:
                for path, route in self._routes(item.deployment, revision, ready, state, stages):
                    if (path, route.number) not in shown:
                        shown.add((path, route.number))
                        routes[path].append(route)
            for path, traffic in item.contents[0][0].traffic.items() if item.contents else ():
                rules[path].append(msgspec.convert(traffic, Traffic))
        by_key, by_prefix = rates
        return RoutingTable(
            number=0,
            models=tuple(_model(path, routes[path], rules[path]) for path in sorted(routes)),
            keys=_rated(keys, by_key),
            users=users,
            rates=by_prefix,
            open_access=self._settings.auth.mode == "off",
        )

    def _served(self, session: Session, snapshot: Snapshot, row: DeploymentRow) -> "_Served":
        """What a deployment answers with: its newest content that is ready, and besides what is still to come."""
        newest = snapshot.revisions[row.id]
        ready = [replica for replica in snapshot.replicas.get(row.id, ()) if replica.state == "ready"]
        serving = max((replica.revision for replica in ready), default=0)
        contents: list[tuple[Revision, Sequence[ReplicaRow], RouteState]] = []
        if serving:
            revision = newest
            if newest.content != serving:
                found = observed_queries.newest_with_content(session, row.id, serving)
                revision = revision_of(found) if found else NOTHING
            contents.append((revision, [one for one in ready if one.revision == serving], "ready"))
        if row.wanted == "running" and newest.content != serving:
            failed: RouteState = "failed" if row.state == "failed" else "loading"
            contents.append((newest, (), "asleep" if not serving and sleeps(row) else failed))
        return _Served(row, contents)

    def _routes(
        self,
        deployment: DeploymentRow,
        revision: Revision,
        ready: Sequence[ReplicaRow],
        state: RouteState,
        stages: Mapping[str, str],
    ) -> Iterable[tuple[str, VersionRoute]]:
        for slot, (version, weight) in enumerate(revision.versions):
            facts = self._facts.get(version)
            if facts is None:
                # It is served still, and was deleted since: nothing more is known of it than that it leaves.
                continue
            yield (
                facts.path,
                VersionRoute(
                    number=facts.held.number,
                    deployment=deployment.key,
                    weight=weight if state in {"ready", "asleep"} else 0,
                    stage=stages.get(version),
                    state=state,
                    targets=tuple(Target(replica.address, slot) for replica in ready),
                    embedded=facts.held if deployment.lane == "auto" and self._is_quick(version, facts) else None,
                    schema=facts.schema,
                ),
            )

    def _is_quick(self, version: str, facts: Facts) -> bool:
        # 0 is no measurement: the version has no example to measure by.
        micros = (self._micros or {}).get(version, 0.0)
        return facts.light and 0 < micros <= self._settings.replicas.embedded_micros

    def _read_versions(self, session: Session, snapshot: Snapshot, served: Sequence["_Served"]) -> None:
        if self._micros is None:
            self._micros = {}
            for micros in observed_queries.measured(session):
                self._micros |= micros
        for rows in snapshot.replicas.values():
            for row in rows:
                self._micros |= row.micros
        used = {version for item in served for content in item.contents for version, _ in content[0].versions}
        known = {version: facts for version, facts in self._facts.items() if version in used}
        missing = used - known.keys()
        found = models.versions_by_id(session, sorted(missing)) if missing else {}
        self._facts = known | {version: _facts(entry) for version, entry in found.items()}


class _Served(NamedTuple):
    deployment: DeploymentRow
    contents: Sequence[tuple[Revision, Sequence[ReplicaRow], RouteState]]


def sleeps(row: DeploymentRow) -> bool:
    """Whether requests may wait for this deployment's start: it is scaled to zero while nobody asks.

    It stays so while it starts again, so that those who come in that time wait too; one that fails lets nobody wait.
    """
    return (
        row.wanted == "running" and row.autoscale is not None and not row.autoscale["minimum"] and row.state != "failed"
    )


def _facts(found: models.Found) -> Facts:
    version, model = found
    signature = models.signature_of(version)
    return Facts(
        path=models.name_of(model),
        held=models.held_version(found, 0),
        schema=Schema(
            inputs=tuple(Column(field.name, field.kind) for field in signature.inputs),
            classes=signature.classes,
            outputs=tuple(Column(member.name, member.kind) for member in answers.members(signature)),
            options=answers.choices(signature),
        ),
        light=not version.artifact.get("isolated", False)
        and sum(entry["size"] for entry in version.files) <= EMBEDDED_BYTES,
    )


def _model(path: str, versions: Sequence[VersionRoute], rules: Sequence[Traffic]) -> ModelRoute:
    prefix, _, name = path.rpartition("/")
    newest_first = tuple(sorted(versions, key=lambda version: -version.number))
    deployed = {version.number for version in versions}
    return ModelRoute(prefix=prefix, name=name, versions=newest_first, traffic=merged(rules, deployed))


def merged(rules: Sequence[Traffic], deployed: set[int]) -> Traffic:
    """One model's rules from several deployments: where two contradict each other, the first counts.

    What names a version that is not `deployed` is left out.
    """
    headers: dict[tuple[str, str], HeaderRule] = {}
    shadows: dict[int, Shadow] = {}
    for traffic in rules:
        for rule in traffic.headers:
            if rule.version in deployed:
                headers.setdefault((rule.header, rule.value), rule)
        for shadow in traffic.shadows:
            if shadow.version in deployed:
                shadows.setdefault(shadow.version, shadow)
    sticky = next((traffic.sticky for traffic in rules if traffic.sticky), None)
    return Traffic(headers=tuple(headers.values()), sticky=sticky, shadows=tuple(shadows.values()))


def _rated(keys: dict[str, Caller], rates: Mapping[str, Rate]) -> dict[str, Caller]:
    if not rates:
        return keys
    return {
        digest: msgspec.structs.replace(caller, rate=rates[caller.id]) if caller.id in rates else caller
        for digest, caller in keys.items()
    }
