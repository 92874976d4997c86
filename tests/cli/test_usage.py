"""`modelyard usage`."""

import time

import pytest

from fixtures.usage import lines, record
from modelyard.features.billing.ingest import ingest


@pytest.fixture
def called(platform_parts):
    """Calls of today, and one of 1970."""
    now = time.time()
    journal = lines(
        record(1000, at=now, bytes_in=2048),
        record(500, at=now, version=0, status=503),
        record(2, at=now, prefix="other", micros=2_500_000),
        record(4, at=0),
    )
    ingest(platform_parts.database, "j", 0, journal)


@pytest.mark.usefixtures("called")
def test_usage_is_a_table_with_a_line_for_all(at_api):
    assert at_api("usage", "--since", "24h").rows == [
        ["MODEL", "CALLS", "ROWS", "RECEIVED", "SENT", "MEAN TIME"],
        ["other/churn", "1", "2", "10 B", "20 B", "2.5 s"],
        ["sales/churn", "2", "1,500", "2.0 KiB", "40 B", "300 µs"],
        ["all", "3", "1,502", "2.0 KiB", "60 B", "834 ms"],
    ]


@pytest.mark.usefixtures("called")
def test_a_version_is_shown_with_its_model(at_api):
    header, *found = at_api("usage", "--by", "version,status", "--prefix", "sales", "--since", "1d").rows
    assert header[:3] == ["MODEL", "VERSION", "STATUS"]
    assert [row[:3] for row in found] == [
        ["sales/churn", "-", "503"], ["sales/churn", "v1", "200"], ["all", "-", "-"],
    ]  # fmt: skip


@pytest.mark.usefixtures("called")
def test_hours_come_newest_first(at_api):
    header, *found = at_api("usage", "--by", "hour", "--model", "sales/churn", "--key", "key_1").rows
    assert header[0] == "HOUR"
    assert [row[0] for row in found][1:] == ["1970-01-01 00:00", "all"]


@pytest.mark.usefixtures("called")
def test_json_is_for_programs(at_api):
    found = at_api("usage", "--json").json
    assert (found["items"][0]["model"], found["overall"]["requests"]) == ("other/churn", 4)


def test_without_calls_there_is_one_line(at_api):
    assert at_api("usage").rows[1:] == [["all", "0", "0", "0 B", "0 B", "-"]]


def test_an_unknown_way_of_grouping_is_said_to_be(at_api):
    ran = at_api("usage", "--by", "colour")
    assert (ran.code, "Choose among hour" in ran.err) == (1, True)
