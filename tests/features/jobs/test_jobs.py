import dataclasses
import threading
from datetime import timedelta

import pytest

from modelyard.core.errors import Fenced, NotFound
from modelyard.core.settings import Jobs
from modelyard.features.jobs import operations as jobs
from modelyard.features.jobs import queries
from modelyard.features.jobs.errors import JobOver
from modelyard.features.jobs.tables import JobRow
from modelyard.protocol.jobs import EventBatch, Failure, Finish, LogLine, MetricPoint, Progress

SETTINGS = Jobs(at_once=2, lease_seconds=10, attempts=3)


@pytest.fixture
def enqueue(database, administrator):
    def make(title="a job"):
        with database.session() as session:
            return jobs.enqueue(session, administrator, kind="train", title=title, payload={"n": 1}).id

    return make


@pytest.fixture
def started(database, enqueue):
    """A job that a worker has claimed: (id, token)."""
    job_id = enqueue()
    with database.session() as session:
        start = jobs.start_next(session, SETTINGS)
    with database.session() as session:
        jobs.claim(session, job_id, start.token, SETTINGS)
    return job_id, start.token


def state_of(database, job_id):
    with database.session(read_only=True) as session:
        return session.get_one(JobRow, job_id).state


def lapse(database, job_id):
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        row.lease_until -= timedelta(hours=1)


def test_jobs_start_in_the_order_they_came(database, enqueue):
    first, second = enqueue("first"), enqueue("second")
    with database.session() as session:
        assert jobs.start_next(session, SETTINGS).job == first
        assert jobs.start_next(session, SETTINGS).job == second


def test_no_more_jobs_run_than_may(database, enqueue):
    for _ in range(3):
        enqueue()
    with database.session() as session:
        started = [jobs.start_next(session, SETTINGS) for _ in range(3)]
    assert [start is not None for start in started] == [True, True, False]


def test_a_user_who_has_enough_running_lets_the_next_one_go_first(database, administrator, enqueue):
    settings = Jobs(at_once=10, per_user=1)
    mine = [enqueue() for _ in range(2)]
    other = dataclasses.replace(administrator, user="user_other")
    with database.session() as session:
        theirs = jobs.enqueue(session, other, kind="train", title="theirs", payload={}).id
    with database.session() as session:
        started = [jobs.start_next(session, settings) for _ in range(3)]
    assert [start.job if start else None for start in started] == [mine[0], theirs, None]


def test_a_waiting_job_knows_its_place(database, enqueue):
    enqueue()
    second = enqueue()
    with database.session() as session:
        assert queries.place(session, session.get_one(JobRow, second)) == 2


