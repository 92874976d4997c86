"""From lines to counts."""

import msgspec
import pytest

from modelyard.features.billing.counting import Counts, Place, count
from modelyard.protocol.usage import UsageRecord

GOOD = b'[7200.5,"key_1","sales","churn",3,200,2,10,20,30]\n'
PLACE = Place(2, "key_1", "sales", "churn", 3, 200)


def test_calls_of_one_hour_are_counted_together():
    later = GOOD.replace(b"7200.5", b"10799.9")
    assert count(GOOD + later) == ({PLACE: Counts(2, 4, 20, 40, 60)}, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"7200.5", b"3600"),
        (b"key_1", b"key_2"),
        (b"sales", b"sales/europe"),
        (b"churn", b"upsell"),
        (b",3,", b",0,"),
        (b"200,", b"422,"),
    ],
)
def test_what_differs_is_counted_apart(old, new):
    totals = count(GOOD + GOOD.replace(old, new, 1)).totals
    assert [counts.requests for counts in totals.values()] == [1, 1]


def test_a_record_counts_as_the_gateway_wrote_it():
    record = UsageRecord(7200.5, "key_1", "sales", "churn", 3, 200, 2, 10, 20, 30)
    assert msgspec.json.Encoder().encode_lines([record]) == GOOD


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"\0" * 200,
        b"\xff\xfe",
        b'[7200.5,"key_1","sal',
        b'es","churn",3,200,2,10,20,30]',
        b'{"at":7200}',
        b'[7200.5,"key_1","sales","churn",3,200,2,10,20]',
        b'[null,"key_1","sales","churn",3,200,2,10,20,30]',
        b'[1e300,"key_1","sales","churn",3,200,2,10,20,30]',
        b'[7200.5,"key_1","sales","churn",99999999999,200,2,10,20,30]',
        b'[7200.5,"key_1","sales","churn",3,200,-2,10,20,30]',
        b'[7200.5,"key_1","sales","churn",3,200,2,10,20,100000000000000000000000000]',
        b'[7200.5,"key_1","\\ud800","churn",3,200,2,10,20,30]',
    ],
)
def test_a_line_that_is_no_record_is_left_aside_alone(line):
    assert count(GOOD + line + b"\n" + GOOD) == ({PLACE: Counts(2, 4, 20, 40, 60)}, 1 if line else 0)


def test_halves_of_torn_lines_do_not_make_a_record():
    torn = b'[7200.5,"key_1",\n"sales","churn",3,200,2,10,20,30]\n'
    assert count(torn) == ({}, 2)
    assert count(torn + GOOD) == ({PLACE: Counts(1, 2, 10, 20, 30)}, 2)


def test_what_a_later_release_appends_is_passed_over():
    assert count(GOOD.replace(b"30]", b'30,"more"]')).totals == {PLACE: Counts(1, 2, 10, 20, 30)}


def test_names_are_cut_to_what_a_database_holds():
    lines = GOOD.replace(b"churn", b"churn\\u0000") + GOOD + GOOD.replace(b"churn", b"x" * 5000)
    totals = count(lines).totals
    assert totals[PLACE] == Counts(2, 4, 20, 40, 60)
    assert max(len(place.model) for place in totals) == 200


def test_nothing_counts_as_nothing():
    assert count(b"") == ({}, 0)
