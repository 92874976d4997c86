"""Which limits there are, who may set them and who sees them; over REST with the checks of every route."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelyard.core.errors import Forbidden, Invalid, NotFound
from modelyard.features.auth import operations as auth
from modelyard.features.auth.schemas import ApiKeyCreate
from modelyard.features.limits import operations as limits
from modelyard.features.limits.schemas import RateLimitSet
from modelyard.protocol.routing import Rate
from modelyard.storage.db.paging import Paging

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TEN = RateLimitSet(requests=10)


@pytest.fixture
def key(database, administrator):
    with database.session() as session:
        return auth.create_key(session, administrator, ApiKeyCreate(name="a program"), NOW)[0].id


def subjects(session, principal, paging=Paging()):
    return [(row.kind, row.subject) for row in limits.list_all(session, principal, paging).rows]


def test_limits_are_told_by_key_and_by_prefix(database, administrator, key):
    with database.session() as session:
        limits.put(session, administrator, "key", key, RateLimitSet(requests=0.5, rows=1e9), NOW)
        limits.put(session, administrator, "prefix", "sales/europe", RateLimitSet(rows=100), NOW)
    with database.session(read_only=True) as session:
        by_key, by_prefix = limits.rates(session)
    assert by_key == {key: Rate(requests=0.5, rows=1e9)}
    assert by_prefix == {"sales/europe": Rate(rows=100)}


def test_a_limit_is_replaced_whole_and_remembers_who_set_it_last(database, administrator):
    other = replace(administrator, user="usr_other")
    with database.session() as session:
        limits.put(session, administrator, "prefix", "sales", RateLimitSet(requests=1, rows=2), NOW)
        limits.put(session, other, "prefix", "sales", RateLimitSet(rows=3), LATER)
    with database.session(read_only=True) as session:
        (row,) = limits.list_all(session, administrator, Paging()).rows
        assert (row.requests, row.rows, row.created_by, row.created_at) == (None, 3, "usr_other", LATER)


def test_a_limit_limits_something(session, administrator):
    with pytest.raises(Invalid) as refused:
        limits.put(session, administrator, "prefix", "sales", RateLimitSet(), NOW)
    assert [field["field"] for field in refused.value.fields] == ["requests", "rows"]


def test_those_that_set_the_same_limit_at_once_leave_one(database, administrator):
    errors, barrier = [], threading.Barrier(4)

    def put(number):
        barrier.wait()
        try:
            with database.session() as session:
                limits.put(session, administrator, "prefix", "sales", RateLimitSet(rows=number), NOW)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.session(read_only=True) as session:
        assert subjects(session, administrator) == [("prefix", "sales")]


def test_a_removed_limit_is_gone_and_cannot_be_removed_again(database, administrator, key):
    for kind, subject in (("key", key), ("prefix", "sales")):
        with database.session() as session:
            limits.put(session, administrator, kind, subject, TEN, NOW)
        with database.session() as session:
            limits.remove(session, administrator, kind, subject)
        with database.session() as session, pytest.raises(NotFound, match="no rate limit"):
            limits.remove(session, administrator, kind, subject)
    with database.session(read_only=True) as session:
        assert limits.rates(session) == ({}, {})


def test_only_keys_that_are_there_can_be_limited(database, session, administrator, key):
    auth.revoke_key(session, administrator, key, NOW)
    for subject in ("key_none", key):
        with pytest.raises(NotFound):
            limits.put(session, administrator, "key", subject, TEN, NOW)
    elsewhere = replace(administrator, organisation="org_other")
    with pytest.raises(NotFound):
        limits.put(session, elsewhere, "key", key, TEN, NOW)


def test_the_limit_of_a_revoked_key_can_be_removed(database, session, administrator, key):
    limits.put(session, administrator, "key", key, TEN, NOW)
    auth.revoke_key(session, administrator, key, NOW)
    limits.remove(session, administrator, "key", key)
    assert subjects(session, administrator) == []


def test_only_who_manages_may_change_limits(database, session, administrator):
    limits.put(session, administrator, "prefix", "sales", TEN, NOW)
    for other in (replace(administrator, role="editor"), replace(administrator, read_only=True)):
        with pytest.raises(Forbidden):
            limits.put(session, other, "prefix", "sales", TEN, NOW)
        with pytest.raises(Forbidden):
            limits.remove(session, other, "prefix", "sales")
    assert subjects(session, replace(administrator, role="viewer")) == [("prefix", "sales")]


def test_a_narrowed_key_reaches_its_prefixes_and_itself(database, session, administrator, key):
    other = auth.create_key(session, administrator, ApiKeyCreate(), NOW)[0].id
    for kind, subject in (
        ("prefix", "sales"), ("prefix", "salesforce"), ("prefix", "sales/europe"), ("key", key), ("key", other),
    ):  # fmt: skip
        limits.put(session, administrator, kind, subject, TEN, NOW)
    narrowed = replace(administrator, key=key, prefixes=("sales",))
    assert set(subjects(session, narrowed)) == {("prefix", "sales"), ("prefix", "sales/europe"), ("key", key)}
    limits.put(session, narrowed, "key", key, TEN, NOW)
    limits.put(session, narrowed, "prefix", "sales/asia", TEN, NOW)
    for kind, subject in (("prefix", "salesforce"), ("key", other)):
        with pytest.raises(NotFound):
            limits.put(session, narrowed, kind, subject, TEN, NOW)
        with pytest.raises(NotFound):
            limits.remove(session, narrowed, kind, subject)


def test_other_organisations_see_nothing(database, session, administrator):
    limits.put(session, administrator, "prefix", "sales", TEN, NOW)
    elsewhere = replace(administrator, organisation="org_other")
    assert subjects(session, elsewhere) == []
    with pytest.raises(NotFound):
        limits.remove(session, elsewhere, "prefix", "sales")


def test_limits_are_listed_in_pages_newest_first(database, session, administrator):
    for number in range(5):
        limits.put(session, administrator, "prefix", f"p{number}", TEN, NOW)
    first = limits.list_all(session, administrator, Paging(3))
    rest = limits.list_all(session, administrator, Paging(3, first.next_cursor))
    assert (len(first.rows), len(rest.rows), first.total, rest.next_cursor) == (3, 2, 5, None)
    assert {row.subject for row in [*first.rows, *rest.rows]} == {f"p{number}" for number in range(5)}


@given(st.floats(min_value=0, max_value=1e9, exclude_min=True))
def test_every_positive_rate_up_to_a_billion_is_taken(rate):
    assert RateLimitSet(requests=rate).requests == rate


@pytest.mark.parametrize(
    "body",
    [{"requests": 0}, {"rows": -1}, {"rows": 1.1e9}, {"rows": "5"}, {"requests": True}],
)
def test_other_bodies_are_refused(body):
    with pytest.raises(ValidationError):
        RateLimitSet.model_validate(body)