def test_two_controllers_that_claim_at_once_never_get_the_same_job(database, enqueue):
    wanted = {enqueue() for _ in range(6)}
    settings = Jobs(at_once=100, per_user=100)
    got, barrier = [], threading.Barrier(3)

    def claim():
        barrier.wait()
        for _ in range(2):
            with database.session() as session:
                got.append(jobs.start_next(session, settings).job)

    threads = [threading.Thread(target=claim) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(wanted)


def test_a_worker_that_fell_silent_loses_its_job_to_the_next_token(database, started):
    job_id, token = started
    lapse(database, job_id)
    with database.session() as session:
        assert [row.id for row in jobs.take_back_lapsed(session, SETTINGS)] == [job_id]
    with database.session() as session:
        again = jobs.start_next(session, SETTINGS)
    assert (again.job, again.token) == (job_id, token + 1)


def test_what_a_dead_owner_writes_late_is_refused(database, started):
    job_id, token = started
    lapse(database, job_id)
    with database.session() as session:
        jobs.take_back_lapsed(session, SETTINGS)
        jobs.start_next(session, SETTINGS)
    late = [
        lambda session: jobs.claim(session, job_id, token, SETTINGS),
        lambda session: jobs.stop_wanted(session, job_id, token),
        lambda session: jobs.renew(session, job_id, token, SETTINGS),
        lambda session: jobs.take_events(session, job_id, EventBatch(token=token, sequence=0, events=())),
        lambda session: jobs.finish(session, job_id, Finish(token=token, outcome="succeeded"), SETTINGS),
    ]
    for write in late:
        with pytest.raises(Fenced), database.session() as session:
            write(session)
    assert state_of(database, job_id) == "starting"


def test_a_living_worker_keeps_its_job(database, started):
    job_id, token = started
    with database.session() as session:
        jobs.renew(session, job_id, token, SETTINGS)
        assert jobs.take_back_lapsed(session, SETTINGS) == []


def test_the_lease_is_renewed_only_when_a_third_is_gone(database, started):
    job_id, _ = started
    with database.session() as session:
        assert not jobs.renewal_is_due(session, job_id, SETTINGS)
    with database.session() as session:
        session.get_one(JobRow, job_id).lease_until -= timedelta(seconds=5)
    with database.session() as session:
        assert jobs.renewal_is_due(session, job_id, SETTINGS)


def test_a_job_whose_worker_keeps_dying_is_failed_and_says_so(database, enqueue):
    job_id = enqueue()
    for _ in range(SETTINGS.attempts):
        with database.session() as session:
            session.get_one(JobRow, job_id).not_before = None
            jobs.start_next(session, SETTINGS)
        lapse(database, job_id)
        with database.session() as session:
            jobs.take_back_lapsed(session, SETTINGS)
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        assert (row.state, row.failure["code"]) == ("failed", "worker_died")


def test_a_known_death_is_not_waited_for(database, started):
    job_id, token = started
    with database.session() as session:
        jobs.expire(session, job_id, token)
    with database.session() as session:
        assert jobs.any_lapsed(session)


def test_events_that_come_twice_are_taken_once(database, started):
    job_id, token = started
    events = (
        LogLine(line="hello", at=1.0),
        Progress(phase="training", fraction=0.5, eta_seconds=3.0),
        MetricPoint(name="auc", step=1, value=0.8, at=2.0),
    )
    for _ in range(2):
        with database.session() as session:
            jobs.take_events(session, job_id, EventBatch(token=token, sequence=0, events=events))
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        assert (row.phase, row.fraction, row.sequence) == ("training", 0.5, 3)
        found = queries.lines(session, job_id, after=-1, limit=10, newest_first=False)
        assert [line.line for line in found] == ["hello"]
        assert [point.value for point in queries.metrics(session, job_id, after=-1, limit=10)] == [0.8]


def test_progress_never_goes_back_even_over_a_takeover(database, started):
    job_id, token = started
    with database.session() as session:
        jobs.take_events(
            session, job_id, EventBatch(token=token, sequence=0, events=(Progress(phase="late", fraction=0.9),))
        )
    lapse(database, job_id)
    with database.session() as session:
        jobs.take_back_lapsed(session, SETTINGS)
        again = jobs.start_next(session, SETTINGS)
    with database.session() as session:
        jobs.claim(session, job_id, again.token, SETTINGS)
        batch = EventBatch(token=again.token, sequence=0, events=(Progress(phase="early", fraction=0.1),))
        jobs.take_events(session, job_id, batch)
        row = session.get_one(JobRow, job_id)
        assert (row.fraction, row.sequence) == (0.9, 2)


def test_a_log_goes_on_after_a_takeover_without_losing_a_line(database, started):
    job_id, token = started

    def say(token, *lines):
        with database.session() as session:
            events = tuple(LogLine(line=line, at=0.0) for line in lines)
            jobs.take_events(session, job_id, EventBatch(token=token, sequence=0, events=events))

    say(token, "one", "two")
    lapse(database, job_id)
    with database.session() as session:
        jobs.take_back_lapsed(session, SETTINGS)
        again = jobs.start_next(session, SETTINGS)
    say(again.token, "three")
    with database.session() as session:
        found = queries.lines(session, job_id, after=-1, limit=10, newest_first=True)
        assert [line.line for line in found] == ["three", "two", "one"]


def test_a_worker_that_is_asked_to_leave_gives_its_job_back_without_a_strike(database, started):
    job_id, token = started
    with database.session() as session:
        jobs.finish(session, job_id, Finish(token=token, outcome="released"), SETTINGS)
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        assert (row.state, row.attempts) == ("queued", 0)


def test_an_end_is_final_and_may_be_told_twice(database, started):
    job_id, token = started
    report = Finish(token=token, outcome="failed", failure=Failure(code="one_class", message="Only one class."))
    for _ in range(2):
        with database.session() as session:
            jobs.finish(session, job_id, report, SETTINGS)
    with database.session() as session:
        row = session.get_one(JobRow, job_id)
        assert (row.state, row.failure["code"], row.ended_at is not None) == ("failed", "one_class", True)


def test_a_waiting_job_stops_at_once(database, administrator, enqueue):
    job_id = enqueue()
    with database.session() as session:
        jobs.stop(session, administrator, job_id)
    assert state_of(database, job_id) == "stopped"


def test_a_running_job_is_told_to_stop_and_then_has(database, administrator, started):
    job_id, token = started
    with database.session() as session:
        jobs.stop(session, administrator, job_id)
    with database.session() as session:
        assert jobs.stop_wanted(session, job_id, token).stop
    with database.session() as session:
        jobs.finish(session, job_id, Finish(token=token, outcome="stopped"), SETTINGS)
    assert state_of(database, job_id) == "stopped"


def test_a_job_that_was_to_stop_and_whose_worker_died_has_stopped(database, administrator, started):
    job_id, _ = started
    with database.session() as session:
        jobs.stop(session, administrator, job_id)
    lapse(database, job_id)
    with database.session() as session:
        jobs.take_back_lapsed(session, SETTINGS)
    assert state_of(database, job_id) == "stopped"


def test_an_ended_job_cannot_be_stopped(database, administrator, enqueue):
    job_id = enqueue()
    with database.session() as session:
        jobs.stop(session, administrator, job_id)
    with pytest.raises(JobOver, match="stopped already"), database.session() as session:
        jobs.stop(session, administrator, job_id)


def test_another_organisations_job_looks_like_a_missing_one(database, enqueue):
    from modelyard.features.auth.permissions import Principal

    stranger = Principal(user="user_x", username="eve", organisation="org_x", role="administrator")
    job_id = enqueue()
    messages = set()
    for wanted in (job_id, "job_missing"):
        with pytest.raises(NotFound) as refused, database.session() as session:
            jobs.get(session, stranger, wanted)
        messages.add(refused.value.message.replace(wanted, "…"))
    assert len(messages) == 1
