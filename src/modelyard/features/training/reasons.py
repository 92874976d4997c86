"""Why runs fail, in words for a reader who knows the problem but not the platform.

The technical message stays with the job; this says what it comes down to, and what to do.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelyard.features.training.schemas import FailureReason


class Words(NamedTuple):
    """What happened, and what to do next."""

    what: str
    next: str


_MEMORY = Words(
    "The data was too much for the memory that a training may use.",
    "Train on fewer rows or columns, or ask an administrator to allow more memory.",
)
_DISK = Words(
    "The machine that trained has no room left on its disk.",
    "Ask an administrator to free some space, then start again.",
)
_OURS = Words(
    "The platform itself made a mistake; your data and settings are not the cause.",
    "Start again. If it happens once more, send an administrator the log.",
)
_ALGORITHM = Words(
    "The algorithm could not cope with this data or these settings.",
    "Try another algorithm, or the same one with its default settings; the log has the details.",
)
_SETTINGS = Words(
    "A setting has a value that the algorithm does not take.", "Correct the setting that is named, then start again."
)
_NO_TARGET = Words(
    "The column that is to be predicted is not in the data.",
    "Choose a column that is there, or upload the file that has it.",
)
_FEW = Words(
    "There are not enough rows to learn from and to judge fairly.",
    "Add more rows that have the value to predict, then take a new release.",
)
_NO_TIME = Words("No column says when each row was.", "Name the column with the time in the dataset, and release it.")
_NO_TEXT = Words("No column is named as the text.", "Name the column with the text in the dataset, and release it.")

WORDS: Mapping[str, Words] = {
    "out_of_memory": _MEMORY,
    "too_large": _DISK,
    "out_of_space": _DISK,
    "timed_out": Words(
        "The training took longer than it may.",
        "Train on fewer rows, search less, or ask an administrator to allow more time.",
    ),
    "sandbox_failed": Words(
        "The protected room in which trainings run could not be set up on this machine.",
        "Ask an administrator to run `modelyard doctor` there.",
    ),
    "refused": Words(
        "This machine may not train: it cannot protect itself from what runs in a training.",
        "Ask an administrator to run `modelyard doctor` there.",
    ),
    "worker_died": Words(
        "The training was broken off several times, mostly because the machine ran out of memory or was restarted.",
        "Start again; if it happens once more, train on fewer rows or ask an administrator for more memory.",
    ),
    "internal": _OURS,
    "malformed": _OURS,
    "no_candidates": _OURS,
    "bad_answers": _ALGORITHM,
    "algorithm_failed": _ALGORITHM,
    "training_failed": _ALGORITHM,
    "unknown_algorithm": Words(
        "The algorithm is not there any more.", "Choose another one: the catalogue lists those that are."
    ),
    "wrong_scenario": Words(
        "The algorithm is for another kind of problem.", "Choose one that is meant for this kind of data."
    ),
    "bad_parameters": _SETTINGS,
    "unknown_metric": Words(
        "The measure that was to decide does not fit this problem.", "Choose another measure, or leave it out."
    ),
    "horizon": Words(
        "The number of steps to look ahead does not fit the length of the series.",
        "Look fewer steps ahead, or add more history.",
    ),
    "invalid": Words(
        "The data or a setting does not fit the algorithm.", "Do what the message says, then start again."
    ),
    "not_found": Words(
        "Something that the training needs is not there any more.", "Look at the message, which names it."
    ),
    "target_missing": _NO_TARGET,
    "target_type": Words(
        "The column that is to be predicted does not hold numbers.", "Choose a column of numbers, or clean its values."
    ),
    "target_empty": Words("The column that is to be predicted is empty.", "Fill it in, or choose another column."),
    "label_values": Words(
        "The column that marks anomalies holds more than yes and no.",
        "Mark each row with 1 or 0, or leave the column out.",
    ),
    "one_class": Words(
        "Every row has the same value to predict, so there is nothing to tell apart.",
        "Add rows with another value, or choose another column.",
    ),
    "too_many_classes": Words(
        "The column to predict has so many different values that it looks like a name or a number.",
        "Choose another column, or group its values.",
    ),
    "no_training_rows": Words(
        "The release has no rows to learn from.", "Give some rows the purpose training, and take a new release."
    ),
    "too_few_rows": _FEW,
    "too_short": Words(
        "The series are too short to learn how they go on.", "Add more history, or look fewer steps ahead."
    ),
    "no_features": Words(
        "Besides the column to predict there is nothing left to predict it from.",
        "Add columns that may have to do with it.",
    ),
    "text_missing": _NO_TEXT,
    "text_type": Words("The column with the text holds numbers.", "Name the column that holds the texts."),
    "time_missing": _NO_TIME,
    "time_type": Words(
        "The column with the time cannot be read as times.", "Correct its values, or name another column."
    ),
    "time_empty": Words("The column with the time is empty in some rows.", "Fill it in, or leave those rows out."),
    "nothing_to_search_by": Words(
        "There is nothing to tell a better setting from a worse one: no row says what is right.",
        "Mark some rows with what is right, or train without a search.",
    ),
    "holds_code": Words(
        "The version to go on from is of a kind that is not gone on from.", "Train anew, from no earlier version."
    ),
    "unavailable": Words("A part of the platform did not answer in time.", "Start again in a moment."),
    "conflict": Words("Something changed while the training ran.", "Start again."),
}

_UNKNOWN = Words("The training ended with an error.", "Read the message and the log, which say more.")


def reason_of(failure: Mapping[str, Any] | None) -> FailureReason | None:
    """A job's failure in plain words; None where it did not fail."""
    if failure is None:
        return None
    code = str(failure.get("code", ""))
    words = WORDS.get(code, _UNKNOWN)
    return FailureReason(code=code, what=words.what, next=words.next)
