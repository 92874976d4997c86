"""Versions that a gateway holds itself: what it keeps of those that come and go."""

import asyncio
import threading

from fixtures.serving import publish
from modelyard.core.settings import Settings
from modelyard.gateway import embedded
from modelyard.gateway.embedded import Embedder


async def ready(*lanes):
    async with asyncio.timeout(30):
        while not all(lane.ready for lane in lanes):  # noqa: ASYNC110 - a lane tells nobody
            await asyncio.sleep(0.01)


def test_a_version_that_leaves_while_it_is_loaded_is_not_kept(tmp_path, monkeypatch):
    settings = Settings(data=tmp_path / "data")
    first, second = publish(settings, 1), publish(settings, 2)
    load, may_load = embedded._load, threading.Event()

    def held_up(version, settings):
        assert may_load.wait(30)
        return load(version, settings)

    monkeypatch.setattr(embedded, "_load", held_up)

    async def scene():
        embedder = Embedder(settings, after=lambda: None)
        leaving, staying = embedder.open(first), embedder.open(second)
        embedder.keep({(second.label, second.checksum)})
        may_load.set()
        await ready(staying)
        kept = dict(embedder._held)
        embedder.close()
        return leaving, staying, kept

    leaving, staying, kept = asyncio.run(scene())
    assert not leaving.ready
    assert list(kept) == [staying.slot]
