"""The platform's data plane with everything on: its real processes with a routing table on disk, no control plane.

The key is one of a thousand, the model one of two hundred; key and prefix have rates, which are reckoned with but never
reached; each call is written to the usage journal and counted in the metrics.
"""

import hashlib
from typing import Literal

import msgspec

import modelyard
from benchmarks.serving import model
from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.processes import our_python
from modelyard.core.settings import Server, Settings, as_variables
from modelyard.protocol.processes import HeldVersion, ReplicaSpec
from modelyard.protocol.routing import Caller, ModelRoute, Rate, RoutingTable, Target, VersionRoute
from modelyard.storage.objects.opened import open_store

KEY = "my_benchmark_key"
KEYS, MODELS = 1000, 200
NEVER_REACHED = Rate(requests=1e9, rows=1e9)


class Ours(Contender):
    """One lane. `gateways` and `replicas` are numbers of processes; 0 is one per core."""

    version = modelyard.__version__
    path = "/models/bench/model/"
    headers = (("authorization", f"Bearer {KEY}"),)

    def __init__(self, lane: Literal["embedded", "isolated"], *, gateways: int = 0, replicas: int = 0) -> None:
        self.name, self.title = f"ours-{lane}", f"Modelyard, {lane} lane"
        self._lane, self._gateways, self._replicas = lane, gateways, replicas
        self.set_up = f"one gateway per core, {'one replica' if lane == 'embedded' else 'one replica per core'}"
        if gateways or replicas:
            self.set_up = f"gateways: {gateways or 'one per core'}, replicas: {replicas or 'as the lane has them'}"

    def start(self, stage: Stage) -> None:
        from modelyard.gateway.gateway import TABLE

        settings = Settings(
            data=stage.folder / "data", secret="0" * 64, log_level="warning", server=Server(port=stage.port)
        )
        held = _store(settings, stage)
        settings.run_folder.mkdir(parents=True, exist_ok=True)
        # In the embedded lane a replica answers until gateways have loaded the version.
        replicas = self._replicas or (1 if self._lane == "embedded" else stage.cores)
        addresses = [f"unix:{settings.run_folder}/r{number}.sock" for number in range(replicas)]
        variables = as_variables(settings)
        for number, address in enumerate(addresses):
            spec = settings.run_folder / f"r{number}.spec"
            made = ReplicaSpec(id=f"r{number}", deployment="d", address=address, versions=(held,))
            spec.write_bytes(msgspec.json.encode(made))
            stage.start([our_python(), "-m", "modelyard.replica", spec], **variables)
        embedded = held if self._lane == "embedded" else None
        (settings.data / TABLE).write_bytes(msgspec.json.encode(_table(held, addresses, embedded)))
        for _ in range(self._gateways or stage.cores):
            stage.start([our_python(), "-m", "modelyard.gateway"], **variables)


def _store(settings: Settings, stage: Stage) -> HeldVersion:
    """The version, in the platform's object store."""
    folder = stage.folder / "version"
    checksum = model.write_version(folder, stage.model.read_bytes())
    store = open_store(settings.objects_url)
    for path in folder.iterdir():
        store.put(f"v1/{path.name}", path)
    return HeldVersion(slot=0, prefix="bench", model="model", number=1, folder="v1", checksum=checksum)


def _table(held: HeldVersion, addresses: list[str], embedded: HeldVersion | None) -> RoutingTable:
    targets = tuple(Target(address, held.slot) for address in addresses)
    route = VersionRoute(number=1, deployment="d", weight=1, state="ready", targets=targets, embedded=embedded)
    elsewhere = VersionRoute(number=1, deployment="e", weight=1)
    others = [ModelRoute(prefix="others", name=f"model-{place}", versions=(elsewhere,)) for place in range(MODELS - 1)]
    keys = {_digest(f"my_other_{place}"): Caller(id=str(place), user="u", rate=NEVER_REACHED) for place in range(KEYS)}
    keys[_digest(KEY)] = Caller(id="key", user="u", prefixes=("bench",), rate=NEVER_REACHED)
    return RoutingTable(
        number=1,
        models=(*others, ModelRoute(prefix="bench", name="model", versions=(route,))),
        keys=keys,
        rates={"bench": NEVER_REACHED},
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
