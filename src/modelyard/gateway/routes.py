"""The routing table made ready for look-ups: one immutable object, swapped whole."""

import random
import re
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes
from zlib import crc32

from modelyard.core.errors import Malformed, NotFound
from modelyard.credentials.scope import covers
from modelyard.gateway.dialects import BASES, Asked, Dialect, read_path
from modelyard.gateway.embedded import Embedded
from modelyard.gateway.errors import Unready
from modelyard.gateway.links import Link
from modelyard.gateway.metrics import Meter
from modelyard.protocol.processes import HeldVersion
from modelyard.protocol.routing import Caller, ModelRoute, RoutingTable, Schema, VersionRoute

REMEMBERED = 10_000
STAGES = ("production", "staging")
ROUTABLE = frozenset({"ready", "asleep"})
_NUMBER = re.compile(r"v?([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Version:
    """One deployed version. `label` is what its replicas must say they hold, `head` its header lines in the answer."""

    label: str
    number: int
    deployment: str
    state: str
    weight: int
    targets: Sequence[tuple[Link, int]]
    embedded: Embedded | None
    schema: Schema | None
    meter: Meter
    head: bytes


class Pool:
    """Versions of which one answers: each takes its share of the requests by weight, or the same share without any."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.versions = versions
        weighted = [version for version in versions if version.weight > 0] or list(versions)
        self._ready = [version for version in weighted if version.state in ROUTABLE]
        self._limits = list(accumulate(version.weight or 1 for version in self._ready))

    def pick(self, dice: random.Random) -> Version:
        """One version. Raises Unavailable where none of them is ready."""
        ready = self._ready
        if len(ready) == 1:
            return ready[0]
        return self.at(dice.random())

    def at(self, place: float) -> Version:
        """The version at `place`, from 0 to 1, of the shares laid end to end, the newest first."""
        if not self._ready:
            raise self._unready()
        return self._ready[bisect(self._limits, place * self._limits[-1])]

    def _unready(self) -> Unready:
        names = ", ".join(version.label for version in self.versions)
        labels = [version.label for version in self.versions]
        if any(version.state == "loading" for version in self.versions):
            return Unready(f"{names} is still loading. Try again in a moment.", labels=labels, retry_after=1)
        message = f"{names} could not be loaded. `modelyard deployment show` says why."
        return Unready(message, labels=labels, retry_after=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One model's pools: by selector, and the one for requests without any, with the rules that go before it.

    `rules` are (header, its value, what answers then), `sticky` the header whose value decides, `shadows` are versions
    that are asked too, with the share in per cent.
    """

    prefix: str
    name: str
    path: str
    versions: Sequence[Version]
    everyone: Pool
    selectors: Mapping[str, Pool]
    deployed: str
    rules: Sequence[tuple[bytes, bytes, Pool]]
    sticky: bytes | None
    shadows: Sequence[tuple[Version, int]]

    def choose(self, headers: Mapping[bytes, bytes], dice: random.Random) -> Version:
        """The version that answers a request without a selector. Raises Unavailable where none is ready."""
        for header, value, pool in self.rules:
            if headers.get(header) == value:
                return pool.pick(dice)
        if self.sticky is not None:
            value = headers.get(self.sticky, b"")
            if value:
                return self.everyone.at(crc32(value, crc32(self.path.encode())) / 2**32)
        return self.everyone.pick(dice)


class Place(NamedTuple):
    """What a target names. `pool` is None where no version has its `selector`; `""` and None are no selector."""

    model: Model
    pool: Pool | None
    selector: str | None
    dialect: Dialect


@dataclass
class Routes:
    """One routing table with its links. A `Directory` for the credentials.

    `headers` are those that the traffic rules look at, in lower case.
    """

    table: RoutingTable
    models: Mapping[str, Model]
    addresses: frozenset[str]
    headers: frozenset[bytes] = frozenset()
    _resolved: dict[bytes, Place] = field(default_factory=dict)

    def key(self, digest: str) -> Caller | None:
        """The caller with this API key."""
        return self.table.keys.get(digest)

    def user(self, user_id: str) -> Caller | None:
        """The caller that a logged-in user is."""
        return self.table.users.get(user_id)

    def resolve(self, target: bytes, caller: Caller) -> Place:
        """What `target` names. Raises NotFound, alike for what does not exist and what is not the caller's."""
        place = self._resolved.get(target)
        if place is None:
            place = self._find(target)
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            self._resolved[target] = place
        if caller.prefixes is not None and not covers(caller.prefixes, place.model.prefix):
            raise _unknown(read_target(target))
        if place.pool is None:
            raise _no_version(place)
        return place

    def find(self, asked: Asked, caller: Caller) -> tuple[Model, Pool]:
        """The model and versions that somebody asks about. Raises NotFound as `resolve` does."""
        place = self._place(asked)
        if place is None or not covers(caller.prefixes, place.model.prefix):
            raise _unknown(asked.path)
        if place.pool is None:
            raise _no_version(place)
        return place.model, place.pool

    def _find(self, target: bytes) -> Place:
        path = read_target(target)
        for asked in read_path(path):
            place = self._place(asked)
            if place is not None:
                return place
        raise _unknown(path)

    def _place(self, asked: Asked) -> Place | None:
        model = self.models.get(asked.path)
        if model is not None:
            pool = _selected(model, asked.selector) if asked.selector else model.everyone
            return Place(model, pool, asked.selector, asked.dialect)
        parent, _, selector = asked.path.rpartition("/")
        model = self.models.get(parent)
        if model is None or asked.selector is not None:
            return None
        pool = _selected(model, selector)
        # A last part that is no selector may still be the beginning of another meaning.
        if pool is None and selector in {"invocations", "predict"}:
            return None
        return Place(model, pool, selector, asked.dialect)


def _selected(model: Model, selector: str) -> Pool | None:
    """The model's versions that bear this selector: `v3`, `3`, `latest`, `production`, `staging`."""
    number = _NUMBER.fullmatch(selector)
    return model.selectors.get(f"v{number[1]}" if number else selector)


def _no_version(place: Place) -> NotFound:
    selector = (place.selector or "")[:100]
    return NotFound(f"{place.model.path} has no deployed version {selector!r}. Deployed: {place.model.deployed}.")


def compile_routes(
    table: RoutingTable,
    links: Mapping[str, Link],
    *,
    embed: Callable[[HeldVersion], Embedded],
    meter: Callable[[str, int, str], Meter],
) -> Routes:
    """The table ready for look-ups; `links` has one for each address in it."""
    models = {}
    headers: set[bytes] = set()
    for route in table.models:
        path = f"{route.prefix}/{route.name}"
        made = [
            (version, _version(path, version, links, embed, meter))
            for version in sorted(route.versions, key=lambda version: -version.number)
        ]
        models[path] = model = _model(path, route, made)
        headers |= {header for header, _, _ in model.rules}
        if model.sticky is not None:
            headers.add(model.sticky)
    return Routes(table, models, addresses(table), frozenset(headers))


def addresses(table: RoutingTable) -> frozenset[str]:
    """Where the table's replicas listen."""
    return frozenset(
        target.address for model in table.models for version in model.versions for target in version.targets
    )


def read_target(target: bytes) -> str:
    """The path of a request target, decoded, without query and closing slash. Raises Malformed."""
    path = target.partition(b"?")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    elif not path.isascii():
        raise Malformed("The request target holds bytes that are not ASCII. Percent-encode them.")
    try:
        return path.decode().rstrip("/")
    except UnicodeDecodeError:
        raise Malformed("The path is not UTF-8. Percent-encode the bytes of its UTF-8 form.") from None


def _unknown(path: str) -> NotFound:
    base = next((base for base in BASES if path.startswith(base)), "")
    name = path.removeprefix(base)[:200]
    return NotFound(f"There is no model {name!r} that this credential may call. See `modelyard model list`.")


def _model(path: str, route: ModelRoute, made: Sequence[tuple[VersionRoute, Version]]) -> Model:
    selectors: dict[str, list[Version]] = {}
    for version, ready in made:
        selectors.setdefault(f"v{version.number}", []).append(ready)
        if version.stage in STAGES:
            selectors.setdefault(version.stage, []).append(ready)
    latest = next((version.number for version, _ in made if version.state in ROUTABLE), None)
    if made:
        selectors["latest"] = selectors[f"v{latest or made[0][0].number}"]
    pools = {name: Pool(versions) for name, versions in selectors.items()}
    rules = [
        (rule.header.encode(), rule.value.encode(), pools[f"v{rule.version}"])
        for rule in route.traffic.headers
        if f"v{rule.version}" in pools
    ]
    shadows = [
        (selectors[f"v{shadow.version}"][0], shadow.share)
        for shadow in route.traffic.shadows
        if f"v{shadow.version}" in pools
    ]
    return Model(
        prefix=route.prefix,
        name=route.name,
        path=path,
        versions=[version for _, version in made],
        everyone=Pool(_everyone(made)),
        selectors=pools,
        deployed=", ".join(dict.fromkeys(f"v{version.number}" for version, _ in made)) or "none",
        rules=rules,
        sticky=route.traffic.sticky.encode() if route.traffic.sticky else None,
        shadows=shadows,
    )


def _everyone(made: Iterable[tuple[VersionRoute, Version]]) -> list[Version]:
    """What answers where nothing is selected: by weight where there are weights, else the newest that is ready."""
    versions = [version for _, version in made]
    if any(version.weight > 0 for version in versions):
        return [version for version in versions if version.weight > 0]
    return [version for version in versions if version.state in ROUTABLE][:1] or versions


def _version(
    path: str,
    route: VersionRoute,
    links: Mapping[str, Link],
    embed: Callable[[HeldVersion], Embedded],
    meter: Callable[[str, int, str], Meter],
) -> Version:
    head = f"x-modelyard-model: {quote(path)}\r\nx-modelyard-version: v{route.number}\r\n"
    return Version(
        label=f"{path}/v{route.number}",
        number=route.number,
        deployment=route.deployment,
        state=route.state,
        weight=route.weight,
        targets=[(links[target.address], target.slot) for target in route.targets],
        embedded=embed(route.embedded) if route.embedded is not None else None,
        schema=route.schema,
        meter=meter(path, route.number, route.deployment),
        head=head.encode(),
    )
