"""How a log is told from a table, and which columns of a table of log lines are kept."""

import re

from modelyard.features.datasets.importers.base import Draft, Work
from modelyard.features.datasets.importers.text import beginning
from modelyard.features.datasets.roles import completed
from modelyard.features.datasets.validation import Problem

LINE = "line"
EXAMINED = 50
MOSTLY = 0.6
_MOMENT = (
    r"\[?\(?<?("
    r"\d{2,4}[-/.]\d{2}[-/.]\d{2,4}[ T_-]\d{1,2}[:.]\d{2}"  # 2024-01-31 10:00
    r"|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)? ?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} \d{2}:\d{2}:\d{2}"
    r"|\d{1,2}:\d{2}:\d{2}[.,]\d{3}"
    r"|\d{6} \d{6}"
    r"|(TRACE|DEBUG|INFO|NOTICE|WARN(ING)?|ERROR|FATAL|CRITICAL)\b"
    r"|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3} - "
    r")"
)
_BEGINS = re.compile(_MOMENT)
_WORDS_OF_A_MESSAGE = 4


def looks_like_log(head: bytes) -> bool:
    """Whether a text begins as logs do: most lines, the first among them, with a moment or a level and a message."""
    lines = [line for line in beginning(head).split("\n")[:EXAMINED] if line.strip()]
    like = [bool(_BEGINS.match(line)) and len(line.split()) >= _WORDS_OF_A_MESSAGE for line in lines]
    return bool(like) and like[0] and sum(like) >= MOSTLY * len(like)


def only_lines(draft: Draft, work: Work) -> Draft | None:
    """A table's column of lines, and that of their true events where it has one; None where nothing is called so.

    The lines' column is called `line` then, as that of any log, unless the dataset names it itself.
    """
    columns = [{"name": column.name.strip(), "type": column.forms[-1].type} for column in draft.columns]
    target, roles = completed(work.scenario, work.target, work.roles, {"columns": columns})
    text = roles.get("text")
    places = {column["name"]: place for place, column in enumerate(columns)}
    if text not in places and work.roles.get("text") == LINE:
        # The dataset's lines are called so since a file before this one was read here.
        target, roles = completed(work.scenario, work.target, {}, {"columns": columns})
        text = roles.get("text")
    if text not in places or text is None:
        return None
    lines = draft.columns[places[text]]
    kept = [lines._replace(name=work.roles.get("text", LINE), forms=lines.forms[-1:])]
    if target in places and target is not None and target != text:
        kept.append(draft.columns[places[target]])
    left = len(draft.columns) - len(kept)
    if left:
        shown = " and ".join(repr(name) for name in (text, target) if name in places)
        message = f"Of {len(draft.columns):,} columns {shown} are kept: a log is its lines."
        work.problems.append(Problem(code="columns_left_out", severity="info", message=message, count=left))
    return Draft(draft.table, kept)
