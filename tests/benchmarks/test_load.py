"""The load generators count what a server did, exactly, and know a wrong answer from a right one."""

import time

from benchmarks.load.generator import Load, Result, load, read
from benchmarks.load.ports import free_port
from benchmarks.load.questions import same
from known_server import answer, question

QUESTIONS = 5


def run(known, answers, *right, connections=3, seconds=0.4):
    """The result of a load on a server that answers so, and the server."""
    server = known(answers)
    asked = [
        question(number, *(body % number if b"%d" in body else body for body in right)) for number in range(QUESTIONS)
    ]
    return load(server.port, asked, connections=connections, seconds=seconds), server


def test_every_answer_is_counted_once(load_generator, known):
    found, server = run(known, lambda number, _: answer(b'{"p": %d}' % number), b'{"p": %d}')
    assert found.acknowledged == sum(server.served.values()) > 2 * QUESTIONS
    assert found.failed == {}
    assert len(server.served) == QUESTIONS
    assert 0 < found.measured <= found.acknowledged
    assert found.by_answer[0] == found.acknowledged
    assert 0 < found.p50 <= found.p99


def test_an_answer_that_belongs_to_another_question_is_wrong(load_generator, known):
    def swapped(number, _):
        return answer(b'{"p": %d}' % {1: 2, 2: 1}.get(number, number))

    found, server = run(known, swapped, b'{"p": %d}')
    assert found.wrong == server.served[1] + server.served[2] > 0
    assert found.acknowledged == sum(server.served.values())
    assert found.by_answer[0] == found.acknowledged - found.wrong


def test_rounding_is_no_mistake_and_another_number_is(load_generator, known):
    def rounded(number, times):
        digits = "0.30000001" if times % 2 else "3.0000002e-1"
        return answer(b'{"p": %s}' % (b"0.3001" if number == 4 else digits.encode()))

    found, server = run(known, rounded, b'{"p": 0.3}')
    assert found.wrong == server.served[4] > 0


def test_it_says_which_of_several_right_answers_came(load_generator, known):
    found, server = run(known, lambda number, _: answer(b"v2" if number == 0 else b"v1"), b"v1", b"v2")
    assert found.failed == {}
    assert found.by_answer[1] == server.served[0] > 0
    assert found.by_answer[0] == found.acknowledged - found.by_answer[1]


def test_a_refusal_with_retry_after_is_told_from_failures(load_generator, known):
    def refused(number, _):
        return {
            0: answer(b"{}", "503 Service Unavailable", "Retry-After: 1"),
            1: answer(b"{}", "503 Service Unavailable"),
            2: answer(b"{}", "429 Too Many Requests"),
        }.get(number, answer(b"yes"))

    found, server = run(known, refused, b"yes")
    assert found.busy == server.served[0] > 0
    assert found.others == {"503": server.served[1], "429": server.served[2]}
    assert found.acknowledged == server.served[3] + server.served[4]


def test_connections_that_break_are_lost_and_made_again(load_generator, known):
    found, server = run(known, lambda number, _: None if number == 3 else answer(b"yes"), b"yes", seconds=0.6)
    assert found.lost == server.served[3] > 1
    assert found.acknowledged == sum(server.served.values()) - found.lost


def test_where_nobody_listens_it_goes_on_trying(load_generator):
    found = load(free_port(), [question(0, b"yes")], connections=2, seconds=0.3)
    assert found.unconnected > 2
    assert found.acknowledged == 0


def test_ended_early_it_waits_for_what_it_asked(load_generator, known):
    server = known(lambda *_: answer(b"yes"))
    running = Load(server.port, [question(0, b"yes")], connections=4, seconds=600, every=0.05)
    reports = [read(running.lines.readline()) for _ in range(3)]
    running.stop()
    last = running.wait()
    assert last.acknowledged == server.served[0]
    assert last.lost == 0
    counts = [report.acknowledged for report in [*reports, last]]
    assert counts == sorted(counts)
    assert abs(last.at - time.time()) < 60


def test_both_ways_of_comparing_agree():
    right = b'{"a":[{"p":0.25,"q":-1e-9}],"v":"v1"}'
    assert same(b'{"a":[{"p":2.5000001e-1,"q":1e-9}],"v":"v1"}', right)
    for wrong in (b'{"a":[{"p":0.2502,"q":0.0}],"v":"v1"}', right.replace(b"v1", b"v2"), right + b" ", right[:-1], b""):
        assert not same(wrong, right)


def test_the_rate_is_that_of_the_measured_time():
    counts = dict.fromkeys(("wrong", "busy", "lost", "unconnected", "unreadable"), 0)
    found = Result(
        at=0, elapsed=3, seconds=2, measured=10, p50=1, p99=1, acknowledged=14, by_answer=(14,), others={}, **counts
    )
    assert found.rate == 5
