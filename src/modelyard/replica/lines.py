"""Lines in the replica's log that others cause: cleaned, and not more of them than a log can take."""

import logging
import re
import time

log = logging.getLogger("modelyard.replica")

LONGEST = 1000
PER_SECOND, AT_ONCE = 20.0, 200.0
# Tabs stay; what moves a terminal's cursor goes.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """`text` in one line, without control characters, cut to LONGEST characters."""
    text = _CONTROL.sub("", text.replace("\n", " ").encode(errors="replace").decode())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


class Lines:
    """A stream of lines: at most AT_ONCE in one go and PER_SECOND on the long run; the others are counted."""

    def __init__(self) -> None:
        self._left, self._at, self._dropped = AT_ONCE, time.monotonic(), 0

    def write(self, level: int, text: str) -> None:
        """Log `text`, or count it."""
        now = time.monotonic()
        self._left = min(AT_ONCE, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        if self._left < 1:
            self._dropped += 1
            return
        self._left -= 1
        if self._dropped:
            log.warning("%d lines like the next one were left out", self._dropped)
            self._dropped = 0
        log.log(level, "%s", clean(text))
