"""Files that are uploaded to be predicted: streamed to the object store, then noted. What fails leaves nothing."""

import hashlib
import shutil
from collections.abc import AsyncIterator

from anyio import CancelScope, to_thread

from modelyard.core import ids
from modelyard.core.errors import Invalid, OutOfSpace, TooLarge
from modelyard.features.auth.operations import Principal
from modelyard.features.predictions import operations
from modelyard.features.predictions.tables import PredictionFileRow
from modelyard.web.platform import Platform


async def receive(
    platform: Platform, principal: Principal, filename: str, body: AsyncIterator[bytes], declared: int | None
) -> PredictionFileRow:
    """Take in one file; `declared` is its size in bytes as announced. Raises TooLarge, OutOfSpace, Invalid."""
    _check_room(platform, declared or 0)
    file_id = ids.new("pf")
    key, digest, limit = operations.file_key(file_id), hashlib.sha256(), platform.settings.limits.upload

    async def counted() -> AsyncIterator[bytes]:
        seen = 0
        async for piece in body:
            seen += len(piece)
            if seen > limit:
                raise _too_large(limit)
            digest.update(piece)
            yield piece

    try:
        size = await platform.objects.put_stream(key, counted())
        if not size:
            raise Invalid(f"{filename} is empty. Send a table with a header and at least one row.")
        return await to_thread.run_sync(_note, platform, principal, file_id, filename, size, digest.hexdigest())
    except BaseException:
        # Also when the client goes away and this request is cancelled.
        with CancelScope(shield=True):
            await to_thread.run_sync(platform.objects.delete, key)
        raise


def _note(
    platform: Platform, principal: Principal, file_id: str, filename: str, size: int, sha256: str
) -> PredictionFileRow:
    with platform.database.session() as session:
        now = platform.clock.now()
        return operations.add_file(session, principal, file_id, filename, size, sha256, now)


def _check_room(platform: Platform, declared: int) -> None:
    limits = platform.settings.limits
    if declared > limits.upload:
        raise _too_large(limits.upload)
    free = shutil.disk_usage(platform.settings.data).free
    if free - declared < limits.free_disk:
        raise OutOfSpace(
            f"The disk has {free:,} bytes left, too few for this file. Free some space, then upload again.",
            retry_after=60,
        )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The file is larger than {limit:,} bytes. Split it, or raise MODELYARD_LIMITS_UPLOAD.")
