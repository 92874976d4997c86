"""Takes the gateways' journals, each byte once, and adds what they say to the totals.

How far a journal was taken moves in the transaction that adds its counts, from exactly where it was seen before. So
of two api processes that take the same piece one adds it, and one that dies in between has added nothing.
"""

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from modelyard.features.auth import operations as auth
from modelyard.features.billing import queries
from modelyard.features.billing.counting import HOUR, Counted, count
from modelyard.features.billing.errors import JournalGap
from modelyard.storage.db.engine import Database

log = logging.getLogger("modelyard.billing")

SHIPPED_KEPT = timedelta(days=1)
"""How long a shipped journal is remembered: a piece of it that was sent twice may still be on its way."""


def ingest(database: Database, journal: str, offset: int, lines: bytes) -> int:
    """Take a journal's piece that begins at byte `offset`, as far as it is new; how many bytes are taken now.

    Raises JournalGap where something before it is missing. Counts outside the transaction that writes, so that nobody
    else waits for it.
    """
    while True:
        with database.session(read_only=True) as session:
            begin = queries.accepted(session, journal)
        if offset > begin:
            raise JournalGap(
                f"This journal was taken up to byte {begin:,}; go on from there, not from {offset:,}.",
                detail={"accepted": begin},
            )
        fresh = lines[begin - offset :]
        if not fresh:
            return begin
        end, counted = begin + len(fresh), count(fresh)
        with database.session() as session:
            if queries.advance(session, journal, begin, end):
                _add(session, journal, counted)
                return end


def note_shipped(session: Session, journal: str, now: datetime) -> None:
    """Note that a journal is taken and its file deleted, and forget those for which that was long ago."""
    queries.mark_shipped(session, journal, now)
    queries.forget_shipped(session, now - SHIPPED_KEPT)


def _add(session: Session, journal: str, counted: Counted) -> None:
    if counted.unreadable:
        log.warning("%d lines of the journal %s cannot be read and are left aside.", counted.unreadable, journal)
    owners = auth.organisations_of(session, {place.caller for place in counted.totals})
    queries.add(
        session,
        [
            {
                **place._asdict(),
                **counts._asdict(),
                "organisation": owners[place.caller],
                "hour": datetime.fromtimestamp(place.hour * HOUR, UTC),
            }
            for place, counts in counted.totals.items()
        ],
    )
