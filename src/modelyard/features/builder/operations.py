"""What the platform does with an intent: read it against the data, say how, and start a run of the candidates."""

from datetime import datetime

from sqlalchemy.orm import Session

from modelyard.features.auth.operations import Principal, check
from modelyard.features.builder import planner
from modelyard.features.builder.schemas import BuildCreate
from modelyard.features.datasets import operations as datasets
from modelyard.features.models import operations as models
from modelyard.features.training import operations as training
from modelyard.protocol.jobs import CandidateSpec


def start(session: Session, principal: Principal, wanted: BuildCreate, now: datetime) -> training.Going:
    """Start a build. Raises TargetUnclear, NothingToPredict, NotFound, before anything is trained."""
    check(principal, "write", prefix=models.parse(wanted.model).prefix)
    release = datasets.get_release(session, principal, wanted.dataset, wanted.release)
    named = wanted.target or datasets.get(session, principal, wanted.dataset).target
    plan = planner.plan(wanted.intent, datasets.profile_of(session, release), target=named)
    return training.start_run(
        session,
        principal,
        release_id=release.id,
        model=wanted.model,
        scenario=plan.scenario,
        target=plan.target,
        candidates=tuple(CandidateSpec(algorithm=name) for name in plan.candidates),
        intent=wanted.intent,
        plan=plan.model_dump(),
        drop=tuple(plan.drop),
        positive=plan.positive,
        seconds=wanted.seconds,
        reasons=tuple(f"{reason.decision}: {reason.value}, because {reason.because}" for reason in plan.reasons),
        now=now,
    )
