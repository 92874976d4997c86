"""Everything that one replica holds: fetched, verified, loaded and tried out before it listens.

A version that is data is loaded here; one that holds code only in processes that are shut in (replica/pool.py).
"""

import logging
from contextlib import ExitStack
from pathlib import Path

from modelyard.core.errors import Broken, ModelyardError
from modelyard.core.settings import Settings
from modelyard.formats.folder import read_artifact
from modelyard.protocol.processes import HeldVersion, Holding, Limits
from modelyard.serving.folders import fetch, kept
from modelyard.serving.held import Held, load
from modelyard.storage.objects.opened import open_store

log = logging.getLogger("modelyard.replica")


class Loaded:
    """The versions by their slots.

    `paces`: how long a call for 32 rows takes, seconds; `parallel`: how many calls a version takes at once, where it
    takes more than the one of a model in this process.
    """

    def __init__(self, settings: Settings, limits: Limits) -> None:
        self.held: dict[int, Held] = {}
        self.paces: dict[int, float] = {}
        self.parallel: dict[int, int] = {}
        self.holdings: dict[int, Holding] = {}
        self._settings, self._limits = settings, limits
        self._at_end = ExitStack()

    def add(self, version: HeldVersion) -> None:
        """Raises what the fault is where it cannot be fetched or loaded, or does not answer as it should."""
        cache = self._settings.data / "cache" / "versions"
        # Opening a store takes its time, and a version that was here before needs none.
        folder = kept(version, cache) or fetch(version, open_store(self._settings.objects_url), cache)
        slot = version.slot
        self.held[slot] = self._shut_in(version, folder) if _holds_code(version, folder) else load(version, folder)
        self.paces[slot] = self.held[slot].warm_up()
        self.holdings[slot] = Holding(version.label, self.paces[slot] * 1e6)
        log.info("%s is loaded: %.2f ms for 32 rows", version.label, self.paces[slot] * 1000)

    def close(self) -> None:
        """End whatever was started."""
        self._at_end.close()

    def _shut_in(self, version: HeldVersion, folder: Path) -> Held:
        # Most replicas need neither, and start sooner without.
        from modelyard.replica.pool import Pool, Wording
        from modelyard.sandbox.choose import choose

        try:
            chosen = choose(self._settings)
        except ModelyardError as error:
            raise Broken(
                f"{version.label} cannot be loaded: it holds code, which is only ever loaded in a sandbox. "
                f"{error.message}"
            ) from error
        pool = Pool(folder, label=version.label, limits=self._limits, sandbox=chosen.sandbox)
        self._at_end.callback(pool.close)
        self.parallel[version.slot] = pool.parallel
        log.info("%s runs in %d processes, shut in by %s", version.label, pool.parallel, chosen.name)
        predictor = Wording(pool) if pool.words else pool
        return Held(predictor, model=f"{version.prefix}/{version.model}", version=f"v{version.number}")


def _holds_code(version: HeldVersion, folder: Path) -> bool:
    try:
        return read_artifact(folder).isolated
    except Broken as error:
        raise Broken(f"{version.label} cannot be loaded: {error.message}") from error
