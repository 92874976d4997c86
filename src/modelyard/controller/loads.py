"""Lets the load decide, once a second: how many replicas there are, and whether canaries go on."""

import time

from modelyard.controller.replicas import Look
from modelyard.features.deployments.steering import Steering
from modelyard.web.platform import Platform

EVERY = 1.0


class LoadKeeper:
    """The controller's ear for what gateways report."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._steering = Steering()
        self._looked = float("-inf")

    def turn(self, look: Look) -> None:
        """Decide where a second has passed; what is decided is written, and done by the next turn."""
        if time.monotonic() - self._looked < EVERY:
            return
        self._looked = time.monotonic()
        with self._platform.database.session(read_only=True) as session:
            findings = self._steering.look(session, look.snapshot, look.table)
        if findings:
            with self._platform.database.session() as session:
                self._steering.act(session, findings)
