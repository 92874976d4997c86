"""What is done to a platform under load, in turns: swaps, scaling, recreation, rollback, and kill -9 of each role."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import modelyard
from benchmarks import platform
from modelyard.core.errors import ModelyardError

MODEL = "soak/model"
RETURN_SECONDS = 30.0


@dataclass(frozen=True)
class Done:
    """One chore: when it began and ended (Unix time, seconds), and what went wrong, "" for nothing."""

    name: str
    begun: float
    ended: float
    trouble: str = ""


class Chores:
    """Does them one after the other on one deployment that holds `MODEL`."""

    def __init__(self, client: modelyard.Client, data: Path, key: str) -> None:
        self._client, self._data, self._key = client, data, key
        self._dice = random.Random(0)
        self._versions = itertools.cycle([1, 2])
        self.done: list[Done] = []
        self._turns: dict[str, Callable[[], None]] = {
            "publish the other version": self._publish,
            "scale to 3": lambda: self._scale(3),
            "kill -9 a replica": lambda: self._kill("replica"),
            "recreate": self._recreate,
            "kill -9 the api": lambda: self._kill("api"),
            "scale to 2": lambda: self._scale(2),
            "publish again": self._publish,
            "kill -9 the controller": lambda: self._kill("controller"),
            "roll back": self._rollback,
            "kill -9 a gateway": lambda: self._kill("gateway"),
        }

    def run(self, until: float, pause: float) -> None:
        """In turns, with pauses, until so late on the monotonic clock; each is said as it is done."""
        for name, chore in itertools.cycle(self._turns.items()):
            if time.monotonic() + pause > until:
                return
            self.done.append(_done(name, chore))
            last = self.done[-1]
            print(f"  {last.ended - last.begun:5.1f} s  {name}  {last.trouble}", flush=True)
            time.sleep(pause)

    def _publish(self) -> None:
        self._client.deployments.publish(f"{MODEL}/v{next(self._versions)}", key=self._key, replicas=2)

    def _scale(self, replicas: int) -> None:
        self._client.deployments.scale(self._key, replicas)
        self._settled()

    def _recreate(self) -> None:
        self._client.deployments.recreate(self._key)
        self._settled()

    def _rollback(self) -> None:
        self._client.deployments.rollback(self._key)
        self._settled()

    def _kill(self, role: str) -> None:
        """One process of a role; another takes its place."""
        before = self._pids(role)
        os.kill(self._dice.choice(sorted(before)), signal.SIGKILL)
        deadline = time.monotonic() + RETURN_SECONDS
        while not self._pids(role) - before:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {role} came back within {RETURN_SECONDS:g} s")
            time.sleep(0.05)
        self._settled()

    def _settled(self) -> None:
        """Until the deployment is as wanted. While the api is away, that cannot be asked."""
        deadline = time.monotonic() + RETURN_SECONDS
        while time.monotonic() < deadline:
            with suppress(ModelyardError, OSError):
                self._client.deployments.get(self._key).wait(timeout=RETURN_SECONDS)
                return
            time.sleep(0.2)
        raise TimeoutError(f"the deployment was not ready again within {RETURN_SECONDS:g} s")

    def _pids(self, role: str) -> set[int]:
        return {pid for pid, its in platform.processes(self._data) if its == role}


def _done(name: str, chore: Callable[[], None]) -> Done:
    begun = time.time()
    try:
        chore()
    except Exception as error:  # noqa: BLE001 - a chore that fails is a finding, not the end of the soak
        return Done(name, begun, time.time(), f"{type(error).__name__}: {error}")
    return Done(name, begun, time.time())
