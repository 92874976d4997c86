"""What the soak accepts and what not: usage to the one, failures where they are excused, memory that is flat."""

from benchmarks.load.generator import Result
from benchmarks.soak.chores import Done
from benchmarks.soak.memory import Life
from benchmarks.soak.verdicts import judge, usage


def report(at, acknowledged=100, *, by_answer=(60, 40, 0, 0), **counts):
    nothing = dict.fromkeys(("wrong", "busy", "lost", "unconnected", "unreadable"), 0)
    return Result(
        at=at, elapsed=at, seconds=at, measured=acknowledged, p50=1, p99=1, acknowledged=acknowledged,
        by_answer=by_answer, others={}, **nothing | counts,
    )  # fmt: skip


def failing(verdicts):
    return [verdict.text.partition(":")[0] for verdict in verdicts if not verdict.holds]


def verdicts(*reports, done=(Done("publish the other version", 1, 2),), lives=(), recorded=None):
    return judge(reports, done, lives, recorded or {1: 60, 2: 40})


def test_a_run_without_a_fault_holds():
    assert failing(verdicts(report(1), report(2))) == []


def test_usage_must_agree_to_the_one():
    assert usage(report(9), {1: 60, 2: 40}).holds
    assert not usage(report(9), {1: 60, 2: 41}).holds
    assert not usage(report(9), {1: 59, 2: 41}).holds
    assert not usage(report(9), {1: 60, 2: 39}).holds


def test_a_killed_gateway_may_have_recorded_what_it_could_not_send_and_nothing_less():
    assert usage(report(9, lost=2), {1: 61, 2: 41}).holds
    assert not usage(report(9, lost=2), {1: 62, 2: 41}).holds
    assert not usage(report(9, lost=2), {1: 59, 2: 42}).holds


def test_what_is_not_there_yet_is_a_finding():
    assert failing(verdicts(report(1), recorded="NotFound: There is nothing here.")) == ["usage"]
    done = [Done("recreate", 1, 2, "AttributeError: no such operation")]
    assert failing(verdicts(report(1), done=done)) == ["recreate"]


def test_connections_may_be_lost_around_the_kill_of_a_gateway_only():
    kill = Done("kill -9 a gateway", 10, 11)
    swap = Done("publish the other version", 20, 21)
    around = [report(9), report(10.9, lost=5), report(20, lost=5)]
    assert failing(verdicts(*around, done=[kill, swap], recorded={1: 60, 2: 40})) == []
    later = [report(9), report(10.9, lost=5), report(20.5, lost=6)]
    assert failing(verdicts(*later, done=[kill, swap])) == ["lost connections"]


def test_a_wrong_answer_or_another_status_fails():
    assert failing(verdicts(report(1, wrong=1))) == ["wrong answers"]
    assert failing(verdicts(report(1, busy=1))) == ["503 with Retry-After"]


def life(*, grows):
    return Life("gateway", [(5.0 * place, 80 + (20 if place < 5 else 20 + grows * place)) for place in range(60)])


def test_memory_may_settle_but_not_grow():
    assert failing(verdicts(report(1), lives=[life(grows=0.0)])) == []
    assert len(failing(verdicts(report(1), lives=[life(grows=0.5)]))) == 1
    assert life(grows=0.5).slope > 5
