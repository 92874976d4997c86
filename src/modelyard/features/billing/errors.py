"""What can go wrong about usage."""

from modelyard.core.errors import Conflict


class JournalGap(Conflict):
    """A piece of a journal that begins behind what was taken of it; `detail.accepted` says where to go on."""

    code = "journal_gap"
