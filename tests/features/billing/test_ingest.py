"""Every byte of a journal counts once, however it is delivered."""

import itertools
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fixtures.usage import NOON, lines, record
from modelyard.features.billing.errors import JournalGap
from modelyard.features.billing.ingest import SHIPPED_KEPT, ingest, note_shipped
from modelyard.features.billing.tables import UsageJournalRow, UsageTotalRow

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RECORDS = [record(number, at=NOON + number * 600, status=200 + number % 2) for number in range(12)]
JOURNAL = lines(*RECORDS)
ENDS = [0, *itertools.accumulate(len(lines(each)) for each in RECORDS)]
"""Where its lines begin, and the end."""
WHOLE = (12, sum(range(12)))

_names = itertools.count()


def totals(database):
    with database.session(read_only=True) as session:
        return list(session.scalars(select(UsageTotalRow).order_by(UsageTotalRow.hour, UsageTotalRow.status)))


def test_records_become_totals_of_their_hour(database, administrator):
    end = ingest(database, "j", 0, JOURNAL)
    assert end == len(JOURNAL)
    found = totals(database)
    assert [(row.hour.hour, row.status, row.requests) for row in found] == [
        (12, 200, 3), (12, 201, 3), (13, 200, 3), (13, 201, 3),
    ]  # fmt: skip
    assert (found[0].rows, found[0].bytes_in, found[0].bytes_out, found[0].micros) == (0 + 2 + 4, 30, 60, 900)
    assert (found[0].caller, found[0].prefix, found[0].model, found[0].version) == ("key_1", "sales", "churn", 1)


def test_a_piece_that_comes_again_counts_once(database, administrator, counted):
    assert [ingest(database, "j", 0, JOURNAL) for _ in range(3)] == [len(JOURNAL)] * 3
    assert counted() == WHOLE


def test_of_a_piece_that_begins_too_early_the_new_part_counts(database, administrator, counted):
    ingest(database, "j", 0, JOURNAL[: ENDS[5]])
    assert ingest(database, "j", ENDS[2], JOURNAL[ENDS[2] : ENDS[9]]) == ENDS[9]
    assert counted() == (9, sum(range(9)))


def test_a_piece_that_leaves_something_out_is_refused_with_the_place_to_go_on(database, administrator, counted):
    ingest(database, "j", 0, JOURNAL[: ENDS[5]])
    with pytest.raises(JournalGap) as caught:
        ingest(database, "j", ENDS[6], JOURNAL[ENDS[6] :])
    assert (caught.value.status, caught.value.detail) == (409, {"accepted": ENDS[5]})
    assert counted()[0] == 5


def test_an_empty_piece_asks_how_far_a_journal_is_taken(database, administrator):
    assert ingest(database, "j", 0, b"") == 0
    ingest(database, "j", 0, JOURNAL[: ENDS[5]])
    assert ingest(database, "j", 0, b"") == ENDS[5]


def test_journals_are_counted_apart_from_each_other(database, administrator, counted):
    for name in ("a", "b"):
        ingest(database, name, 0, JOURNAL)
    assert counted() == (24, 2 * WHOLE[1])


def test_a_line_that_cannot_be_read_holds_nothing_up(database, administrator, counted, caplog):
    assert ingest(database, "j", 0, b"nonsense\n" + JOURNAL) == len(JOURNAL) + 9
    assert counted() == WHOLE
    assert "1 lines of the journal j" in caplog.text


def test_a_caller_s_calls_belong_to_its_organisation_and_an_unknown_one_s_to_the_first(database, administrator):
    ingest(database, "j", 0, lines(record(caller=administrator.user), record(caller="nobody"), record(caller="")))
    assert [row.organisation for row in totals(database)] == [administrator.organisation] * 3


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0", "<š🙂'\";--"])
def test_names_of_any_kind_can_be_kept(database, administrator, counted, name):
    ingest(database, "j", 0, lines(record(caller=name, prefix=name, model=name)))
    assert counted()[0] == 1


def test_processes_that_take_the_same_journal_at_once_count_it_once(database, administrator, counted):
    barrier, errors = threading.Barrier(4), []

    def take(begin):
        barrier.wait()
        for start in range(begin, 12, 2):
            while True:
                try:
                    ingest(database, "j", ENDS[start], JOURNAL[ENDS[start] : ENDS[min(start + 3, 12)]])
                    break
                except JournalGap:
                    continue
                except Exception as error:
                    errors.append(error)
                    return

    threads = [threading.Thread(target=take, args=(number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert counted() == WHOLE


def test_writers_of_different_journals_do_not_block_each_other_for_ever(database, administrator, counted):
    errors = []

    def take(name):
        try:
            for start in range(12):
                # The same totals, named in another order by each.
                piece = lines(*(RECORDS if int(name) % 2 else reversed(RECORDS)))
                ingest(database, name, start * len(piece), piece)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=take, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert counted() == (4 * 12 * 12, 4 * 12 * WHOLE[1])


def test_what_fails_in_between_has_counted_nothing(database, administrator, counted, monkeypatch):
    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("modelyard.features.billing.queries.add", fail)
        with pytest.raises(RuntimeError):
            ingest(database, "j", 0, JOURNAL)
    assert ingest(database, "j", 0, b"") == 0
    ingest(database, "j", 0, JOURNAL)
    assert counted() == WHOLE


def test_a_shipped_journal_is_remembered_for_pieces_that_are_late_and_then_forgotten(database, administrator, counted):
    ingest(database, "old", 0, JOURNAL)
    with database.session() as session:
        note_shipped(session, "old", NOW)
    assert ingest(database, "old", 0, JOURNAL) == len(JOURNAL)
    assert counted() == WHOLE
    ingest(database, "new", 0, JOURNAL)
    with database.session() as session:
        note_shipped(session, "new", NOW + SHIPPED_KEPT + timedelta(seconds=1))
    with database.session(read_only=True) as session:
        assert session.scalars(select(UsageJournalRow.name)).all() == ["new"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=12))
def test_any_deliveries_make_the_same_totals(database, administrator, counted, deliveries):
    """Repeated, overlapping, out of order, lost and sent again: (first line, last line) each."""
    name, (requests, rows) = f"j{next(_names)}", counted()
    accepted = 0
    for one, other in [*deliveries, (0, 12)]:
        begin, end = ENDS[min(one, other)], ENDS[max(one, other)]
        if begin > accepted:
            with pytest.raises(JournalGap):
                ingest(database, name, begin, JOURNAL[begin:end])
        else:
            accepted = max(accepted, end)
            assert ingest(database, name, begin, JOURNAL[begin:end]) == accepted
    assert accepted == len(JOURNAL)
    assert counted() == (requests + WHOLE[0], rows + WHOLE[1])
