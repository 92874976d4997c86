"""The routing table made ready for look-ups: one immutable object, swapped whole."""

import random
import re
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from urllib.parse import quote, unquote_to_bytes

from modelyard.core.errors import Malformed, NotFound, Unavailable
from modelyard.credentials.scope import covers
from modelyard.gateway.links import Link
from modelyard.protocol.routing import Caller, ModelRoute, RoutingTable, VersionRoute

BASE = "/models/"
REMEMBERED = 10_000
STAGES = ("production", "staging")
_NUMBER = re.compile(r"v?([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Version:
    """One deployed version. `label` is what its replicas must say they hold, `head` its header lines in the answer."""

    label: str
    state: str
    weight: int
    targets: Sequence[tuple[Link, int]]
    head: bytes


class Pool:
    """Versions of which one answers: each takes its share of the requests by weight, or the same share without any."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self.versions = versions
        weighted = [version for version in versions if version.weight > 0] or list(versions)
        self._ready = [version for version in weighted if version.state == "ready"]
        self._limits = list(accumulate(version.weight or 1 for version in self._ready))

    def pick(self, dice: random.Random) -> Version:
        """One version. Raises Unavailable where none of them is ready."""
        ready = self._ready
        if len(ready) == 1:
            return ready[0]
        if not ready:
            raise self._unready()
        return ready[bisect(self._limits, dice.random() * self._limits[-1])]

    def _unready(self) -> Unavailable:
        names = ", ".join(version.label for version in self.versions)
        if any(version.state == "loading" for version in self.versions):
            return Unavailable(f"{names} is still loading. Try again in a moment.", retry_after=1)
        return Unavailable(f"{names} could not be loaded. `modelyard deployment show` says why.", retry_after=30)


@dataclass(frozen=True)
class Model:
    """One model's pools: by selector, and the one for requests without any."""

    prefix: str
    path: str
    everyone: Pool
    selectors: Mapping[str, Pool]
    deployed: str


@dataclass
class Routes:
    """One routing table with its links. A `Directory` for the credentials."""

    table: RoutingTable
    models: Mapping[str, Model]
    addresses: frozenset[str]
    _resolved: dict[bytes, tuple[Model, Pool | None]] = field(default_factory=dict)

    def key(self, digest: str) -> Caller | None:
        """The caller with this API key."""
        return self.table.keys.get(digest)

    def user(self, user_id: str) -> Caller | None:
        """The caller that a logged-in user is."""
        return self.table.users.get(user_id)

    def resolve(self, target: bytes, caller: Caller) -> Pool:
        """The pool that `target` names. Raises NotFound, alike for what does not exist and what is not the caller's."""
        found = self._resolved.get(target)
        if found is None:
            found = self._find(target)
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            self._resolved[target] = found
        model, pool = found
        if not covers(caller.prefixes, model.prefix):
            raise _unknown(read_target(target))
        if pool is None:
            selector = read_target(target).rpartition("/")[2]
            raise NotFound(f"{model.path} has no deployed version {selector!r}. Deployed: {model.deployed}.")
        return pool

    def _find(self, target: bytes) -> tuple[Model, Pool | None]:
        path = read_target(target)
        model = self.models.get(path)
        if model is not None:
            return model, model.everyone
        parent, _, selector = path.rpartition("/")
        model = self.models.get(parent)
        if model is None:
            raise _unknown(path)
        number = _NUMBER.fullmatch(selector)
        return model, model.selectors.get(f"v{number[1]}" if number else selector)


def compile_routes(table: RoutingTable, links: Mapping[str, Link]) -> Routes:
    """The table ready for look-ups; `links` has one for each address in it."""
    models = (_model(route, links) for route in table.models)
    return Routes(table, {model.path: model for model in models}, addresses(table))


def addresses(table: RoutingTable) -> frozenset[str]:
    """Where the table's replicas listen."""
    return frozenset(
        target.address for model in table.models for version in model.versions for target in version.targets
    )


def read_target(target: bytes) -> str:
    """What comes after `/models/` in a request target, decoded, without query and closing slash. Raises Malformed."""
    path = target.partition(b"?")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    elif not path.isascii():
        raise Malformed("The request target holds bytes that are not ASCII. Percent-encode them.")
    try:
        return path.decode()[len(BASE) :].rstrip("/")
    except UnicodeDecodeError:
        raise Malformed("The path is not UTF-8. Percent-encode the bytes of its UTF-8 form.") from None


def _unknown(path: str) -> NotFound:
    return NotFound(f"There is no model {path[:200]!r} that this credential may call. See `modelyard model list`.")


def _model(route: ModelRoute, links: Mapping[str, Link]) -> Model:
    path = f"{route.prefix}/{route.name}"
    newest = sorted(route.versions, key=lambda version: -version.number)
    made = [(version, _version(path, version, links)) for version in newest]
    selectors: dict[str, list[Version]] = {}
    for version, ready in made:
        selectors.setdefault(f"v{version.number}", []).append(ready)
        if version.stage in STAGES:
            selectors.setdefault(version.stage, []).append(ready)
    latest = next((version.number for version in newest if version.state == "ready"), None)
    if newest:
        selectors["latest"] = selectors[f"v{latest or newest[0].number}"]
    deployed = ", ".join(dict.fromkeys(f"v{version.number}" for version in newest)) or "none"
    pools = {name: Pool(versions) for name, versions in selectors.items()}
    return Model(route.prefix, path, Pool(_everyone(made)), pools, deployed)


def _everyone(made: Iterable[tuple[VersionRoute, Version]]) -> list[Version]:
    """What answers where nothing is selected: by weight where there are weights, else the newest that is ready."""
    versions = [version for _, version in made]
    if any(version.weight > 0 for version in versions):
        return [version for version in versions if version.weight > 0]
    return [version for version in versions if version.state == "ready"][:1] or versions


def _version(path: str, route: VersionRoute, links: Mapping[str, Link]) -> Version:
    head = f"x-modelyard-model: {quote(path)}\r\nx-modelyard-version: v{route.number}\r\n"
    return Version(
        label=f"{path}/v{route.number}",
        state=route.state,
        weight=route.weight,
        targets=[(links[target.address], target.slot) for target in route.targets],
        head=head.encode(),
    )
