"""What each process weighs over time, and whether it grows."""

import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import platform
from benchmarks.serving.processes import share_of_memory

EVERY_SECONDS = 5.0
LEAST_SAMPLES = 24
"""Two minutes: who lives shorter is not judged."""

ALLOWED_SHARE, ALLOWED_MIB = 0.05, 4.0


@dataclass
class Life:
    """One process: its role, and (seconds since the soak began, MiB) from its first sample to its last."""

    role: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    @property
    def judged(self) -> bool:
        """Whether it lived long enough."""
        return len(self.samples) >= LEAST_SAMPLES

    @property
    def slope(self) -> float:
        """MiB a minute over its life, its first quarter aside, by least squares."""
        settled = self.samples[len(self.samples) // 4 :]
        times, sizes = zip(*settled, strict=True)
        return statistics.linear_regression(times, sizes).slope * 60

    @property
    def levels(self) -> tuple[float, float]:
        """Its usual weight in the second quarter of its life, and in the last."""
        quarter = len(self.samples) // 4
        sizes = [size for _, size in self.samples]
        return statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])

    @property
    def flat(self) -> bool:
        """Whether the last quarter weighs about what the second did."""
        before, after = self.levels
        return after - before <= ALLOWED_MIB + ALLOWED_SHARE * before


class Scales(threading.Thread):
    """Weighs all processes of a platform until stopped."""

    def __init__(self, data: Path) -> None:
        super().__init__(daemon=True)
        self._data = data
        self._over = threading.Event()
        self.lives: dict[int, Life] = {}

    def run(self) -> None:
        begun = time.monotonic()
        while not self._over.wait(EVERY_SECONDS):
            for pid, role in platform.processes(self._data):
                size = share_of_memory(pid)
                if size:
                    self.lives.setdefault(pid, Life(role)).samples.append((time.monotonic() - begun, size))

    def stop(self) -> None:
        """No more."""
        self._over.set()
        self.join()
