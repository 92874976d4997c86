"""What an export takes of a run: read a run at a time, each in a short transaction of its own, while it is sent."""

from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal
from modelyard.features.jobs import history
from modelyard.features.training import mlflow, operations, trials
from modelyard.features.training.mlflow import Exported
from modelyard.features.training.presenting import run_schema
from modelyard.web.archive import stream
from modelyard.web.platform import Platform


def as_mlflow(
    platform: Platform, principal: Principal, home: mlflow.Experiment, run_ids: Sequence[str]
) -> Iterator[bytes]:
    """A ZIP with MLflow's file store of these runs and their trials."""
    runs = (exported for run_id in run_ids for exported in _exported(platform, principal, run_id))
    return stream(mlflow.members(platform.objects, home, runs))


def _exported(platform: Platform, principal: Principal, run_id: str) -> list[Exported]:
    with platform.database.session(read_only=True) as session:
        found = trials.find(session, principal, run_id)
        children = [] if isinstance(found, trials.Trial) else trials.of(session, principal, run_id)
        return [_one(session, found), *(_one(session, child) for child in children)]


def _one(session: Session, found: trials.Found) -> Exported:
    points = history.points(session, trials.job_of(found), prefix=trials.prefix_of(found))
    version = None if isinstance(found, trials.Trial) else operations.version_of(session, found.run)
    if version is None:
        return Exported(run_schema(session, found), points)
    return Exported(run_schema(session, found), points, version.version.folder, version.version.files)
