"""What a process of the control plane is built from: made once in its `main`, handed to whoever needs it."""

from dataclasses import dataclass

from fastapi import Request

from modelyard.core.clock import Clock, SystemClock
from modelyard.core.settings import Settings
from modelyard.credentials.internal import read_secret
from modelyard.credentials.presented import Presented
from modelyard.storage.db.engine import Database
from modelyard.storage.db.migrate import migrate
from modelyard.storage.objects.base import ObjectStore
from modelyard.storage.objects.opened import open_store


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The open stores, the settings, the secret and the clock."""

    settings: Settings
    database: Database
    objects: ObjectStore
    secret: bytes
    presented: Presented
    clock: Clock


def open_platform(settings: Settings, *, clock: Clock | None = None, migrate_after: float = 0.0) -> Platform:
    """Open the stores, bring the schema up to date, read the secret.

    `migrate_after`: how many seconds the schema is left to another process that starts at the same time.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url, pool=settings.database.pool)
    migrate(database, after=migrate_after)
    secret = read_secret(settings)
    return Platform(
        settings=settings,
        database=database,
        objects=open_store(settings.objects_url),
        secret=secret,
        presented=Presented(secret),
        clock=clock or SystemClock(),
    )


def platform_of(request: Request) -> Platform:
    """FastAPI dependency: the platform that the app was built with."""
    platform: Platform = request.app.state.platform
    return platform
