"""What a dataset holds at one moment, read in one transaction: to be worked on outside of it.

Whatever is made of it is written in a second transaction only where the dataset's revision is still the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import operations, queries
from modelyard.features.datasets.contents.view import Edit
from modelyard.features.datasets.errors import Changed
from modelyard.features.datasets.tables import DatasetRow, SampleRow

TRIES = 3
"""How often a change is worked out anew where somebody else was faster."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A dataset, its ready samples in the order of their arrival, and what was changed in their rows."""

    dataset: DatasetRow
    samples: Sequence[SampleRow]
    edits: dict[str, list[Edit]]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by purpose."""
        return operations.summed([sample.counts for sample in self.samples])

    @property
    def roles(self) -> dict[str, str]:
        """The columns by what they are, the target among them."""
        target = {"target": self.dataset.target} if self.dataset.target is not None else {}
        return {**target, **self.dataset.roles}


def read(session: Session, principal: Principal, key: str) -> Held:
    """What a dataset holds. Raises NotFound."""
    dataset = operations.get(session, principal, key)
    samples = queries.all_samples(session, dataset.id)
    edits: dict[str, list[Edit]] = {}
    for sample, row, values, deleted in queries.edits(session, queries.edited_samples(session, dataset.id)):
        if values or deleted:
            edits.setdefault(sample, []).append(Edit(row, values, deleted))
    return Held(dataset=dataset, samples=samples, edits=edits)


def unchanged(session: Session, held: Held) -> DatasetRow | None:
    """The dataset, locked for a change; None where it is no longer what was read."""
    row = queries.locked(session, held.dataset.id)
    return row if row is not None and row.revision == held.dataset.revision else None


def changed_meanwhile(held: Held) -> Changed:
    """The error of a change that others were faster with time and again."""
    return Changed(f"{held.dataset.name} is being changed by others at this moment. Try again.")


def file_of(sample: SampleRow) -> dict[str, Any]:
    """A sample as the history names it."""
    return {"sample": sample.id, "filename": sample.filename}
