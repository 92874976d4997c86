"""Batch predictions as rows: who may ask for which, what is kept and let go, and what is removed when."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy.orm import Session

from features.conftest import NOW
from modelyard.core.errors import Forbidden, InUse, Invalid, NotFound
from modelyard.core.settings import Limits
from modelyard.features.auth.permissions import Principal
from modelyard.features.datasets.tables import DatasetRow, ReleaseRow
from modelyard.features.jobs import operations as jobs
from modelyard.features.models import operations as models
from modelyard.features.predictions import operations, uses
from modelyard.features.predictions.errors import BatchGoing, NoResult, NoRowsNamed
from modelyard.features.predictions.schemas import BatchCreate
from modelyard.protocol.batch import PredictSpec
from modelyard.protocol.jobs import Failure
from modelyard.storage.db.paging import Paging

SIGNATURE = {"scenario": "tabular-classification", "inputs": [], "target": "y", "classes": ["a", "b"]}
RESULT = {"key": "predictions/x/result.csv", "size": 12, "rows": 3, "unfit": 1, "seconds": 0.5, "problems": []}


@pytest.fixture
def shop(session: Session, administrator: Principal) -> Session:
    """The model sales/churn with two versions, and release 1 of the dataset customers."""
    row = models.ensure_model(session, administrator, models.parse("sales/churn"), NOW)
    for number in (1, 2):
        result = {
            "folder": f"runs/{number}", "checksum": "0" * 64, "files": [], "signature": SIGNATURE, "artifact": {},
            "evaluation": {},
        }  # fmt: skip
        models.add_version(
            session, row, job=f"job_{number}", created_by=administrator.user, result=result, lineage={}, now=NOW
        )
    owned = administrator.stamp(NOW)
    session.add(
        DatasetRow(
            id="ds_1",
            name="customers",
            scenario="tabular-classification",
            description="",
            target="y",
            roles={},
            revision=0,
            **owned,
        )
    )
    session.flush()
    manifest = [
        {"filename": f"{purpose}.csv", "purpose": purpose, "rows": 5, "folder": f"datasets/ds_1/{purpose}"}
        for purpose in ("training", "test")
    ]
    session.add(
        ReleaseRow(
            id="rel_1",
            dataset="ds_1",
            number=1,
            state="published",
            note="",
            manifest=manifest,
            checksum="",
            rows=10,
            revision=0,
            roles={},
            profile={},
            failure=None,
            job=None,
            published_at=NOW,
            **owned,
        )
    )
    session.flush()
    return session


def create(session: Session, principal: Principal, **wanted: Any) -> operations.Batch:
    body = BatchCreate(**{"model": "sales/churn", "dataset": "customers", **wanted})
    return operations.create(session, principal, body, Limits(), NOW)


def spec_of(batch: operations.Batch) -> PredictSpec:
    return msgspec.convert(batch.job.payload, PredictSpec)


def end(session: Session, batch: operations.Batch, state: str = "succeeded") -> None:
    """What a job's end brings about."""
    if state == "succeeded":
        jobs._end(session, batch.job, "succeeded", result=dict(RESULT))
    else:
        jobs.fail(session, batch.job, Failure(code="rows_do_not_fit", message="no"))


