"""Takes away what nobody came back for: old answers of repeated requests, uploads left half-way, unused files."""

import time

from modelyard.features.datasets import uploads
from modelyard.features.predictions import operations as predictions
from modelyard.web.idempotency import forget_old
from modelyard.web.platform import Platform

EVERY = 600.0
"""Seconds between two looks."""


class Sweeper:
    """The controller's broom."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._swept = float("-inf")

    def turn(self) -> None:
        """Look whether it is time, and sweep."""
        if time.monotonic() - self._swept < EVERY:
            return
        self._swept = time.monotonic()
        now = self._platform.clock.now()
        with self._platform.database.session() as session:
            forget_old(session, now)
        with self._platform.database.session() as session:
            unused = predictions.forget_unused_files(session, now)
        for key in unused:
            self._platform.objects.delete(key)
        uploads.tidy(self._platform)
