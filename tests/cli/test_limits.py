"""`modelyard limit`."""

import pytest


def test_limits_are_set_shown_and_removed(at_api):
    key = at_api("key", "create", "--json").json["id"]
    ran = at_api("limit", "set", "--prefix", "sales", "--requests", "100", "--rows", "0.5")
    assert (ran.code, ran.out) == (0, "The prefix sales may ask for 100 requests and 0.5 rows a second.\n")
    assert at_api("limit", "set", "--key", key, "--rows", "1000").code == 0
    heading, *rows = at_api("limit", "list").rows
    assert heading[:4] == ["LIMIT OF", "KEY OR PREFIX", "REQUESTS/S", "ROWS/S"]
    assert [row[:4] for row in rows] == [["key", key, "-", "1000"], ["prefix", "sales", "100", "0.5"]]
    assert at_api("limit", "remove", "--prefix", "sales").code == 0
    assert [row["subject"] for row in at_api("limit", "list", "--json").json] == [key]


def test_a_limit_may_be_answered_in_json(at_api):
    made = at_api("limit", "set", "--prefix", "sales", "--rows", "3", "--json").json
    assert (made["kind"], made["subject"], made["requests"], made["rows"]) == ("prefix", "sales", None, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        ("set", "--requests", "1"),
        ("set", "--prefix", "sales"),
        ("set", "--prefix", "sales", "--key", "key_1", "--requests", "1"),
        ("set", "--prefix", "sales", "--requests", "0"),
        ("set", "--prefix", "sales", "--requests", "many"),
        ("remove",),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(bare, wrong):
    assert bare("limit", *wrong).code == 2


def test_what_is_not_there_is_not_found(at_api):
    assert at_api("limit", "remove", "--prefix", "sales").code == 3
    assert at_api("limit", "set", "--key", "key_none", "--rows", "1").code == 3