def test_the_job_is_told_the_version_and_the_tables(shop: Session, administrator: Principal) -> None:
    batch = create(shop, administrator, output="parquet", parameters={"top_k": 1})
    spec = spec_of(batch)
    assert (spec.version.label, spec.version.folder) == ("sales/churn/v2", "runs/2")
    assert spec.tables == ("datasets/ds_1/training/table.parquet", "datasets/ds_1/test/table.parquet")
    assert (spec.place, spec.output, spec.parameters) == (f"predictions/{batch.row.id}", "parquet", {"top_k": 1})
    assert (batch.job.kind, batch.job.title) == ("predict", "Predict customers@1 by sales/churn/v2")
    only = spec_of(create(shop, administrator, model="sales/churn/v1", purpose="test", release=1))
    assert (only.version.number, only.tables) == (1, ("datasets/ds_1/test/table.parquet",))


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"dataset": None}, NoRowsNamed, "Say which rows"),
        ({"file": "pf_1"}, NoRowsNamed, "not both"),
        ({"dataset": None, "file": "pf_none"}, NotFound, "no uploaded file"),
        ({"purpose": "validation"}, NoRowsNamed, "has no validation rows"),
        ({"dataset": "nobody"}, NotFound, "nobody"),
        ({"release": 7}, NotFound, "no release 7"),
        ({"model": "sales/churn/v9"}, NotFound, "v9"),
        ({"model": "churn"}, Invalid, "no model"),
        ({"parameters": {"top": 3}}, Invalid, 'Parameter "top": there is no such option. Choose from top_k.'),
    ],
)
def test_what_cannot_be_predicted_is_said_at_once(
    shop: Session, administrator: Principal, wanted: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        create(shop, administrator, **wanted)


def test_only_who_may_predict_there_may(shop: Session, administrator: Principal) -> None:
    def who(**changes: Any) -> Principal:
        fields = {name: getattr(administrator, name) for name in ("user", "username", "organisation", "role")}
        return Principal(**{**fields, **changes})

    batch = create(shop, who(role="viewer", read_only=True))
    elsewhere = who(prefixes=("finance",))
    for attempt in (lambda: create(shop, elsewhere), lambda: operations.get(shop, elsewhere, batch.row.id)):
        with pytest.raises(NotFound):
            attempt()
    assert operations.list_all(shop, elsewhere, Paging(limit=10)).rows == []
    assert operations.list_all(shop, who(prefixes=("sales",)), Paging(limit=10)).rows == [batch.row]
    with pytest.raises(NotFound):
        operations.get(shop, who(organisation="org_other"), batch.row.id)
    with pytest.raises(Forbidden):
        create(shop, who(role="nobody"))


def test_a_version_stays_as_long_as_its_job_runs(shop: Session, administrator: Principal) -> None:
    batch = create(shop, administrator)
    with pytest.raises(InUse, match=f"batch prediction {batch.row.id}"):
        models.delete_version(shop, administrator, models.parse("sales/churn/v2"))
    assert uses.release_uses(shop, "rel_1") == [f"batch prediction {batch.row.id}"]
    end(shop, batch)
    assert uses.release_uses(shop, "rel_1") == []
    models.delete_version(shop, administrator, models.parse("sales/churn/v2"))
    assert operations.get(shop, administrator, batch.row.id).row.version == "sales/churn/v2"


def test_the_result_is_there_after_the_end(shop: Session, administrator: Principal) -> None:
    batch = create(shop, administrator)
    with pytest.raises(BatchGoing, match="queued"):
        operations.download(shop, administrator, batch.row.id)
    end(shop, batch)
    found = operations.download(shop, administrator, batch.row.id)
    assert (found.key, found.size, found.filename) == (RESULT["key"], 12, "customers-1-predictions.csv")
    assert batch.job.result == {"batch_prediction": batch.row.id, "rows": 3, "unfit": 1, "size": 12}


def test_a_failed_one_has_no_result(shop: Session, administrator: Principal) -> None:
    batch = create(shop, administrator)
    end(shop, batch, "failed")
    with pytest.raises(NoResult, match="failed"):
        operations.download(shop, administrator, batch.row.id)


def test_what_was_uploaded_goes_with_its_last_prediction(shop: Session, administrator: Principal) -> None:
    operations.add_file(shop, administrator, "pf_1", "new.csv", 5, "00", NOW)
    first, second = (create(shop, administrator, dataset=None, file="pf_1") for _ in range(2))
    assert spec_of(first).file == "prediction-files/pf_1"
    with pytest.raises(BatchGoing, match="Stop its job first"):
        operations.delete(shop, administrator, first.row.id)
    end(shop, first)
    end(shop, second)
    assert operations.delete(shop, administrator, first.row.id) == (f"predictions/{first.row.id}", None)
    shop.flush()
    assert operations.delete(shop, administrator, second.row.id)[1] == "prediction-files/pf_1"
    with pytest.raises(NotFound):
        create(shop, administrator, dataset=None, file="pf_1")


def test_files_that_nobody_predicts_go_after_a_week(shop: Session, administrator: Principal) -> None:
    for name in ("pf_old", "pf_used"):
        operations.add_file(shop, administrator, name, "new.csv", 5, "00", NOW)
    create(shop, administrator, dataset=None, file="pf_used")
    assert operations.forget_unused_files(shop, NOW + timedelta(days=6)) == []
    assert operations.forget_unused_files(shop, NOW + timedelta(days=8)) == ["prediction-files/pf_old"]
